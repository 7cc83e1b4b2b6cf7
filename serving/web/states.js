// What stands on the page while something is awaited, missing or refused.

import { NoConnection, Refusal } from "./api.js";
import { el } from "./dom.js";
import { has, t } from "./words.js";

/** Shown while the service is asked. */
export function waiting() {
  return el("p", { class: "waiting", role: "status" }, t("loading"));
}

/** A heading of a view, a text or parts of one; the router moves the focus here. */
export function heading(text) {
  return el("h1", { tabindex: "-1" }, text);
}

/** A notice in a frame: kind is note, warning, fault or good. */
export function notice(kind, ...children) {
  return el("div", { class: `notice ${kind}` }, ...children);
}

/** The name of a role, for people. */
export function roleName(role) {
  return has(`role_${role}`) ? t(`role_${role}`) : role || t("unknown");
}

/** Why nothing can be shown, and what to do. `again`: called by the button. */
export function trouble(error, role, again) {
  const button = el("button", { type: "button", class: "first", onclick: again }, t("retry"));
  const home = el("a", { class: "button", href: "#/list" }, t("backToList"));
  if (error instanceof NoConnection) {
    return el("section", { class: "trouble" }, heading(t("noConnectionTitle")), el("p", {}, t("noConnection")),
      el("p", { class: "acts" }, button, role === "screener" ? el("a", { class: "button", href: "#/offline" }, t("offlineLink")) : null));
  }
  if (error instanceof Refusal && error.status === 403) {
    return el("section", { class: "trouble" }, heading(t("noAccessTitle")), el("p", {}, t("noAccess", { role: roleName(role) })));
  }
  if (error instanceof Refusal && error.status === 404) {
    return el("section", { class: "trouble" }, heading(t("notFoundTitle")), el("p", {}, t("notFound")), el("p", { class: "acts" }, home));
  }
  if (error instanceof Refusal) {
    const busy = [429, 503, 504].includes(error.status);
    return el(
      "section", { class: "trouble" }, heading(t("wrongTitle")),
      el("p", {}, busy ? t("busy") : t("broken", { status: error.status })), faults(error.problem), el("p", { class: "acts" }, button, home),
    );
  }
  throw error;
}

/** The faults of a problem as a list; nothing if it names none. */
export function faults(problem) {
  const lines = (problem && problem.faults) || [];
  return lines.length ? el("ul", {}, lines.map((fault) => el("li", {}, t("faultLine", fault)))) : null;
}
