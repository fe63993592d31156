import { connect } from "./connection.js";

const LINES_MAX = 500;

const [enter, say, log, state] = ["enter", "say", "log", "state"].map((id) => document.getElementById(id));

enter.addEventListener("submit", (event) => {
  event.preventDefault();
  const address = `/ws?name=${encodeURIComponent(enter.elements.name.value)}`;
  const send = connect(() => address, { onPush, onState: (name) => (state.textContent = name), topics: ["chat"] });
  say.addEventListener("submit", (event) => {
    event.preventDefault();
    const content = say.elements.content.value;
    if (send({ type: "publish", topic: "chat", data: { content } })) say.reset();
  });
  enter.hidden = true;
  say.hidden = false;
  say.elements.content.focus();
});

function onPush(push) {
  if (push.type === "error") note(push.message);
  if (push.type === "missed") note(`${push.count} messages were missed here`);
  if (push.type === "gap") note(push.count === null ? "Messages may be missing here" : `${push.count} messages were missed here`);
  if (push.type !== "message") return;
  const { user, content, time, came, went } = push.data;
  if (came) note(`${came} came`);
  else if (went) note(`${went} went`);
  else add(element("b", user), content, element("time", new Date(time).toLocaleTimeString()));
}

function note(text) {
  add(text).className = "note";
}

/** Adds a line, and shows it unless the reader has scrolled up. */
function add(...parts) {
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 20;
  const line = document.createElement("li");
  line.append(...parts);
  log.append(line);
  if (log.children.length > LINES_MAX) log.firstChild.remove();
  if (isAtEnd) log.scrollTop = log.scrollHeight;
  return line;
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}
