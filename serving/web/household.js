// A household: the signal in words, why, what to check, what changed, and how far the data can be trusted.

import * as api from "./api.js";
import { el, svg } from "./dom.js";
import { chosen, lastAddress } from "./list.js";
import { grade, hundred, likelihood, status } from "./marks.js";
import { day, ofHundred, percent, whole } from "./numbers.js";
import { areaOf, carried, older, overdue, panel, smallTable, tightTable } from "./parts.js";
import { historyPlot } from "./plot.js";
import { to } from "./router.js";
import * as account from "./session.js";
import { heading, notice } from "./states.js";
import { telling } from "./telling.js";
import { has, said, t } from "./words.js";

/** What is known of a household. One that is listed by a lead alone has no score: then its row on the list is what is known. */
export async function lookUp(id, query) {
  try {
    return await api.household(id, query.as_of);
  } catch (error) {
    if (!(error instanceof api.Refusal) || error.status !== 404) throw error;
    const { list } = await chosen(query);
    const page = list && (await api.list(list.cycle, { county: list.county_code, q: id, limit: 200 }));
    const row = page && page.rows.find((one) => one.household_id === id);
    if (!row) throw error;
    const { outcomes, risk_kind_codes, disagreements } = page;
    const on = { ...row, cycle: page.cycle, county_code: page.county_code, as_of: page.as_of, closed: page.closed, outcomes, risk_kind_codes, disagreements };
    return { ...page, ...row, grade: { code: row.grade, zh: row.grade_zh, en: row.grade_en }, on_list: on };
  }
}

export async function household({ id, query }) {
  const answer = await lookUp(id, query);
  return el(
    "section", { class: "household" },
    top(answer),
    older(answer),
    overdue(answer),
    wide() ? el("div", { class: "columns" },
      el("div", {}, signal(answer), reasons(answer), changes(answer), history(answer)),
      el("div", {}, leads(answer), checks(answer), visits(answer), freshness(answer)))
      // On a phone what a visitor needs at the door comes first.
      : el("div", { class: "columns" }, el("div", {}, [signal, leads, reasons, checks, changes, visits, history, freshness].map((part) => part(answer)))),
    carried({ ...answer, data_dates: null }), // the dates stand in the table of departments
  );
}

function wide() {
  return window.matchMedia("(min-width: 901px)").matches;
}

function top(answer) {
  const on = answer.on_list;
  const id = answer.household_id;
  const may = on && account.opens("visit") && !on.closed;
  return el(
    "div", { class: "title" },
    el("p", { class: "back" }, el("a", { href: lastAddress() }, `‹ ${t("backToList")}`)),
    heading(t("householdTitle", { id })),
    el("p", { class: "facts" }, answer.grade ? [grade(answer.grade.code), " "] : null, on ? [status(on.status), " · "] : null,
      on && said(on, "visit") ? [said(on, "visit"), " · "] : null,
      el("span", {}, areaOf(answer))),
    el("p", { class: "acts" },
      may ? el("a", { class: "button first", id: "record", href: to("visit", id, { as_of: answer.as_of }) }, t(on.status === "visited" ? "recordAgain" : "record")) : null,
      el("button", { type: "button", class: "plain wide-only", onclick: () => window.print() }, t("print"))),
    on || !account.opens("visit") ? null : notice("note", el("p", {}, t("cannotRecordHere"))),
  );
}

function signal(answer) {
  if (answer.probability === null || answer.probability === undefined) return panel(t("likelihood"), el("p", {}, t("noScore")), sentence());
  const banded = answer.low !== null && answer.low !== undefined;
  return panel(
    t("likelihood"),
    el("p", { class: "likelihood" }, likelihood(answer.probability)),
    hundred(answer.probability, answer.low, answer.high),
    el("p", {}, answer.horizon_months ? t("likelihoodSays", { months: answer.horizon_months }) : t("likelihoodSaysPlain")),
    el("p", { class: "hint" }, [
      banded ? t("band", { low: ofHundred(answer.low), high: ofHundred(answer.high) }) : "",
      answer.rank ? t("rankOf", { rank: whole(answer.rank), of: whole(answer.of) }) : "",
    ].filter(Boolean).join(t("separator"))),
    sentence(),
  );
}

function sentence() {
  return el("p", { class: "signal-again" }, t("signal"));
}

function reasons(answer) {
  const said_ = answer.reasons || [];
  const part = (title, lines, kind) => lines.length ? [el("h3", {}, title), el("ul", { class: `reasons ${kind}` }, lines.map((one) => bar(one, kind)))] : [];
  return panel(
    t("reasons"),
    said_.length ? el("p", { class: "hint" }, t("barMeaning")) : el("p", {}, t("noReasons")),
    part(t("raising"), said_.filter((one) => one.raises), "raises"),
    part(t("lowering"), said_.filter((one) => !one.raises), "lowers"),
    said(answer, "notes") ? [el("h3", {}, t("gaps")), el("p", { class: "gaps" }, said(answer, "notes"))] : null,
  );
}

function bar(one, kind) {
  const share = Math.min(1, Math.abs(one.effect ?? 0));
  return el(
    "li", {},
    el("p", { class: "reason-line" }, said(one), one.risk_kind !== "other" && kind === "raises" ? [" ", el("span", { class: "tag" }, said(one, "risk_kind"))] : null),
    svg("svg", { class: "bar", viewBox: "0 0 100 4", preserveAspectRatio: "none", role: "img", "aria-label": t("influence", { percent: percent(share) }) },
      svg("rect", { x: 0, y: 0, width: 100, height: 4, class: "track" }),
      svg("rect", { x: 0, y: 0, width: Math.max(1, share * 100), height: 4, class: kind })),
  );
}

function leads(answer) {
  const on = answer.on_list;
  const why = on ? said(on, "why") : "";
  const rules = answer.rules || [];
  return panel(
    t("leads"),
    answer.not_listed ? el("p", { class: "why-not" }, el("strong", {}, `${t("whyNotListed", { cycle: answer.not_listed.cycle })} `), said(answer.not_listed)) : null,
    why ? el("p", {}, el("strong", {}, `${t("whyListed")} `), why) : null,
    rules.length ? el("ul", {}, rules.map((rule) => el("li", {}, said(rule)))) : why ? null : el("p", {}, t("noLeads")),
    el("p", { class: "hint" }, t("leadsNote")),
  );
}

function checks(answer) {
  const lines = said(answer, "checks").split(/\n+/).filter(Boolean);
  return panel(t("checks"), lines.length ? el("ul", { class: "checks" }, lines.map((text) => el("li", {}, text))) : el("p", {}, t("noChecks")));
}

function changes(answer) {
  const one = answer.changes;
  if (!one) return panel(t("changes"), el("p", {}, t("noChanges")));
  const moved = has(`moved_${one.moved}`) ? t(`moved_${one.moved}`) : one.moved;
  const unexplained = one.moved === "up" || one.moved === "down" ? `${moved}${t("separator")}${t("movedNoReason")}` : moved;
  const since = one.since ? t("changesSince", { day: day(one.since) }) : "";
  const parts = one.parts || []; // an answer that was kept on this device by an earlier version has none
  if (!parts.length) return panel(t("changes"), el("p", {}, since, said(one) || unexplained));
  return panel(t("changes"), el("p", {}, since, el("strong", {}, said(one, "way"))), el("ul", {}, parts.map((part) => el("li", {}, said(part)))));
}

function visits(answer) {
  const rows = answer.visits || [];
  const earlier = answer.last_visit && !rows.some((row) => row.visited_on >= answer.last_visit) ? el("p", {}, t("lastKnown", { day: day(answer.last_visit) })) : null;
  if (!rows.length) return panel(t("visits"), earlier || el("p", {}, t("noVisits")));
  const disputed = rows.some((row) => row.contradicted);
  return panel(
    t("visits"),
    disputed ? notice("warning", el("p", {}, el("strong", {}, t("conflictTitle")), " ", t("conflictSays"))) : null,
    earlier,
    smallTable([t("visitedOn"), t("team"), t("outcome"), t("kinds"), t("origin")], rows.map((row) => [
      row.visited_on, row.team || "—", [said(row, "outcome"), row.contradicted ? [" ", el("span", { class: "tag warning" }, t("contradicted"))] : null,
        row.note ? el("span", { class: "why" }, `${t("noteOf")} ${row.note}`) : null],
      kindsOf(row), has(`origin_${row.origin}`) ? t(`origin_${row.origin}`) : row.origin || "",
    ])),
    account.opens("visit") ? rows.map((row) => withdrawal(answer.household_id, row)) : null,
  );
}

/** The form that takes a visit back which was recorded on the wrong household; the service has the last word. */
function withdrawal(id, row) {
  const name = `withdraw-${row.list_hash.slice(0, 8)}-${row.visited_on}-${row.team}`;
  const reason = el("input", { id: name, type: "text", maxlength: 500, autocomplete: "off", required: true });
  const place = el("p", { class: "field-fault", role: "status" });
  const button = el("button", { type: "submit" }, t("withdrawNow"));
  const form = el("form", { novalidate: true, onsubmit: send }, el("div", { class: "field" }, el("label", { for: name }, t("withdrawReason")),
    el("p", { class: "hint" }, t("withdrawHint")), place, reason), el("p", { class: "acts" }, button));
  const root = el("details", { class: "withdraw" }, el("summary", {}, t("withdraw", { visit: said(row) })), form);
  async function send(event) {
    event.preventDefault();
    if (!reason.value.trim() || telling(reason.value)) {
      place.textContent = t(reason.value.trim() ? "noteIdentity" : "withdrawHint");
      reason.focus();
      return;
    }
    button.disabled = true;
    try {
      await api.withdraw({ list_hash: row.list_hash, household_id: id, visitor: row.team, reason: reason.value.trim() });
      root.replaceChildren(el("summary", {}, `✓ ${t("withdrawn", { visit: said(row) })}`));
    } catch (error) {
      button.disabled = false;
      if (error instanceof api.Refusal && error.status === 401) window.dispatchEvent(new Event("signed-out"));
      else place.textContent = error instanceof api.Refusal ? (error.problem.faults || []).map((fault) => t("faultLine", fault)).join(" ") || t("wrongTitle") : t("noConnection");
    }
  }
  return root;
}

function kindsOf(row) {
  const kinds = row.risk_kinds || [];
  return kinds.length ? kinds.map((kind) => (has(`kind_${kind}`) ? t(`kind_${kind}`) : kind)).join(t("comma")) : "—";
}

function freshness(answer) {
  const rows = answer.freshness || [];
  if (!rows.length) return null;
  const doubtful = rows.filter((row) => !row.newest || row.stale).map((row) => said(row));
  const summary = el("p", { class: doubtful.length ? "gaps" : "" }, doubtful.length ? t("someStale", { names: doubtful.join(t("comma")) }) : t("allFresh"));
  return panel(t("freshness"), summary, tightTable([t("source"), t("newest"), t("age"), t("status")], rows.map((row) => [
    said(row), row.newest || "—", row.age_days === null || row.age_days === undefined ? "—" : t(row.age_days === 1 ? "ageDay" : "ageDays", { days: whole(row.age_days) }),
    el("span", { class: `fresh ${row.newest ? (row.stale ? "stale" : "good") : "absent"}` }, t(row.newest ? (row.stale ? "stale" : "fresh") : "absent")),
  ])));
}

function history(answer) {
  const rows = [...(answer.history || [])].sort((one, other) => one.as_of.localeCompare(other.as_of));
  if (!rows.length) return null;
  const figures = smallTable([t("scoredOn"), t("perHundred"), t("bandShort"), t("rank"), t("modelVersion")], [...rows].reverse().map((row) => [
    row.as_of, t("households", { count: ofHundred(row.probability) }),
    row.low === null ? "—" : t("bandValue", { low: ofHundred(row.low), high: ofHundred(row.high) }), row.rank ? whole(row.rank) : "—", row.model_version,
  ]));
  return panel(t("history"), rows.length > 1 ? [el("p", { class: "hint" }, t("historyMeaning")), historyPlot(rows)] : el("p", {}, t("historyOne")), el("details", {}, el("summary", {}, t("historyTable")), figures));
}
