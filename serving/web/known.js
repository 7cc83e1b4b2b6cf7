// For which households a visit can be recorded on this device without a connection: their numbers, and what the form offers to choose from. Nothing of what
// the lists or the households say is kept, no reason, no score, no village. It is forgotten after a day, on signing out, and when another key signs in.

import { recall, remember } from "./storage.js";

const KNOWN = "known";
const KEEP = 24 * 3600 * 1000; // milliseconds
const MOST = 600; // households; the ones seen longest ago go first

let owner = "";

/** Whose key is signed in (see session.owner): only what was kept for it is known. */
export function setOwner(mark) {
  owner = mark;
  const kept = recall(KNOWN);
  if (mark && kept && (kept.owner !== mark || Date.now() - kept.at > KEEP)) forget();
}

function kept() {
  const found = recall(KNOWN);
  return found && owner && found.owner === owner ? found : { owner, at: Date.now(), lists: {}, households: [] };
}

/** Keep the numbers of listed households. on: {cycle, county_code, as_of, outcomes, risk_kind_codes, disagreements}; rows: [{household_id, list_hash}]. */
export function note(on, rows) {
  if (!owner || !rows.length) return;
  const before = kept();
  const { cycle, county_code, as_of, outcomes, risk_kind_codes, disagreements } = on;
  const now = new Map([...before.households, ...rows.map((row) => [row.household_id, row.list_hash])]);
  const households = [...now].slice(-MOST);
  const used = new Set(households.map(([, list]) => list));
  const lists = { ...before.lists, ...Object.fromEntries(rows.map((row) => [row.list_hash, { cycle, county_code, as_of, outcomes, risk_kind_codes, disagreements }])) };
  remember(KNOWN, { owner, at: Date.now(), lists: Object.fromEntries(Object.entries(lists).filter(([hash]) => used.has(hash))), households });
}

/** The numbers of the households for which the form can be filled in, in the order in which they were seen: that of the route. */
export function households() {
  return kept().households.map(([id]) => id);
}

/** A household as the form of a visit wants it, with what is kept here alone; null: it is not known on this device. */
export function household(id) {
  const { lists, households: all } = kept();
  const [, hash] = all.find(([one]) => one === id) || [];
  if (!hash || !lists[hash]) return null;
  return { household_id: id, as_of: lists[hash].as_of, on_list: { ...lists[hash], list_hash: hash, status: "open", closed: false }, bare: true };
}

/** Forget all of it. */
export function forget() {
  remember(KNOWN, null);
}
