// Draws the parts of one message: avatar, author, content, time. Plain functions from strings to elements.
//
// What others wrote goes in as text only. A link is the one thing made from it, and only to http and https.

import { languageTag, say } from "./words.js";

const LONG_CHARACTERS = 1_500;
const LONG_LINES = 20;
const TINTS = 8;
const LINK = /https?:\/\/[^\s<>"']+/g;

/** The circle with the first letter of a name, for eyes only. */
export function fillAvatar(target, name) {
  target.textContent = firstLetter(name);
  target.dataset.tint = tintOf(name);
}

/** A new avatar, which screen readers pass over. */
export function avatar(name) {
  const circle = element("span", "avatar", []);
  circle.setAttribute("aria-hidden", "true");
  fillAvatar(circle, name);
  return circle;
}

/** Who wrote it, and what the server says about that. */
export function byline({ publication, badge }, name) {
  const author = textElement("span", "author", name);
  author.dataset.testid = "author";
  author.dir = "auto";
  const parts = [author];
  if (publication.account) parts.push(textElement("span", "badge", say("account", publication)));
  if (publication.isServer && publication.author) parts.push(textElement("span", "badge", say("server")));
  if (badge) parts.push(textElement("span", "badge", say(badge)));
  return element("p", "byline", parts);
}

/** The content; a long one folded, with a button to show it all. */
export function bubble({ publication }) {
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

/** The server's time of a message, in the reader's language and time zone. */
export function timeOf({ time }) {
  const date = new Date(time);
  const shown = textElement("time", "", format(date, { hour: "2-digit", minute: "2-digit" }));
  shown.dataset.testid = "time";
  shown.dateTime = date.toISOString();
  shown.title = format(date, { dateStyle: "full", timeStyle: "medium" });
  return shown;
}

/** The name to show for a publication's author. */
export function authorName({ author, isServer }) {
  return author || say(isServer ? "server" : "guest");
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

/** The day of a time, to be compared. */
export function dayOf(time) {
  return new Date(time).toDateString();
}

/** The day of a time, to be read. */
export function dayName(time) {
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

/** One of the colours of style.css, always the same for the same name. */
export function tintOf(name) {
  let hash = 7;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) >>> 0;
  return String(hash % TINTS);
}

/** An element of the given parts: elements, or strings that become text. */
export function element(tag, className, parts) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...parts);
  return made;
}

/** An element with one text. */
export function textElement(tag, className, text) {
  return element(tag, className, [text]);
}

/** A small button. */
export function button(text, onClick) {
  const made = textElement("button", "small", text);
  made.type = "button";
  made.addEventListener("click", onClick);
  return made;
}
