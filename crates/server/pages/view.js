// Everything on the page but the messages: room list, title bar, connection state, composer, error, dialogs.
//
// In: the model, to be drawn. Out: what the user wants, through hooks. It decides nothing about rooms or sending.

import { fillAvatar } from "./message.js";
import { isDark, onSystemTheme, toggleTheme } from "./theme.js";
import { otherLanguageTag, say, toggleLanguage, translateDocument } from "./words.js";

const narrow = matchMedia("(max-width: 46rem)");
const isTouch = matchMedia("(hover: none)");
const UNREAD_SHOWN_MAX = 99;
const SIZE_WARNED_FROM = 0.9;

const part = (id) => document.getElementById(id);

export class View {
  #hooks;
  #items = new Map();
  #state = { name: "connecting", retryAt: 0, reason: "" };
  #ticker = 0;
  #wasConnected = false;

  /**
   * `hooks`: `onJoin(name)` (true clears the field), `onLeave()`, `onOpen(room)`, `onStep(±1)`, `onSend(text)` (true
   * clears the field), `onDraft(text)`, `onName(name)` (true closes the dialog), `onNow()`, `onLanguage()`.
   */
  constructor(hooks) {
    this.#hooks = hooks;
    this.#wireRooms();
    this.#wireComposer();
    this.#wireDialogs();
    this.#wireTools();
    this.#wireKeys();
    this.translate();
    this.closeDrawer();
  }

  /** Puts all that does not depend on the rooms into the chosen language. */
  translate() {
    translateDocument();
    const language = part("language");
    language.textContent = say("languageShort");
    language.lang = otherLanguageTag();
    this.showState(this.#state);
  }

  /** Draws the room list and the title bar. Items keep their place in the document, so that focus is kept. */
  showRooms(rooms) {
    const list = part("rooms");
    for (const [room, item] of this.#items) {
      if (rooms.byTopic(room.topic) === room) continue;
      item.remove();
      this.#items.delete(room);
    }
    for (const room of rooms) {
      if (!this.#items.has(room)) this.#items.set(room, list.appendChild(this.#makeRoom(room)));
      this.#drawRoom(room, room === rooms.active);
    }
    this.#showActive(rooms.active);
    this.#showUnread(rooms);
  }

  /** `{name, retryAt, reason}` as connection.js reports it; counts down to the next attempt. */
  showState(state) {
    this.#announce(state);
    this.#state = state;
    part("state").dataset.state = state.name;
    part("state-now").textContent = say(state.name === "offline" ? "connect" : "now");
    part("state-now").hidden = state.name === "connected" || (state.name !== "offline" && !state.retryAt);
    clearInterval(this.#ticker);
    if (state.retryAt) this.#ticker = setInterval(() => this.#drawState(), 500);
    this.#drawState();
  }

  showError(text) {
    part("error-text").textContent = text;
    part("error").hidden = false;
  }

  clearError() {
    part("error").hidden = true;
    part("error-text").textContent = "";
  }

  showName(name) {
    fillAvatar(part("me-avatar"), name);
    part("me-name").textContent = name || say("nameMissing");
  }

  askName(name) {
    part("name").value = name;
    part("name-cancel").hidden = name === "";
    if (!part("name-dialog").open) part("name-dialog").showModal();
    part("name").select();
  }

  setDraft(text) {
    const field = part("composer");
    field.value = text;
    fitHeight(field);
  }

  /** The size of the message in the composer against the server's limit; 0 for an empty one, or an unknown limit. */
  showSize(bytes, max) {
    const size = part("composer-size");
    const share = max ? bytes / max : 0;
    size.textContent = bytes && max ? say("size", { bytes, max }) : "";
    size.dataset.level = share > 1 ? "over" : share >= SIZE_WARNED_FROM ? "near" : "fine";
    part("send").disabled = share > 1 || part("composer").disabled;
  }

  /** Ready to type, except where that would push up a keyboard nobody asked for. */
  focusComposer() {
    if (!part("composer").disabled && !isTouch.matches) part("composer").focus();
  }

  closeDrawer() {
    this.#setDrawer(false);
  }

  #makeRoom(room) {
    const item = document.createElement("li");
    const open = item.appendChild(document.createElement("button"));
    open.type = "button";
    open.className = "room";
    open.dataset.testid = "room";
    open.dataset.room = room.name;
    const tile = open.appendChild(document.createElement("span"));
    tile.className = "tile";
    tile.setAttribute("aria-hidden", "true");
    fillAvatar(tile, room.name);
    const name = open.appendChild(document.createElement("span"));
    name.className = "room-name";
    name.dir = "auto";
    name.textContent = room.name;
    const unread = open.appendChild(document.createElement("span"));
    unread.className = "unread";
    unread.dataset.testid = "unread";
    open.addEventListener("click", () => this.#hooks.onOpen(room));
    return item;
  }

  #drawRoom(room, isActive) {
    const open = this.#items.get(room).firstElementChild;
    if (isActive) open.setAttribute("aria-current", "true");
    else open.removeAttribute("aria-current");
    const unread = open.lastElementChild;
    unread.hidden = room.unread === 0;
    unread.textContent = room.unread > UNREAD_SHOWN_MAX ? `${UNREAD_SHOWN_MAX}+` : String(room.unread);
    unread.dataset.count = String(room.unread);
    unread.setAttribute("role", "img");
    unread.setAttribute("aria-label", say("unread", { unread: room.unread }));
  }

  #showActive(room) {
    part("room").textContent = room?.name ?? say("rooms");
    part("leave").hidden = !room;
    part("composer").disabled = !room;
    const label = room ? say("composer", { room: room.name }) : say("noRoomTitle");
    part("composer-label").textContent = label;
    part("composer").placeholder = label;
    if (room) part("leave").setAttribute("aria-label", say("leaveRoom", { room: room.name }));
    const occupancy = part("occupancy");
    const here = room?.occupancy ?? null;
    occupancy.hidden = here === null;
    occupancy.dataset.count = here === null ? "" : String(here);
    if (here === null) return;
    occupancy.textContent = say("here", { here });
    occupancy.title = say("hereLabel", { here });
  }

  #showUnread(rooms) {
    let unread = 0;
    for (const room of rooms) unread += room.unread;
    const room = rooms.active ? `${rooms.active.name} – ` : "";
    document.title = `${unread ? `(${unread}) ` : ""}${room}${say("title")}`;
    const menu = part("rooms-open");
    menu.setAttribute("aria-label", unread ? say("openRoomsUnread", { unread }) : say("openRooms"));
    menu.classList.toggle("has-unread", unread > 0);
  }

  #drawState() {
    const { name, retryAt, reason, isTurnedAway } = this.#state;
    const seconds = Math.max(1, Math.ceil((retryAt - Date.now()) / 1000));
    let text = say(name);
    if (name === "reconnecting" && retryAt) text = say("reconnectingIn", { seconds });
    if (name === "offline" && reason) text = say("offlineStopped", { reason });
    if (name === "reconnecting" && isTurnedAway) text = say("turnedAway");
    part("state-text").textContent = text;
  }

  /** Says aloud that the connection was lost or is back, but not every second of the countdown. */
  #announce({ name, reason, isTurnedAway }) {
    const before = this.#state.name;
    if (isTurnedAway && !this.#state.isTurnedAway) part("announced").textContent = say("turnedAway");
    if (name === before && !reason) return;
    if (name === "connected" && this.#wasConnected) part("announced").textContent = say("connected");
    if (name === "connected") this.#wasConnected = true;
    if (name === "reconnecting" && before === "connected") part("announced").textContent = say("lostAnnounce");
    if (name === "offline") part("announced").textContent = reason ? say("offlineStopped", { reason }) : say("offline");
  }

  #wireRooms() {
    part("join").addEventListener("submit", (event) => {
      event.preventDefault();
      const field = part("room-name");
      const isJoined = this.#hooks.onJoin(field.value.trim());
      field.setAttribute("aria-invalid", String(!isJoined));
      if (isJoined) field.value = "";
    });
    part("room-name").addEventListener("input", () => part("room-name").removeAttribute("aria-invalid"));
    part("leave").addEventListener("click", () => this.#hooks.onLeave());
    part("rooms-open").addEventListener("click", () => this.#setDrawer(true));
    part("rooms-close").addEventListener("click", () => this.#setDrawer(false));
    part("shade").addEventListener("click", () => this.#setDrawer(false));
    narrow.addEventListener("change", () => this.#setDrawer(false));
  }

  #setDrawer(isOpen) {
    const hadFocus = part("side").contains(document.activeElement);
    document.body.classList.toggle("drawer-open", isOpen && narrow.matches);
    part("side").inert = narrow.matches && !isOpen;
    part("main").inert = narrow.matches && isOpen;
    part("rooms-open").setAttribute("aria-expanded", String(isOpen));
    if (isOpen) part("rooms-close").focus();
    else if (narrow.matches && hadFocus) part("rooms-open").focus();
  }

  #wireComposer() {
    const field = part("composer");
    field.addEventListener("input", () => {
      fitHeight(field);
      this.#hooks.onDraft(field.value);
    });
    field.addEventListener("keydown", (event) => {
      // While an input method composes (Chinese, Japanese), Enter picks a word. Safari says so by key code 229 only.
      const isComposing = event.isComposing || event.keyCode === 229;
      if (event.key !== "Enter" || event.shiftKey || isComposing) return;
      event.preventDefault();
      this.#send();
    });
    part("compose").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
      if (!document.querySelector("dialog[open]")) field.focus();
    });
  }

  #send() {
    if (part("send").disabled || part("composer").disabled) return;
    if (!this.#hooks.onSend(part("composer").value)) return;
    this.setDraft("");
    this.#hooks.onDraft("");
  }

  #wireDialogs() {
    part("name-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.#hooks.onName(part("name").value)) return;
      part("name-dialog").close();
      this.focusComposer();
    });
    part("name-change").addEventListener("click", () => this.#hooks.onName(null));
    part("name-cancel").addEventListener("click", () => part("name-dialog").close());
    part("keys").addEventListener("click", () => part("keys-dialog").showModal());
    part("keys-close").addEventListener("click", () => part("keys-dialog").close());
    part("error-close").addEventListener("click", () => {
      this.clearError();
      this.focusComposer();
    });
  }

  #wireTools() {
    part("state-now").addEventListener("click", () => this.#hooks.onNow());
    part("language").addEventListener("click", () => {
      toggleLanguage();
      this.translate();
      this.#hooks.onLanguage();
    });
    const drawTheme = () => part("theme").setAttribute("aria-pressed", String(isDark()));
    part("theme").addEventListener("click", () => {
      toggleTheme();
      drawTheme();
    });
    onSystemTheme(drawTheme);
    drawTheme();
  }

  #wireKeys() {
    document.addEventListener("keydown", (event) => {
      if (document.querySelector("dialog[open]")) return;
      const hasCommand = event.ctrlKey || event.metaKey;
      if (event.altKey && !hasCommand && event.key === "ArrowUp") this.#hooks.onStep(-1);
      else if (event.altKey && !hasCommand && event.key === "ArrowDown") this.#hooks.onStep(1);
      else if (hasCommand && event.key.toLowerCase() === "k") this.#focusJoin();
      else if (hasCommand && event.key === "/") part("keys-dialog").showModal();
      else if (event.key === "Escape" && !event.isComposing) this.#escape();
      else return;
      event.preventDefault();
    });
  }

  #focusJoin() {
    this.#setDrawer(true);
    part("room-name").focus();
  }

  #escape() {
    this.clearError();
    this.closeDrawer();
    this.focusComposer();
  }
}

function fitHeight(field) {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
}
