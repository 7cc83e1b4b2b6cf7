// Who is signed in, as far as the page must know it. The key itself is never kept.

import * as api from "./api.js";
import { recall, remember } from "./storage.js";

let current = null;

const VIEWS = { // which views a role's key opens; the service has the last word
  screener: ["list", "household", "visit", "area", "model"],
  case_system: ["list", "household", "model"],
};

function take(answer) {
  current = answer;
  api.setCsrf(answer ? answer.csrf : null);
  remember("signed-in", answer ? true : null);
  return current;
}

/** The session of this browser, if it has one; null on a browser that never signed in or has signed out. Raises what `api.session` raises. */
export async function resume() {
  return recall("signed-in") ? take(await api.session()) : null;
}

export async function enter(key) {
  return take(await api.signIn(key));
}

export async function leave() {
  try {
    await api.signOut();
  } finally {
    take(null);
  }
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
  let mark = 0x811c9dc5; // FNV-1a
  for (const letter of `${current.role}|${(current.areas || []).join(",")}|${current.name || ""}`) {
    mark = Math.imul(mark ^ letter.codePointAt(0), 0x01000193) >>> 0;
  }
  return mark.toString(16).padStart(8, "0");
}
