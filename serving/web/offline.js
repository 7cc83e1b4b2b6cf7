// Without a connection: the records on this device, and the way to the form of a visit for households that were on a list seen before.

import * as drafts from "./drafts.js";
import { el } from "./dom.js";
import * as known from "./known.js";
import { panel } from "./parts.js";
import { go, to } from "./router.js";
import { heading, notice } from "./states.js";
import { t } from "./words.js";

const MOST_LINKS = 60; // more are found by typing their number

/** The view. `cut`: whether there is no connection; `again`: called by the button that tries it. */
export function offline(cut, again) {
  const ids = known.households();
  return el(
    "section", { class: "offline" },
    heading(t("offlineTitle")),
    cut ? notice("warning", el("p", {}, t("offlineSays"))) : notice("good", el("p", {}, t("onlineAgain"), " ", el("a", { href: to("list") }, t("backToList")))),
    finder(ids),
    waiting(),
    unfinished(),
    ids.length ? panel(t("offlineKnown", { count: ids.length }), el("p", { class: "hint" }, t("offlineKnownHint")), links(ids.slice(0, MOST_LINKS))) : null,
    cut ? el("p", { class: "acts" }, el("button", { type: "button", onclick: again }, t("retry"))) : null,
  );
}

function links(ids) {
  const unsent = new Set(drafts.own().map((entry) => entry.result.household_id));
  return el("ul", { class: "ids" }, ids.map((id) => el("li", {}, el("a", { href: to("visit", id) }, id),
    unsent.has(id) ? [" ", el("span", { class: "tag warning" }, t("toSend"))] : null)));
}

function finder(ids) {
  if (!ids.length) return notice("note", el("p", {}, t("offlineNothing")));
  const fault = el("p", { class: "field-fault", id: "offline-id-fault", role: "alert" });
  const input = el("input", { id: "offline-id", type: "text", autocomplete: "off", spellcheck: "false", list: "offline-ids", "aria-describedby": "offline-id-fault" });
  const find = (event) => {
    event.preventDefault();
    const id = input.value.trim();
    const found = ids.find((one) => one.toLowerCase() === id.toLowerCase());
    if (found) go(to("visit", found));
    else {
      fault.textContent = t("offlineUnknown");
      input.setAttribute("aria-invalid", "true");
      input.focus();
    }
  };
  return el("form", { class: "panel", onsubmit: find },
    el("label", { for: "offline-id" }, t("household")), fault,
    el("div", { class: "joined" }, input, el("button", { type: "submit", class: "first" }, t("record"))),
    el("datalist", { id: "offline-ids" }, ids.map((id) => el("option", { value: id }))));
}

function waiting() {
  const mine = drafts.own();
  if (!mine.length) return null;
  return panel(t("offlineWaiting", { count: mine.length }), el("ul", {}, mine.map((entry) => el("li", {},
    el("a", { href: to("visit", entry.result.household_id) }, entry.result.household_id), ` · ${entry.result.visited_on}`))));
}

function unfinished() {
  const ids = drafts.allBegun();
  return ids.length ? panel(t("offlineBegun", { count: ids.length }), links(ids)) : null;
}
