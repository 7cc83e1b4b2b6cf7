// Townships and villages as tiles: where the list leads this cycle. For planning visits, never for ranking anybody.

import * as api from "./api.js";
import { el } from "./dom.js";
import { chosen } from "./list.js";
import { grade, gradeWord } from "./marks.js";
import { whole } from "./numbers.js";
import { carried, older, villageOf } from "./parts.js";
import { to } from "./router.js";
import { heading, notice } from "./states.js";
import { t } from "./words.js";

const DEPTHS = 4; // shades of a tile, from few to many

export async function area({ query }) {
  const { list } = await chosen(query);
  if (!list) return el("section", {}, heading(t("areaTitle")), notice("note", el("p", {}, t("noLists"))));
  const answer = await api.areas(list.cycle, list.county_code);
  const least = answer.hidden_below || 5;
  const most = Math.max(1, ...answer.townships.flatMap((one) => one.villages.map((village) => village.listed || 0)));
  const asTable = query.view === "table";
  const link = (view, name) => el("a", { class: "button", href: to("area", "", { ...query, view }), "aria-current": (view === "table") === asTable ? "true" : null }, t(name));
  const town = (one) => el("section", { class: "township" },
    el("h2", {}, t("townshipHead", { code: one.code }), " ", el("span", { class: "facts" }, summary(one, least)), " ",
      el("a", { class: "to-list", href: to("list", "", { cycle: list.cycle, county: list.county_code, township: one.code }), "aria-label": t("townshipListOf", { code: one.code }) }, t("townshipList"))),
    el("ul", { class: "tiles" }, one.villages.map((village) => tile(village, most, least, list, one.code))));
  return el(
    "section", { class: "area" },
    heading([`${t("areaTitle")} · `, el("span", { class: "whole" }, list.cycle)]),
    older(answer),
    el("p", {}, t("areaSays", { least })),
    el("p", { class: "hint" }, t("areaNotRanking")),
    el("div", { class: "toolbar" },
      el("div", { class: "switch", role: "group", "aria-label": t("view") }, link("", "tiles"), link("table", "table")),
      asTable ? null : el("p", { class: "legend", "aria-hidden": "true" }, t("legendFew"), " ", Array.from({ length: DEPTHS + 1 }, (_, depth) => el("span", { class: `swatch depth-${depth}` })), " ", t("legendMany"))),
    answer.townships.length ? (asTable ? table(answer, least) : answer.townships.map(town)) : notice("note", el("p", {}, t("noAreas"))),
    carried(answer),
  );
}

function count(value, least) {
  return value === null || value === undefined ? t("lessThan", { least }) : whole(value);
}

function summary(one, least) {
  return [`${t("listedCount")} ${count(one.listed, least)}`, `${t("visitedCount")} ${count(one.visited, least)}`,
    `${t("confirmedCount")} ${count(one.confirmed, least)}`].join(" · ");
}

function tile(village, most, least, list, township) {
  const listed = village.listed || 0;
  const depth = listed ? Math.max(1, Math.ceil((listed / most) * DEPTHS)) : 0;
  const grades = ["red", "orange", "yellow"].filter((code) => village[code]);
  return el(
    "li", { class: `tile depth-${depth}` },
    el("a", { href: to("list", "", { cycle: list.cycle, county: list.county_code, township, village: village.code }), "aria-label": t("openInList", { code: village.code }) },
      t("villageTile", { code: villageOf(village.code, township) })),
    el("p", { class: "big" }, el("span", {}, `${t("listedCount")} `), count(village.listed, least)),
    el("p", {}, `${t("visitedCount")} ${count(village.visited, least)}`),
    el("p", {}, `${t("confirmedCount")} ${count(village.confirmed, least)}`),
    el("p", { class: "grades" }, grades.map((code) => el("span", { class: `grade ${code}` }, `${gradeWord(code)} ${whole(village[code])}`))),
  );
}

function table(answer, least) {
  const head = [t("township"), t("village"), t("householdsCount"), t("listedCount"), t("visitedCount"), t("confirmedCount"), "red", "orange", "yellow"];
  const rows = answer.townships.flatMap((one) => [[one.code, t("total"), one, true], ...one.villages.map((village) => [one.code, village.code, village, false])]);
  return el("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": t("areaTitle") }, el("table", { class: "rows grid" },
    el("caption", { class: "heard-only" }, t("areaTitle")),
    el("thead", {}, el("tr", {}, head.map((text) => el("th", { scope: "col" }, ["red", "orange", "yellow"].includes(text) ? grade(text) : text)))),
    el("tbody", {}, rows.map(([township, name, one, whole_]) => el("tr", { class: whole_ ? "total" : "" }, el("td", {}, township), el("th", { scope: "row" }, name),
      ["households", "listed", "visited", "confirmed", "red", "orange", "yellow"].map((key) => el("td", { class: "figure" }, count(one[key], least))))))));
}
