// Commands: what is sent, what comes back, and what becomes of them when nothing does.

import assert from "node:assert/strict";
import { test } from "node:test";

import { KingletError } from "../src/errors.js";
import { connectedWorld, entry, START, world } from "./fake.js";

const ANSWER = { type: "published", room: "a", offset: 1, epoch: "e", results: [] };

/** The code that a command fails with. */
async function code(command: Promise<unknown>): Promise<string> {
  const error = await command.then(
    () => assert.fail("it succeeded"),
    (reason: unknown) => reason,
  );
  assert(error instanceof KingletError);
  return error.code;
}

test("publishes, and says where it stands", async () => {
  const { environment, client } = connectedWorld();
  const check = async (command: Promise<unknown>, expected: object) => {
    const { type, id, ...body } = environment.socket.last("publish");
    assert.deepEqual(body, expected);
    environment.socket.answer("publish", ANSWER);
    assert.deepEqual(await command, { room: "a", offset: 1, epoch: "e", results: [] });
    assert.deepEqual([type, typeof id], ["publish", "number"]);
  };
  await check(client.publish("a", "x"), { room: "a", event: "x", data: null });
  await check(client.publish(["a", "b"], "x", { n: 1 }), {
    rooms: ["a", "b"],
    event: "x",
    data: { n: 1 },
  });
  await check(client.publish("a", "x", Uint8Array.of(0, 1, 255)), {
    room: "a",
    event: "x",
    data_base64: "AAH/",
  });
  const options = { key: "k", source: "web", except: ["s1"] };
  await check(client.publish("a", "x", 1, options), { room: "a", event: "x", data: 1, ...options });
});

test("reads histories, presence, and how far away the server is", async () => {
  const { environment, client } = connectedWorld();
  const history = client.history("a", { since: 3, limit: 1, reverse: true });
  const { id: _, ...body } = environment.socket.last("history");
  assert.deepEqual(body, { type: "history", room: "a", since: 3, limit: 1, reverse: true });
  const page = { room: "a", epoch: "e", offset: 9, more: true };
  environment.socket.answer("history", { ...page, publications: [entry(2)] });
  const timestamp = new Date(START).toISOString();
  const publications = [{ event: "tick", room: "a", offset: 2, timestamp, data: 2 }];
  assert.deepEqual(await history, { ...page, publications });

  const members = [{ user: "ada", session: "s1", since: timestamp }];
  const present = { room: "a", users: 1, sessions: 1, members };
  const check = async (answer: object, expected: object) => {
    const presence = client.presence("a");
    environment.socket.answer("presence", { ...answer, timestamp });
    assert.deepEqual(await presence, expected);
  };
  const position = { epoch: "e", offset: 9 };
  await check({ ...present, ...position }, { ...present, truncated: false, position });
  await check({ ...present, truncated: true }, { ...present, truncated: true });

  const ping = client.ping();
  environment.advance(7);
  environment.socket.answer("ping", { type: "pong" });
  assert.equal(await ping, 7);
});

test("a refusal has the server's code, message and details", async () => {
  const { environment, client } = connectedWorld();
  const command = client.publish("a", "x");
  environment.socket.refuse("publish", "PERMISSION_DENIED");
  await assert.rejects(command, {
    name: "KingletError",
    code: "PERMISSION_DENIED",
    message: "refused: PERMISSION_DENIED",
    details: { room: "a" },
  });
});

test("data that is no JSON is refused before it is sent", async () => {
  const { environment, client } = connectedWorld();
  await assert.rejects(client.publish("a", "x", 1n), TypeError);
  assert.deepEqual(environment.socket.types, []);
});

test("a command without an answer fails in time", async () => {
  const { environment, client } = connectedWorld({ timeout: 100 });
  const [usual, longer] = [client.ping(), client.publish("a", "x", 1, { timeout: 200 })];
  environment.advance(100);
  assert.equal(await code(usual), "TIMEOUT");
  environment.advance(99);
  environment.socket.answer("publish", ANSWER);
  assert.equal((await longer).offset, 1);
  environment.socket.answer("ping", { type: "pong" });
});

test("commands wait for a connection, behind the subscriptions, in order", async () => {
  const { environment, client } = world();
  client.connect();
  const commands = [client.publish("a", "x"), client.history("a")];
  client.subscribe("a", () => {});
  environment.socket.greet();
  assert.deepEqual(environment.socket.types, ["subscribe", "publish", "history"]);
  environment.socket.answer("publish", ANSWER);
  environment.socket.page("e", [], false);
  await Promise.all(commands);
});

test("whoever waits for a connection waits no longer than the timeout", async () => {
  const { environment, client } = world({ timeout: 100 });
  client.connect();
  const command = client.publish("a", "x");
  environment.advance(100);
  assert.equal(await code(command), "TIMEOUT");
  environment.socket.greet();
  assert.deepEqual(environment.socket.types, []);
});

test("no more than so many commands wait", async () => {
  const { environment, client } = connectedWorld({ queue: 2 });
  const [first, second] = [client.ping(), client.publish("a", "x")];
  assert.equal(await code(client.ping()), "QUEUE_FULL");
  environment.socket.answer("ping", { type: "pong" });
  await first;
  const third = client.ping();
  environment.socket.answer("publish", ANSWER);
  environment.socket.answer("ping", { type: "pong" });
  await Promise.all([second, third]);
});

test("what was in flight when the connection ended fails, unless it has a key", async () => {
  const { environment, client } = connectedWorld();
  const plain = client.publish("a", "plain");
  const keyed = client.publish("a", "keyed", 1, { key: "k" });
  const first = environment.socket.last("publish");
  environment.socket.end(4000, "slow consumer");
  await assert.rejects(plain, { code: "CONNECTION_LOST", message: /4000 slow consumer/ });
  environment.advance(499);
  environment.socket.greet();
  assert.deepEqual(environment.socket.sent, [first]);
  environment.socket.answer("publish", ANSWER);
  assert.equal((await keyed).offset, 1);
});

test("a key is not used again when the server may have forgotten it", async () => {
  const { environment, client } = connectedWorld();
  const keyed = client.publish("a", "x", 1, { key: "k", timeout: 1_000_000 });
  const unsent = client.ping();
  environment.socket.end();
  assert.equal(await code(unsent), "CONNECTION_LOST");
  environment.advance(270_000);
  environment.online();
  environment.socket.greet();
  assert.equal(await code(keyed), "CONNECTION_LOST");
  assert.deepEqual(environment.socket.types, []);
});

test("a message that was too big is not sent again", async () => {
  const { environment, client } = connectedWorld();
  const keyed = client.publish("a", "x", 1, { key: "k" });
  environment.socket.end(1009, "message too big");
  await assert.rejects(keyed, { code: "CONNECTION_LOST", message: /1009 message too big/ });
  assert.equal(client.state, "connecting");
});

test("without a connection to wait for, commands fail at once", async () => {
  const { environment, client } = world();
  assert.equal(await code(client.ping()), "DISCONNECTED");
  client.connect();
  const waiting = client.publish("a", "x", 1, { key: "k" });
  client.close();
  assert.equal(await code(waiting), "DISCONNECTED");
  client.connect();
  environment.socket.greet();
  const inFlight = client.publish("a", "x", 1, { key: "k" });
  environment.socket.end(4503, "too many errors");
  assert.equal(await code(inFlight), "DISCONNECTED");
});

test("a socket that takes nothing any more is a lost connection", async () => {
  const { environment, client, states } = connectedWorld();
  environment.socket.send = () => {
    throw new Error("not open");
  };
  assert.equal(await code(client.ping()), "CONNECTION_LOST");
  assert.equal(states.at(-1)?.reason, "nothing can be sent any more");
});
