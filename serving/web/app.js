// The page begins here: who is signed in, which view the address names, and what to show when something fails.

import { Refusal } from "./api.js";
import { area } from "./area.js";
import * as drafts from "./drafts.js";
import { frame, unsent } from "./frame.js";
import { household } from "./household.js";
import { list } from "./list.js";
import { model } from "./model.js";
import { here } from "./router.js";
import * as account from "./session.js";
import { signIn } from "./signin.js";
import { trouble, waiting } from "./states.js";
import { visit } from "./visit.js";
import { switchLanguage, t } from "./words.js";

const VIEWS = { list, household, visit, area, model };
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

function askForKey(message) {
  turn += 1;
  drafts.setOwner("");
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
      await account.resume();
    }
    if (mine !== turn) return;
    if (!account.session()) {
      askForKey("");
      return;
    }
    drafts.setOwner(account.owner());
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
    place(trouble(error, account.session() && account.session().role, () => show()));
  } finally {
    window.clearTimeout(timer);
  }
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
    if (open && !window.confirm(t("signOutUnsent", { count: open }))) return;
    try {
      await account.leave();
    } catch (error) {
      if (!(error instanceof Refusal && error.status === 401)) {
        place(trouble(error, null, () => acts.signOut()));
        return;
      }
    }
    window.history.replaceState(null, "", window.location.pathname);
    askForKey("signedOut");
  },
};

function refocus() {
  const button = document.querySelector("#top button");
  if (button) button.focus();
}

drafts.whenChanged(unsent);
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

