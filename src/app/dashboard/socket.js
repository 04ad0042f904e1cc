// The live side: one WebSocket with the subprotocol kinglet.v1, and the rooms that are followed on
// it. It comes back when it is lost, and then asks for what was missed.

const SUBPROTOCOL = "kinglet.v1";
const HELLO_TIMEOUT_MS = 20000;
/** How long the server may be silent beyond the interval of our pings. */
const SILENCE_MS = 20000;
const FIRST_DELAY_MS = 500;
const DELAY_MAX_MS = 15000;

const EXPIRED = 4001;
const INVALID = 4500;

/** Whether a connection that ended with this code is to be made again (docs/protocol.md). */
function comesBack(code) {
  return ![1002, 1003, 1007, 1008, 1010].includes(code) && (code < 4500 || code > 4999);
}

export class Socket {
  /** Called with a state (connecting, live, waiting, paused, refused, off), and why it is so. */
  onState = () => {};
  /** Called when the token may have been refused: a browser does not say why an upgrade failed. */
  onDoubt = () => {};
  #token = "";
  #state = "off";
  #socket;
  #timer;
  #pings;
  #failures = 0;
  #id = 0;
  #pingInterval = 25000;
  /** Room to its follower. */
  #rooms = new Map();

  get isLive() {
    return this.#state === "live";
  }

  /** Connects, and stays connected. */
  start(token) {
    this.#token = token;
    this.#failures = 0;
    this.#end();
    this.#connect();
  }

  /** Ends the connection; it does not come back by itself. */
  stop(state = "off", why = "") {
    this.#end();
    this.#tell(state, why);
  }

  /** Ends the connection while nobody looks. */
  pause() {
    if (this.#state !== "off" && this.#state !== "refused") this.stop("paused");
  }

  /** Connects at once if it was paused, or waits. */
  resume() {
    if (this.#state === "paused" || this.#state === "waiting") this.start(this.#token);
  }

  /**
   * Follows a room until the function that is returned is called. The follower has `since` (where
   * to begin, if not now), `onEvent(publication)`, and perhaps `onJoined(reply)` and
   * `onRefused(error)`.
   */
  follow(room, follower) {
    if (this.#state === "off") {
      follower.onRefused?.({ message: "live events need a token" });
      return () => {};
    }
    const entry = { ...follower, position: follower.since, id: 0, isJoined: false };
    this.#rooms.set(room, entry);
    if (this.isLive) this.#join(room, entry);
    return () => {
      if (this.#rooms.get(room) !== entry) return;
      this.#rooms.delete(room);
      if (this.isLive) this.#send({ type: "unsubscribe", room });
    };
  }

  #tell(state, why = "") {
    this.#state = state;
    this.onState(state, why);
  }

  #connect() {
    this.#tell("connecting");
    const url = new URL("ws", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    const offered = this.#token === "" ? [SUBPROTOCOL] : [SUBPROTOCOL, `bearer.${this.#token}`];
    let socket;
    try {
      socket = new WebSocket(url, offered);
    } catch (error) {
      this.#tell("refused", error.message);
      return;
    }
    this.#socket = socket;
    let wasOpen = false;
    this.#timer = setTimeout(() => this.#lose(socket, 1006, "no hello in time"), HELLO_TIMEOUT_MS);
    socket.onopen = () => (wasOpen = true);
    socket.onmessage = ({ data }) => this.#hear(socket, data);
    socket.onclose = ({ code, reason }) => {
      const isOurs = this.#socket === socket;
      this.#lose(socket, code, reason);
      if (isOurs && !wasOpen) this.onDoubt("");
    };
  }

  /** Drops the connection without telling. */
  #end() {
    clearTimeout(this.#timer);
    clearInterval(this.#pings);
    const socket = this.#socket;
    this.#socket = undefined;
    for (const entry of this.#rooms.values()) entry.isJoined = false;
    socket?.close(1000);
  }

  #lose(socket, code, reason) {
    if (this.#socket !== socket) return;
    this.#end();
    if (code === EXPIRED || code === INVALID) {
      this.#tell("refused", reason);
      this.onDoubt(reason || "the token is not accepted any more");
    } else if (comesBack(code)) {
      const ceiling = Math.min(DELAY_MAX_MS, FIRST_DELAY_MS * 2 ** this.#failures);
      this.#failures += 1;
      this.#tell("waiting", reason);
      this.#timer = setTimeout(() => this.#connect(), ceiling * (0.5 + Math.random() / 2));
    } else {
      this.#tell("refused", reason || `closed with ${code}`);
    }
  }

  #send(message) {
    this.#socket?.send(JSON.stringify(message));
  }

  #hear(socket, data) {
    if (this.#socket !== socket) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => this.#lose(socket, 1006, "the server fell silent"),
      this.#pingInterval + SILENCE_MS,
    );
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (message.type === "connected" && !this.isLive) this.#greet(message);
    else if (message.id !== undefined) this.#answer(message);
    else if (message.offset !== undefined && message.room !== undefined) this.#deliver(message);
  }

  #greet(hello) {
    this.#failures = 0;
    this.#pingInterval = hello.ping_interval_ms || this.#pingInterval;
    this.#pings = setInterval(() => this.#send({ type: "ping" }), this.#pingInterval);
    // Whoever names no room begins in some, which are not shown unless they are followed.
    const others = hello.rooms.map(({ room }) => room).filter((room) => !this.#rooms.has(room));
    if (others.length > 0) this.#send({ type: "unsubscribe", rooms: others });
    this.#tell("live");
    for (const [room, entry] of this.#rooms) this.#join(room, entry);
  }

  #join(room, entry) {
    this.#id += 1;
    entry.id = this.#id;
    entry.isJoined = false;
    this.#send({ type: "subscribe", room, since: entry.position, id: entry.id });
  }

  #answer(message) {
    for (const [room, entry] of this.#rooms) {
      if (entry.id !== message.id || entry.isJoined) continue;
      if (message.type === "error") {
        this.#rooms.delete(room);
        entry.onRefused?.(message.data ?? {});
        return;
      }
      entry.isJoined = true;
      entry.onJoined?.(message);
      for (const publication of message.publications ?? []) entry.onEvent({ room, ...publication });
      entry.position = { epoch: message.epoch, offset: message.offset };
    }
  }

  /** A publication to several rooms comes once; all but its first room hear it as a copy. */
  #deliver(message) {
    const others = (message.also ?? []).map((place) => ({ ...message, ...place, isCopy: true }));
    for (const publication of [message, ...others]) {
      const entry = this.#rooms.get(publication.room);
      if (entry === undefined || !entry.isJoined) continue;
      entry.position = { epoch: entry.position?.epoch, offset: publication.offset };
      entry.onEvent(publication);
    }
  }
}
