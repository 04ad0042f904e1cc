// The client with `ws` as its WebSocket against the real server, through a relay that cuts.
// KINGLET_TEST_BINARY says which; without it, the tests are skipped.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";

import { WebSocket } from "ws";

import { Client } from "../src/client.js";
import type { ClientOptions, Lost, StateChange } from "../src/types.js";
import { range } from "./fake.js";
import { BINARY, RealServer, Relay, until } from "./server.js";
import { sign, TOKENS } from "./token.js";

const skip = BINARY === undefined ? "KINGLET_TEST_BINARY is not set" : false;

const endings: (() => void | Promise<void>)[] = [];
after(async () => {
  for (const end of endings.reverse()) await end();
});

const LONG_HISTORY = { KINGLET_ROOMS__DEFAULT__HISTORY_COUNT: "5000" };

/** A server, a relay before it, and how to make clients of both. */
async function start(settings: Readonly<Record<string, string>> = {}) {
  const server = await RealServer.start(settings);
  const relay = await Relay.start(server);
  endings.push(() => server.stop());
  endings.push(() => relay.stop());
  const connect = (options: ClientOptions = {}) => {
    const backoff = { backoffFirst: 20, backoffMax: 200 };
    const client = new Client(relay.url, { WebSocket, ...backoff, ...options });
    endings.push(() => client.close());
    const states: StateChange[] = [];
    client.on("state", (change) => states.push(change));
    client.connect();
    return { client, states };
  };
  return { server, relay, connect };
}

describe("the client with ws against the real server", { concurrency: true, skip }, () => {
  test("publishes, hears, reads, and leaves", async () => {
    const { connect } = await start();
    const { client } = connect();
    const heard: unknown[] = [];
    const subscription = client.subscribe("chat:1", ({ event, data }) => heard.push([event, data]));
    const bytes = Uint8Array.of(0, 1, 255);
    await client.publish("chat:1", "json", { text: "hello" });
    await client.publish(["chat:1", "chat:2"], "bytes", bytes);
    await client.publish("chat:1", "unheard", 1, { except: client.session ?? "" });
    await client.ping();
    assert.deepEqual(heard, [["json", { text: "hello" }], ["bytes", bytes]]);
    const page = await client.history("chat:1", { since: 1, limit: 1 });
    assert.deepEqual(page.publications.map(({ event, data }) => [event, data]), [["bytes", bytes]]);
    assert.equal(page.more, true);
    subscription.unsubscribe();
    await client.publish("chat:1", "too late");
    await client.ping();
    assert.equal(heard.length, 2);
    await assert.rejects(client.publish("no spaces", "x"), { code: "VALIDATION_FAILED" });
    await assert.rejects(client.history("nobody:here"), { code: "NOT_FOUND" });
  });

  test("lets the server keep what was dealt with", async (context) => {
    const data = await mkdtemp(join(tmpdir(), "kinglet-"));
    context.after(() => rm(data, { recursive: true }));
    const durable = { KINGLET_ROOMS__A__DURABLE: "true", KINGLET_SERVER__DATA_DIR: data };
    const { server, relay, connect } = await start(durable);
    const { client } = connect();
    const first: unknown[] = [];
    const subscription = client.subscribe("a", {
      durable: "phone",
      manual: true,
      onPublication: ({ offset }) => first.push(offset),
    });
    await until("subscribed", () => subscription.state === "subscribed");
    for (const n of range(1, 5)) await server.publish("a", "tick", n);
    await until("all are there", () => first.length === 5);
    subscription.acknowledge(2);
    await client.ping();
    client.close();
    await server.stop();
    const next = await RealServer.start(durable);
    endings.push(() => next.stop());
    relay.aim(next);
    const { client: later } = connect();
    const second: unknown[] = [];
    later.subscribe("a", { durable: "phone", onPublication: ({ offset }) => second.push(offset) });
    await until("what is new is there", () => second.length === 3);
    assert.deepEqual(second, [3, 4, 5]);
    await later.ping();
    const third = connect().client;
    const heard: unknown[] = [];
    third.subscribe("a", { durable: "phone", onPublication: ({ offset }) => heard.push(offset) });
    await next.publish("a", "tick", 6);
    await until("the last is there", () => heard.length === 1);
    assert.deepEqual(heard, [6]);
  });

  test("misses nothing and repeats nothing over many cuts", async () => {
    const { server, relay, connect } = await start(LONG_HISTORY);
    const { client, states } = connect();
    const rooms = ["a", "b", "c"];
    const heard = new Map(rooms.map((room) => [room, [] as unknown[]]));
    const lost: Lost[] = [];
    for (const room of rooms) {
      client.subscribe(room, {
        since: 0,
        onPublication: ({ data }) => heard.get(room)?.push(data),
        onLost: (loss) => lost.push(loss),
      });
    }
    await until("connected", () => client.state === "connected");
    for (const n of range(1, 900)) {
      await server.publish(rooms[n % 3] ?? "", "tick", n);
      if (n % 50 === 0) relay.cut();
    }
    await until("all", () => [...heard.values()].every((list) => list.length === 300));
    rooms.forEach((room, index) => {
      assert.deepEqual(heard.get(room), range(1, 900).filter((n) => n % 3 === index));
    });
    assert.deepEqual(lost, []);
    assert(states.filter(({ code }) => code === 1006).length >= 10, "the cuts were seen");
  });

  test("pages through the history after a long absence", async () => {
    const { server, relay, connect } = await start(LONG_HISTORY);
    const { client } = connect();
    const heard: unknown[] = [];
    const recovered: unknown[] = [];
    client.subscribe("a", {
      onPublication: ({ data }) => heard.push(data),
      onSubscribed: (subscribed) => recovered.push(subscribed.recovered),
    });
    await until("subscribed", () => recovered.length === 1);
    client.close();
    for (const n of range(1, 1000)) await server.publish("a", "tick", n);
    client.connect();
    await until("recovered", () => recovered.length === 2);
    relay.cut();
    await server.publish("a", "tick", 1001);
    await until("the last", () => heard.length >= 1001);
    assert.deepEqual(heard, range(1, 1001));
    assert.deepEqual(recovered.slice(0, 2), [undefined, true]);
  });

  test("says that something is lost when the server was killed or keeps too little", async () => {
    const { server, relay, connect } = await start({ KINGLET_ROOMS__DEFAULT__HISTORY_COUNT: "5" });
    const { client } = connect();
    const heard: unknown[] = [];
    const lost: Lost[] = [];
    const subscription = client.subscribe("a", {
      onPublication: ({ data }) => heard.push(data),
      onLost: (loss) => lost.push(loss),
    });
    await until("subscribed", () => subscription.state === "subscribed");
    client.close();
    for (const n of range(1, 10)) await server.publish("a", "tick", n);
    client.connect();
    await until("expired", () => lost.length === 1);
    await server.publish("a", "tick", 11);
    await until("the eleventh", () => heard.length === 1);

    await server.stop("SIGKILL");
    const next = await RealServer.start();
    endings.push(() => next.stop());
    relay.aim(next);
    await until("reset", () => lost.length === 2);
    await next.publish("a", "tick", 12);
    await until("the twelfth", () => heard.length === 2);
    assert.deepEqual(lost.map(({ reason }) => reason), ["expired", "reset"]);
    assert.deepEqual(heard, [11, 12]);
  });

  test("goes on after a server that said good-bye", async () => {
    const { server, relay, connect } = await start();
    const { client, states } = connect();
    await until("connected", () => client.state === "connected");
    await server.stop("SIGTERM");
    await until("ended", () => client.state === "connecting");
    assert(states.some(({ code }) => code === 1001));
    const next = await RealServer.start();
    endings.push(() => next.stop());
    relay.aim(next);
    await until("connected again", () => client.state === "connected");
  });

  test("tells who is in a room, and who comes and goes", async () => {
    const { connect } = await start({ ...TOKENS, KINGLET_ROOMS__CHAT__JOIN_LEAVE: "true" });
    const { client } = connect({ token: sign("ada", 900) });
    const told: unknown[] = [];
    const subscription = client.subscribe("chat:1", ({ event, data }) => told.push([event, data]));
    await until("ada is told of", () => told.length === 1);
    const other = connect({ token: sign("bob", 900) }).client;
    other.subscribe("chat:1", () => {});
    await until("bob is told of", () => told.length === 2);
    const presence = await client.presence("chat:1");
    assert.deepEqual(presence.members.map(({ user }) => user), ["ada", "bob"]);
    assert.equal(presence.members[0]?.session, client.session);
    assert(presence.members.every(({ since }) => !Number.isNaN(Date.parse(since))));
    const { users, sessions, truncated, position } = presence;
    assert.deepEqual({ users, sessions, truncated }, { users: 2, sessions: 2, truncated: false });
    assert.equal(position?.offset, 2);
    other.close();
    await until("bob has gone", () => told.length === 3);
    assert.deepEqual(told, [
      ["presence.joined", { user: "ada", sessions: 1 }],
      ["presence.joined", { user: "bob", sessions: 1 }],
      ["presence.left", { user: "bob", sessions: 0 }],
    ]);
    assert.equal((await client.presence("chat:1")).sessions, 1);
    subscription.unsubscribe();
    assert.deepEqual((await client.presence("nobody:here")).members, []);
  });

  test("notices a connection that is dead without saying so", async () => {
    const { relay, connect } = await start({ KINGLET_HEARTBEAT__PING_INTERVAL: "50ms" });
    const { client, states } = connect();
    await until("connected", () => client.state === "connected");
    relay.hold();
    await until("noticed", () => states.some(({ reason }) => reason === "the server fell silent"));
    await until("connected again", () => client.state === "connected");
  });

  test("a publish with a key is carried out once, however often it is cut", async () => {
    const { relay, connect } = await start(LONG_HISTORY);
    const { client } = connect();
    const numbers = range(1, 200);
    const published = numbers.map(async (n) => {
      const { offset } = await client.publish("a", "tick", n, { key: `k${n}`, timeout: 30_000 });
      return offset;
    });
    for (let cuts = 0; cuts < 5; cuts += 1) {
      await until("connected", () => client.state === "connected");
      relay.cut();
      await until("cut", () => client.state === "connecting");
    }
    const offsets = await Promise.all(published);
    assert.deepEqual([...offsets].sort((one, other) => one - other), numbers);
    const { offset } = await client.history("a");
    assert.equal(offset, 200);
  });

  test("shows its token, replaces it in place, and outlives it", async () => {
    const { connect } = await start(TOKENS);
    let count = 0;
    const { client, states } = connect({
      token: () => {
        count += 1;
        return sign("ada", count === 1 ? 2 : 900);
      },
    });
    const heard: unknown[] = [];
    client.subscribe("user:ada", ({ data }) => heard.push(data));
    await until("replaced", () => count === 2);
    await client.publish("user:ada", "tick", 1);
    await until("heard", () => heard.length === 1);
    assert.equal(client.user, "ada");
    assert.deepEqual(states.map(({ state }) => state), ["connecting", "connected"]);
  });

  test("ends with the reason when its token is not accepted", async () => {
    const { connect } = await start(TOKENS);
    const { client, states } = connect({ token: "no.good.token" });
    await until("the end", () => client.state === "disconnected");
    assert.equal(states.at(-1)?.code, 4500);
    assert.match(states.at(-1)?.reason ?? "", /token/);
  });

  test("a room that the token does not open is refused, and the others are not", async () => {
    const { connect } = await start(TOKENS);
    const { client } = connect({ token: sign("ada", 900, "user") });
    const refused: string[] = [];
    const onUnsubscribed = ({ code }: { code: string }) => refused.push(code);
    client.subscribe("chat:1", { onPublication: () => {}, onUnsubscribed });
    const open = client.subscribe("board:1", () => {});
    await until("both", () => refused.length === 1 && open.state === "subscribed");
    assert.deepEqual(refused, ["PERMISSION_DENIED"]);
  });
});
