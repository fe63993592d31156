// The one WebSocket to the server, in the json dialect: opens it, notices when it dies, opens it again.
//
// In: commands to send, and wake-ups from the page. Out: the state to show, the welcome, every later push and reply,
// and the loss of a connection. It knows no rooms; who owns it subscribes again after each welcome.

const SUBPROTOCOL = "fanfare.json.v1";
const DELAY_FIRST_MS = 1_000;
const DELAY_MAX_MS = 20_000;
const WELCOME_TIMEOUT_MS = 15_000;
const PING_INTERVAL_DEFAULT_MS = 21_000;
const QUIET_GRACE_MS = 10_000;
const ANSWER_TIMEOUT_MS = 10_000;
const STABLE_AFTER_MS = 5_000;
const WAKE_SPREAD_MS = 800;

/** How long to wait before attempt number `attempt` (from 0): growing, and jittered between half and the whole. */
export function reconnectDelayMs(attempt, random = Math.random()) {
  const ceiling = Math.min(DELAY_MAX_MS, DELAY_FIRST_MS * 2 ** Math.min(attempt, 16));
  return ceiling * (0.5 + random / 2);
}

/** Whether a close code says that the same request may be tried again. */
export function mayReconnect(code) {
  return !((code >= 3500 && code <= 3999) || (code >= 4500 && code <= 4999));
}

export class Connection {
  #address;
  #hooks;
  #socket = null;
  #isWelcomed = false;
  #isTurnedAway = false;
  #goodbye = null;
  #attempt = 0;
  #wasConnected = false;
  #connectedAt = 0;
  #heardAt = 0;
  #askedAt = 0;
  #quietMaxMs = PING_INTERVAL_DEFAULT_MS + QUIET_GRACE_MS;
  #retryTimer = 0;
  #retryAt = 0;
  #retryNotBefore = 0;
  #deadline = 0;
  #heartbeat = 0;

  /**
   * `hooks`: `onState({name, retryAt, reason, isTurnedAway})`, `onWelcome(welcome)`, `onReceived(push or reply)`,
   * `onLost()`, `isServerThere()`. `name` is connecting, connected, reconnecting or offline; `retryAt` is when the next
   * attempt starts, 0 when one is running or none is planned; `reason` is the server's word when it wants no reconnect;
   * `isTurnedAway` says that the server is there but opened no WebSocket.
   */
  constructor(address, hooks) {
    this.#address = address;
    this.#hooks = hooks;
  }

  get isOpen() {
    return this.#isWelcomed && this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Starts an attempt at once, whatever was planned. Does nothing while one runs or the connection is open. */
  connect() {
    if (this.#socket) return;
    clearTimeout(this.#retryTimer);
    this.#goodbye = null;
    this.#retryAt = 0;
    const isFirst = this.#attempt === 0 && !this.#wasConnected;
    this.#report(isFirst ? "connecting" : waitingName());
    try {
      this.#open(new WebSocket(this.#address, SUBPROTOCOL));
    } catch {
      this.#lose(1006, "");
    }
  }

  /** The network or the page came back: try soon if waiting, and make sure of a connection that looks open. */
  wake() {
    if (this.#socket) {
      if (this.#isWelcomed) this.#probe();
      return;
    }
    if (!this.#retryAt) return;
    const soon = Date.now() + Math.random() * WAKE_SPREAD_MS;
    const retryAt = Math.min(this.#retryAt, Math.max(soon, this.#retryNotBefore));
    this.#plan(retryAt);
  }

  /** Hands a command to the socket. False when it is not open: then nothing was sent. */
  send(command) {
    if (!this.isOpen) return false;
    this.#socket.send(JSON.stringify(command));
    return true;
  }

  #open(socket) {
    this.#socket = socket;
    this.#isWelcomed = false;
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#lose(event.code, event.reason);
    this.#deadline = setTimeout(() => this.#lose(1006, ""), WELCOME_TIMEOUT_MS);
  }

  #receive(text) {
    this.#heardAt = Date.now();
    const received = parseObject(text);
    if (!received) return;
    if (received.type === "welcome") this.#welcome(received);
    else if (received.type === "goodbye") this.#goodbye = received;
    else if (received.type !== "pong") this.#hooks.onReceived(received);
  }

  #welcome(welcome) {
    clearTimeout(this.#deadline);
    this.#isWelcomed = true;
    this.#isTurnedAway = false;
    this.#wasConnected = true;
    this.#connectedAt = Date.now();
    this.#retryNotBefore = 0;
    const interval = welcome.ping_interval_ms > 0 ? welcome.ping_interval_ms : PING_INTERVAL_DEFAULT_MS;
    this.#quietMaxMs = interval + QUIET_GRACE_MS;
    this.#watch();
    this.#report("connected");
    this.#hooks.onWelcome(welcome);
  }

  /** Waits until nothing has arrived for too long. The server's WebSocket pings are invisible to a page. */
  #watch() {
    clearTimeout(this.#heartbeat);
    const left = this.#heardAt + this.#quietMaxMs - Date.now();
    if (left <= 0) this.#probe();
    else this.#heartbeat = setTimeout(() => this.#watch(), left);
  }

  /** Asks for a sign of life; without one the connection is dead. Asking again does not extend the time. */
  #probe() {
    if (this.#askedAt) return;
    clearTimeout(this.#heartbeat);
    const askedAt = (this.#askedAt = Date.now());
    this.send({ type: "ping" });
    this.#heartbeat = setTimeout(() => {
      this.#askedAt = 0;
      if (this.#heardAt < askedAt) this.#lose(1006, "");
      else this.#watch();
    }, ANSWER_TIMEOUT_MS);
  }

  /** Lets go of the socket without waiting for its closing handshake, which a dead network never finishes. */
  #lose(code, reason) {
    const socket = this.#socket;
    const wasWelcomed = this.#isWelcomed;
    this.#socket = null;
    this.#isWelcomed = false;
    this.#askedAt = 0;
    clearTimeout(this.#deadline);
    clearTimeout(this.#heartbeat);
    if (socket) {
      socket.onmessage = null;
      socket.onclose = null;
      socket.close();
    }
    this.#planAfter({ code, reason, reconnect: mayReconnect(code), ...this.#goodbye });
    if (wasWelcomed) this.#hooks.onLost();
    else this.#findOutWhy();
  }

  async #findOutWhy() {
    const isTurnedAway = await this.#hooks.isServerThere();
    if (this.#isWelcomed || !this.#retryAt || this.#isTurnedAway === isTurnedAway) return;
    this.#isTurnedAway = isTurnedAway;
    this.#report(waitingName());
  }

  #planAfter({ code, reason, reconnect, reconnect_after_ms: spreadMs }) {
    if (reconnect === false) {
      this.#retryAt = 0;
      this.#report("offline", reason || String(code));
      return;
    }
    if (this.#connectedAt && Date.now() - this.#connectedAt >= STABLE_AFTER_MS) this.#attempt = 0;
    this.#connectedAt = 0;
    const delayMs = spreadMs > 0 ? spreadMs : reconnectDelayMs(this.#attempt);
    this.#attempt += 1;
    this.#retryNotBefore = spreadMs > 0 ? Date.now() + spreadMs : 0;
    this.#plan(Date.now() + delayMs);
  }

  #plan(retryAt) {
    clearTimeout(this.#retryTimer);
    this.#retryAt = retryAt;
    this.#retryTimer = setTimeout(() => this.connect(), Math.max(0, retryAt - Date.now()));
    this.#report(waitingName());
  }

  #report(name, reason = "") {
    const isWaiting = name === "reconnecting" || name === "offline";
    const retryAt = isWaiting && !this.#socket ? this.#retryAt : 0;
    this.#hooks.onState({ name, retryAt, reason, isTurnedAway: this.#isTurnedAway });
  }
}

/** Without a network the attempts go on, since the server may be on this machine, but the page says why they fail. */
function waitingName() {
  return navigator.onLine === false ? "offline" : "reconnecting";
}

function parseObject(text) {
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}
