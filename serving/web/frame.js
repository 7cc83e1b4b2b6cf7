// What stands around every view: product, menu, language, who is signed in, records not yet saved, and the signal sentence.

import * as drafts from "./drafts.js";
import { el } from "./dom.js";
import { to } from "./router.js";
import * as account from "./session.js";
import { roleName } from "./states.js";
import { language, t } from "./words.js";

const MENU = [["list", "menuList"], ["area", "menuArea"], ["model", "menuModel"]];

function who(session) {
  return [session.name, roleName(session.role)].filter(Boolean).join(" · ");
}

/** The frame for the view of this name. `acts`: {switchLanguage, signOut}. */
export function frame(name, acts) {
  document.documentElement.lang = language() === "zh" ? "zh-CN" : "en";
  document.getElementById("skip").textContent = t("skip");
  const session = account.session();
  const current = { household: "list", visit: "list", offline: "list" }[name] || name;
  document.getElementById("top").replaceChildren(
    el(
      "div", { class: "head" },
      el("a", { class: "product", href: "#/list" }, t("product")),
      session ? el(
        "nav", { "aria-label": t("mainMenu") },
        MENU.filter(([view]) => account.opens(view)).map(([view, text]) =>
          el("a", { href: to(view), "aria-current": view === current ? "page" : null }, t(text))),
      ) : null,
      el(
        "div", { class: "who" },
        session ? el("span", { class: "name" }, who(session)) : null,
        el("button", { type: "button", class: "plain", lang: language() === "zh" ? "en" : "zh-CN", onclick: acts.switchLanguage }, t("otherLanguage")),
        session ? el("button", { type: "button", class: "plain", onclick: acts.signOut }, t("signOut")) : null,
      ),
    ),
    el("p", { class: "signal" }, t("signal")),
  );
  document.getElementById("foot").replaceChildren(...[
    el("p", {}, t("signal")), session ? el("p", {}, who(session)) : null,
  ].filter(Boolean));
  done = false;
  unsent();
}

let waited = false; // whether something stood in the strip before
let newer = false; // another version of the page is on this device
let done = false; // all of it has been sent, and nobody has gone on since

/** Say that the page has been renewed: it runs on the new files after loading it again, which is left to whoever may be writing. */
export function renewed() {
  newer = true;
  unsent();
}

/** The strip that tells of records which are not saved yet. */
export function unsent() {
  const strip = document.getElementById("unsent");
  const mine = drafts.own().filter((entry) => entry.tried || entry.refused); // a first attempt under way is not worth a word
  const refused = mine.filter((entry) => entry.refused);
  const open = mine.length - refused.length;
  const others = account.session() ? drafts.others() : 0;
  const lines = [];
  const session = account.session();
  if (session && (session.offline || !navigator.onLine) && !document.querySelector("main .offline")) {
    lines.push(el("p", { class: "no-network" }, t("offlineStrip"), " ", account.opens("offline") ? el("a", { href: to("offline") }, t("offlineLink")) : null));
  }
  if (newer) lines.push(el("p", {}, t("renewed"), " ", el("button", { type: "button", onclick: () => window.location.reload() }, t("renewNow"))));
  if (open) {
    const button = el("button", { type: "button", onclick: () => sendNow(button) }, t("sendNow"));
    lines.push(el("p", {}, el("strong", {}, t(open === 1 ? "unsentOne" : "unsentMany", { count: open })), " ", button));
  }
  if (refused.length) {
    lines.push(el("p", {}, t("refusedCount", { count: refused.length }), " ",
      refused.map((entry) => [el("a", { href: to("visit", entry.result.household_id) }, entry.result.household_id), " "])));
  }
  if (others) lines.push(el("p", {}, t("unsentOthers", { count: others })));
  if (!drafts.isKept() && open) lines.push(el("p", {}, t("notKept")));
  if (mine.length) done = false;
  else if (waited) done = Boolean(account.session());
  waited = Boolean(mine.length);
  strip.className = lines.length ? "unsent" : done ? "unsent done" : "";
  const told = lines.length ? lines : done ? [el("p", {}, t("allSent"))] : [];
  const same = told.length === strip.children.length && told.every((line, place) => line.isEqualNode(strip.children[place]));
  if (!same) strip.replaceChildren(...told); // what has been said is not said again to those who listen
}

async function sendNow(button) {
  button.disabled = true;
  button.textContent = t("sending");
  const outcomes = [...(await drafts.sendAll()).values()];
  if (outcomes.some((outcome) => outcome.state === "signed out")) {
    window.dispatchEvent(new Event("signed-out"));
    return;
  }
  unsent();
  if (outcomes.some((outcome) => outcome.state === "waiting")) {
    document.getElementById("unsent").append(el("p", {}, t("stillNot")));
    document.querySelector("#unsent button").focus();
  }
}
