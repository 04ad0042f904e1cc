// The small parts by tables: delays, close codes, bytes, messages, addresses, ends of tokens.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Backoff } from "../src/backoff.js";
import { decodeBase64, encodeBase64 } from "../src/base64.js";
import { comesBack } from "../src/comeback.js";
import { socketUrl } from "../src/environment.js";
import { parseMessage } from "../src/message.js";
import { expiry, refreshDelay } from "../src/token.js";

test("delays are drawn from a range that doubles up to the cap", () => {
  let chance = 0.999_999;
  const backoff = new Backoff(500, 30_000, { random: () => chance });
  const longest = Array.from({ length: 9 }, () => backoff.next());
  assert.deepEqual(longest, [499, 999, 1999, 3999, 7999, 15999, 29999, 29999, 29999]);
  for (let failure = 0; failure < 2_000; failure += 1) assert(backoff.next() < 30_000);
  chance = 0;
  assert.equal(backoff.next(), 0);
  chance = 0.5;
  backoff.reset();
  assert.equal(backoff.next(), 250);
});

test("close codes say whether to come back", () => {
  const check = (codes: number[], expected: boolean) => {
    for (const code of codes) assert.equal(comesBack(code), expected, String(code));
  };
  check([1000, 1001, 1005, 1006, 1009, 1011, 1012, 1013, 3000, 4000, 4001, 4003, 4499], true);
  check([1002, 1003, 1007, 1008, 1010, 4500, 4501, 4502, 4503, 4999], false);
});

test("bytes are spelt as base64 and back", () => {
  const check = (bytes: Uint8Array, text: string) => {
    assert.equal(encodeBase64(bytes), text);
    assert.deepEqual(decodeBase64(text), bytes);
  };
  check(new Uint8Array(), "");
  check(Uint8Array.of(0), "AA==");
  check(Uint8Array.of(0, 1, 255), "AAH/");
  const many = Uint8Array.from({ length: 100_000 }, (_, index) => index % 256);
  check(many, Buffer.from(many).toString("base64"));
  assert.equal(decodeBase64("%"), undefined);
});

test("messages that make no sense are nothing", () => {
  const texts = ["", "{", "null", "[]", "1", '"a"', "{}", '{"type":"pong"}'];
  const wrong = ['"room":"a"', '"room":"a","offset":-1', '"offset":1'].map(
    (members) => `{"type":"x",${members}}`,
  );
  const known = ['{"type":"subscribed","room":"a","offset":1}', '{"type":"unsubscribed"}'];
  for (const text of [...texts, ...wrong, ...known, undefined, 7, new ArrayBuffer(2)]) {
    assert.equal(parseMessage(text), undefined, String(text));
  }
});

test("a publication is told with all its rooms", () => {
  const text =
    '{"type":"e","room":"a","offset":3,"timestamp":"t","data":{"base64":"AAH/"},"uid":"u",' +
    '"also":[{"room":"b","offset":9},{"room":"c"},7]}';
  const data = Uint8Array.of(0, 1, 255);
  const publication = { event: "e", room: "a", offset: 3, timestamp: "t", data, uid: "u" };
  const places = [publication, { room: "b", offset: 9 }];
  assert.deepEqual(parseMessage(text), { kind: "publication", publication, places });
});

test("only what is spelt as bytes is bytes", () => {
  const check = (data: unknown) => {
    const message = parseMessage(JSON.stringify({ type: "e", room: "a", offset: 1, data }));
    assert(message?.kind === "publication");
    assert.deepEqual(message.publication.data, data);
  };
  for (const data of [null, 1, "AAH/", [], {}, { base64: 1 }, { base64: "%" }]) check(data);
  check({ base64: "AAH/", more: 1 });
});

test("addresses of servers and of sockets are taken", () => {
  const check = (url: string, expected: string) => assert.equal(socketUrl(url), expected);
  check("http://127.0.0.1:8080", "ws://127.0.0.1:8080/ws");
  check("https://example.org/", "wss://example.org/ws");
  check("wss://example.org/live/ws?x=1#y", "wss://example.org/live/ws?x=1");
  assert.throws(() => socketUrl("/ws"), TypeError);
});

test("the end of a token is read from it", () => {
  const check = (claims: string, expected: number | undefined) => {
    const payload = Buffer.from(claims).toString("base64url");
    assert.equal(expiry(`e30.${payload}.c2ln`), expected);
  };
  check('{"exp":1800000000,"sub":"ä?>"}', 1_800_000_000_000);
  check('{"exp":1.5}', 1_500);
  check('{"exp":"1"}', undefined);
  check("{}", undefined);
  check("1", undefined);
  for (const token of ["", "a.b.c", "opaque", "..", "a.%.c"]) {
    assert.equal(expiry(token), undefined);
  }
});

test("tokens are replaced a minute before their end, short ones at half of it", () => {
  const check = (lifetime: number, expected: number) => {
    assert.equal(refreshDelay(lifetime), expected);
  };
  check(900_000, 840_000);
  check(120_000, 60_000);
  check(60_000, 30_000);
  check(-5_000, 0);
});
