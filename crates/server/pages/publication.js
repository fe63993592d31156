// What a publication says: from any JSON to an author and a text, and from what the user typed to JSON.
//
// Anyone may publish anything, so nothing is taken for granted here. The result is plain strings; log.js shows them
// as text and never as HTML.

export const NAME_CHARACTERS_MAX = 32;
const AUTHOR_CHARACTERS_SHOWN_MAX = 64;

/** A user name as it is kept: one line, no needless space, at most NAME_CHARACTERS_MAX characters. */
export function tidyName(text) {
  return clip(oneLine(text), NAME_CHARACTERS_MAX);
}

/** The `data` of what this user writes. `time` is the sender's clock; shown is the server's. */
export function writeData(user, content) {
  return { user, content, time: new Date().toISOString() };
}

/**
 * What to show of a received `message`: `author` ("" when the server published without naming one), `account` (who
 * the server says it was, when that differs), `isServer`, `text`, `isCode` (show as written, in a monospaced face).
 */
export function readPublication(received) {
  const { data, from } = received;
  const claimed = isRecord(data) && typeof data.user === "string" ? oneLine(data.user) : "";
  const account = typeof from?.user === "string" ? oneLine(from.user) : "";
  return {
    author: clip(claimed || account, AUTHOR_CHARACTERS_SHOWN_MAX),
    account: account !== claimed && claimed ? clip(account, AUTHOR_CHARACTERS_SHOWN_MAX) : "",
    isServer: !from,
    ...readText(received),
  };
}

/** Whether a received publication is the echo of what was sent. */
export function isEchoOf(received, sent) {
  return isRecord(received) && received.time === sent.time && received.content === sent.content;
}

/** The size in bytes of a command as it travels. */
export function commandBytes(command) {
  return new TextEncoder().encode(JSON.stringify(command)).length;
}

function readText({ data, data_base64: base64 }) {
  if (typeof base64 === "string") return { text: base64, isCode: true };
  if (typeof data === "string") return { text: data, isCode: false };
  if (isRecord(data) && typeof data.content === "string") return { text: data.content, isCode: false };
  const shown = isRecord(data) && data.content !== undefined ? data.content : data;
  return { text: JSON.stringify(shown, null, 2) ?? "", isCode: shown !== null && typeof shown === "object" };
}

function isRecord(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** One line without control characters and without those that turn the writing direction of what follows. */
function oneLine(text) {
  return text
    .replace(/[\p{Cc}\s]+/gu, " ")
    .replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "")
    .trim()
    .normalize("NFC");
}

function clip(text, charactersMax) {
  return [...text].slice(0, charactersMax).join("").trim();
}
