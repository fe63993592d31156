import { connect } from "./connection.js";

const LINES_MAX = 200;

const [prices, rooms, log, say, state] = ["prices", "rooms", "log", "say", "state"].map((id) => document.getElementById(id));

/** The row of every symbol, and its first price. */
const rows = new Map();

// The page's own address names the rooms to begin with: /?room=tea&room=cocoa
const asked = new URLSearchParams(location.search).getAll("room");
for (const box of boxes()) box.checked = asked.includes(box.value);

// By URL: whenever it connects, it is in these topics from the start.
const address = () => `/ws?${new URLSearchParams([["topic", "prices"], ...chosen().map((room) => ["topic", `room:${room}`])])}`;
const send = connect(address, { onPush, onState: (name) => (state.textContent = name) });

// By message: it comes and goes as it likes, over the same connection.
rooms.addEventListener("change", ({ target }) => {
  send({ type: target.checked ? "subscribe" : "unsubscribe", topic: `room:${target.value}` });
});

say.addEventListener("submit", (event) => {
  event.preventDefault();
  const { room, content } = say.elements;
  if (send({ type: "publish", topic: `room:${room.value}`, data: content.value })) content.value = "";
});

function onPush(push) {
  if (push.type === "error") add("note", push.message);
  else if (push.type === "missed" && push.topic !== "prices") add("note", `${push.count} messages of ${push.topic} were missed`);
  else if (push.type === "message" && push.topic === "prices") price(push.data);
  else if (push.type === "message") add("", `${push.topic}: ${push.data}`);
}

/** Shows the newest price of a symbol. */
function price({ symbol, cents }) {
  if (!rows.has(symbol)) {
    const row = prices.tBodies[0].insertRow();
    for (let cell = 0; cell < 3; cell++) row.insertCell();
    rows.set(symbol, { row, first: cents });
  }
  const { row, first } = rows.get(symbol);
  const percent = (cents / first - 1) * 100;
  const texts = [symbol, (cents / 100).toFixed(2), `${percent < 0 ? "▼" : "▲"} ${Math.abs(percent).toFixed(2)} %`];
  texts.forEach((text, cell) => (row.cells[cell].textContent = text));
}

function add(kind, text) {
  const line = document.createElement("li");
  line.className = kind;
  line.textContent = text;
  log.append(line);
  if (log.children.length > LINES_MAX) log.firstChild.remove();
  log.scrollTop = log.scrollHeight;
}

function boxes() {
  return [...rooms.querySelectorAll("input")];
}

function chosen() {
  return boxes().filter((box) => box.checked).map((box) => box.value);
}
