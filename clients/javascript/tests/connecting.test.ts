// Connections that come and go, against a fake server in fake time.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client } from "../src/client.js";
import { connectedWorld, FakeEnvironment, world } from "./fake.js";

test("offers the subprotocol and is connected by the hello", () => {
  const { environment, client, states } = world();
  client.connect();
  client.connect();
  assert.equal(environment.sockets.length, 1);
  const { socket } = environment;
  assert.equal(socket.url, "ws://server.test/ws");
  assert.deepEqual(socket.protocols, ["kinglet.v1"]);
  socket.open();
  assert.equal(client.state, "connecting");
  socket.greet({ session: "abc", user: "ada" });
  assert.deepEqual([client.state, client.session, client.user], ["connected", "abc", "ada"]);
  assert.deepEqual(states, [{ state: "connecting" }, { state: "connected" }]);
});

test("leaves the rooms that it is in by itself and nobody subscribed to", () => {
  const { environment, client } = world();
  client.subscribe("global", () => {});
  client.connect();
  const rooms = ["global", "user:ada"].map((room) => ({ room, epoch: "e", offset: 1 }));
  environment.socket.greet({ rooms });
  assert.deepEqual(environment.socket.last("unsubscribe")["rooms"], ["user:ada"]);
  assert.equal(environment.socket.last("subscribe")["room"], "global");
});

test("comes back after delays that grow, and says when", () => {
  const { environment, client, states } = world();
  client.connect();
  for (const retryIn of [499, 999, 1999]) {
    environment.socket.end(1006, "gone");
    assert.deepEqual(states.at(-1), { state: "connecting", code: 1006, reason: "gone", retryIn });
    const attempts = environment.sockets.length;
    environment.advance(retryIn - 1);
    assert.equal(environment.sockets.length, attempts);
    environment.advance(1);
    assert.equal(environment.sockets.length, attempts + 1);
  }
});

test("only a connection that lasted makes delays short again", () => {
  const { environment, client, states } = world();
  client.connect();
  const check = (lasting: number, expected: number) => {
    environment.socket.greet();
    environment.advance(lasting);
    environment.socket.end(1001);
    assert.equal(states.at(-1)?.retryIn, expected);
    environment.advance(expected);
  };
  check(0, 499);
  check(9_999, 999);
  check(10_000, 499);
});

test("ends with the codes that say so, and can be told to try again", () => {
  for (const code of [1002, 1008, 4500, 4501, 4502, 4503]) {
    const { environment, client, states } = connectedWorld();
    environment.socket.end(code, "why");
    assert.deepEqual(states.at(-1), { state: "disconnected", code, reason: "why" });
    assert.equal(environment.timers, 0);
    client.connect();
    environment.socket.greet();
    assert.equal(client.state, "connected");
  }
});

test("a network that is back ends the wait", () => {
  const { environment, client } = connectedWorld();
  environment.socket.end();
  environment.online();
  assert.equal(environment.sockets.length, 2);
  environment.online();
  assert.equal(environment.sockets.length, 2, "an attempt is not disturbed");
  environment.advance(499);
  assert.equal(environment.sockets.length, 2, "the timer of the delay is gone");
  client.close();
  environment.online();
  assert.equal(environment.sockets.length, 2);
});

test("a network that is back has a connection looked after", () => {
  const { environment, states } = connectedWorld();
  environment.online();
  assert.deepEqual(environment.socket.types, ["ping"]);
  environment.advance(10_000);
  assert.equal(states.at(-1)?.reason, "the server fell silent");
});

test("a silent server is asked, then given up", () => {
  const { environment, states } = connectedWorld();
  environment.advance(25_000);
  assert.deepEqual(environment.socket.types, ["ping"]);
  environment.socket.say({ type: "pong" });
  environment.advance(35_000);
  assert.deepEqual(environment.socket.types, ["ping", "ping"]);
  assert.equal(states.at(-1)?.state, "connected");
  const { socket } = environment;
  environment.advance(10_000);
  assert.equal(states.at(-1)?.reason, "the server fell silent");
  assert(socket.isClosed);
});

test("any message is a sign of life", () => {
  const { environment } = connectedWorld();
  for (let round = 0; round < 10; round += 1) {
    environment.advance(20_000);
    environment.socket.publish("elsewhere", round + 1);
  }
  assert.deepEqual(environment.socket.types, []);
});

test("a server that never greets is given up", () => {
  const { environment, client, states } = world();
  client.connect();
  environment.socket.open();
  environment.advance(20_000);
  assert.equal(states.at(-1)?.reason, "no hello within 20000 ms");
  assert.equal(client.state, "connecting");
});

test("a closed client is quiet, whatever comes", () => {
  const { environment, client, states } = connectedWorld();
  const { socket } = environment;
  client.close();
  client.close();
  assert(socket.isClosed);
  socket.publish("a", 1);
  socket.end(4000);
  environment.advance(100_000);
  assert.equal(environment.sockets.length, 1);
  assert.equal(environment.timers, 0);
  assert.deepEqual(states.at(-1), { state: "disconnected" });
});

test("a closed client gives up its attempt, and the wait before it", () => {
  for (const isWaiting of [false, true]) {
    const { environment, client } = world();
    client.connect();
    if (isWaiting) environment.socket.end();
    client.close();
    environment.advance(100_000);
    assert.equal(environment.sockets.length, 1);
    assert.equal(environment.timers, 0);
  }
});

test("an address that the platform refuses ends it", () => {
  const environment = new FakeEnvironment();
  const WebSocket = class extends environment.WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      throw new Error("insecure");
    }
  };
  const { client, states } = world({ WebSocket }, environment);
  client.connect();
  assert.deepEqual(states.at(-1), { state: "disconnected", code: 1006, reason: "Error: insecure" });
});

test("says what is missing where there is no WebSocket", () => {
  const environment = { ...new FakeEnvironment(), WebSocket: undefined };
  assert.throws(() => new Client("ws://a", {}, environment as never), /give one/);
});

test("a listener that throws harms nobody, and can be taken away", () => {
  const { environment, client, states } = world();
  const remove = client.on("state", () => {
    throw new Error("mine");
  });
  client.connect();
  remove();
  environment.socket.greet();
  assert.equal(environment.thrown.length, 1);
  assert.deepEqual(states.at(-1), { state: "connected" });
});
