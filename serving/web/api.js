// The service, seen from the page. Every call ends in its answer, in a Refusal (the service said no) or in NoConnection (nobody answered).

const PATIENCE = 20000; // milliseconds until a call counts as lost
const PATIENCE_FIRST = 8000; // the same for the first call of a page: without a network it should open soon
const LONGEST_WAIT = 5; // seconds that a "busy, try again" is waited for before the person is told

export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || String(status));
    this.status = status;
    this.problem = problem;
  }
}

export class NoConnection extends Error {}

const MOST_SEEN = 400; // answers that are held for the way through the village

let csrf = null;
const seen = new Map(); // address -> {answer, at}; in memory only, gone with the page and with signing out

/** Keep what proves that a change comes from this page; null after signing out. */
export function setCsrf(value) {
  csrf = value;
  if (!value) seen.clear();
}

function address(path, query) {
  const url = new URL(path, document.baseURI.split("#")[0]);
  for (const [name, value] of Object.entries(query || {})) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
  }
  return url;
}

async function once(method, path, query, body, wait = PATIENCE) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (csrf && method !== "GET") headers["X-CSRF-Token"] = csrf;
  const patience = new AbortController();
  const timer = window.setTimeout(() => patience.abort(), wait);
  try {
    return await fetch(address(path, query), {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin", cache: "no-store", signal: patience.signal,
    });
  } catch (error) {
    throw new NoConnection(String(error));
  } finally {
    window.clearTimeout(timer);
  }
}

async function answered(method, path, query, body, patience) {
  let response = await once(method, path, query, body, patience);
  const wait = Number(response.headers.get("Retry-After"));
  if (method === "GET" && (response.status === 429 || response.status === 503) && wait <= LONGEST_WAIT) {
    await new Promise((done) => { window.setTimeout(done, 1000 * Math.max(wait, 1)); });
    response = await once(method, path, query, body);
  }
  if (response.ok) return response;
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // A proxy's own page: where it found no service behind it, nobody answered; otherwise its status is all there is to say.
    if ([502, 503, 504].includes(response.status)) throw new NoConnection(String(response.status));
  }
  throw new Refusal(response.status, problem);
}

async function json(method, path, query, body, patience) {
  const response = await answered(method, path, query, body, patience);
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch (error) {
    throw new NoConnection(String(error)); // cut off in the middle
  }
}

/** As json("GET", …); without a connection what was seen before in this window, with `seen_at`, the time of it. */
async function look(path, query) {
  const name = String(address(path, query));
  try {
    const answer = await json("GET", path, query);
    seen.delete(name);
    seen.set(name, { answer, at: new Date().toTimeString().slice(0, 5) });
    if (seen.size > MOST_SEEN) seen.delete(seen.keys().next().value);
    return answer;
  } catch (error) {
    if (!(error instanceof NoConnection) || !seen.has(name)) throw error;
    const { answer, at } = seen.get(name);
    return { ...answer, seen_at: at };
  }
}

const part = encodeURIComponent;

export const session = () => json("GET", "v1/session", null, undefined, PATIENCE_FIRST);
export const signIn = (key) => json("POST", "v1/session", null, { key });
export const signOut = () => json("DELETE", "v1/session");
export const lists = () => look("v1/lists");
export const list = (cycle, query) => look(`v1/lists/${part(cycle)}`, query);
export const household = (id, asOf) => look(`v1/households/${part(id)}`, { as_of: asOf });
export const areas = (cycle, county) => look(`v1/areas/${part(cycle)}`, { county });
export const model = () => look("v1/model");
export const withdraw = (body) => json("POST", "v1/withdrawals", null, body);
export const record = (body) => json("POST", "v1/verifications", null, body);

/** The list as a file: its name and its bytes. */
export async function download(cycle, query) {
  const response = await answered("GET", `v1/lists/${part(cycle)}/download`, query);
  const named = /filename="?([^";]+)"?/.exec(response.headers.get("Content-Disposition") || "");
  return { name: named ? named[1] : `${cycle}.${query.format}`, blob: await response.blob() };
}
