// Everything at once, in random orders: publications, commands, answers and cuts between the client
// and a model of the server. Whatever happens, each publication is handed over once and in order,
// or said to be lost. KINGLET_SEED=17 plays one seed.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { Fields } from "../src/message.js";
import type { Position } from "../src/types.js";
import { entry, FakeEnvironment, range, world, type FakeSocket } from "./fake.js";

const SEEDS = process.env["KINGLET_SEED"] ? [Number(process.env["KINGLET_SEED"])] : range(1, 300);
const STEPS = 400;

/** The server's limits, small so that they are met. */
const RECOVERY_MAX = 6;
const PAGE_MAX = 4;

/** Numbers that a seed repeats (mulberry32). */
function randomness(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** A server with one room and one session. */
class Model {
  epoch = 1;
  last = 0;
  /** Everything after this is retained. */
  trimmed = 0;
  #socket: FakeSocket;
  #isMember = false;
  #taken = 0;
  /** On the way to the client: what is live in order; a history may come later than it was read. */
  readonly #live: object[] = [];
  readonly #pages: object[] = [];

  constructor(private readonly environment: FakeEnvironment) {
    this.#socket = environment.socket.greet();
  }

  get isQuiet(): boolean {
    const { sent } = this.#socket;
    return this.#live.length + this.#pages.length === 0 && this.#taken === sent.length;
  }

  publish(): void {
    this.last += 1;
    if (this.#isMember) this.#live.push({ ...entry(this.last), room: "a" });
  }

  /** Handles the next command. */
  handle(): void {
    const command = this.#socket.sent[this.#taken];
    if (command === undefined) return;
    this.#taken += 1;
    const { id, type } = command;
    if (type === "ping") this.#live.push({ type: "pong", id });
    if (type === "history") this.#pages.push({ id, ...this.#page(command) });
    if (type !== "subscribe") return;
    this.#isMember = true;
    this.#live.push({ type: "subscribed", id, ...this.#where(), ...this.#recover(command) });
  }

  /** Brings the client its next message, or a page that was read some time ago. */
  deliver(isPage: boolean): void {
    const message = (isPage ? this.#pages : this.#live).shift();
    if (message !== undefined) this.#socket.say(message);
  }

  /** Cuts the connection, and greets the next. */
  cut(): void {
    this.#socket.end();
    this.environment.advance(30_000);
    this.#socket = this.environment.socket.greet();
    this.#isMember = false;
    this.#taken = 0;
    this.#live.length = 0;
    this.#pages.length = 0;
  }

  /** Forgets everything but the newest `kept`. */
  trim(kept: number): void {
    this.trimmed = Math.max(this.trimmed, this.last - kept);
  }

  /** A new stream under the same name: the server was killed. */
  reset(): void {
    this.epoch += 1;
    this.last = 0;
    this.trimmed = 0;
    this.cut();
  }

  #where(): object {
    return { room: "a", epoch: `e${this.epoch}`, offset: this.last };
  }

  #recover(command: Fields): object {
    const since = command["since"] as Position | undefined;
    if (since === undefined) return {};
    const isOther = since.epoch !== undefined && since.epoch !== `e${this.epoch}`;
    const isGone = since.offset < this.trimmed || this.last - since.offset > RECOVERY_MAX;
    if (isOther || isGone) return { recovered: false, publications: [] };
    return { recovered: true, publications: range(since.offset + 1, this.last).map(entry) };
  }

  #page(command: Fields): object {
    const { since, epoch } = command;
    if (epoch !== undefined && epoch !== `e${this.epoch}`) {
      return { type: "error", data: { code: "STREAM_RESET", message: "", details: {} } };
    }
    const retained = range(Math.max(this.trimmed, Number(since)) + 1, this.last);
    const publications = retained.slice(0, PAGE_MAX).map(entry);
    return { type: "history", ...this.#where(), publications, more: retained.length > PAGE_MAX };
  }
}

/** Plays one seed; returns how much was handed over and how often something was lost. */
function play(seed: number): { heard: number; losses: number } {
  const draw = randomness(seed);
  const { environment, client } = world();
  environment.chance = 0;
  let reached: Position = { offset: 0 };
  let [heard, losses] = [0, 0];
  const subscription = client.subscribe("a", {
    since: 0,
    onPublication: ({ offset }) => {
      assert.equal(offset, reached.offset + 1, `seed ${seed}: the next one`);
      reached = { ...reached, offset };
      heard += 1;
    },
    onLost: ({ since, position }) => {
      assert.equal(since.offset, reached.offset, `seed ${seed}: lost from where it was`);
      reached = position;
      losses += 1;
    },
    onSubscribed: ({ position }) => {
      assert.equal(position.offset, reached.offset, `seed ${seed}: live from where it was`);
      reached = position;
    },
  });
  client.connect();
  const model = new Model(environment);
  for (let step = 0; step < STEPS; step += 1) {
    const chance = draw(100);
    if (chance < 30) model.publish();
    else if (chance < 55) model.handle();
    else if (chance < 80) model.deliver(false);
    else if (chance < 92) model.deliver(true);
    else if (chance < 96) model.cut();
    else if (chance < 97) for (let more = draw(20); more > 0; more -= 1) model.publish();
    else if (chance < 99) model.trim(draw(20));
    else model.reset();
  }
  while (!model.isQuiet) {
    model.handle();
    model.deliver(false);
    model.deliver(true);
  }
  assert.equal(subscription.state, "subscribed", `seed ${seed}`);
  const end = { epoch: `e${model.epoch}`, offset: model.last };
  assert.deepEqual(subscription.position, end, `seed ${seed}: nothing is missing at the end`);
  assert.deepEqual(reached.offset, end.offset, `seed ${seed}`);
  return { heard, losses };
}

test("each publication is handed over once or said to be lost, whatever happens", () => {
  const played = SEEDS.map(play);
  const sum = (count: (one: { heard: number; losses: number }) => number) =>
    played.reduce((all, one) => all + count(one), 0);
  // Both happen often, or this would show nothing.
  assert(sum(({ heard }) => heard) > 20 * SEEDS.length);
  assert(sum(({ losses }) => losses) > SEEDS.length);
});
