// Which view the address names. Addresses look like #/household/ABC?as_of=2026-01-31; the part after # never leaves the browser.

/** The address as {name, id, query}. */
export function here() {
  const [path, search = ""] = window.location.hash.replace(/^#\/?/, "").split("?");
  const [name = "", id = ""] = path.split("/");
  return { name: name || "list", id: decoded(id), query: Object.fromEntries(new URLSearchParams(search)) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray % typed by hand
  }
}

/** The address of a view; empty values are left out. */
export function to(name, id = "", query = {}) {
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined));
  const path = id ? `#/${name}/${encodeURIComponent(id)}` : `#/${name}`;
  return String(search) ? `${path}?${search}` : path;
}

/** Go there; the listener of `hashchange` shows it. */
export function go(address) {
  window.location.hash = address;
}
