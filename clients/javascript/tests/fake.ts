// A world for the client in which nothing happens by itself: time moves when a test says so, and
// the test is the server.

import assert from "node:assert/strict";

import { Client } from "../src/client.js";
import type { Environment, PositionStorage, SocketClass, SocketLike } from "../src/environment.js";
import type { Fields } from "../src/message.js";
import type { ClientOptions, StateChange } from "../src/types.js";

/** When the fake clocks begin. */
export const START = Date.parse("2026-01-01T00:00:00.000Z");

/** One timer that waits. */
interface Timer {
  readonly at: number;
  readonly action: () => void;
}

/** Time, chance and the network in the hands of a test. */
export class FakeEnvironment implements Environment {
  /** What `random` returns: the longest delay, unless a test says otherwise. */
  chance = 0.999_999;
  /** What handlers threw. */
  readonly thrown: unknown[] = [];
  readonly sockets: FakeSocket[] = [];
  readonly items = new Map<string, string>();
  readonly WebSocket: SocketClass;
  readonly #timers = new Set<Timer>();
  readonly #online = new Set<() => void>();
  #now = START;

  constructor() {
    const { sockets } = this;
    this.WebSocket = class extends FakeSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols);
        sockets.push(this);
      }
    };
  }

  now(): number {
    return this.#now;
  }

  random(): number {
    return this.chance;
  }

  after(milliseconds: number, action: () => void): () => void {
    const timer = { at: this.#now + milliseconds, action };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  whenOnline(action: () => void): () => void {
    this.#online.add(action);
    return () => this.#online.delete(action);
  }

  rethrow(error: unknown): void {
    this.thrown.push(error);
  }

  storage(): PositionStorage {
    return {
      getItem: (name) => this.items.get(name) ?? null,
      setItem: (name, value) => void this.items.set(name, value),
      removeItem: (name) => void this.items.delete(name),
    };
  }

  /** The newest socket. */
  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    assert(socket, "there was no attempt to connect");
    return socket;
  }

  /** How many timers wait. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Says that there is a network again. */
  online(): void {
    for (const action of [...this.#online]) action();
  }

  /** Lets time pass, and every timer fire that is due, in order. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds;
    for (;;) {
      const [next] = [...this.#timers].sort((one, other) => one.at - other.at);
      if (next === undefined || next.at > end) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.action();
    }
    this.#now = end;
  }
}

/** A socket whose other end is the test. */
export class FakeSocket implements SocketLike {
  onopen: SocketLike["onopen"] = null;
  onmessage: SocketLike["onmessage"] = null;
  onerror: SocketLike["onerror"] = null;
  onclose: SocketLike["onclose"] = null;
  /** What the client sent. */
  readonly sent: Fields[] = [];
  isClosed = false;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {}

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.isClosed = true;
  }

  /** The server accepts the upgrade. */
  open(): void {
    this.onopen?.({});
  }

  /** The server says something. */
  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  /** The server ends it. */
  end(code = 1006, reason = ""): void {
    this.onclose?.({ code, reason });
  }

  /** The server accepts the upgrade and greets. */
  greet(hello: object = {}): this {
    this.open();
    this.say({
      type: "connected",
      session: "s1",
      user: null,
      ping_interval_ms: 25_000,
      rooms: [],
      timestamp: new Date(START).toISOString(),
      ...hello,
    });
    return this;
  }

  /** The types of what the client sent. */
  get types(): unknown[] {
    return this.sent.map(({ type }) => type);
  }

  /** The last command of this type; the test fails if there is none. */
  last(type: string): Fields {
    const command = this.sent.filter((sent) => sent["type"] === type).at(-1);
    assert(command, `no ${type} among ${JSON.stringify(this.sent)}`);
    return command;
  }

  /** Answers the last command of this type. */
  answer(type: string, reply: object): void {
    this.say({ type, id: this.last(type)["id"], ...reply });
  }

  /** Refuses the last command of this type. */
  refuse(type: string, code: string): void {
    const data = { code, message: `refused: ${code}`, details: { room: "a" } };
    this.answer(type, { type: "error", error: data.message, data });
  }

  /** Answers the last `subscribe`. */
  subscribed(epoch: string, offset: number, more: object = {}): void {
    const { room } = this.last("subscribe");
    this.answer("subscribe", { type: "subscribed", room, epoch, offset, ...more });
  }

  /** Answers the last `history`. */
  page(epoch: string, offsets: readonly number[], more: boolean): void {
    const publications = offsets.map(entry);
    const { room } = this.last("history");
    this.answer("history", { room, epoch, offset: 0, publications, more });
  }

  /** Publishes into rooms that the session is in. */
  publish(room: string, offset: number, more: object = {}): void {
    this.say({ ...entry(offset), room, ...more });
  }
}

/** An entry of a history. */
export function entry(offset: number): object {
  return { type: "tick", offset, timestamp: "2026-01-01T00:00:00.000Z", data: offset };
}

/** Offsets from `first` to `last`. */
export function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** A client in a world of its own, and what it told. */
export interface World {
  readonly environment: FakeEnvironment;
  readonly client: Client;
  readonly states: StateChange[];
  readonly errors: string[];
}

/** A client that was not told to connect yet. */
export function world(options: ClientOptions = {}, environment = new FakeEnvironment()): World {
  const client = new Client("ws://server.test", options, environment);
  const states: StateChange[] = [];
  const errors: string[] = [];
  client.on("state", (change) => states.push(change));
  client.on("error", ({ code }) => errors.push(code));
  return { environment, client, states, errors };
}

/** A client that is connected. */
export function connectedWorld(options: ClientOptions = {}): World {
  const made = world(options);
  made.client.connect();
  made.environment.socket.greet();
  return made;
}

/** Lets promises be looked at. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
