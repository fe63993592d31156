// A WebSocket that comes back: after a delay that grows and is jittered, unless the server says that it is of no use. Its
// topics go on from where they were.

const DELAY_FIRST_MS = 500;
const DELAY_MAX_MS = 20_000;
const STABLE_AFTER_MS = 5_000;
const LAST = 50;

/**
 * Opens the WebSocket whose path `address()` gives, and opens it again when it ends. `onPush` gets every message,
 * `onState` "connected", "reconnecting" or "closed". Gives a function that sends a command, if the connection is open.
 *
 * `topics` are subscribed to with their last messages if the server keeps some; after a reconnect with what was missed. What
 * cannot be had is a push of the type "gap" in its place, with `topic` and `count`, which is null when nobody knows.
 */
export function connect(address, { onPush, onState, topics = [] }) {
  const positions = new Map();
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
      if (topics.length > 0) send({ type: "subscribe", topics: topics.map(wanted) });
    }
    if (push.type === "subscribed") push.topics.filter(({ topic }) => topics.includes(topic)).forEach(goOn);
    if (push.type === "message" && positions.has(push.topic)) positions.get(push.topic).offset = push.offset;
    onPush(push);
  }

  function wanted(topic) {
    return positions.has(topic) ? { topic, since: positions.get(topic) } : { topic, last: LAST };
  }

  /** Takes the place from which a topic goes on, and tells what is missing before it. */
  function goOn({ topic, epoch, offset, recovered }) {
    const last = positions.get(topic);
    positions.set(topic, { epoch, offset });
    if (!last || recovered) return;
    const count = last.epoch === epoch && offset >= last.offset ? offset - last.offset : null;
    if (count !== 0) onPush({ type: "gap", topic, count });
  }

  function comeBack() {
    onState("reconnecting");
    if (Date.now() - welcomedAt > STABLE_AFTER_MS) attempt = 0;
    const delayMs = Math.min(DELAY_MAX_MS, DELAY_FIRST_MS * 2 ** attempt++);
    setTimeout(open, goodbye?.reconnect_after_ms || delayMs * (0.5 + Math.random() / 2));
  }

  function send(command) {
    if (socket.readyState !== WebSocket.OPEN) return false;
    socket.send(JSON.stringify(command));
    return true;
  }

  open();
  return send;
}

/** Close codes after which the same request would end the same way. */
function isFinal(code) {
  return (code >= 3500 && code <= 3999) || code >= 4500;
}
