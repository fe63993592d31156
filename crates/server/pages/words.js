// Every text of the page, in English and in Chinese, and the choice between them.
//
// `say("key", values)` gives a text. Elements of index.html name theirs: `data-say` for the content, `data-say-label`
// for the accessible name, `data-say-placeholder` and `data-say-title` likewise. A new language is one more table.

import { recall, remember } from "./memory.js";

const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
const grouped = (number) => number.toLocaleString("en");

const WORDS = {
  en: {
    title: "Fanfare chat",
    skip: "Skip to the message field",
    rooms: "Rooms",
    openRooms: "Show rooms",
    closeRooms: "Hide rooms",
    openRoomsUnread: ({ unread }) => `Show rooms, ${count(unread, "unread message", "unread messages")}`,
    roomField: "Join or create a room",
    roomPlaceholder: "Room name",
    join: "Join",
    leave: "Leave",
    leaveRoom: ({ room }) => `Leave ${room}`,
    unread: ({ unread }) => count(unread, "unread message", "unread messages"),
    here: ({ here }) => `${grouped(here)} here`,
    hereLabel: ({ here }) => count(here, "connection in this room", "connections in this room"),
    log: ({ room }) => `Messages in ${room}`,
    composer: ({ room }) => `Message to ${room}`,
    composerHint: "Enter sends, Shift+Enter starts a new line",
    send: "Send",
    size: ({ bytes, max }) => `${grouped(bytes)} of ${grouped(max)} bytes`,
    latest: "Latest messages",
    latestNew: ({ unread }) => count(unread, "new message", "new messages"),
    newLine: "New",
    today: "Today",
    yesterday: "Yesterday",
    server: "server",
    guest: "guest",
    you: "you",
    toAll: "to everyone",
    direct: "only to you",
    account: ({ account }) => `signed in as ${account}`,
    showAll: "Show all",
    waiting: "Waiting for the connection",
    sent: "Sending…",
    accepted: "Sending…",
    unsure: "The connection broke. This may not have arrived.",
    refused: ({ problem }) => `Not sent: ${problem}`,
    again: "Send again",
    discard: "Discard",
    connecting: "Connecting…",
    connected: "Connected",
    reconnecting: "Reconnecting…",
    reconnectingIn: ({ seconds }) => `Reconnecting in ${seconds} s`,
    lostAnnounce: "Connection lost. Reconnecting.",
    turnedAway: "The server does not let this page in",
    offline: "Offline",
    offlineStopped: ({ reason }) => `Disconnected by the server: ${reason}`,
    now: "Now",
    connect: "Connect",
    emptyTitle: ({ room }) => `This is ${room}`,
    emptyText: "Nobody has said anything since you came in. Say hello.",
    noRoomTitle: "No room is open",
    noRoomText: "Join one by name; a room that does not exist is created.",
    missed: ({ count: missed }) => `${count(missed, "message", "messages")} missed here`,
    missedSome: "The server started this room anew; messages may be missing here",
    nameTitle: "What shall we call you?",
    nameText: "Others see this name next to your messages. You can change it at any time.",
    nameField: "Your name",
    nameSave: "Save",
    nameChange: "Change your name",
    nameMissing: "Choose a name",
    cancel: "Cancel",
    themeDark: "Dark theme",
    language: "切换到中文",
    languageShort: "中文",
    keys: "Keyboard shortcuts",
    keySend: "Send the message",
    keyLine: "New line",
    keyRooms: "Previous or next room",
    keyJoin: "Join a room",
    keyEscape: "Back to the message field",
    close: "Close",
    dismiss: "Dismiss",
    roomEmpty: "Type the name of a room.",
    roomSpace: "A room name has no spaces. Try a hyphen.",
    roomReserved: "A room name has none of * # ? > and does not begin with $.",
    roomInvisible: "This room name contains a character that cannot be seen.",
    roomLong: "This room name is too long.",
    roomsMax: ({ max }) => `The server allows ${count(max, "room", "rooms")} at once. Leave one first.`,
    joinRefused: ({ room, problem }) => `${room} cannot be joined: ${problem}`,
    removed: ({ room }) => `The server took you out of ${room}.`,
    tooLong: "This message is longer than the server takes.",
    outgoingMax: ({ max }) => `${grouped(max)} messages are waiting already. Wait for the connection.`,
    serverSays: ({ problem }) => `The server says: ${problem}`,
    temporary: ({ problem }) => `${problem} (it may work later)`,
    noScript: "This chat needs JavaScript.",
  },
  zh: {
    title: "Fanfare 聊天",
    skip: "跳到消息输入框",
    rooms: "房间",
    openRooms: "显示房间",
    closeRooms: "隐藏房间",
    openRoomsUnread: ({ unread }) => `显示房间，${grouped(unread)} 条未读消息`,
    roomField: "加入或创建房间",
    roomPlaceholder: "房间名称",
    join: "加入",
    leave: "离开",
    leaveRoom: ({ room }) => `离开 ${room}`,
    unread: ({ unread }) => `${grouped(unread)} 条未读消息`,
    here: ({ here }) => `${grouped(here)} 人在线`,
    hereLabel: ({ here }) => `此房间有 ${grouped(here)} 个连接`,
    log: ({ room }) => `${room} 的消息`,
    composer: ({ room }) => `发消息到 ${room}`,
    composerHint: "Enter 发送，Shift+Enter 换行",
    send: "发送",
    size: ({ bytes, max }) => `${grouped(bytes)} / ${grouped(max)} 字节`,
    latest: "最新消息",
    latestNew: ({ unread }) => `${grouped(unread)} 条新消息`,
    newLine: "新消息",
    today: "今天",
    yesterday: "昨天",
    server: "服务器",
    guest: "访客",
    you: "我",
    toAll: "发给所有人",
    direct: "只发给你",
    account: ({ account }) => `登录账号：${account}`,
    showAll: "显示全部",
    waiting: "等待连接",
    sent: "正在发送…",
    accepted: "正在发送…",
    unsure: "连接中断，这条消息可能没有送达。",
    refused: ({ problem }) => `未发送：${problem}`,
    again: "重新发送",
    discard: "丢弃",
    connecting: "正在连接…",
    connected: "已连接",
    reconnecting: "正在重新连接…",
    reconnectingIn: ({ seconds }) => `${seconds} 秒后重新连接`,
    lostAnnounce: "连接已断开，正在重新连接。",
    turnedAway: "服务器不允许此页面连接",
    offline: "离线",
    offlineStopped: ({ reason }) => `服务器断开了连接：${reason}`,
    now: "立即连接",
    connect: "连接",
    emptyTitle: ({ room }) => `这里是 ${room}`,
    emptyText: "你进来以后还没有人说话，打个招呼吧。",
    noRoomTitle: "没有打开的房间",
    noRoomText: "输入名称即可加入；房间不存在时会自动创建。",
    missed: ({ count: missed }) => `这里漏掉了 ${grouped(missed)} 条消息`,
    missedSome: "服务器重新建立了此房间，这里可能漏掉了消息",
    nameTitle: "怎么称呼你？",
    nameText: "别人会在你的消息旁看到这个名字，随时可以更改。",
    nameField: "你的名字",
    nameSave: "保存",
    nameChange: "更改名字",
    nameMissing: "起个名字",
    cancel: "取消",
    themeDark: "深色主题",
    language: "Switch to English",
    languageShort: "English",
    keys: "键盘快捷键",
    keySend: "发送消息",
    keyLine: "换行",
    keyRooms: "上一个或下一个房间",
    keyJoin: "加入房间",
    keyEscape: "回到消息输入框",
    close: "关闭",
    dismiss: "关闭提示",
    roomEmpty: "请输入房间名称。",
    roomSpace: "房间名称不能含空格，可以用连字符。",
    roomReserved: "房间名称不能含 * # ? >，也不能以 $ 开头。",
    roomInvisible: "房间名称含有不可见的字符。",
    roomLong: "房间名称太长。",
    roomsMax: ({ max }) => `服务器最多允许同时加入 ${grouped(max)} 个房间，请先离开一个。`,
    joinRefused: ({ room, problem }) => `无法加入 ${room}：${problem}`,
    removed: ({ room }) => `服务器已将你移出 ${room}。`,
    tooLong: "这条消息超过了服务器允许的长度。",
    outgoingMax: ({ max }) => `已有 ${grouped(max)} 条消息在等待，请等连接恢复。`,
    serverSays: ({ problem }) => `服务器提示：${problem}`,
    temporary: ({ problem }) => `${problem}（稍后可能成功）`,
    noScript: "聊天需要 JavaScript。",
  },
};

/** The language tags for `lang` attributes and for dates. */
const TAGS = { en: navigator.languages.find((tag) => /^en\b/i.test(tag)) ?? "en", zh: "zh-CN" };

let language = chooseLanguage();

function chooseLanguage() {
  const kept = recall("language");
  if (Object.hasOwn(WORDS, kept)) return kept;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** A text in the chosen language. */
export function say(key, values) {
  const words = WORDS[language][key];
  return typeof words === "function" ? words(values) : words;
}

export function languageTag() {
  return TAGS[language];
}

/** The tag of the language that `toggleLanguage` would change to. */
export function otherLanguageTag() {
  return language === "en" ? TAGS.zh : TAGS.en;
}

export function toggleLanguage() {
  language = language === "en" ? "zh" : "en";
  remember("language", language);
}

/** Puts the chosen language into everything that names its text in index.html. */
export function translateDocument() {
  document.documentElement.lang = languageTag();
  for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  translateAttribute("data-say-label", "aria-label");
  translateAttribute("data-say-placeholder", "placeholder");
  translateAttribute("data-say-title", "title");
}

function translateAttribute(source, target) {
  for (const element of document.querySelectorAll(`[${source}]`)) {
    element.setAttribute(target, say(element.getAttribute(source)));
  }
}
