// The rooms this page has joined and what is in them. A plain model: no socket, no document.
//
// A room is a topic: `lobby` itself, every other one `chat:NAME`. Each keeps its newest messages, the unsent and
// unconfirmed ones of this user, how many are unread, the position up to which it has seen the topic, and the one up to
// which the user has.

import { recall, remember } from "./memory.js";

export const LOBBY = "lobby";
export const ENTRIES_MAX = 500;
export const OUTGOING_MAX = 100;
export const PAST_MAX = 50;
const PREFIX = "chat:";
const TOPIC_BYTES_MAX = 255;
const ROOMS_REMEMBERED_MAX = 100;

/** The topic of a room. */
export function topicOf(name) {
  return name === LOBBY ? LOBBY : PREFIX + name;
}

/** The room of a topic, or null when the topic is none of the chat's. */
export function nameOf(topic) {
  if (topic === LOBBY) return LOBBY;
  return topic.startsWith(PREFIX) ? topic.slice(PREFIX.length) : null;
}

/** Why a room name breaks the topic grammar of docs/protocol/json.md, as a key of words.js; null when it does not. */
export function roomNameProblem(name, topicBytesMax = TOPIC_BYTES_MAX) {
  if (name === "") return "roomEmpty";
  if (/\s/u.test(name)) return "roomSpace";
  if (/[*#?>]/.test(name) || name.startsWith("$")) return "roomReserved";
  if (/[\p{Cc}\p{Cf}\p{Cs}\p{Z}]/u.test(name)) return "roomInvisible";
  if (new TextEncoder().encode(topicOf(name)).length > topicBytesMax) return "roomLong";
  return null;
}

/**
 * One room. `entries` are in the topic's order: messages (`kind` "message") and notes of the page ("note").
 * `outgoing` are this user's messages that the server has not echoed yet, oldest first; their `state` is
 * `waiting` (not sent), `sent`, `accepted` (the server has it, at `position`), `unsure` (the connection broke in between)
 * or `refused`.
 */
export class Room {
  entries = [];
  outgoing = [];
  unread = 0;
  firstUnread = null;
  occupancy = null;
  isSubscribed = false;
  wasSubscribed = false;
  draft = "";
  #position = null;
  #read = null;

  /** `read` is the position up to which the user has seen it in an earlier visit. */
  constructor(name, read = null) {
    this.name = name;
    this.topic = topicOf(name);
    this.#read = read;
  }

  /** The room in a subscribe command: where it was or, the first time, with its last messages. */
  get wanted() {
    return this.#position ? { topic: this.topic, since: this.#position } : { topic: this.topic, last: PAST_MAX };
  }

  get read() {
    return this.#read;
  }

  /** Adds to the end and forgets the oldest beyond ENTRIES_MAX; returns what was forgotten. */
  add(entry) {
    this.entries.push(entry);
    const forgotten = this.entries.splice(0, Math.max(0, this.entries.length - ENTRIES_MAX));
    if (forgotten.includes(this.firstUnread)) this.firstUnread = this.entries[0];
    return forgotten;
  }

  countUnread(entry) {
    this.unread += 1;
    this.firstUnread ??= entry;
  }

  markRead() {
    this.unread = 0;
    this.firstUnread = null;
    if (this.#position) this.#read = { ...this.#position };
  }

  /** Whether the user has seen what is at an offset. */
  wasRead(offset) {
    return this.#read?.epoch === this.#position?.epoch && offset <= this.#read?.offset;
  }

  /** Whether what is at a position is among the messages that follow. */
  isAhead({ epoch, offset }) {
    return this.#position?.epoch === epoch && this.#position.offset < offset;
  }

  /** Takes the position behind which messages follow; returns what is missing since the last one, or null. */
  subscribedAt({ epoch, offset, recovered }) {
    const last = this.#position;
    this.#position = { epoch, offset };
    this.isSubscribed = true;
    this.wasSubscribed = true;
    if (!last || recovered) return null;
    // Where nothing was ever said, nothing is missing: all that is said there now follows.
    if (last.offset === 0 && offset === 0) return null;
    if (last.epoch !== epoch || offset < last.offset) return { key: "missedSome" };
    return offset > last.offset ? { key: "missed", count: offset - last.offset } : null;
  }

  /** Takes the offset of a live message; returns what is missing before it, or null. */
  receivedAt(offset) {
    const last = this.#position;
    if (!last || typeof offset !== "number" || offset <= last.offset) return null;
    const count = offset - last.offset - 1;
    last.offset = offset;
    return count > 0 ? { key: "missed", count } : null;
  }

  removeOutgoing(entry) {
    const index = this.outgoing.indexOf(entry);
    if (index >= 0) this.outgoing.splice(index, 1);
  }
}

/** The joined rooms in the order they were joined, and the one on screen. */
export class Rooms {
  #rooms = new Map();
  active = null;

  [Symbol.iterator]() {
    return this.#rooms.values();
  }

  get size() {
    return this.#rooms.size;
  }

  byName(name) {
    return this.byTopic(topicOf(name));
  }

  byTopic(topic) {
    return this.#rooms.get(topic) ?? null;
  }

  /** The room of that name, new when it was not joined. */
  join(name, read = null) {
    const joined = this.byName(name);
    if (joined) return joined;
    const room = new Room(name, read);
    this.#rooms.set(room.topic, room);
    return room;
  }

  leave(room) {
    const position = [...this].indexOf(room);
    this.#rooms.delete(room.topic);
    if (this.active === room) this.active = [...this][Math.max(0, position - 1)] ?? null;
  }

  /** The room `steps` after the active one, around the end. */
  neighbour(steps) {
    const rooms = [...this];
    const index = rooms.indexOf(this.active) + steps;
    return rooms[(index + rooms.length) % rooms.length] ?? null;
  }

  remember() {
    const kept = [...this].slice(0, ROOMS_REMEMBERED_MAX);
    remember("rooms", kept.map((room) => room.name));
    remember("read", Object.fromEntries(kept.map((room) => [room.name, room.read])));
    remember("room", this.active?.name ?? null);
  }

  /** Joins the rooms of the last visit, or the lobby on the first; what the address names becomes active. */
  restore(named) {
    const kept = recall("rooms");
    const names = Array.isArray(kept) ? kept.filter((name) => typeof name === "string") : [];
    const read = new Map(Object.entries(recall("read") ?? {}));
    for (const name of [...names, named]) if (name && !roomNameProblem(name)) this.join(name, read.get(name));
    if (this.size === 0) this.join(LOBBY);
    this.active = this.byName(named) ?? this.byName(recall("room") ?? "") ?? [...this][0];
  }
}
