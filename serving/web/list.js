// Today's list: whom to see first, filtered and paged by the service. What is drawn depends on the page, never on the county's size.

import * as api from "./api.js";
import { el, say } from "./dom.js";
import * as drafts from "./drafts.js";
import * as known from "./known.js";
import { grade, status } from "./marks.js";
import { ofHundred, whole } from "./numbers.js";
import { carried, older, overdue, villageOf } from "./parts.js";
import { go, to } from "./router.js";
import * as account from "./session.js";
import { heading, notice, trouble } from "./states.js";
import { said, t } from "./words.js";

const PAGE = 50;
const MOST_VILLAGES = 60; // more are offered only within a township: nobody finds one of 900, and drawing them slows every page
const FILTERS = ["township", "village", "grade", "risk_kind", "status", "q"];

const cursors = new Map(); // what is looked at -> where each of its pages begins
let lately = ""; // what was looked at last: going back to the list finds it again
let unfolded = false; // whether the filters of a phone are open
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
  if (page > 1 && /^[0-9]+$/.test(query.after || "")) starts[page - 1] ??= query.after; // the page was loaded again, or its address handed on
  if (starts[page - 1] === undefined) page = 1; // a page whose beginning is not known
  const answer = await api.list(one.cycle, {
    county: one.county_code, ...filter, everybody: everybody ? "true" : "", limit: PAGE, cursor: starts[page - 1],
  });
  if (answer.next_cursor) starts[page] = answer.next_cursor;
  cursors.set(looked, starts);
  lately = to("list", "", query);
  order = answer.rows;
  if (account.opens("visit") && !one.closed) known.note(answer, answer.rows.filter((row) => row.number !== null && row.status !== "visited"));

  const move = (changes) => go(to("list", "", { ...query, page: "", after: "", ...changes }));
  const canRecord = account.opens("visit") && !one.closed;
  const first = (page - 1) * PAGE + 1;
  const shown = answer.rows.length ? t("shown", { first: whole(first), last: whole(first + answer.rows.length - 1), total: whole(answer.total) }) : "";
  if (shown) say(shown);
  else say(t("emptyFiltered"));
  const ordered = t(everybody ? "rankOrder" : "routeOrder");
  const pages = t("pageOf", { page: whole(page), pages: whole(Math.ceil(answer.total / PAGE)) });

  return el(
    "section", { class: "list" },
    el("div", { class: "title" }, heading(t("listTitle")), facts(one, answer)),
    one.closed ? notice("warning", el("p", {}, t("listClosed"))) : null,
    older(answer),
    overdue(answer),
    toolbar(lists, one, answer, query, move, everybody),
    inForce(answer.filters || {}, query, move),
    answer.rows.length ? el("p", { class: "shown" }, shown, t("separator"), ordered) : null,
    answer.rows.length ? howToRead() : null,
    answer.rows.length ? table(answer, everybody, canRecord, shown) : empty(Object.keys(filter).length || everybody, move),
    answer.rows.length ? pager(page, answer.next_cursor, `${shown}${t("separator")}${pages}`, query, starts) : null,
    notes(answer),
  );
}

function facts(one, answer) {
  return el(
    "div", { class: "facts" },
    el("p", {}, t("listFacts", { cycle: one.cycle, as_of: answer.as_of, listed: whole(one.listed), standby: whole(one.standby) })),
    el("p", { class: "done" }, el("progress", { max: one.listed || 1, value: one.visited, "aria-label": t("status_visited") }),
      " ", t("listVisited", { visited: whole(one.visited), listed: whole(one.listed) }),
      one.contradictory ? [" · ", el("span", { class: "gaps" }, t("listContradictory", { count: whole(one.contradictory) }))] : null),
  );
}

function toolbar(lists, one, answer, query, move, everybody) {
  const filters = answer.filters || {};
  const within = (filters.villages || []).filter((item) => !query.township || item.code.startsWith(query.township));
  const villages = within.length > MOST_VILLAGES && !query.township ? [] : within;
  const village = (item) => ({ code: item.code, name: villageOf(item.code, query.township), count: item.count });
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
    select("village", t(villages.length < within.length ? "villageLater" : "village"), villages.map(village), query.village, (value) => move({ village: value })),
    select("grade", t("grade"), (filters.grades || []).map(coded), query.grade, (value) => move({ grade: value })),
    select("risk_kind", t("riskKind"), (filters.risk_kinds || []).map(coded), query.risk_kind, (value) => move({ risk_kind: value })),
    everybody ? null : select("status", t("status"), (filters.statuses || []).map(coded), query.status, (value) => move({ status: value })),
    el("div", { class: "field" }, el("label", { for: "q" }, t("searchId")),
      el("div", { class: "joined" }, search, el("button", { type: "submit", id: "search" }, t("search")))),
  );
  const folded = wide ? fields : el("details", { class: "fold", open: unfolded, ontoggle: (event) => { unfolded = event.target.open; } }, el("summary", { id: "fold" }, used ? t("filtersActive", { count: used }) : t("filters")), fields);
  return el("div", { class: "toolbar" }, folded, el(
    "div", { class: "tools" },
    el("div", { class: "switch", role: "group", "aria-label": t("whichHouseholds") },
      [[false, "onlyList"], [true, "everybody"]].map(([value, name]) => el(
        "button", { type: "button", id: name, "aria-pressed": String(value === everybody), onclick: () => move({ everybody: value ? "true" : "", status: "" }) }, t(name)))),
    account.opens("visit") ? excel(one, query) : null,
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

/** The filters in force, each with its button to take it away: what is shown is seen to be a part, also where the filters are folded away. */
function inForce(filters, query, move) {
  const known = { township: ["townships", "township"], village: ["villages", "village"], grade: ["grades", "grade"], risk_kind: ["risk_kinds", "riskKind"],
    status: ["statuses", "status"], q: ["", "searchId"] };
  const used = FILTERS.filter((name) => query[name]);
  if (!used.length) return null;
  const chip = (name) => {
    const [list_, label] = known[name];
    const item = (filters[list_] || []).find((one) => one.code === query[name]);
    const value = item && item.zh ? said(item) : name === "village" ? villageOf(query.village, query.township) : query[name];
    const text = t("labelled", { label: t(label), value });
    return el("button", { type: "button", class: "chip", "aria-label": t("dropFilter", { name: text }),
      onclick: () => move(name === "township" ? { township: "", village: "" } : { [name]: "" }) }, text, el("span", { "aria-hidden": "true" }, " ×"));
  };
  return el("p", { class: "chips" }, el("span", {}, t("inForce")), used.map(chip), el("button", { type: "button", id: "clear", class: "plain",
    onclick: () => go(to("list", "", { cycle: query.cycle, county: query.county, everybody: query.everybody })) }, t("clear")));
}

function howToRead() {
  const line = (mark, text) => [el("dt", {}, mark), el("dd", {}, t(text))];
  return el("details", { class: "how" }, el("summary", {}, t("howToRead")), el("div", { class: "panel" }, el("dl", {},
    line(grade("red"), "readRed"), line(grade("orange"), "readOrange"), line(grade("yellow"), "readYellow"), line(grade("none"), "readNone"),
    line(t("perHundred"), "readHundred"), line(t("standby"), "readStandby")), el("p", {}, t("readGrades"))));
}

function excel(one, query) {
  const button = el("button", { type: "button", id: "excel", onclick: fetchFile }, t("excel"));
  const place = el("span", { class: "tool-fault" });
  async function fetchFile() {
    button.disabled = true;
    button.textContent = t("excelPreparing");
    place.replaceChildren();
    try {
      const { name, blob } = await api.download(one.cycle, { format: "xlsx", county: one.county_code, township: query.township });
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
  const whole_ = FILTERS.some((name) => name !== "township" && query[name]);
  return [button, whole_ ? el("span", { class: "hint" }, t("excelWhole")) : null, place];
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

/** A village's code, its own digits standing out; where it does not begin with the township's, both. */
function place(row) {
  const own = villageOf(row.village_code, row.township_code);
  return [el("span", { class: "township-code" }, row.township_code), own === row.village_code ? " " : null, el("span", { class: "village" }, own)];
}

function line(row, everybody, canRecord, asOf, head) {
  const listed = row.number !== null && row.number !== undefined;
  const id = row.household_id;
  const why = said(row, "why");
  const reason = said(row, "first_reason") || (row.probability === null ? t("noReason") : "");
  const cell = (column, name, ...content) => el("td", { "data-label": head[column], class: name, role: "cell" }, ...content);
  const name = el("a", { href: to("household", id, { as_of: asOf }) }, id);
  return el(
    "tr", { class: row.standby ? "standby" : "", role: "row" },
    cell(0, "number", everybody && row.rank ? whole(row.rank) : listed ? whole(row.number) : ""),
    cell(1, "grade-cell", grade(row.grade)),
    el("th", { scope: "row", role: "rowheader", "data-label": head[2], class: "id" }, name),
    cell(3, "area", place(row)),
    cell(4, "reason", el("span", { class: "first-reason" }, reason), why && why !== reason ? el("span", { class: "why" }, why) : null),
    cell(5, "hundred-cell", row.probability === null ? "—" : t("households", { count: ofHundred(row.probability) })),
    cell(6, "date", row.last_visit || "—"),
    cell(7, "status-cell", listed || !everybody ? status(row.status) : el("span", { class: "status absent" }, t("notListed")),
      said(row, "visit") ? el("span", { class: "why" }, said(row, "visit")) : null,
      row.contradicted ? [" ", el("span", { class: "tag warning" }, t("contradicted"))] : null,
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

function pager(page, next, shown, query, starts) {
  const known = page === 1 || page === 2 || starts[page - 2] !== undefined; // the page before: after loading page 5 again only its own beginning is known
  const turn = (by) => {
    const target = by < 0 && !known ? 1 : page + by;
    go(to("list", "", { ...query, page: target > 1 ? target : "", after: target > 1 ? starts[target - 1] : "" }));
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
    el("button", { type: "button", id: "previous", disabled: page === 1, onclick: () => turn(-1) }, t(known ? "previousPage" : "firstPage")),
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

