// Visits on their way to the service. A record leaves this device's memory only when the service has said what became of it.
//
// Two kinds are kept: `begun` (a form not finished) and the queue (records handed in). A queued record has its idempotency key from
// the first moment, so sending it again after a lost answer cannot record it twice; an altered record is a new one with a new key,
// sent after the first. No name, key or session is kept: the household's pseudonym, the visitor's choices, and the note.

import * as api from "./api.js";
import { recall, remember } from "./storage.js";

const QUEUE = "queue";
const BEGUN = "begun";
const KEEP_BEGUN = 30 * 24 * 3600 * 1000; // milliseconds that a form which nobody finished is kept
const AGAIN = 15000; // milliseconds between attempts while something waits

let queue = recall(QUEUE) || [];
let kept = true;
let busy = null;
let owner = "";
let connected = async () => "ready"; // see setConnected
const listeners = new Set();

function keep(next) {
  queue = next;
  kept = remember(QUEUE, queue.length ? queue : null);
  for (const listener of [...listeners]) listener();
}

// Another window of this browser shares the queue.
window.addEventListener("storage", () => {
  queue = recall(QUEUE) || [];
  for (const listener of listeners) listener();
});
window.addEventListener("online", () => { sendAll(); });
window.setInterval(() => { if (own().some((entry) => !entry.refused)) sendAll(); }, AGAIN);

/** Called after every change of the queue. Returns what ends it. */
export function whenChanged(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** What is asked before anything is sent: "ready", "waiting" (no connection) or "signed out". */
export function setConnected(ask) {
  connected = ask;
}

/** Whose records are sent from now on (see session.owner). */
export function setOwner(mark) {
  owner = mark;
  for (const listener of listeners) listener();
}

/** Whether this browser really keeps the queue. */
export function isKept() {
  return kept;
}

/** The queued records of who is signed in, oldest first. */
export function own() {
  return owner ? queue.filter((entry) => entry.owner === owner) : [];
}

/** How many queued records belong to somebody else. */
export function others() {
  return queue.length - queue.filter((entry) => entry.owner === owner).length;
}

/** The newest queued record of a household in a list, or undefined. */
export function queued(listHash, household) {
  return own().filter((entry) => entry.list_hash === listHash && entry.result.household_id === household).pop();
}

function newKey() {
  const bytes = window.crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Hand in a record: it is kept here first, then sent. Returns what became of it, as `sendAll` does for its key. */
export async function handIn(cycle, listHash, result) {
  const entry = { key: newKey(), owner, cycle, list_hash: listHash, result, refused: null, tried: false };
  // A record that was refused is replaced; one whose fate is unknown stays and goes first.
  const before = queue.filter((old) => !(old.refused && old.owner === owner && old.list_hash === listHash && old.result.household_id === result.household_id));
  keep([...before, entry]);
  forget(listHash, result.household_id);
  if (busy) await busy; // what is under way does not know of this record yet
  return (await sendAll()).get(entry.key) || { state: "waiting" };
}

/** Send what waits, in order. Returns for each key {state: saved | refused | waiting | signed out, answer?, reasons?}. */
export function sendAll() {
  if (!busy) busy = attempt().finally(() => { busy = null; });
  return busy;
}

async function attempt() {
  const became = new Map();
  const [first] = own().filter((item) => !item.refused);
  if (!first) return became;
  const state = await connected();
  for (const entry of own().filter((item) => !item.refused)) {
    const outcome = state === "ready" ? await send(entry) : { state };
    became.set(entry.key, outcome);
    if (outcome.state === "saved") keep(queue.filter((item) => item.key !== entry.key));
    else if (outcome.state === "refused") keep(queue.map((item) => (item.key === entry.key ? { ...item, refused: outcome.reasons } : item)));
    else {
      keep(queue.map((item) => (item.owner === owner ? { ...item, tried: true } : item)));
      break; // no connection, or the session has ended: the others wait with it
    }
  }
  return became;
}

async function send(entry) {
  try {
    const answer = await api.record({ cycle: entry.cycle, list_hash: entry.list_hash, results: [entry.result], idempotency_key: entry.key });
    if (answer.refused && answer.refused.length) return { state: "refused", reasons: answer.refused.flatMap((row) => row.reasons) };
    return { state: "saved", answer };
  } catch (error) {
    if (error instanceof api.NoConnection) return { state: "waiting" };
    if (!(error instanceof api.Refusal)) throw error;
    if (error.status === 401) return { state: "signed out" };
    if (error.problem.code === "csrf-token") return { state: "signed out" };
    if (error.status === 429 || error.status >= 500 || error.status === 408) return { state: "waiting" };
    return { state: "refused", reasons: inWords(error) };
  }
}

function inWords(error) {
  const lines = (error.problem.faults || []).map((fault) => `${fault.where}: ${fault.found}; ${fault.remedy}`);
  return (lines.length ? lines : [error.message]).map((text) => ({ zh: text, en: text }));
}

/** What was begun in the form of a household, or null. */
export function begun(listHash, household) {
  const all = recall(BEGUN) || {};
  const found = all[`${listHash} ${household}`];
  return found && found.owner === owner ? found.fields : null;
}

/** Keep what stands in a form that is not finished. */
export function begin(listHash, household, fields) {
  const now = Date.now();
  const recent = Object.entries(recall(BEGUN) || {}).filter(([, one]) => now - one.at < KEEP_BEGUN);
  remember(BEGUN, { ...Object.fromEntries(recent), [`${listHash} ${household}`]: { owner, fields, at: now } });
}

/** The households of forms that who is signed in has begun. */
export function allBegun() {
  return Object.entries(recall(BEGUN) || {}).filter(([, one]) => one.owner === owner && one.fields.outcome).map(([name]) => name.split(" ")[1]).sort();
}

/** Forget all forms that who is signed in has begun. */
export function forgetBegun() {
  const others_ = Object.entries(recall(BEGUN) || {}).filter(([, one]) => one.owner !== owner);
  remember(BEGUN, others_.length ? Object.fromEntries(others_) : null);
}

/** Forget what was begun. */
export function forget(listHash, household) {
  const all = recall(BEGUN) || {};
  delete all[`${listHash} ${household}`];
  remember(BEGUN, Object.keys(all).length ? all : null);
}
