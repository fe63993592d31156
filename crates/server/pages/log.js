// Draws the messages of the room on screen and keeps the end in sight, unless the user reads further up.
//
// In: rooms and their entries (rooms.js). Out: the list in the document, as text nodes only, and the user's wish to
// send again or discard what did not arrive. What is confirmed stands above what is still on its way.

import { authorName, avatar, bubble, button, byline, dayName, dayOf } from "./message.js";
import { element, textElement, timeOf, tintOf } from "./message.js";
import { say } from "./words.js";

const TOGETHER_MS = 5 * 60_000;
const MINUTE_MS = 60_000;
const BOTTOM_SLACK_PX = 48;
const HUSH_MS = 1_000;

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
  #hushTimer = 0;

  /** `hooks`: `onAgain(entry)` and `onDiscard(entry)`, for messages that did not arrive. */
  constructor(hooks) {
    this.#hooks = hooks;
    this.#scroller.addEventListener("scroll", () => this.#noteScroll(), { passive: true });
    this.#latest.addEventListener("click", () => this.scrollToEnd());
    new ResizeObserver(() => this.#sticks && this.#planScroll()).observe(this.#scroller);
  }

  /** Draws a room from scratch, without reading it all out; null shows how to join one. */
  show(room) {
    this.hush(0);
    this.#room = room;
    this.#items.clear();
    this.#list.replaceChildren();
    if (room) this.#scroller.setAttribute("aria-label", say("log", { room: room.name }));
    for (const entry of room?.entries ?? []) this.#append(entry, entry === room.firstUnread);
    for (const entry of room?.outgoing ?? []) this.#append(entry, false);
    this.#showEmpty();
    this.scrollToEnd();
  }

  /** Keeps what is drawn next from being read out: what was said before the user came. */
  hush(forMs = HUSH_MS) {
    this.#scroller.setAttribute("aria-busy", "true");
    clearTimeout(this.#hushTimer);
    const end = () => requestAnimationFrame(() => this.#scroller.removeAttribute("aria-busy"));
    this.#hushTimer = setTimeout(end, forMs);
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
    const item = this.#items.get(entry);
    item?.previousElementSibling?.classList.remove("same-minute");
    item?.remove();
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
    item.classList.add("message");
    item.dataset.testid = "message";
    item.dataset.own = String(entry.own);
    item.dataset.state = entry.state;
    item.dataset.tint = tintOf(author);
    item.entry = entry;
    const above = item.previousElementSibling;
    const isContinued = continues(entry, above?.entry);
    item.classList.toggle("continued", isContinued);
    above?.classList.toggle("same-minute", isContinued && minuteOf(above.entry) === minuteOf(entry));
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

function fillNote(item, entry) {
  item.className = "note";
  item.textContent = say(entry.key, entry);
}

function minuteOf({ time }) {
  return Math.floor(time / MINUTE_MS);
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
