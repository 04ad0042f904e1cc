// The client: one connection after another, the rooms and commands that outlive them, and what the
// application is told.
//
//   application ─▶ Client ─┬─▶ Commands ──▶ Connection ─▶ WebSocket
//                          ├─▶ Following (one per room)
//                          └─▶ TokenSource
//
// What belongs to one connection is in connection.ts, to one room in following.ts.

import { Backoff } from "./backoff.js";
import { encodeBase64 } from "./base64.js";
import { ABNORMAL, comesBack, INVALID_TOKEN, TOKEN_EXPIRED, TOO_BIG } from "./comeback.js";
import { Commands, type Outcome } from "./commands.js";
import { Connection, type End } from "./connection.js";
import { Emitter } from "./emitter.js";
import { platform, socketUrl } from "./environment.js";
import type { Cancel, Environment, SocketClass } from "./environment.js";
import { KingletError } from "./errors.js";
import { Following } from "./following.js";
import { PositionKeeper } from "./keeper.js";
import { parsePosition, parsePublications, parseTime } from "./message.js";
import type { Fields, Hello, Message } from "./message.js";
import { TokenSource, type Taken } from "./token.js";
import type {
  ClientEvents,
  ClientOptions,
  History,
  HistoryOptions,
  Presence,
  Published,
  PublishOptions,
  State,
  StateChange,
  SubscribeOptions,
  Subscription,
} from "./types.js";

/** A connection that lasted this long was a good one; those lost sooner keep the delays growing. */
const STEADY_MS = 10_000;

/** A session may stay for 25 s after its token has expired: enough for several attempts. */
const REFRESH_RETRY_MS = 5_000;

const TIMEOUT_MS = 10_000;
const QUEUE_MAX = 1_000;
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 30_000;

/** A participant in the rooms of one server. */
export class Client {
  readonly #url: string;
  readonly #options: ClientOptions;
  readonly #environment: Environment;
  readonly #socketClass: SocketClass;
  readonly #emitter: Emitter<ClientEvents>;
  readonly #commands: Commands;
  readonly #rooms = new Map<string, Following>();
  readonly #tokens: TokenSource;
  readonly #backoff: Backoff;

  #state: State = "disconnected";
  #session: string | undefined;
  #user: string | undefined;
  #connection: Connection | undefined;
  /** The attempt in progress: the callback's answer, or the delay before it. */
  #cancelAttempt: Cancel = () => {};
  /** Set while only the delay is waited for, which a network that is back ends. */
  #isWaiting = false;
  #cancelTimers: Cancel[] = [];
  #stopListening: Cancel = () => {};
  #isTokenNew = false;
  /** An upgrade with a token failed without a reason: the next attempt asks for one. */
  #showsTokenByCommand = false;

  /**
   * Does nothing before `connect`. `url` is the server's (`https://example.org`), the socket's
   * (`wss://example.org/ws`), or relative to the page; fails if it is none, and where the platform
   * has no WebSocket and none is given.
   */
  constructor(url: string, options: ClientOptions = {}, environment: Environment = platform) {
    const socketClass = options.WebSocket ?? environment.WebSocket;
    if (socketClass === undefined) {
      throw new TypeError("there is no WebSocket here: give one, as in { WebSocket } from ws");
    }
    this.#url = socketUrl(url);
    this.#options = options;
    this.#environment = environment;
    this.#socketClass = socketClass;
    this.#emitter = new Emitter(environment);
    this.#commands = new Commands(environment);
    this.#tokens = new TokenSource(options.token, environment);
    this.#backoff = this.#newBackoff();
  }

  /** Whether it is connected, or tries to be. */
  get state(): State {
    return this.#state;
  }

  /** The id of the session, for `except`; absent while there is no connection. */
  get session(): string | undefined {
    return this.#session;
  }

  /** Who the server says this is; absent in open mode, and before the first connection. */
  get user(): string | undefined {
    return this.#user;
  }

  /** Calls `listener` for every event of that name, until the returned function is called. */
  on<Name extends keyof ClientEvents>(
    name: Name,
    listener: (event: ClientEvents[Name]) => void,
  ): () => void {
    return this.#emitter.on(name, listener);
  }

  /** Connects, and keeps connecting whenever the connection is lost; while it does so, nothing. */
  connect(): void {
    if (this.#state !== "disconnected") return;
    this.#backoff.reset();
    this.#showsTokenByCommand = false;
    this.#stopListening = this.#environment.whenOnline(() => this.#online());
    this.#become({ state: "connecting" });
    this.#attempt();
  }

  /** Ends the connection. Commands that wait fail; subscriptions stay for another `connect`. */
  close(): void {
    if (this.#state === "disconnected") return;
    const connection = this.#connection;
    for (const following of this.#rooms.values()) following.flush();
    this.#interrupted(false, "closed by the client");
    connection?.close();
    this.#disconnect({ state: "disconnected" }, "the client was closed");
  }

  /**
   * Listens to a room from now on, or from when there is a connection. Fails if there is a
   * subscription to it already: what one hands over, one hands on.
   */
  subscribe<Data = unknown>(
    room: string,
    options: SubscribeOptions<Data>["onPublication"] | SubscribeOptions<Data>,
  ): Subscription {
    if (this.#rooms.has(room)) throw new Error(`${room}: there is a subscription to it already`);
    const given = typeof options === "function" ? { onPublication: options } : options;
    const { persist } = given;
    const keeper = persist === undefined ? undefined : this.#newKeeper(persist, room);
    const host = {
      environment: this.#environment,
      ask: (body: Fields, settle: (outcome: Outcome) => void) => {
        this.#commands.ask(body, { timeout: this.#timeout }, settle);
      },
      forget: (forgotten: string, isLeft: boolean) => this.#forget(forgotten, isLeft),
    };
    // What the data are is the application's word, not ours.
    const promised = given as SubscribeOptions;
    const following = new Following(room, promised, host, this.#newBackoff(), keeper);
    this.#rooms.set(room, following);
    if (this.#state === "connected") following.connected();
    return following;
  }

  /** Puts an event into a room or several. Bytes in place of JSON are a `Uint8Array`. */
  async publish(
    rooms: string | readonly string[],
    event: string,
    data: unknown = null,
    options: PublishOptions = {},
  ): Promise<Published> {
    const { key, source, except, timeout } = options;
    const body = {
      type: "publish",
      ...(typeof rooms === "string" ? { room: rooms } : { rooms }),
      event,
      ...(data instanceof Uint8Array ? { data_base64: encodeBase64(data) } : { data }),
      key,
      source,
      except,
    };
    const answer = await this.#ask(body, timeout, key !== undefined);
    const { room, offset, epoch, results } = answer as unknown as Published;
    return { room, offset, epoch, results };
  }

  /** Reads a page of what a room retains. */
  async history(room: string, options: HistoryOptions = {}): Promise<History> {
    const { since, epoch, limit, reverse } = options;
    const answer = await this.#ask({ type: "history", room, since, epoch, limit, reverse });
    const position = parsePosition(answer);
    return {
      room,
      epoch: position?.epoch ?? "",
      offset: position?.offset ?? 0,
      publications: parsePublications(answer, room),
      more: answer["more"] === true,
    };
  }

  /** Says who is in a room. */
  async presence(room: string): Promise<Presence> {
    const answer = await this.#ask({ type: "presence", room });
    const { users, sessions, members } = answer as unknown as Presence;
    const position = parsePosition(answer);
    return {
      room,
      users,
      sessions,
      members,
      truncated: answer["truncated"] === true,
      ...(position === undefined ? {} : { position }),
    };
  }

  /** Asks whether the server is there; returns how long the answer took, in milliseconds. */
  async ping(): Promise<number> {
    const begin = this.#environment.now();
    await this.#ask({ type: "ping" });
    return this.#environment.now() - begin;
  }

  get #timeout(): number {
    return this.#options.timeout ?? TIMEOUT_MS;
  }

  #ask(body: Fields, timeout = this.#timeout, isRepeatable = false): Promise<Fields> {
    return new Promise((resolve, reject) => {
      if (this.#state === "disconnected") {
        throw new KingletError("DISCONNECTED", "the client is not connected: call connect first");
      }
      const queue = this.#options.queue ?? QUEUE_MAX;
      if (this.#commands.size >= queue) {
        throw new KingletError("QUEUE_FULL", `${queue} commands wait for their answers already`);
      }
      this.#commands.ask(body, { timeout, isRepeatable }, (outcome) => {
        if (outcome instanceof KingletError) reject(outcome);
        else resolve(outcome);
      });
    });
  }

  #attempt(): void {
    this.#isWaiting = false;
    this.#cancelAttempt = this.#tokens.take((token, isNew) => {
      this.#isTokenNew = isNew;
      this.#open(token);
    });
  }

  #open(token: Taken | KingletError): void {
    if (token instanceof KingletError) {
      this.#emitter.emit("error", token);
      return this.#comeBack({ code: ABNORMAL, reason: token.message });
    }
    if (token === null) {
      const reason = "the token callback has no token";
      return this.#disconnect({ state: "disconnected", code: INVALID_TOKEN, reason }, reason);
    }
    const attempt = {
      url: this.#url,
      WebSocket: this.#socketClass,
      token,
      byCommand: this.#showsTokenByCommand,
    };
    try {
      this.#connection = new Connection(attempt, this.#environment, {
        greeted: (hello) => this.#greeted(hello),
        received: (message) => this.#received(message),
        ended: (end) => this.#ended(end, token),
      });
    } catch (error) {
      // The platform refuses the address: a page of https may not open ws, for one.
      const reason = String(error);
      this.#disconnect({ state: "disconnected", code: ABNORMAL, reason }, reason);
    }
  }

  #greeted(hello: Hello): void {
    this.#session = hello.session;
    this.#user = hello.user;
    this.#state = "connected";
    this.#showsTokenByCommand = false;
    this.#cancelTimers.push(this.#environment.after(STEADY_MS, () => this.#backoff.reset()));
    this.#commands.attach((text) => this.#connection?.send(text));
    this.#leave(hello.rooms.filter((room) => !this.#rooms.has(room)));
    // Before what waits, so that whoever publishes into a room hears it.
    for (const following of [...this.#rooms.values()]) following.connected();
    this.#commands.flush();
    if (hello.user !== undefined) this.#planRefresh(hello.time);
    this.#become({ state: "connected" });
  }

  #received(message: Message): void {
    switch (message.kind) {
      case "answer":
        return this.#commands.answer(message.id, message.body);
      case "removed":
        return this.#rooms.get(message.room)?.removed();
      case "publication": {
        const { publication, places } = message;
        const followed = places.filter(({ room }) => this.#rooms.has(room));
        for (const { room, offset } of followed) {
          this.#rooms.get(room)?.published({ ...publication, room, offset });
        }
        if (followed.length === 0) this.#emitter.emit("publication", publication);
        return;
      }
      case "hello":
        return; // The connection's business, which passes none on.
    }
  }

  #ended(end: End, token: string | undefined): void {
    const { code, reason } = end;
    // A message that was too big would be again.
    this.#interrupted(code !== TOO_BIG, `${code} ${reason}`.trimEnd());
    if (!end.wasOpen && token !== undefined) this.#showsTokenByCommand = !this.#showsTokenByCommand;
    const isAboutToken = code === TOKEN_EXPIRED || code === INVALID_TOKEN;
    if (isAboutToken) this.#tokens.drop();
    const hasAnother = this.#tokens.isRefreshable && (code === TOKEN_EXPIRED || !this.#isTokenNew);
    if (isAboutToken ? hasAnother : comesBack(code)) return this.#comeBack({ code, reason });
    this.#disconnect({ state: "disconnected", code, reason }, reason || `closed with ${code}`);
  }

  /** What belongs to the connection ends with it. */
  #interrupted(mayRepeat: boolean, why: string): void {
    this.#connection = undefined;
    this.#session = undefined;
    for (const cancel of this.#cancelTimers.splice(0)) cancel();
    for (const following of this.#rooms.values()) following.disconnected();
    this.#commands.detach(mayRepeat, why);
  }

  #comeBack(why: { readonly code: number; readonly reason: string }): void {
    const retryIn = this.#backoff.next();
    this.#isWaiting = true;
    this.#cancelAttempt = this.#environment.after(retryIn, () => this.#attempt());
    this.#become({ state: "connecting", ...why, retryIn });
  }

  #disconnect(change: StateChange, reason: string): void {
    this.#cancelAttempt();
    this.#isWaiting = false;
    this.#stopListening();
    this.#state = "disconnected";
    this.#commands.end(new KingletError("DISCONNECTED", reason));
    this.#become(change);
  }

  /** The machine has a network again: nobody waits any longer, and a connection may be dead. */
  #online(): void {
    if (this.#isWaiting) {
      this.#cancelAttempt();
      this.#attempt();
    } else if (this.#state === "connected") {
      this.#connection?.probe();
    }
  }

  #planRefresh(serverTime: number): void {
    const delay = this.#tokens.accepted(serverTime);
    if (delay !== undefined) this.#refreshAfter(delay);
  }

  #refreshAfter(delay: number): void {
    this.#cancelTimers.push(this.#environment.after(delay, () => this.#refresh()));
  }

  /** Replaces the token in place. What fails is tried again until the server ends the session. */
  #refresh(): void {
    const failed = (error: KingletError) => {
      this.#emitter.emit("error", error);
      this.#refreshAfter(REFRESH_RETRY_MS);
    };
    const take = (token: Taken | KingletError) => {
      if (token instanceof KingletError) return failed(token);
      if (typeof token !== "string") return; // The session ends with the token that it has.
      this.#commands.ask({ type: "auth", token }, { timeout: this.#timeout }, (outcome) => {
        if (!(outcome instanceof KingletError)) {
          this.#planRefresh(parseTime(outcome["timestamp"]));
        } else if (outcome.code !== "CONNECTION_LOST" && outcome.code !== "DISCONNECTED") {
          this.#tokens.drop();
          failed(outcome);
        }
      });
    };
    this.#cancelTimers.push(this.#tokens.renew(take));
  }

  /** Leaves rooms that the session is in by itself and nobody subscribed to. */
  #leave(rooms: readonly string[]): void {
    if (rooms.length === 0) return;
    this.#commands.ask({ type: "unsubscribe", rooms }, { timeout: this.#timeout }, () => {});
  }

  #forget(room: string, isLeft: boolean): void {
    this.#rooms.delete(room);
    if (!isLeft && this.#state === "connected") this.#leave([room]);
  }

  #become(change: StateChange): void {
    this.#state = change.state;
    this.#emitter.emit("state", change);
  }

  #newBackoff(): Backoff {
    const { backoffFirst = BACKOFF_FIRST_MS, backoffMax = BACKOFF_MAX_MS } = this.#options;
    return new Backoff(backoffFirst, backoffMax, this.#environment);
  }

  #newKeeper(persist: string, room: string): PositionKeeper {
    const storage = () => this.#options.storage ?? this.#environment.storage();
    const report = (error: KingletError) => this.#emitter.emit("error", error);
    return new PositionKeeper(persist, room, storage, report);
  }
}
