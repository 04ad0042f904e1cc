// Tokens: how they are shown, when they are replaced, and what a refusal leads to.

import assert from "node:assert/strict";
import { test } from "node:test";

import { settle, START, world, type FakeEnvironment, type World } from "./fake.js";

/** A token that ends so many milliseconds after the start. */
function token(lifetime: number, name = "t"): string {
  const claims = { exp: (START + lifetime) / 1000, name };
  return `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;
}

/** A callback that gives these tokens, one after another. */
function tokens(...given: (string | null | Error)[]): () => Promise<string | null> {
  return async () => {
    const next = given.shift();
    if (next instanceof Error) throw next;
    assert(next !== undefined, "asked for more tokens than there are");
    return next;
  };
}

/** A client with these tokens that has begun its first attempt. */
async function begun(...given: (string | null | Error)[]): Promise<World> {
  const made = world({ token: tokens(...given) });
  made.client.connect();
  await settle();
  return made;
}

/** The token that the newest socket shows at its upgrade. */
function shown({ socket }: FakeEnvironment): string | undefined {
  return socket.protocols[1]?.replace(/^bearer\./, "");
}

/** A hello of somebody, on a connection that nobody watches. */
const greeting = { user: "ada", ping_interval_ms: 1e9 };

test("is shown at the upgrade, beside the subprotocol", () => {
  const { client, environment } = world({ token: "a.b-_.c" });
  client.connect();
  assert.deepEqual(environment.socket.protocols, ["kinglet.v1", "bearer.a.b-_.c"]);
  environment.socket.greet(greeting);
  assert.deepEqual(environment.socket.types, []);
});

test("one that cannot stand in a subprotocol is shown by a command", () => {
  const { client, environment } = world({ token: "ä b" });
  client.connect();
  assert.deepEqual(environment.socket.protocols, ["kinglet.v1"]);
  environment.socket.open();
  assert.equal(environment.socket.last("auth")["token"], "ä b");
});

test("after an upgrade that failed without a reason, a command asks for the reason", () => {
  const { client, environment, states } = world({ token: "a.b.c" });
  client.connect();
  environment.socket.end();
  environment.advance(499);
  assert.deepEqual(environment.socket.protocols, ["kinglet.v1"]);
  environment.socket.open();
  environment.socket.refuse("auth", "UNAUTHORIZED");
  environment.socket.end(4500, "invalid token");
  const reason = "refused: UNAUTHORIZED";
  assert.deepEqual(states.at(-1), { state: "disconnected", code: 4500, reason });
});

test("is replaced in place a minute before its end, by the server's clock", async () => {
  const { environment, client } = await begun(token(900_000), token(1_800_000));
  // The server's clock is 300 s ahead of ours.
  environment.socket.greet({ ...greeting, timestamp: new Date(START + 300_000).toISOString() });
  environment.advance(539_999);
  await settle();
  assert.deepEqual(environment.socket.types.filter((type) => type === "auth"), []);
  environment.advance(1);
  await settle();
  assert.equal(environment.socket.last("auth")["token"], token(1_800_000));
  environment.socket.answer("auth", {
    type: "authenticated",
    user: "ada",
    expires: new Date(START + 1_800_000).toISOString(),
    timestamp: new Date(START + 840_000).toISOString(),
  });
  environment.socket.end();
  environment.advance(499);
  assert.equal(shown(environment), token(1_800_000));
  assert.equal(client.state, "connecting");
});

test("is used for every attempt until it is to be replaced", async () => {
  const { environment } = await begun(token(900_000), token(1_800_000));
  environment.socket.greet(greeting);
  environment.socket.end(1001);
  environment.advance(499);
  assert.equal(shown(environment), token(900_000));
  environment.socket.greet(greeting);
  environment.advance(839_500);
  environment.socket.end(1001);
  environment.online();
  assert.equal(shown(environment), token(900_000));
  environment.socket.open();
  environment.socket.end(1001);
  environment.advance(1_000);
  environment.online();
  await settle();
  assert.equal(shown(environment), token(1_800_000));
});

test("a replacement that fails is tried again", async () => {
  const failing = [new Error("offline"), token(0, "bad"), token(1_800_000)];
  const { environment, errors } = await begun(token(120_000), ...failing);
  environment.socket.greet(greeting);
  environment.advance(60_000);
  await settle();
  assert.deepEqual(errors, ["TOKEN_FAILED"]);
  environment.advance(5_000);
  await settle();
  environment.socket.refuse("auth", "UNAUTHORIZED");
  assert.deepEqual(errors, ["TOKEN_FAILED", "UNAUTHORIZED"]);
  environment.advance(5_000);
  await settle();
  assert.equal(environment.socket.last("auth")["token"], token(1_800_000));
});

test("after 4001 another token is asked for", async () => {
  const { environment } = await begun("one", "two");
  environment.socket.greet(greeting);
  environment.socket.end(4001, "token expired");
  environment.advance(499);
  await settle();
  assert.equal(shown(environment), "two");
});

test("without another token, 4001 is the end", () => {
  const { client, environment } = world({ token: "one" });
  client.connect();
  environment.socket.greet(greeting);
  environment.socket.end(4001, "token expired");
  assert.equal(client.state, "disconnected");
});

test("a token from before is replaced once when it is refused; a new one is not", async () => {
  const { environment, client } = await begun("one", "two");
  environment.socket.greet(greeting);
  environment.socket.end(4500);
  assert.equal(client.state, "disconnected", "the callback has just given it");

  client.connect();
  await settle();
  assert.equal(shown(environment), "two");
  environment.socket.greet(greeting);
  environment.socket.end(1001);
  environment.advance(499);
  environment.socket.open();
  environment.socket.end(4500);
  assert.equal(client.state, "connecting");
});

test("no token is the end, until somebody connects again", async () => {
  const { environment, client, states } = await begun(null, "one");
  const reason = "the token callback has no token";
  assert.deepEqual(states.at(-1), { state: "disconnected", code: 4500, reason });
  client.connect();
  await settle();
  assert.equal(shown(environment), "one");
});

test("a callback that fails or never answers delays the attempt", async () => {
  const { environment, client, errors } = await begun(new Error("offline"), "one");
  assert.deepEqual(errors, ["TOKEN_FAILED"]);
  environment.advance(499);
  await settle();
  assert.equal(shown(environment), "one");
  client.close();

  const hanging = world({ token: () => new Promise<string>(() => {}) });
  hanging.client.connect();
  hanging.environment.advance(20_000);
  assert.deepEqual(hanging.errors, ["TOKEN_FAILED"]);
  assert.equal(hanging.client.state, "connecting");
  const throwing = world({
    token: () => {
      throw new Error("mine");
    },
  });
  throwing.client.connect();
  await settle();
  assert.deepEqual(throwing.errors, ["TOKEN_FAILED"]);
});

test("an answer of the callback after the close changes nothing", async () => {
  const { client, environment } = world({ token: tokens("one") });
  client.connect();
  client.close();
  await settle();
  assert.deepEqual(environment.sockets, []);
});
