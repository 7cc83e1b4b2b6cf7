// The scores of a household over time, as a small plot: the line is the probability, the bars the model's band.

import { svg } from "./dom.js";
import { ofHundred } from "./numbers.js";
import { t } from "./words.js";

const WIDE = 360;
const HIGH = 130;
const LEFT = 34;
const BOTTOM = 22;
const TOP = 10;

const STEPS = [0.02, 0.05, 0.1, 0.2, 0.5, 1]; // tops of the scale, so that it reads well and never exaggerates little moves

/** A plot of [{as_of, probability, low, high, model_version}], oldest first. */
export function historyPlot(history) {
  const most = Math.max(...history.map((one) => one.high ?? one.probability));
  const top = STEPS.find((step) => step >= most) || 1;
  const first = Date.parse(history[0].as_of);
  const span = Date.parse(history[history.length - 1].as_of) - first || 1;
  const x = (one) => LEFT + 12 + ((Date.parse(one.as_of) - first) / span) * (WIDE - LEFT - 30);
  const y = (value) => TOP + (1 - value / top) * (HIGH - TOP - BOTTOM);
  const marks = [];
  for (const value of [0, top / 2, top]) {
    marks.push(svg("line", { x1: LEFT, x2: WIDE - 6, y1: y(value), y2: y(value), class: "grid" }));
    marks.push(svg("text", { x: LEFT - 5, y: y(value) + 4, "text-anchor": "end" }, String(Math.round(value * 1000) / 10)));
  }
  history.forEach((one, place) => {
    if (place && one.model_version !== history[place - 1].model_version) {
      const middle = (x(one) + x(history[place - 1])) / 2;
      marks.push(svg("line", { x1: middle, x2: middle, y1: TOP, y2: HIGH - BOTTOM, class: "new-model" }));
      marks.push(svg("text", { x: middle + 3, y: TOP + 8 }, t("newModel")));
    }
    if (one.low !== null && one.high !== null) marks.push(svg("line", { x1: x(one), x2: x(one), y1: y(one.low), y2: y(one.high), class: "band" }));
  });
  marks.push(svg("polyline", { points: history.map((one) => `${x(one)},${y(one.probability)}`).join(" "), class: "path" }));
  history.forEach((one, place) => {
    marks.push(svg("circle", { cx: x(one), cy: y(one.probability), r: 3.5, class: "point" }, svg("title", {}, `${one.as_of}: ${ofHundred(one.probability)} / 100`)));
    const last = place === history.length - 1;
    if (last || (place === 0 && span > 1)) {
      marks.push(svg("text", { x: x(one), y: HIGH - 6, "text-anchor": last ? "end" : "start" }, one.as_of.slice(0, 7)));
    }
  });
  return svg("svg", { class: "plot", viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": t("historyAlt") }, marks);
}
