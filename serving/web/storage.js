// What this browser remembers. A browser that keeps nothing (private windows, full disk) is no fault: callers are told by `false`.

const PREFIX = "riskmodel.";

/** A remembered value, or null. */
export function recall(name) {
  try {
    return JSON.parse(window.localStorage.getItem(PREFIX + name));
  } catch {
    return null;
  }
}

/** Remember a value (null forgets it). Returns whether it is really kept. */
export function remember(name, value) {
  try {
    if (value === null) window.localStorage.removeItem(PREFIX + name);
    else window.localStorage.setItem(PREFIX + name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}
