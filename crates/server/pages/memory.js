// What the browser keeps between visits: the user name, the joined rooms, the language and the theme.
//
// Storage can be forbidden (private windows, blocked cookies). The chat then works all the same and forgets.

const PREFIX = "fanfare.";

/** The kept value, or null when there is none or it cannot be read. */
export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name));
  } catch {
    return null;
  }
}

/** Keeps a value; null forgets it. */
export function remember(name, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Nothing to do: the choice holds until the page is closed.
  }
}
