// The page's address: where the socket is, and which room is meant by what follows `#/`.

/** The server's `/ws` beside this page, so that a proxy may put both under a path. A token in the page's address
 * (`?token=TOKEN`) is shown to the server: a way to try one out, since addresses are kept by logs. */
export function socketAddress() {
  const address = new URL("ws", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const token = new URLSearchParams(location.search).get("token");
  address.search = token ? new URLSearchParams({ token }) : "";
  address.hash = "";
  return address.href;
}

/** Whether the server answers at all. A browser does not say why a WebSocket was not opened; this tells apart a server
 * that is gone and one that does not let this page in. */
export async function isServerThere() {
  try {
    const answer = await fetch("health", { cache: "no-store" });
    return answer.ok;
  } catch {
    return false;
  }
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
