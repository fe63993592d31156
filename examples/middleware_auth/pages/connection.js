// A WebSocket that comes back: after a delay that grows and is jittered, unless the server says that it is of no use.

const DELAY_FIRST_MS = 500;
const DELAY_MAX_MS = 20_000;
const STABLE_AFTER_MS = 5_000;

/**
 * Opens the WebSocket whose path `address()` gives, and opens it again when it ends. `onPush` gets every message,
 * `onState` "connected", "reconnecting" or "closed". Gives a function that sends a command, if the connection is open.
 */
export function connect(address, { onPush, onState }) {
  let socket, goodbye, welcomedAt, attempt = 0;

  function open() {
    goodbye = welcomedAt = undefined;
    socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}${address()}`, "fanfare.json.v1");
    socket.onmessage = ({ data }) => receive(JSON.parse(data));
    socket.onclose = ({ code }) => (isFinal(code) ? onState("closed") : comeBack());
  }

  function receive(push) {
    if (push.type === "goodbye") goodbye = push;
    if (push.type === "welcome") {
      welcomedAt = Date.now();
      onState("connected");
    }
    onPush(push);
  }

  function comeBack() {
    onState("reconnecting");
    if (Date.now() - welcomedAt > STABLE_AFTER_MS) attempt = 0;
    const delayMs = Math.min(DELAY_MAX_MS, DELAY_FIRST_MS * 2 ** attempt++);
    setTimeout(open, goodbye?.reconnect_after_ms || delayMs * (0.5 + Math.random() / 2));
  }

  open();
  return (command) => socket.readyState === WebSocket.OPEN && (socket.send(JSON.stringify(command)), true);
}

/** Close codes after which the same request would end the same way. */
function isFinal(code) {
  return (code >= 3500 && code <= 3999) || code >= 4500;
}
