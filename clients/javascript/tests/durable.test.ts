// Durable subscriptions: what the server is told was dealt with, and where it goes on from.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { Lost, SubscribeOptions } from "../src/types.js";
import { connectedWorld, entry, range } from "./fake.js";

function listen(options: Partial<SubscribeOptions> = {}) {
  const { environment, client } = connectedWorld();
  const offsets: number[] = [];
  const lost: Lost[] = [];
  const subscription = client.subscribe("a", {
    durable: "phone",
    onPublication: ({ offset }) => offsets.push(offset),
    onLost: (loss) => lost.push(loss),
    ...options,
  });
  const acks = () =>
    environment.socket.sent.filter(({ type }) => type === "ack").map(({ offset }) => offset);
  const acknowledged = () => {
    const { offset, room, durable } = environment.socket.last("ack");
    environment.socket.answer("ack", { type: "acknowledged", room, durable, offset });
  };
  return { environment, client, subscription, offsets, lost, acks, acknowledged };
}

test("a durable subscription goes on from what the server kept", () => {
  const { environment, offsets, acks, acknowledged } = listen();
  const { socket } = environment;
  assert.equal(socket.last("subscribe")["durable"], "phone");
  assert(!("since" in socket.last("subscribe")));
  const publications = [6, 7].map(entry);
  socket.subscribed("e", 7, { acknowledged: 5, recovered: true, publications });
  assert.deepEqual(offsets, [6, 7]);
  assert.deepEqual(acks(), [7]);
  assert.equal(socket.last("ack")["durable"], "phone");
  acknowledged();
  environment.advance(3_000);
  socket.publish("a", 8);
  assert.deepEqual(acks(), [7, 8]);
});

test("what comes shortly after one is acknowledged together", () => {
  const { environment, subscription, acks, acknowledged } = listen();
  const { socket } = environment;
  socket.subscribed("e", 5, { acknowledged: 5, recovered: true, publications: [] });
  assert.deepEqual(acks(), [], "nothing to say");
  for (const offset of range(6, 20)) socket.publish("a", offset);
  acknowledged();
  assert.deepEqual(acks(), [6]);
  environment.advance(2_999);
  assert.deepEqual(acks(), [6]);
  environment.advance(1);
  assert.deepEqual(acks(), [6, 20]);
  environment.advance(9_000);
  assert.deepEqual(acks(), [6, 20]);
  // Whoever leaves says the last of it first.
  for (const offset of [21, 22]) socket.publish("a", offset);
  subscription.unsubscribe();
  assert.deepEqual(acks(), [6, 20, 21, 22]);
  assert.deepEqual(socket.types.slice(-2), ["ack", "unsubscribe"]);
});

test("whoever closes the client says the last of it first", () => {
  const { environment, client, acks } = listen();
  environment.socket.subscribed("e", 5, { acknowledged: 5, recovered: true, publications: [] });
  for (const offset of [6, 7]) environment.socket.publish("a", offset);
  client.close();
  assert.deepEqual(acks(), [6, 7]);
});

test("a connection that was cut goes on from what was handed over", () => {
  const { environment, offsets, acks } = listen();
  environment.socket.subscribed("e", 5, { acknowledged: 5, recovered: true, publications: [] });
  environment.socket.publish("a", 6);
  environment.socket.end();
  environment.advance(30_000);
  const { socket } = environment;
  socket.greet();
  const { since, durable } = socket.last("subscribe");
  assert.deepEqual([since, durable], [{ epoch: "e", offset: 6 }, "phone"]);
  // Nobody knows whether the one on its way arrived; here it did not.
  socket.subscribed("e", 7, { acknowledged: 5, recovered: true, publications: [entry(7)] });
  assert.deepEqual(offsets, [6, 7]);
  assert.deepEqual(acks(), [7]);
});

test("more than one answer holds is paged through from what was acknowledged", () => {
  const { environment, offsets, lost, acks } = listen();
  const { socket } = environment;
  socket.subscribed("e", 400, { acknowledged: 5, recovered: false, publications: [] });
  assert.equal(socket.last("history")["since"], 5);
  socket.page("e", range(6, 400), false);
  assert.deepEqual(socket.last("subscribe")["since"], { epoch: "e", offset: 400 });
  socket.subscribed("e", 400, { acknowledged: 5, recovered: true, publications: [] });
  assert.deepEqual(offsets, range(6, 400));
  assert.deepEqual([lost, acks()], [[], [400]]);
});

test("a stream that began anew is told as lost, and acknowledged then", () => {
  const { environment, lost, acks } = listen();
  environment.socket.subscribed("f", 0, { recovered: false, publications: [] });
  const since = { epoch: "", offset: 0 };
  assert.deepEqual(lost, [{ position: { epoch: "f", offset: 0 }, since, reason: "reset" }]);
  assert.deepEqual(acks(), [0]);
});

test("acknowledges by hand alone, if it is to", () => {
  const { environment, subscription, acks } = listen({ manual: true });
  const { socket } = environment;
  socket.subscribed("e", 5, { acknowledged: 5, recovered: true, publications: [] });
  for (const offset of range(6, 9)) socket.publish("a", offset);
  assert.deepEqual(acks(), []);
  subscription.acknowledge(8);
  assert.deepEqual(acks(), [8]);
});

test("a disk that is busy is asked again", () => {
  const { environment, acks } = listen();
  const { socket } = environment;
  socket.refuse("subscribe", "STORE_BUSY");
  environment.advance(1_000);
  socket.answer("ping", { type: "pong" });
  socket.subscribed("e", 6, { acknowledged: 5, recovered: true, publications: [entry(6)] });
  socket.refuse("ack", "STORE_BUSY");
  environment.advance(3_000);
  assert.deepEqual(acks(), [6, 6]);
});
