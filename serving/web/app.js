// The page begins here: who is signed in, which view the address names, and what to show when something fails.

import { NoConnection, Refusal } from "./api.js";
import { area } from "./area.js";
import * as drafts from "./drafts.js";
import { frame, renewed, unsent } from "./frame.js";
import { household } from "./household.js";
import * as known from "./known.js";
import { forgetLooks, list } from "./list.js";
import { model } from "./model.js";
import { offline } from "./offline.js";
import { here } from "./router.js";
import * as account from "./session.js";
import { signIn } from "./signin.js";
import { trouble, waiting } from "./states.js";
import { remember } from "./storage.js";
import { visit } from "./visit.js";
import { switchLanguage, t } from "./words.js";

const VIEWS = { list, household, visit, area, model, offline: withoutNetwork };
const AGAIN = 15000; // milliseconds between attempts to reach the service after a start without it
const PATIENCE = 150; // milliseconds before "loading" is said, so that quick answers do not flicker

const main = document.getElementById("main");
let turn = 0; // the newest attempt to show something; older ones do not overwrite it
let asked = false; // whether the service has been asked who is signed in
let shownName = "";

function place(view, focus = true) {
  const at = document.activeElement && document.activeElement.id;
  main.removeAttribute("aria-busy");
  main.replaceChildren(view);
  main.dataset.shown = window.location.hash; // which address is shown by now, for whoever waits for it
  const title = main.querySelector("h1");
  document.title = [title ? title.textContent : "", t("product")].filter(Boolean).join(" · ");
  window.dispatchEvent(new Event("shown"));
  if (focus) {
    window.scrollTo(0, 0);
    (title || main).focus({ preventScroll: true });
  } else if (at && document.getElementById(at)) {
    document.getElementById(at).focus({ preventScroll: true }); // a filter was changed: stay there
  }
}

let ownerBefore = ""; // whose key was used last in this window

function setOwner(mark) {
  if (mark && mark !== ownerBefore) forgetLooks();
  ownerBefore = mark || ownerBefore;
  known.setOwner(mark);
  drafts.setOwner(mark);
}

function askForKey(message) {
  turn += 1;
  setOwner("");
  frame("", acts);
  place(signIn(message, () => { show(); }), Boolean(message));
  if (!message) document.getElementById("key").focus();
}

/** Show what the address names. `focus`: move to the heading; not when only a filter or the language changed. */
async function show(focus = true) {
  const mine = (turn += 1);
  const { name, id, query } = here();
  const stays = name === shownName; // what is there stays until the new is: the focus and the place on the page are not lost
  const timer = window.setTimeout(() => {
    if (mine !== turn) return;
    if (stays) main.setAttribute("aria-busy", "true");
    else main.replaceChildren(waiting());
  }, PATIENCE);
  try {
    if (!asked) {
      asked = true;
      await account.finishLeaving();
      await account.resume();
    }
    if (mine !== turn) return;
    if (!account.session()) {
      askForKey("");
      return;
    }
    setOwner(account.owner());
    const wanted = VIEWS[name] ? name : "list";
    const first = wanted === "list" && !account.opens("list") && !window.location.hash ? "model" : wanted;
    frame(first, acts);
    if (!account.opens(first)) throw new Refusal(403, {});
    const view = await VIEWS[first]({ id, query });
    if (mine !== turn) return;
    shownName = first;
    place(view, focus);
    drafts.sendAll().then((outcomes) => {
      if ([...outcomes.values()].some((outcome) => outcome.state === "signed out")) gone();
    });
  } catch (error) {
    if (mine !== turn) return;
    shownName = "";
    if (error instanceof Refusal && error.status === 401) {
      gone();
      return;
    }
    if (!account.session()) asked = false; // nobody said who is signed in: ask again
    if (error instanceof NoConnection && name === "list" && account.opens("offline")) {
      shownName = "offline";
      place(offline(true, tryAgain), focus);
      return;
    }
    place(trouble(error, account.session() && account.session().role, () => show()));
  } finally {
    window.clearTimeout(timer);
  }
}

/** After a start without a connection: ask again who is signed in. Returns "ready", "waiting" (still none) or "signed out". */
async function connected() {
  const before = account.session();
  if (!before || !before.offline) return before ? "ready" : "signed out";
  try {
    await account.resume();
  } catch (error) {
    return error instanceof Refusal && error.status === 401 ? "signed out" : "waiting";
  }
  if (account.session().offline) return "waiting";
  const same = account.owner() === before.owner;
  setOwner(account.owner());
  frame(shownName || here().name, acts);
  if (!same || main.querySelector(".offline, .trouble")) show(false); // what is being written stays as it is
  return same ? "ready" : "waiting";
}

async function reconnect() {
  const session = account.session();
  if (!session || !session.offline) return;
  // Somebody in the middle of a form goes on; the records are sent after the next sign-in.
  if ((await connected()) === "signed out" && !main.querySelector("form")) gone();
}

function withoutNetwork() {
  return offline(account.session().offline || !navigator.onLine, tryAgain);
}

/** That view tells of what waits: when it changes, so does the view, unless somebody is typing in it. */
function refreshOffline() {
  if (account.session() && main.querySelector(".offline") && document.activeElement.id !== "offline-id") place(withoutNetwork(), false);
}

async function tryAgain() {
  await reconnect();
  if (account.session()) show();
}

function gone() {
  account.lost();
  askForKey("expired");
}

const acts = {
  switchLanguage() {
    switchLanguage();
    const at = document.activeElement && document.activeElement.closest("#top");
    if (account.session() || !asked) show(false).then(() => { if (at) refocus(); });
    else {
      askForKey("");
      refocus();
    }
  },
  async signOut() {
    const open = drafts.own().length;
    const begun = drafts.allBegun().length;
    const warned = [open ? t("signOutUnsent", { count: open }) : "", begun ? t("signOutBegun", { count: begun }) : ""].filter(Boolean);
    if (warned.length && !window.confirm([...warned, t("signOutSure")].join("\n"))) return;
    drafts.forgetBegun();
    known.forget();
    forgetLooks();
    remember("team", null);
    let told;
    try {
      told = await account.leave();
    } catch (error) {
      place(trouble(error, null, () => acts.signOut()));
      return;
    }
    window.history.replaceState(null, "", window.location.pathname);
    askForKey(told ? "signedOut" : "signedOutHere");
  },
};

function refocus() {
  const button = document.querySelector("#top button");
  if (button) button.focus();
}

/** Keep the page's own files on this device (worker.js), so that it opens without a connection. Browsers do so over TLS and on loopback only. */
async function keepPage() {
  if (!("serviceWorker" in navigator)) return;
  const home = new URL(".", document.baseURI.split("#")[0]);
  const running = Boolean(navigator.serviceWorker.controller);
  navigator.serviceWorker.addEventListener("controllerchange", () => { if (running) renewed(); });
  try {
    await navigator.serviceWorker.register(new URL("web/worker.js", home), { scope: home.pathname, updateViaCache: "none" });
  } catch {
    // the page works without it, as long as there is a connection when it is opened
  }
}

drafts.whenChanged(() => { unsent(); refreshOffline(); });
drafts.setConnected(connected);
window.addEventListener("online", () => { unsent(); refreshOffline(); reconnect(); account.finishLeaving().catch(() => {}); });
window.addEventListener("offline", unsent);
window.addEventListener("shown", unsent);
window.setInterval(reconnect, AGAIN);
window.addEventListener("hashchange", () => { show(here().name !== shownName || Boolean(here().id)); });
window.addEventListener("signed-out", gone);
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address after # names a view, not a place
  (main.querySelector("h1") || main).focus();
});
window.addEventListener("unhandledrejection", () => {
  place(trouble(new Refusal("js", {}), null, () => window.location.reload()));
});
show();
window.addEventListener("load", keepPage);
