// The chat: joins the parts. What the user does becomes commands, what the server says becomes rooms on screen.
//
// One way through: a message typed is an outgoing entry; it goes to the socket at most once; its echo, which carries
// the topic's order and the server's time, confirms it, over this connection or over the next. What was handed to a
// connection that broke is never sent again by itself, because it may have arrived.

import { isServerThere, namedInAddress, showInAddress, socketAddress } from "./address.js";
import { Connection, reconnectDelayMs } from "./connection.js";
import { Log } from "./log.js";
import { recall, remember } from "./memory.js";
import { commandBytes, isEchoOf, readPublication, tidyName, writeData } from "./publication.js";
import { nameOf, OUTGOING_MAX, roomNameProblem, Rooms } from "./rooms.js";
import { View } from "./view.js";
import { say } from "./words.js";

const rooms = new Rooms();
const requests = new Map();
let lastId = 0;
let retries = 0;
let userName = tidyName(String(recall("name") ?? ""));
let welcome = { limits: {} };

/** The names that others know this browser's messages by: the ids of its connections, the newest last. */
let ownConnections = [recall("connections") ?? []].flat();
const OWN_CONNECTIONS_MAX = 100;

const log = new Log({ onAgain: sendAgain, onDiscard: discard });
const view = new View({
  onJoin: join,
  onLeave: () => leave(rooms.active),
  onOpen: open,
  onStep: (steps) => open(rooms.neighbour(steps)),
  onSend: write,
  onDraft: keepDraft,
  onName: setName,
  onNow: () => connection.connect(),
  onLanguage: drawAll,
});
const connection = new Connection(socketAddress(), {
  onState: (state) => view.showState(state),
  onWelcome: enter,
  onReceived: receive,
  onLost: lose,
  isServerThere,
});

start();

function start() {
  rooms.restore(namedInAddress());
  drawAll();
  view.showName(userName);
  if (userName === "") view.askName("");
  else view.focusComposer();
  addEventListener("online", () => connection.wake());
  addEventListener("offline", () => connection.wake());
  addEventListener("pageshow", () => connection.wake());
  addEventListener("pagehide", keepRead);
  addEventListener("hashchange", openNamed);
  document.addEventListener("visibilitychange", turnToOrAway);
  connection.connect();
}

// The user's side.

function join(name) {
  const max = welcome.limits.subscriptions_max ?? Infinity;
  const problem = roomNameProblem(name.normalize("NFC"), welcome.limits.topic_bytes_max);
  if (problem) view.showError(say(problem));
  else if (!rooms.byName(name) && rooms.size >= max) view.showError(say("roomsMax", { max }));
  else return enterRoom(name.normalize("NFC"));
  return false;
}

function enterRoom(name) {
  const room = rooms.join(name);
  view.clearError();
  if (!room.isSubscribed) subscribe([room]);
  open(room);
  return true;
}

function leave(room) {
  if (!room) return;
  rooms.leave(room);
  request({ type: "unsubscribe", topic: room.topic }, {});
  view.clearError();
  open(rooms.active);
}

/** Shows a room; what was unread stays marked on screen this once. */
function open(room) {
  if (room !== rooms.active) rooms.active?.markRead();
  rooms.active = room;
  rooms.remember();
  log.show(room);
  room?.markRead();
  view.setDraft(room?.draft ?? "");
  view.showRooms(rooms);
  view.closeDrawer();
  view.focusComposer();
  showInAddress(room);
  measure();
}

function write(text) {
  const content = text.replace(/\s+$/u, "");
  const room = rooms.active;
  if (content.trim() === "" || !room) return false;
  if (userName === "") view.askName("");
  else if (measure() === "over") view.showError(say("tooLong"));
  else if (room.outgoing.length >= OUTGOING_MAX) view.showError(say("outgoingMax", { max: OUTGOING_MAX }));
  else return post(room, writeData(userName, content));
  return false;
}

function post(room, data) {
  const publication = readPublication({ data, from: {} });
  const entry = { kind: "message", own: true, state: "waiting", time: Date.now(), publication, data, room };
  room.outgoing.push(entry);
  if (room === rooms.active) log.add(entry);
  view.clearError();
  flush(room);
  return true;
}

/** A new message in the place of one that did not arrive, or of which nobody knows. */
function sendAgain(entry) {
  discard(entry);
  post(entry.room, writeData(userName, entry.data.content));
}

function discard(entry) {
  entry.room.removeOutgoing(entry);
  log.remove(entry);
  view.focusComposer();
}

function keepDraft(text) {
  if (rooms.active) rooms.active.draft = text;
  measure();
}

/** Shows how long the message in the composer is, as the server will see it: the whole command. */
function measure() {
  const room = rooms.active;
  const max = welcome.limits.message_bytes_max ?? 0;
  if (!room?.draft || !max) return view.showSize(0, 0);
  const data = writeData(userName, room.draft);
  const bytes = commandBytes({ type: "publish", id: lastId + 1, topic: room.topic, data });
  view.showSize(bytes, max);
  return bytes > max ? "over" : "fine";
}

/** Null asks for a new name; a text sets it, when there is something to it. */
function setName(text) {
  if (text === null) {
    view.askName(userName);
    return false;
  }
  const name = tidyName(text);
  if (name === "") return false;
  userName = name;
  remember("name", name);
  view.showName(name);
  return true;
}

// The server's side.

function enter(received) {
  welcome = { ...received, limits: received.limits ?? {} };
  ownConnections = [...ownConnections, received.connection].slice(-OWN_CONNECTIONS_MAX);
  remember("connections", ownConnections);
  if (userName === "" && received.user) view.askName(tidyName(received.user));
  subscribe([...rooms]);
  measure();
}

/** Every room becomes unsubscribed. Whether what was sent arrived, only its echo can tell, if the server kept it. */
function lose() {
  requests.clear();
  for (const room of rooms) {
    room.isSubscribed = false;
    room.occupancy = null;
    for (const entry of room.outgoing) {
      if (entry.state === "sent") setFate(entry, "unsure");
    }
  }
  view.showRooms(rooms);
}

function receive(received) {
  if (received.type === "message") receiveMessage(received);
  else if (received.type === "subscribed") subscribed(received);
  else if (received.type === "published") accepted(received);
  else if (received.type === "occupancy") countHere(received);
  else if (received.type === "unsubscribed") unsubscribed(received);
  else if (received.type === "error") refused(received);
}

function receiveMessage(received) {
  const isPersonal = typeof received.topic !== "string" || received.topic.startsWith("$");
  const room = isPersonal ? rooms.active : rooms.byTopic(received.topic);
  if (!room) return;
  if (!isPersonal) note(room, room.receivedAt(received.offset));
  const own = ownConnections.includes(received.from?.connection);
  const echoed = own && room.outgoing.find((entry) => wasSent(entry) && isEchoOf(received.data, entry.data));
  if (echoed) {
    confirm(echoed, received.time);
    return;
  }
  const badge = isPersonal ? (received.topic === "$all" ? "toAll" : "direct") : null;
  const publication = readPublication(received);
  const time = Number.isFinite(received.time) ? received.time : Date.now();
  const isNew = isPersonal || !room.wasRead(received.offset);
  show(room, { kind: "message", own, state: "confirmed", time, publication, badge }, isNew);
}

function wasSent(entry) {
  return entry.state === "sent" || entry.state === "accepted" || entry.state === "unsure";
}

function confirm(entry, time) {
  const { room } = entry;
  room.removeOutgoing(entry);
  entry.state = "confirmed";
  if (Number.isFinite(time)) entry.time = time;
  const forgotten = room.add(entry);
  if (room !== rooms.active) return;
  log.update(entry);
  log.forget(forgotten);
}

function show(room, entry, isNew) {
  const forgotten = room.add(entry);
  const isSeen = room === rooms.active && !document.hidden;
  if (isNew && !entry.own && !isSeen) room.countUnread(entry);
  if (room === rooms.active) {
    log.add(entry);
    log.forget(forgotten);
  }
  if (room.unread > 0) view.showRooms(rooms);
}

/** Says in the room what is missing, when something is. */
function note(room, missed) {
  if (missed) show(room, { kind: "note", ...missed }, false);
}

/** Asks for rooms in one command; in two when one would be larger than the server takes. */
function subscribe(wanted) {
  if (wanted.length === 0) return;
  const command = { type: "subscribe", topics: wanted.map((room) => room.wanted), occupancy: true };
  if (wanted.length === 1 || isSmallEnough(command)) {
    request(command, { subscribing: wanted });
    return;
  }
  const half = Math.ceil(wanted.length / 2);
  subscribe(wanted.slice(0, half));
  subscribe(wanted.slice(half));
}

function subscribed({ id, topics }) {
  requests.delete(id);
  retries = 0;
  for (const position of Array.isArray(topics) ? topics : []) {
    const name = nameOf(position.topic);
    const room = rooms.byTopic(position.topic) ?? (id === undefined && name ? rooms.join(name) : null);
    if (!room) continue;
    if (!room.wasSubscribed && room === rooms.active) log.hush();
    note(room, room.subscribedAt(position));
    confirmUnheard(room);
    flush(room);
  }
  view.showRooms(rooms);
  if (!rooms.active && rooms.size > 0) open([...rooms][0]);
}

/** Confirms what the server accepted over the last connection, where its echo does not follow any more. */
function confirmUnheard(room) {
  for (const entry of [...room.outgoing]) {
    if (entry.state === "accepted" && !room.isAhead(entry.position)) confirm(entry, entry.time);
  }
}

/** Sends what waits in a room, each message once. */
function flush(room) {
  if (!room.isSubscribed) return;
  for (const entry of room.outgoing) {
    if (entry.state !== "waiting") continue;
    const command = { type: "publish", topic: room.topic, data: entry.data };
    if (!isSmallEnough(command)) setFate(entry, "refused", say("tooLong"));
    else if (request(command, { publishing: entry })) setFate(entry, "sent");
    else return;
  }
}

/** The server has it; the echo, which places it among the others, follows or came before. */
function accepted({ id, epoch, offset }) {
  const entry = requests.get(id)?.publishing;
  requests.delete(id);
  if (entry?.state === "sent") Object.assign(entry, { state: "accepted", position: { epoch, offset } });
}

function countHere({ topic, subscribers }) {
  const room = rooms.byTopic(topic);
  if (!room) return;
  room.occupancy = subscribers;
  view.showRooms(rooms);
}

function unsubscribed({ id, topics }) {
  requests.delete(id);
  if (id !== undefined) return;
  for (const topic of topics ?? []) {
    const room = rooms.byTopic(topic);
    if (room) expel(room, say("removed", { room: room.name }));
  }
}

function refused({ id, code, message, temporary }) {
  const asked = requests.get(id) ?? {};
  requests.delete(id);
  const text = String(message ?? code ?? "");
  const problem = temporary ? say("temporary", { problem: text }) : text;
  view.showError(say("serverSays", { problem }));
  if (asked.publishing) setFate(asked.publishing, "refused", problem);
  else if (asked.subscribing) refuseRooms(asked.subscribing, problem, temporary);
}

/** A subscription of many fails as a whole: ask for each alone. One alone is tried again later, or given up. */
function refuseRooms(wanted, problem, temporary) {
  const stillWanted = wanted.filter((room) => rooms.byTopic(room.topic) === room);
  if (wanted.length > 1) {
    view.clearError();
    for (const room of stillWanted) subscribe([room]);
  } else if (temporary) {
    const again = () => rooms.byTopic(wanted[0].topic) === wanted[0] && !wanted[0].isSubscribed && subscribe(wanted);
    setTimeout(again, reconnectDelayMs(++retries));
  } else {
    for (const room of stillWanted) expel(room, say("joinRefused", { room: room.name, problem }));
  }
}

function expel(room, text) {
  const wasActive = room === rooms.active;
  rooms.leave(room);
  rooms.remember();
  if (wasActive) open(rooms.active);
  view.showRooms(rooms);
  view.showError(text);
}

function setFate(entry, state, problem = "") {
  entry.state = state;
  entry.problem = problem;
  if (entry.room === rooms.active) log.update(entry);
}

function isSmallEnough(command) {
  const max = welcome.limits.message_bytes_max;
  return !max || commandBytes({ ...command, id: lastId + 1 }) <= max;
}

/** Sends a command with an id and keeps what its reply will be about. False when there is no connection. */
function request(command, about) {
  const id = ++lastId;
  if (!connection.send({ ...command, id })) return false;
  requests.set(id, about);
  return true;
}

// The page.

function drawAll() {
  log.show(rooms.active);
  view.showRooms(rooms);
  view.showName(userName);
  measure();
}

/** For the next visit: what is on screen was read. */
function keepRead() {
  if (!document.hidden) rooms.active?.markRead();
  rooms.remember();
}

function turnToOrAway() {
  rooms.active?.markRead();
  if (document.hidden) return rooms.remember();
  view.showRooms(rooms);
  connection.wake();
}

function openNamed() {
  const name = namedInAddress();
  if (name && name !== rooms.active?.name) join(name);
}
