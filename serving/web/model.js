// About the model, in plain words: what it is, how good, for whom it is worse, and its limits.

import * as api from "./api.js";
import { el } from "./dom.js";
import { day, percent } from "./numbers.js";
import { hundred } from "./marks.js";
import { carried, older, overdue, panel, smallTable } from "./parts.js";
import { heading, notice } from "./states.js";
import { has, language, said, t } from "./words.js";

const WORSE = { flagged: "thisGroup", "others missed more": "othersThanGroup" }; // verdicts of a gap -> how to call whom it is to the cost of
const UNCLEAR = ["unknown", "insufficient"]; // verdicts that say nothing about the group

export async function model() {
  const answer = await api.model();
  return el(
    "section", { class: "model" },
    heading(t("modelTitle")),
    older(answer),
    overdue(answer),
    inPlaceOf(answer),
    el("div", { class: "columns" },
      el("div", {},
        panel(t("whatItIs"), el("p", {}, t("whatItIsSays"))),
        facts(answer),
        limits(answer)),
      el("div", {}, howGood(answer), groups(answer), waivers(answer))),
    carried(answer),
  );
}

/** A warning when the release that should be in force did not pass its checks. */
function inPlaceOf(answer) {
  const meant = answer.not_taken;
  if (!meant) return null;
  return notice("warning", el("p", {}, t("notTaken", { release: meant.release || "—", version: answer.model_version, day: day(answer.as_of) })),
    el("ul", {}, meant.why.map((line) => el("li", {}, line))));
}

function facts(answer) {
  const lines = [
    [t("modelVersion"), answer.model_version],
    [t("learner"), said(answer.title) || answer.learner],
    [t("horizons"), (answer.horizon_months || []).map((count) => t("months", { count })).join(t("comma"))],
    [t("trainedUntil"), answer.trained_until && day(answer.trained_until)],
    [t("scoredOn"), answer.as_of && day(answer.as_of)],
    [t("validUntil"), answer.valid_until && day(answer.valid_until)],
  ].filter(([, value]) => value);
  return panel(t("facts"), el("dl", {}, lines.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])));
}

function number(value) {
  return value === null || value === undefined ? "—" : Math.abs(value) < 1 ? String(Math.round(value * 1000) / 1000) : String(Math.round(value * 100) / 100);
}

function span(one) {
  return one.low === null || one.low === undefined || one.high === null || one.high === undefined ? number(one.value) : `${number(one.value)} [${number(one.low)}, ${number(one.high)}]`;
}

function howGood(answer) {
  const rows = answer.metrics || [];
  if (!rows.length) return panel(t("howGood"), el("p", {}, t("noFigures")));
  return panel(t("howGood"), plainly(rows), el("p", { class: "hint" }, t("howGoodSays")), el("details", {}, el("summary", {}, t("technical")), smallTable([t("figure"), t("value"), t("meaning")],
    rows.map((one) => [said(one) || one.name, span(one), said(one, "text")]))));
}

/** What the visits find and what they miss, out of a hundred, as words and squares. */
function plainly(rows) {
  const found = (kind) => rows.find((one) => one.name.startsWith(`${kind}_at_`) && one.value !== null && one.value !== undefined);
  const part = (one, text) => {
    if (!one) return [];
    const count = Math.round(one.value * 100);
    return [el("p", {}, t(text, { share: one.name.split("_at_")[1], count, missed: 100 - count })), hundred(one.value)];
  };
  return el("div", { class: "plainly" }, part(found("precision"), "ofVisited"), part(found("recall"), "ofAtRisk"));
}

function groups(answer) {
  const rows = answer.groups || [];
  if (!rows.length) return panel(t("forWhom"), el("p", {}, t("noGroups")));
  const share = (one) => (one.recall === null || one.recall === undefined ? "—"
    : one.low === null || one.low === undefined ? percent(one.recall) : `${percent(one.recall)} [${percent(one.low)}, ${percent(one.high)}]`);
  const table = (some) => smallTable([t("group"), t("found"), t("verdict")], some.map((one) => [said(one) || one.group, share(one), verdict(one.verdict || "unknown")]));
  const unclear = rows.filter((one) => !one.verdict || UNCLEAR.includes(one.verdict));
  const worse = rows.filter((one) => one.verdict in WORSE);
  const clear = [...worse, ...rows.filter((one) => !unclear.includes(one) && !worse.includes(one))];
  return panel(t("forWhom"),
    clear.length ? el("p", {}, worse.length ? t("worseFor", { names: worse.map((one) => t(WORSE[one.verdict], { group: said(one) || one.group })).join(t("comma")) }) : t("worseForNone")) : null,
    el("p", { class: "hint" }, t("forWhomSays")),
    clear.length ? table(clear) : null,
    unclear.length ? el("details", { open: !clear.length }, el("summary", {}, t("groupsUnknown", { count: unclear.length })), table(unclear)) : null);
}

function verdict(code) {
  const name = `verdict_${code.replace(/ /g, "_")}`;
  return has(name) ? t(name) : code;
}

function waivers(answer) {
  const rows = answer.waivers || [];
  return rows.length ? panel(t("waivers"), el("ul", {}, rows.map((one) => el("li", {}, t("waiverLine", one))))) : null;
}

function limits(answer) {
  const lines = (language() === "zh" ? answer.limits_zh : answer.limits_en) || [];
  return lines.length ? panel(t("limits"), el("ul", {}, lines.map((text) => el("li", {}, text)))) : null;
}
