// Keeps the page's own files on this device, so that it opens without a connection. The service writes two lines in front of this one: FILES, the address of
// each file and its SHA-256, and VERSION, made of them all. A change of any file is another worker; its files are taken together or not at all, and the next
// start of the page runs on them. Nothing else goes through here: what the service says about lists and households is never kept by it.

/* global FILES, VERSION */

const home = new URL("../", self.location.href).href; // where the page stands; this file stands in web/
const OURS = `riskmodel page ${home} `;
const NAME = OURS + VERSION;

async function keep() {
  const cache = await caches.open(NAME);
  try {
    await Promise.all(Object.entries(FILES).map(([path, sha]) => keepOne(cache, path, sha)));
  } catch (error) {
    await caches.delete(NAME);
    throw error;
  }
}

async function keepOne(cache, path, sha) {
  const answer = await fetch(home + path, { cache: "no-cache", credentials: "omit" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  const digest = await crypto.subtle.digest("SHA-256", await answer.clone().arrayBuffer());
  const hex = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hex !== sha) throw new Error(`${path} is not the file of this version`);
  await cache.put(home + path, answer);
}

async function dropOlder() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(OURS) && name !== NAME).map((name) => caches.delete(name)));
}

async function kept(path, request) {
  const cache = await caches.open(NAME);
  return (await cache.match(home + path, { ignoreVary: true })) || fetch(request);
}

self.addEventListener("install", (event) => { event.waitUntil(keep().then(() => self.skipWaiting())); });
self.addEventListener("activate", (event) => { event.waitUntil(dropOlder()); });
self.addEventListener("fetch", (event) => {
  const at = event.request.url.split(/[?#]/)[0];
  if (event.request.method !== "GET" || !at.startsWith(home)) return;
  const path = at.slice(home.length);
  if (Object.prototype.hasOwnProperty.call(FILES, path)) event.respondWith(kept(path, event.request));
});
