// Rooms across connections: what was missed, what comes twice, what is lost.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { Client } from "../src/client.js";
import type { Lost, Subscribed, SubscribeOptions, Subscription } from "../src/types.js";
import { connectedWorld, entry, range, world, type FakeEnvironment } from "./fake.js";

/** What a subscription told. */
interface Heard {
  readonly subscription: Subscription;
  readonly offsets: number[];
  readonly subscribed: Subscribed[];
  readonly lost: Lost[];
  readonly ended: string[];
}

function listen(client: Client, room: string, options: Partial<SubscribeOptions> = {}): Heard {
  const told = { offsets: [] as number[], subscribed: [] as Subscribed[], lost: [] as Lost[] };
  const ended: string[] = [];
  const subscription = client.subscribe(room, {
    onPublication: ({ offset }) => told.offsets.push(offset),
    onSubscribed: (subscribed) => told.subscribed.push(subscribed),
    onLost: (lost) => told.lost.push(lost),
    onUnsubscribed: ({ code }) => ended.push(code),
    ...options,
  });
  return { subscription, ...told, ended };
}

/** Cuts the connection and makes another. */
function reconnect(environment: FakeEnvironment): void {
  environment.socket.end();
  environment.advance(30_000);
  environment.socket.greet();
}

/** A subscription to `a` that is live at epoch e, offset 5, and then has lost its connection. */
function returning(
  options: Partial<SubscribeOptions> = {},
): Heard & { environment: FakeEnvironment } {
  const { environment, client } = connectedWorld();
  const heard = listen(client, "a", options);
  environment.socket.subscribed("e", 5);
  reconnect(environment);
  return { environment, ...heard };
}

test("begins with what is new, and knows where it is", () => {
  const { environment, client } = connectedWorld();
  const { subscription, offsets, subscribed } = listen(client, "a");
  assert.equal(subscription.state, "subscribing");
  assert(!("since" in environment.socket.last("subscribe")));
  environment.socket.publish("a", 4);
  environment.socket.subscribed("e", 5);
  environment.socket.publish("a", 6);
  assert.deepEqual(offsets, [6]);
  assert.equal(subscription.state, "subscribed");
  assert.deepEqual(subscription.position, { epoch: "e", offset: 6 });
  assert.deepEqual(subscribed, [{ position: { epoch: "e", offset: 5 } }]);
});

test("recovers what it missed, then goes on, in one turn and without repeats", () => {
  const { environment, offsets, subscribed, lost } = returning();
  const { socket } = environment;
  assert.deepEqual(socket.last("subscribe")["since"], { epoch: "e", offset: 5 });
  socket.publish("a", 8);
  socket.subscribed("e", 8, { recovered: true, publications: [6, 7, 8].map(entry) });
  for (const offset of [8, 9, 9, 7, 10]) socket.publish("a", offset);
  assert.deepEqual(offsets, range(6, 10));
  assert.deepEqual(subscribed.at(-1), { position: { epoch: "e", offset: 8 }, recovered: true });
  assert.deepEqual(lost, []);
});

test("says that all is void when the stream began anew", () => {
  const { environment, offsets, subscribed, lost } = returning();
  environment.socket.subscribed("f", 2, { recovered: false, publications: [] });
  environment.socket.publish("a", 3);
  const position = { epoch: "f", offset: 2 };
  assert.deepEqual(lost, [{ position, since: { epoch: "e", offset: 5 }, reason: "reset" }]);
  assert.deepEqual(subscribed.at(-1), { position, recovered: false });
  assert.deepEqual(offsets, [3]);
});

test("pages through the history when there is more than one answer holds", () => {
  const { environment, offsets, lost, subscribed } = returning();
  const { socket } = environment;
  socket.subscribed("e", 1000, { recovered: false, publications: [] });
  const { type, room, since, epoch } = socket.last("history");
  assert.deepEqual([type, room, since, epoch], ["history", "a", 5, "e"]);
  socket.publish("a", 1001);
  socket.page("e", range(6, 305), true);
  assert.equal(socket.last("history")["since"], 305);
  socket.page("e", range(306, 1001), false);
  assert.deepEqual(socket.last("subscribe")["since"], { epoch: "e", offset: 1001 });
  socket.publish("a", 1002);
  socket.subscribed("e", 1002, { recovered: true, publications: [entry(1002)] });
  socket.publish("a", 1003);
  assert.deepEqual(offsets, range(6, 1003));
  assert.deepEqual(lost, []);
  assert.equal(subscribed.at(-1)?.recovered, true);
});

test("pages again while more is published than one answer holds, and not for ever", () => {
  const { environment, offsets, lost } = returning();
  const { socket } = environment;
  let last = 5;
  for (let round = 0; round < 8; round += 1) {
    socket.subscribed("e", last + 1000, { recovered: false, publications: [] });
    socket.page("e", range(last + 1, last + 10), false);
    last += 10;
  }
  assert.deepEqual(lost, []);
  socket.subscribed("e", 2000, { recovered: false, publications: [] });
  const position = { epoch: "e", offset: 2000 };
  assert.deepEqual(lost, [{ position, since: { epoch: "e", offset: last }, reason: "expired" }]);
  socket.publish("a", 2001);
  assert.deepEqual(offsets, [...range(6, last), 2001]);
});

test("says that something is lost when the history has a gap, or nothing, or is refused", () => {
  const check = (answer: (environment: FakeEnvironment) => void) => {
    const { environment, offsets, lost } = returning();
    const { socket } = environment;
    socket.subscribed("e", 1000, { recovered: false, publications: [] });
    answer(environment);
    assert(!("since" in socket.last("subscribe")));
    socket.publish("a", 1001);
    socket.subscribed("e", 1001);
    const position = { epoch: "e", offset: 1001 };
    assert.deepEqual(lost, [{ position, since: { epoch: "e", offset: 5 }, reason: "expired" }]);
    socket.publish("a", 1002);
    assert.deepEqual(offsets, [1002]);
  };
  check(({ socket }) => socket.page("e", range(7, 20), true));
  check(({ socket }) => socket.page("e", [], false));
  for (const code of ["NOT_FOUND", "STREAM_RESET", "PERMISSION_DENIED"]) {
    check(({ socket }) => socket.refuse("history", code));
  }
});

test("goes on from the page that it reached when the connection is cut meanwhile", () => {
  const { environment, offsets } = returning();
  const stale = environment.socket;
  stale.subscribed("e", 1000, { recovered: false, publications: [] });
  stale.page("e", range(6, 305), true);
  reconnect(environment);
  assert.deepEqual(environment.socket.last("subscribe")["since"], { epoch: "e", offset: 305 });
  stale.page("e", range(306, 605), false);
  assert.equal(offsets.at(-1), 305);
});

test("begins where it is told to", () => {
  const check = (since: SubscribeOptions["since"], expected: object) => {
    const { environment, client } = connectedWorld();
    const { offsets } = listen(client, "a", { since: since ?? 0 });
    assert.deepEqual(environment.socket.last("subscribe")["since"], expected);
    environment.socket.subscribed("e", 2, { recovered: true, publications: [1, 2].map(entry) });
    assert.deepEqual(offsets, [1, 2]);
  };
  check(0, { offset: 0 });
  check({ epoch: "e", offset: 0 }, { epoch: "e", offset: 0 });
});

test("what went to several rooms is handed over in each", () => {
  const { environment, client } = connectedWorld();
  const [a, b] = ["a", "b"].map((room) => {
    const heard = listen(client, room);
    environment.socket.subscribed("e", 0);
    return heard;
  });
  const uid = "u";
  const also = [{ room: "b", offset: 9 }];
  environment.socket.publish("a", 3, { uid, also });
  environment.socket.publish("elsewhere", 3, { uid, also: [{ room: "b", offset: 10 }] });
  assert.deepEqual([a?.offsets, b?.offsets], [[3], [9, 10]]);
});

test("what nobody subscribed to is told by the client", () => {
  const { environment, client } = connectedWorld();
  const rooms: string[] = [];
  client.on("publication", ({ room }) => rooms.push(room));
  environment.socket.publish("put:in", 1);
  assert.deepEqual(rooms, ["put:in"]);
});

test("a handler that throws misses nothing and harms nobody", () => {
  let count = 0;
  const { environment } = returning({
    onPublication: () => {
      count += 1;
      throw new Error("mine");
    },
  });
  environment.socket.subscribed("e", 7, { recovered: true, publications: [6, 7].map(entry) });
  environment.socket.publish("a", 8);
  assert.equal(count, 3);
  assert.equal(environment.thrown.length, 3);
});

test("whoever unsubscribes in the middle hears no more", () => {
  const { environment, client } = connectedWorld();
  const offsets: number[] = [];
  const subscription = client.subscribe("a", {
    since: 0,
    onPublication: ({ offset }) => {
      offsets.push(offset);
      if (offset === 2) subscription.unsubscribe();
    },
    onSubscribed: () => assert.fail(),
  });
  environment.socket.subscribed("e", 3, { recovered: true, publications: [1, 2, 3].map(entry) });
  environment.socket.publish("a", 4);
  assert.deepEqual(offsets, [1, 2]);
  assert.equal(subscription.state, "unsubscribed");
  assert.deepEqual(environment.socket.last("unsubscribe")["rooms"], ["a"]);
  reconnect(environment);
  assert.deepEqual(environment.socket.types, []);
  client.subscribe("a", () => {});
  assert.equal(environment.socket.last("subscribe")["room"], "a");
});

test("whoever closes the client in the middle goes on from there", () => {
  const { environment, client } = connectedWorld();
  const offsets: number[] = [];
  client.subscribe("a", {
    since: 0,
    onPublication: ({ offset }) => {
      offsets.push(offset);
      if (offset === 2) client.close();
    },
  });
  environment.socket.subscribed("e", 3, { recovered: true, publications: [1, 2, 3].map(entry) });
  client.connect();
  environment.socket.greet();
  assert.deepEqual(environment.socket.last("subscribe")["since"], { offset: 2 });
  assert.deepEqual(offsets, [1, 2]);
});

test("one room has one subscription", () => {
  const { client } = connectedWorld();
  client.subscribe("a", () => {});
  assert.throws(() => client.subscribe("a", () => {}), /already/);
});

test("a subscription made without a connection works with the next", () => {
  const { environment, client } = world();
  const { offsets, subscription } = listen(client, "a");
  assert.equal(subscription.state, "subscribing");
  client.connect();
  environment.socket.end();
  const other = listen(client, "b");
  environment.advance(499);
  environment.socket.greet();
  const rooms = environment.socket.sent.map(({ room }) => room);
  assert.deepEqual(rooms, ["a", "b"]);
  environment.socket.subscribed("e", 0);
  environment.socket.publish("b", 1);
  assert.deepEqual([offsets, other.offsets], [[], [1]]);
});

test("a room that is refused or taken away is not asked for again", () => {
  const check = (code: string, end: (environment: FakeEnvironment) => void) => {
    const { environment, ended, subscription } = returning();
    end(environment);
    assert.deepEqual(ended, [code]);
    assert.equal(subscription.state, "unsubscribed");
    subscription.unsubscribe();
    reconnect(environment);
    assert.deepEqual(environment.socket.types, []);
  };
  check("PERMISSION_DENIED", ({ socket }) => socket.refuse("subscribe", "PERMISSION_DENIED"));
  check("REMOVED", ({ socket }) => socket.say({ type: "unsubscribed", room: "a" }));
});

test("a refusal that passes is tried again, with a ping before it", () => {
  const { environment, ended, offsets } = returning();
  const { socket } = environment;
  socket.refuse("subscribe", "SERVER_BUSY");
  environment.advance(498);
  assert.deepEqual(socket.types, ["subscribe"]);
  environment.advance(1);
  socket.answer("ping", { type: "pong" });
  assert.deepEqual(socket.types, ["subscribe", "ping", "subscribe"]);
  socket.subscribed("e", 6, { recovered: true, publications: [entry(6)] });
  assert.deepEqual([ended, offsets], [[], [6]]);
});

test("an answer without a position is asked for again", () => {
  const { environment, subscription } = returning();
  environment.socket.answer("subscribe", { type: "subscribed", room: "a" });
  assert.equal(subscription.state, "subscribing");
  environment.advance(499);
  environment.socket.answer("ping", { type: "pong" });
  environment.socket.subscribed("e", 5, { recovered: true });
  assert.equal(subscription.state, "subscribed");
});

test("a position outlives the page", () => {
  const { environment, client } = connectedWorld();
  listen(client, "a", { persist: "tab" });
  const name = "kinglet:tab:a";
  environment.socket.subscribed("e", 5);
  assert.equal(environment.items.get(name), '{"epoch":"e","offset":5}');
  environment.socket.publish("a", 6);
  assert.equal(environment.items.get(name), '{"epoch":"e","offset":6}');

  const after = world({}, environment);
  after.client.connect();
  environment.socket.greet();
  const { subscription } = listen(after.client, "a", { persist: "tab", since: 0 });
  assert.deepEqual(environment.socket.last("subscribe")["since"], { epoch: "e", offset: 6 });
  subscription.unsubscribe();
  assert.equal(environment.items.has(name), false);
});

test("a position is kept after its publication was handled, not before", () => {
  const { environment, client } = connectedWorld();
  const seen: unknown[] = [];
  listen(client, "a", {
    persist: "tab",
    onPublication: () => seen.push(environment.items.get("kinglet:tab:a")),
  });
  environment.socket.subscribed("e", 5);
  environment.socket.publish("a", 6);
  assert.deepEqual(seen, ['{"epoch":"e","offset":5}']);
});

test("a kept position that makes no sense is none", () => {
  for (const text of ["", "{", "1", '{"offset":1}', '{"epoch":"e","offset":-1}']) {
    const { environment, client } = connectedWorld();
    environment.items.set("kinglet:tab:a", text);
    listen(client, "a", { persist: "tab" });
    assert(!("since" in environment.socket.last("subscribe")), text);
  }
});

test("a storage that fails is told of, and everything else goes on", () => {
  const storage = {
    getItem: () => null,
    setItem() {
      throw new Error("full");
    },
    removeItem: () => {},
  };
  const { environment, client, errors } = connectedWorld({ storage });
  const { offsets } = listen(client, "a", { persist: "tab" });
  environment.socket.subscribed("e", 5);
  environment.socket.publish("a", 6);
  assert.deepEqual(errors, ["STORAGE_FAILED", "STORAGE_FAILED"]);
  assert.deepEqual(offsets, [6]);
});
