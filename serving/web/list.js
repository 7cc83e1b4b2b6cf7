// Today's list: whom to see first, filtered and paged by the service. What is drawn depends on the page, never on the county's size.

import * as api from "./api.js";
import { el, say } from "./dom.js";
import * as drafts from "./drafts.js";
import * as known from "./known.js";
import { grade, status } from "./marks.js";
import { ofHundred, whole } from "./numbers.js";
import { carried, older, overdue } from "./parts.js";
import { go, to } from "./router.js";
import * as account from "./session.js";
import { heading, notice, trouble } from "./states.js";
import { said, t } from "./words.js";

const PAGE = 50;
const MOST_VILLAGES = 60; // more are offered only within a township: nobody finds one of 900, and drawing them slows every page
// The date of the data ends a reason; on the list the dates of all departments stand once, under the table.
const TAIL = /（[^（）]*数据截至[^（）]*）| \([^()]* data to [^()]*\)/g;
const FILTERS = ["township", "village", "grade", "risk_kind", "status", "q"];

const cursors = new Map(); // what is looked at -> where each of its pages begins
let lately = ""; // what was looked at last: going back to the list finds it again
let order = []; // the households of the page shown last, for "next household"

/** The address of the list as it was looked at last. */
export function lastAddress() {
  return lately || to("list");
}

/** Forget what was looked at: the next key begins anew. */
export function forgetLooks() {
  cursors.clear();
  lately = "";
  order = [];
}

/** The household after this one on the page shown last, that is still to be visited; or null. */
export function nextAfter(id) {
  const at = order.findIndex((row) => row.household_id === id);
  const next = at < 0 ? null : order.slice(at + 1).find((row) => row.status === "open" && row.number !== null);
  return next ? next.household_id : null;
}

/** The lists of this key, and the one that the query names (the newest by default). */
export async function chosen(query) {
  const { lists } = await api.lists();
  const wanted = lists.find((one) => one.cycle === query.cycle && (!query.county || one.county_code === query.county));
  return { lists, list: wanted || lists[0] || null };
}

export async function list({ query }) {
  const { lists, list: one } = await chosen(query);
  if (!one) return el("section", {}, heading(t("listTitle")), notice("note", el("p", {}, t("noLists"))));
  const everybody = query.everybody === "true";
  const filter = Object.fromEntries(FILTERS.map((name) => [name, query[name]]).filter(([, value]) => value));
  const looked = JSON.stringify([one.cycle, one.county_code, everybody, filter]);
  const starts = cursors.get(looked) || [null];
  let page = Math.max(1, Number(query.page) || 1);
  if (page > starts.length) page = 1; // a page whose beginning is not known any more
  const answer = await api.list(one.cycle, {
    county: one.county_code, ...filter, everybody: everybody ? "true" : "", limit: PAGE, cursor: starts[page - 1],
  });
  if (answer.next_cursor) starts[page] = answer.next_cursor;
  cursors.set(looked, starts);
  lately = to("list", "", query);
  order = answer.rows;
  if (account.opens("visit") && !one.closed) known.note(answer, answer.rows.filter((row) => row.number !== null));

  const move = (changes) => go(to("list", "", { ...query, page: "", ...changes }));
  const canRecord = account.opens("visit") && !one.closed;
  const first = (page - 1) * PAGE + 1;
  const shown = answer.rows.length ? t("shown", { first: whole(first), last: whole(first + answer.rows.length - 1), total: whole(answer.total) }) : "";
  if (shown) say(shown);
  else say(t("emptyFiltered"));

  return el(
    "section", { class: "list" },
    el("div", { class: "title" }, heading(t("listTitle")), facts(one, answer)),
    one.closed ? notice("warning", el("p", {}, t("listClosed"))) : null,
    older(answer),
    overdue(answer),
    toolbar(lists, one, answer, query, move, everybody),
    answer.rows.length ? el("p", { class: "shown" }, shown) : null,
    answer.rows.length ? table(answer, everybody, canRecord, shown) : empty(Object.keys(filter).length || everybody, move),
    answer.rows.length ? pager(page, answer.next_cursor, shown, query) : null,
    notes(answer),
  );
}

function facts(one, answer) {
  return el(
    "div", { class: "facts" },
    el("p", {}, t("listFacts", { cycle: one.cycle, as_of: answer.as_of, listed: whole(one.listed), standby: whole(one.standby) })),
    el("p", { class: "done" }, el("progress", { max: one.listed || 1, value: one.visited, "aria-label": t("status_visited") }),
      " ", t("listVisited", { visited: whole(one.visited), listed: whole(one.listed) })),
  );
}

function toolbar(lists, one, answer, query, move, everybody) {
  const filters = answer.filters || {};
  const within = (filters.villages || []).filter((item) => !query.township || item.code.startsWith(query.township));
  const villages = within.length > MOST_VILLAGES && !query.township ? [] : within;
  const coded = (item) => ({ code: item.code, name: item.zh ? said(item) : item.code, count: item.count });
  const search = el("input", { id: "q", type: "search", value: query.q || "", autocomplete: "off", spellcheck: "false", inputmode: "text" });
  const used = FILTERS.filter((name) => query[name]).length;
  const wide = window.matchMedia("(min-width: 700px)").matches;
  const fields = el(
    "form", { class: "filters", onsubmit: (event) => { event.preventDefault(); move({ q: search.value.trim() }); } },
    lists.length > 1 ? select("list-choice", t("chooseList"), lists.map((item) => ({
      code: `${item.cycle} ${item.county_code}`, name: t("listOption", { cycle: item.cycle, county: item.county_code, as_of: item.as_of }),
    })), `${one.cycle} ${one.county_code}`, (value) => {
      const [cycle, county] = value.split(" ");
      go(to("list", "", { cycle, county }));
    }, false) : null,
    select("township", t("township"), (filters.townships || []).map(coded), query.township, (value) => move({ township: value, village: "" })),
    select("village", t(villages.length < within.length ? "villageLater" : "village"), villages.map(coded), query.village, (value) => move({ village: value })),
    select("grade", t("grade"), (filters.grades || []).map(coded), query.grade, (value) => move({ grade: value })),
    select("risk_kind", t("riskKind"), (filters.risk_kinds || []).map(coded), query.risk_kind, (value) => move({ risk_kind: value })),
    everybody ? null : select("status", t("status"), (filters.statuses || []).map(coded), query.status, (value) => move({ status: value })),
    el("div", { class: "field" }, el("label", { for: "q" }, t("searchId")),
      el("div", { class: "joined" }, search, el("button", { type: "submit", id: "search" }, t("search")))),
    used ? el("div", { class: "field bottom" }, el("button", { type: "button", id: "clear", class: "plain",
      onclick: () => go(to("list", "", { cycle: query.cycle, county: query.county, everybody: query.everybody })) }, t("clear"))) : null,
  );
  const folded = wide ? fields : el("details", { class: "fold", open: used > 0 }, el("summary", { id: "fold" }, used ? t("filtersActive", { count: used }) : t("filters")), fields);
  return el("div", { class: "toolbar" }, folded, el(
    "div", { class: "tools" },
    el("div", { class: "switch", role: "group", "aria-label": t("whichHouseholds") },
      [[false, "onlyList"], [true, "everybody"]].map(([value, name]) => el(
        "button", { type: "button", id: name, "aria-pressed": String(value === everybody), onclick: () => move({ everybody: value ? "true" : "", status: "" }) }, t(name)))),
    account.opens("visit") ? excel(one, query.township) : null,
    el("button", { type: "button", class: "plain wide-only", onclick: () => window.print() }, t("print")),
  ));
}

function select(id, label, options, value, changed, withAll = true) {
  const known = options.some((item) => item.code === value);
  const all = withAll ? [el("option", { value: "" }, t("all"))] : [];
  if (value && !known) all.push(el("option", { value, selected: true }, value)); // filtered down to nothing, but still in force
  return el("div", { class: "field" }, el("label", { for: id }, label), el(
    "select", { id, onchange: (event) => changed(event.target.value) }, all,
    options.map((item) => el("option", { value: item.code, selected: item.code === value }, item.count === undefined
      ? item.name : t("withCount", { name: item.name, count: whole(item.count) }))),
  ));
}

function excel(one, township) {
  const button = el("button", { type: "button", id: "excel", onclick: fetchFile }, t("excel"));
  const place = el("span", { class: "tool-fault" });
  async function fetchFile() {
    button.disabled = true;
    button.textContent = t("excelPreparing");
    place.replaceChildren();
    try {
      const { name, blob } = await api.download(one.cycle, { format: "xlsx", county: one.county_code, township });
      const url = URL.createObjectURL(blob);
      el("a", { href: url, download: name }).click();
      window.setTimeout(() => URL.revokeObjectURL(url), 60000);
      say(t("excelDone", { name }));
    } catch (error) {
      if (error instanceof api.Refusal && error.status === 401) window.dispatchEvent(new Event("signed-out"));
      else place.replaceChildren(...trouble(error, account.session() && account.session().role, fetchFile).querySelectorAll("p:not(.acts), ul"));
    }
    button.disabled = false;
    button.textContent = t("excel");
  }
  return [button, place];
}

function table(answer, everybody, canRecord, shown) {
  const head = [everybody ? t("rank") : t("number"), t("grade"), t("household"), t("area"), t("reason"), t("perHundred"), t("lastVisit"), t("status")];
  if (canRecord) head.push("");
  const rows = [];
  let before = null;
  for (const row of answer.rows) {
    if (row.standby && !everybody && before && !before.standby) {
      rows.push(el("tr", { class: "divider", role: "row" }, el("td", { colspan: head.length, role: "cell" }, t("standbyDivider"))));
    }
    rows.push(line(row, everybody, canRecord, answer.as_of, head));
    before = row;
  }
  return el(
    "div", { class: "scroller" },
    el("table", { class: "rows", role: "table", id: "rows", tabindex: "-1" },
      el("caption", { class: "heard-only" }, `${t("listTitle")} · ${shown}`),
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, head.map((text) => text
        ? el("th", { scope: "col", role: "columnheader" }, text)
        : el("td", { role: "cell" })))),
      el("tbody", { role: "rowgroup" }, rows)),
  );
}

function line(row, everybody, canRecord, asOf, head) {
  const listed = row.number !== null && row.number !== undefined;
  const id = row.household_id;
  const why = said(row, "why");
  const reason = said(row, "first_reason").replace(TAIL, "") || (row.probability === null ? t("noReason") : "");
  const cell = (place, name, ...content) => el("td", { "data-label": head[place], class: name, role: "cell" }, ...content);
  const name = el("a", { href: to("household", id, { as_of: asOf }) }, id);
  return el(
    "tr", { class: row.standby ? "standby" : "", role: "row" },
    cell(0, "number", everybody && row.rank ? whole(row.rank) : listed ? whole(row.number) : ""),
    cell(1, "grade-cell", grade(row.grade)),
    el("th", { scope: "row", role: "rowheader", "data-label": head[2], class: "id" }, name),
    cell(3, "area", el("span", { class: "township-code" }, row.township_code), el("span", { class: "village" }, row.village_code)),
    cell(4, "reason", el("span", { class: "first-reason" }, reason), why && why !== reason ? el("span", { class: "why" }, why) : null),
    cell(5, "hundred-cell", row.probability === null ? "—" : t("households", { count: ofHundred(row.probability) })),
    cell(6, "date", row.last_visit || "—"),
    cell(7, "status-cell", listed || !everybody ? status(row.status) : el("span", { class: "status absent" }, t("notListed")),
      drafts.queued(row.list_hash, id) ? [" ", el("span", { class: "tag warning" }, t("toSend"))] : null,
      row.standby ? [" ", el("span", { class: "tag" }, t("standby"))] : null, row.team ? el("span", { class: "why" }, `${t("team")} ${row.team}`) : null),
    canRecord ? el("td", { class: "act", role: "cell" }, listed
      ? el("a", { class: "button", href: to("visit", id, { as_of: asOf }), "aria-label": `${t(row.status === "visited" ? "recordAgain" : "record")} ${id}` },
        t(row.status === "visited" ? "recordAgain" : "record")) : null) : null,
  );
}

function empty(filtered, move) {
  const clear = Object.fromEntries(FILTERS.map((name) => [name, ""]));
  return notice("note", el("p", {}, t(filtered ? "emptyFiltered" : "emptyList")),
    filtered ? el("p", { class: "acts" }, el("button", { type: "button", onclick: () => move({ ...clear }) }, t("clear"))) : null);
}

function pager(page, next, shown, query) {
  const turn = (by) => {
    go(to("list", "", { ...query, page: page + by > 1 ? page + by : "" }));
    window.addEventListener("shown", () => { // after the focus has been set
      window.setTimeout(() => {
        const rows = document.getElementById("rows");
        if (rows) rows.focus({ preventScroll: true });
        window.scrollTo(0, 0);
      });
    }, { once: true });
  };
  return el(
    "nav", { class: "pager", "aria-label": t("pages") },
    el("button", { type: "button", id: "previous", disabled: page === 1, onclick: () => turn(-1) }, t("previousPage")),
    el("span", {}, shown),
    el("button", { type: "button", id: "next", disabled: !next, onclick: () => turn(1) }, t("nextPage")),
  );
}

function notes(answer) {
  const lines = (answer.notes || []).map((note) => said(note)).filter(Boolean);
  return el(
    "div", { class: "under" },
    lines.length ? el("details", {}, el("summary", {}, t("listNotes")), el("ul", {}, lines.map((text) => el("li", {}, text)))) : null,
    carried(answer),
  );
}

