// The page's address: where the socket is, and which room is meant by what follows `#/`.

/** The server's `/ws` beside this page, so that a proxy may put both under a path. */
export function socketAddress() {
  const address = new URL("ws", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  address.search = "";
  address.hash = "";
  return address.href;
}

/** The room in the page's address (`#/ROOM`), so that a room can be bookmarked and passed on; "" without one. */
export function namedInAddress() {
  if (!location.hash.startsWith("#/")) return "";
  try {
    return decodeURIComponent(location.hash.slice(2)).normalize("NFC");
  } catch {
    return "";
  }
}

/** Names the room on screen in the address, without a step in the browser's history. */
export function showInAddress(room) {
  history.replaceState(null, "", room ? `#/${encodeURIComponent(room.name)}` : location.pathname + location.search);
}
