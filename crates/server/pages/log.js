// Draws the messages of the room on screen and keeps the end in sight, unless the user reads further up.
//
// In: rooms and their entries (rooms.js). Out: the list in the document, as text nodes only, and the user's wish to
// send again or discard what did not arrive. What is confirmed stands above what is still on its way.

import { languageTag, say } from "./words.js";

const TOGETHER_MS = 5 * 60_000;
const BOTTOM_SLACK_PX = 48;
const LONG_CHARACTERS = 1_500;
const LONG_LINES = 20;
const TINTS = 8;
const LINK = /https?:\/\/[^\s<>"']+/g;

export class Log {
  #scroller = document.getElementById("log");
  #list = document.getElementById("messages");
  #latest = document.getElementById("latest");
  #empty = document.getElementById("empty");
  #hooks;
  #room = null;
  #items = new Map();
  #sticks = true;
  #lastTop = 0;
  #below = 0;
  #isScrollPlanned = false;

  /** `hooks`: `onAgain(entry)` and `onDiscard(entry)`, for messages that did not arrive. */
  constructor(hooks) {
    this.#hooks = hooks;
    this.#scroller.addEventListener("scroll", () => this.#noteScroll(), { passive: true });
    this.#latest.addEventListener("click", () => this.scrollToEnd());
    new ResizeObserver(() => this.#sticks && this.#planScroll()).observe(this.#scroller);
  }

  /** Draws a room from scratch, without reading it all out; null shows how to join one. */
  show(room) {
    this.#scroller.setAttribute("aria-busy", "true");
    this.#room = room;
    this.#items.clear();
    this.#list.replaceChildren();
    if (room) this.#scroller.setAttribute("aria-label", say("log", { room: room.name }));
    for (const entry of room?.entries ?? []) this.#append(entry, entry === room.firstUnread);
    for (const entry of room?.outgoing ?? []) this.#append(entry, false);
    this.#showEmpty();
    this.scrollToEnd();
    requestAnimationFrame(() => this.#scroller.removeAttribute("aria-busy"));
  }

  /** Draws one more entry of the room on screen, an outgoing one at the very end. */
  add(entry) {
    this.#append(entry, false);
    this.#showEmpty();
    if (isOutgoing(entry)) this.scrollToEnd();
    else this.#arrive(entry);
  }

  /** Draws an outgoing entry's new state; a confirmed one moves up to the others of the topic. */
  update(entry) {
    const item = this.#items.get(entry);
    if (!item) return;
    if (isOutgoing(entry)) {
      this.#fill(item, entry);
      return;
    }
    const place = this.#firstOutgoing(entry);
    if (place && item.compareDocumentPosition(place) & Node.DOCUMENT_POSITION_PRECEDING) place.before(item);
    this.#separateDays(item, entry);
    this.#fill(item, entry);
  }

  remove(entry) {
    this.#items.get(entry)?.remove();
    this.#items.delete(entry);
    this.#showEmpty();
  }

  /** Takes away the oldest entries, which the room has forgotten, and the day lines that headed nothing else. */
  forget(entries) {
    for (const entry of entries) this.remove(entry);
    const isDay = (item) => item?.dataset.line === "day";
    while (isDay(this.#list.firstElementChild) && isDay(this.#list.children[1])) this.#list.firstElementChild.remove();
  }

  scrollToEnd() {
    this.#stick(true);
    this.#lastTop = 0;
    this.#planScroll();
  }

  #append(entry, isFirstUnread) {
    const item = document.createElement("li");
    this.#items.set(entry, item);
    this.#list.insertBefore(item, isOutgoing(entry) ? null : this.#firstOutgoing(entry));
    if (!isOutgoing(entry)) this.#separateDays(item, entry);
    if (isFirstUnread) item.before(this.#line("first-unread", say("newLine")));
    this.#fill(item, entry);
  }

  #firstOutgoing(except) {
    const first = this.#room?.outgoing.find((entry) => entry !== except && this.#items.has(entry));
    return first ? this.#items.get(first) : null;
  }

  #fill(item, entry) {
    if (entry.kind === "note") fillNote(item, entry);
    else this.#fillMessage(item, entry);
  }

  #fillMessage(item, entry) {
    const author = authorName(entry.publication);
    item.className = "message";
    item.dataset.testid = "message";
    item.dataset.own = String(entry.own);
    item.dataset.state = entry.state;
    item.dataset.tint = tintOf(author);
    item.entry = entry;
    item.classList.toggle("continued", continues(entry, item.previousElementSibling?.entry));
    const line = element("div", "line", [bubble(entry), timeOf(entry)]);
    const column = element("div", "column", [byline(entry, author), line, ...this.#fate(entry)]);
    item.replaceChildren(avatar(author), column);
  }

  /** What became of an outgoing message, and what can be done about it. */
  #fate(entry) {
    if (!isOutgoing(entry)) return [];
    const parts = [textElement("span", "fate-text", say(entry.state, { problem: entry.problem }))];
    if (entry.state === "unsure" || entry.state === "refused") {
      parts.push(button(say("again"), () => this.#hooks.onAgain(entry)));
      parts.push(button(say("discard"), () => this.#hooks.onDiscard(entry)));
    }
    return [element("p", "fate", parts)];
  }

  #separateDays(item, entry) {
    if (entry.kind !== "message") return;
    const day = dayOf(entry.time);
    let above = item.previousElementSibling;
    while (above && !above.entry && above.dataset.line !== "day") above = above.previousElementSibling;
    const dayAbove = above?.entry ? dayOf(above.entry.time) : above?.dataset.day;
    if (day === dayAbove) return;
    const line = this.#line("day", dayName(entry.time));
    line.dataset.day = day;
    item.before(line);
  }

  #line(kind, text) {
    const line = element("li", `divider ${kind}`, [textElement("span", "", text)]);
    line.dataset.line = kind;
    return line;
  }

  #arrive(entry) {
    if (this.#sticks) {
      this.#planScroll();
    } else if (entry.kind === "message") {
      this.#below += 1;
      this.#showLatest();
    }
  }

  /** Only a move upwards lets go of the end: the end itself moves away when messages come faster than frames. */
  #noteScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    if (scrollHeight - scrollTop - clientHeight < BOTTOM_SLACK_PX) this.#stick(true);
    else if (scrollTop < this.#lastTop - 1) this.#stick(false);
    this.#lastTop = scrollTop;
  }

  #stick(sticks) {
    this.#sticks = sticks;
    if (sticks) this.#below = 0;
    this.#scroller.classList.toggle("reading", !sticks);
    this.#showLatest();
  }

  #planScroll() {
    if (this.#isScrollPlanned) return;
    this.#isScrollPlanned = true;
    requestAnimationFrame(() => {
      this.#isScrollPlanned = false;
      if (!this.#sticks) return;
      this.#scroller.scrollTop = this.#scroller.scrollHeight;
      this.#lastTop = this.#scroller.scrollTop;
    });
  }

  #showLatest() {
    this.#latest.hidden = this.#sticks;
    this.#latest.textContent = this.#below ? say("latestNew", { unread: this.#below }) : say("latest");
  }

  #showEmpty() {
    this.#empty.hidden = this.#list.childElementCount > 0;
    if (this.#empty.hidden) return;
    const key = this.#room ? "empty" : "noRoom";
    this.#empty.children[0].textContent = say(`${key}Title`, { room: this.#room?.name });
    this.#empty.children[1].textContent = say(`${key}Text`);
  }
}

/** The circle with the first letter of a name, for eyes only. */
export function fillAvatar(target, name) {
  target.textContent = firstLetter(name);
  target.dataset.tint = tintOf(name);
}

function avatar(name) {
  const circle = element("span", "avatar", []);
  circle.setAttribute("aria-hidden", "true");
  fillAvatar(circle, name);
  return circle;
}

function byline({ publication, badge }, name) {
  const author = textElement("span", "author", name);
  author.dataset.testid = "author";
  author.dir = "auto";
  const parts = [author];
  if (publication.account) parts.push(textElement("span", "badge", say("account", publication)));
  if (publication.isServer && publication.author) parts.push(textElement("span", "badge", say("server")));
  if (badge) parts.push(textElement("span", "badge", say(badge)));
  return element("p", "byline", parts);
}

function bubble({ publication }) {
  const { text, isCode } = publication;
  const content = element(isCode ? "pre" : "p", "content", isCode ? [text] : withLinks(text));
  content.dataset.testid = "content";
  content.dir = "auto";
  const isLong = text.length > LONG_CHARACTERS || text.split("\n", LONG_LINES + 1).length > LONG_LINES;
  if (!isLong) return element("div", "bubble", [content]);
  content.classList.add("folded");
  const unfold = button(say("showAll"), () => {
    content.classList.remove("folded");
    unfold.remove();
  });
  return element("div", "bubble", [content, unfold]);
}

function timeOf({ time }) {
  const date = new Date(time);
  const shown = textElement("time", "", format(date, { hour: "2-digit", minute: "2-digit" }));
  shown.dataset.testid = "time";
  shown.dateTime = date.toISOString();
  shown.title = format(date, { dateStyle: "full", timeStyle: "medium" });
  return shown;
}

function fillNote(item, entry) {
  item.className = "note";
  item.textContent = say(entry.key, entry);
}

function authorName({ author, isServer }) {
  return author || say(isServer ? "server" : "guest");
}

function isOutgoing(entry) {
  return entry.kind === "message" && entry.state !== "confirmed";
}

/** Whether a message goes on where the one above it left off, so that its author need not be named again. */
function continues(entry, above) {
  return (
    above?.kind === "message" &&
    above.own === entry.own &&
    above.badge === entry.badge &&
    above.publication.isServer === entry.publication.isServer &&
    above.publication.author === entry.publication.author &&
    above.publication.account === entry.publication.account &&
    entry.time - above.time < TOGETHER_MS
  );
}

/** The text with its web addresses as links. Only http and https, and the link shows where it leads. */
function withLinks(text) {
  const parts = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(LINK)) {
    const address = found.replace(/[.,;:!?)\]}。，；：！？）】」]+$/u, "");
    if (!URL.canParse(address)) continue;
    const link = textElement("a", "", address);
    link.href = address;
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
    parts.push(text.slice(end, index), link);
    end = index + address.length;
  }
  return [...parts, text.slice(end)];
}

function dayOf(time) {
  return new Date(time).toDateString();
}

function dayName(time) {
  const date = new Date(time);
  const yesterday = new Date();
  yesterday.setDate(yesterday.getDate() - 1);
  if (date.toDateString() === new Date().toDateString()) return say("today");
  if (date.toDateString() === yesterday.toDateString()) return say("yesterday");
  return format(date, { weekday: "long", year: "numeric", month: "long", day: "numeric" });
}

const formats = new Map();

function format(date, options) {
  const key = languageTag() + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(languageTag(), options));
  return formats.get(key).format(date);
}

function firstLetter(name) {
  const first = new Intl.Segmenter().segment(name)[Symbol.iterator]().next().value;
  return first ? first.segment.toLocaleUpperCase() : "·";
}

function tintOf(name) {
  let hash = 7;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) >>> 0;
  return String(hash % TINTS);
}

/** An element of the given parts: elements, or strings that become text. */
function element(tag, className, parts) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...parts);
  return made;
}

function textElement(tag, className, text) {
  return element(tag, className, [text]);
}

function button(text, onClick) {
  const made = textElement("button", "small", text);
  made.type = "button";
  made.addEventListener("click", onClick);
  return made;
}
