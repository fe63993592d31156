import { connect } from "./connection.js";

const LINES_MAX = 200;

const [title, state, log, note, peek] = ["title", "state", "log", "note", "peek"].map((id) => document.getElementById(id));

const user = await whoAmI();
if (user) start(user);

function start(user) {
  title.textContent = `Inbox of ${user}`;
  const address = `/ws?topic=${encodeURIComponent(`inbox:${user}`)}`;
  const send = connect(() => address, { onPush, onState });

  note.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await fetch("/notes", { method: "POST", body: new URLSearchParams(new FormData(note)) });
    if (answer.ok) note.elements.text.value = "";
    else add("bad", `Not sent: ${await answer.text()}`);
  });
  peek.addEventListener("submit", (event) => {
    event.preventDefault();
    send({ type: "subscribe", topic: peek.elements.topic.value });
  });
}

function onPush(push) {
  if (push.type === "message") add("", `${push.data.from}: ${push.data.text}`);
  else if (push.type === "error") add("bad", `Refused: ${push.message}`);
  else if (push.type === "subscribed") add("note", `Listening to ${push.topics.map(({ topic }) => topic).join(", ")}`);
}

/** When the session is over, the server ends the connection, or does not let it come back. */
function onState(name) {
  state.textContent = name;
  if (name !== "connected") whoAmI();
}

/** The user's name. Who has none is sent to log in. */
async function whoAmI() {
  const answer = await fetch("/me").catch(() => null);
  if (answer?.ok) return answer.text();
  if (answer?.status === 401) location.assign("/login");
}

function add(kind, text) {
  const line = document.createElement("li");
  line.className = kind;
  line.textContent = text;
  log.append(line);
  if (log.children.length > LINES_MAX) log.firstChild.remove();
  log.scrollTop = log.scrollHeight;
}
