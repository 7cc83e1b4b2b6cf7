// About the model, in plain words: what it is, how good, for whom it is worse, and its limits.

import * as api from "./api.js";
import { el } from "./dom.js";
import { day, percent } from "./numbers.js";
import { carried, older, overdue, panel, smallTable } from "./parts.js";
import { heading, notice } from "./states.js";
import { has, language, said, t } from "./words.js";

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
    [t("learner"), answer.learner],
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
  return panel(t("howGood"), el("p", { class: "hint" }, t("howGoodSays")), smallTable([t("figure"), t("value"), t("meaning")],
    rows.map((one) => [said(one) || one.name, span(one), said(one, "text")])));
}

function groups(answer) {
  const rows = answer.groups || [];
  if (!rows.length) return panel(t("forWhom"), el("p", {}, t("noGroups")));
  const share = (one) => (one.recall === null || one.recall === undefined ? "—"
    : one.low === null || one.low === undefined ? percent(one.recall) : `${percent(one.recall)} [${percent(one.low)}, ${percent(one.high)}]`);
  return panel(t("forWhom"), el("p", { class: "hint" }, t("forWhomSays")), smallTable([t("group"), t("found"), t("verdict")], rows.map((one) => [
    said(one) || one.group, share(one), verdict(one.verdict || "unknown"),
  ])));
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
