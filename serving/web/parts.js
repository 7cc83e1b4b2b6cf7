// Parts of views: a panel with its heading, a small table, and what stands under every score.

import { el } from "./dom.js";
import { day, today } from "./numbers.js";
import { notice } from "./states.js";
import { WORDS, has, t } from "./words.js";

/** The village's own digits where its code begins with the township's, as official codes do; otherwise its whole code. */
export function villageOf(code, township) {
  return township && code.startsWith(township) && code.length > township.length ? code.slice(township.length) : code;
}

/** Township and village of a household or row, in words. */
export function areaOf({ township_code, village_code }) {
  return t("areaOfHousehold", { township: township_code, village: villageOf(village_code, township_code) });
}

/** A framed part of a view with its heading. */
export function panel(title, ...content) {
  return el("section", { class: "panel" }, el("h2", {}, title), ...content);
}

/** A table of texts; the first cell of a row is its heading. Cells fold under each other on a phone. */
export function smallTable(head, rows, kind = "small folds") {
  return el("table", { class: kind, role: "table" },
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, head.map((text) => el("th", { scope: "col", role: "columnheader" }, text)))),
    el("tbody", { role: "rowgroup" }, rows.map(([name, ...cells]) => el("tr", { role: "row" }, el("th", { scope: "row", role: "rowheader" }, name),
      cells.map((text, place) => el("td", { role: "cell", "data-label": head[place + 1] }, text))))));
}

/** The same with short cells, which stay beside each other on a phone, too. */
export function tightTable(head, rows) {
  return smallTable(head, rows, "small tight");
}

/** What every answer with a score carries: model, day, validity, and how far the departments' data reach. */
export function carried(answer) {
  const order = Object.keys(WORDS); // as the data contract names the tables
  const place = ([name]) => order.indexOf(`table_${name}`);
  const dates = Object.entries(answer.data_dates || {}).sort((one, other) => place(one) - place(other)).map(([name, date]) => `${has(`table_${name}`) ? t(`table_${name}`) : name} ${date}`);
  return el("div", { class: "carried" },
    el("p", {}, t("carried", { model: answer.model_version, as_of: answer.as_of, valid: answer.valid_until || t("unknown") })),
    dates.length ? el("p", {}, t("dataDates", { dates: dates.join(t("separator")) })) : null);
}

/** Says so when there is no connection and older content is shown. */
export function older(answer) {
  return answer.seen_at ? notice("warning", el("p", {}, t("seenAt", { time: answer.seen_at }))) : null;
}

/** A warning when the model's last valid day has passed. */
export function overdue(answer) {
  const late = answer.valid_until && answer.valid_until < today();
  return late ? notice("warning", el("p", {}, t("outOfDate", { day: day(answer.valid_until) }))) : null;
}
