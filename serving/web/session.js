// Who is signed in, as far as the page must know it. The key itself is never kept: what this browser remembers is the role, and the mark of `owner`.

import * as api from "./api.js";
import { setZone } from "./numbers.js";
import { recall, remember } from "./storage.js";

let current = null;

const VIEWS = { // which views a role's key opens; the service has the last word
  screener: ["list", "household", "visit", "area", "model", "offline"],
  case_system: ["list", "household", "model"],
};

function take(answer) {
  current = answer;
  setZone(answer && answer.timezone);
  api.setCsrf(answer ? answer.csrf : null);
  remember("signed-in", answer ? { role: answer.role, owner: owner() } : null);
  return current;
}

/**
 * The session of this browser, if it has one; null on a browser that never signed in or has signed out. Without a connection it is what is remembered of it,
 * with `offline`: enough to go on writing. Raises what else `api.session` raises.
 */
export async function resume() {
  const last = recall("signed-in");
  if (!last) return null;
  try {
    return take(await api.session());
  } catch (error) {
    if (!(error instanceof api.NoConnection) || !last.owner) throw error;
    current = { role: last.role, owner: last.owner, offline: true };
    return current;
  }
}

export async function enter(key) {
  const entered = take(await api.signIn(key));
  remember("leaving", null); // the new session's cookie has taken the old one's place
  return entered;
}

/** Sign out here at once, and at the service now or, without a connection, as soon as it is reached. Returns whether the service knows. */
export async function leave() {
  remember("leaving", true);
  try {
    return await finishLeaving();
  } finally {
    take(null);
  }
}

/** Sign out at the service what was signed out here without a connection. Returns whether nothing is left to do. */
export async function finishLeaving() {
  if (!recall("leaving")) return true;
  try {
    api.setCsrf((await api.session()).csrf);
    await api.signOut();
  } catch (error) {
    if (error instanceof api.NoConnection) return false;
    if (!(error instanceof api.Refusal) || error.status >= 500 || error.status === 429) throw error;
  } // any other refusal: there is no session any more
  remember("leaving", null);
  api.setCsrf(null);
  return true;
}

/** The session has ended on the other side. */
export function lost() {
  take(null);
}

export function session() {
  return current;
}

/** Whether this role has a view. */
export function opens(view) {
  return Boolean(current) && (VIEWS[current.role] || ["model"]).includes(view);
}

/** A mark that tells one key's drafts from another's on a shared device, and says nothing about whose they are. */
export function owner() {
  if (!current) return "";
  if (current.owner) return current.owner;
  let mark = 0x811c9dc5; // FNV-1a
  for (const letter of `${current.role}|${(current.areas || []).join(",")}|${current.name || ""}`) {
    mark = Math.imul(mark ^ letter.codePointAt(0), 0x01000193) >>> 0;
  }
  return mark.toString(16).padStart(8, "0");
}
