// Small marks that several views use: a grade, a status, a figure out of a hundred. Colour is never the only carrier.

import { el, svg } from "./dom.js";
import { ofHundred } from "./numbers.js";
import { language, t } from "./words.js";

const GRADES = { red: ["红", "red"], orange: ["橙", "orange"], yellow: ["黄", "yellow"], none: ["无", "none"] };

/** The word of a grade. */
export function gradeWord(code) {
  return (GRADES[code] || [code, code])[language() === "zh" ? 0 : 1];
}

export function grade(code) {
  return el("span", { class: `grade ${code}` }, gradeWord(code));
}

export function status(code) {
  return el("span", { class: `status ${code}` }, t(`status_${code}`));
}

/** "100户中约17户" in the language; the number never stands without its hundred. */
export function likelihood(probability) {
  const count = ofHundred(probability);
  if (count === t("under1")) return t("ofHundredUnder1");
  if (count === t("over99")) return t("ofHundredOver99");
  return t("ofHundred", { count });
}

/** A hundred small squares, `probability` of them filled: the picture beside the words. */
export function hundred(probability, low, high) {
  const squares = [];
  const filled = Math.round(probability * 100);
  const upper = Math.round((high ?? probability) * 100);
  for (let place = 0; place < 100; place += 1) {
    const kind = place < filled ? "on" : place < upper ? "maybe" : "off";
    squares.push(svg("rect", { x: (place % 20) * 9, y: Math.floor(place / 20) * 9, width: 7, height: 7, rx: 1.5, class: kind }));
  }
  return svg("svg", { class: "hundred", viewBox: "0 0 178 43", "aria-hidden": "true", focusable: "false" }, squares);
}
