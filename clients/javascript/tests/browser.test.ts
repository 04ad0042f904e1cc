// The client in headless Chromium against the real server: a page of another origin, with a token,
// that is reloaded in the middle of a stream. Skipped where there is no Chromium.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import { chromium, type Page } from "playwright-core";

import { range } from "./fake.js";
import { BINARY, PATIENCE_MS, RealServer, Relay, until } from "./server.js";
import { sign, TOKENS } from "./token.js";

const CHROMIUM = "/usr/bin/chromium";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** What the page does: it keeps what it heard beside the position, so both survive a reload. */
const PAGE = `<!doctype html><title>rooms</title><script type="module">
import { Client } from "/src/index.js";
const query = new URLSearchParams(location.search);
const heard = JSON.parse(sessionStorage.getItem("heard") ?? "[]");
const note = (what) => {
  heard.push(what);
  sessionStorage.setItem("heard", JSON.stringify(heard));
};
const client = new Client(query.get("server"), { token: query.get("token"), backoffFirst: 20 });
client.subscribe("a", {
  since: 0,
  persist: "page",
  onPublication: ({ data }) => note(data instanceof Uint8Array ? [...data] : data),
  onLost: ({ reason }) => note(reason),
});
client.connect();
Object.assign(globalThis, { client, heard });
</script>`;

const endings: (() => unknown)[] = [];
after(async () => {
  for (const end of endings.reverse()) await end();
});

/** Serves the page and the compiled client on a free port; returns the origin. */
async function serve(): Promise<string> {
  const listener = createServer(async (request, response) => {
    const script = /^\/src\/([a-z0-9]+\.js)$/.exec(request.url ?? "")?.[1];
    if (script === undefined) {
      response.setHeader("content-type", "text/html").end(PAGE);
    } else {
      const body = await readFile(join(import.meta.dirname, "../src", script));
      response.setHeader("content-type", "text/javascript").end(body);
    }
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  endings.push(() => listener.close());
  endings.push(() => listener.closeAllConnections());
  return `http://127.0.0.1:${(listener.address() as AddressInfo).port}`;
}

/** A page of a browser that knows nothing yet. */
async function browse(): Promise<Page> {
  const folder = await mkdtemp(join(tmpdir(), "kinglet-chromium-"));
  endings.push(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: CHROMIUM,
    args: FLAGS,
    timeout: PATIENCE_MS,
  });
  endings.push(() => context.close());
  return context.newPage();
}

function skip(): string | false {
  if (BINARY === undefined) return "KINGLET_TEST_BINARY is not set";
  return existsSync(CHROMIUM) ? false : `there is no ${CHROMIUM}`;
}

const title = "a page that is reloaded in the middle of a stream misses nothing";
test(title, { skip: skip() }, async () => {
  const origin = await serve();
  const server = await RealServer.start({
    ...TOKENS,
    KINGLET_SERVER__ALLOWED_ORIGINS: origin,
    KINGLET_ROOMS__DEFAULT__HISTORY_COUNT: "5000",
  });
  endings.push(() => server.stop());
  const relay = await Relay.start(server);
  endings.push(() => relay.stop());
  const token = sign("ada", 900);

  const page = await browse();
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  const query = new URLSearchParams({ server: relay.url, token });
  await page.goto(`${origin}/?${query}`);
  const heard = () => page.evaluate("heard") as Promise<unknown[]>;

  let isOver = false;
  const publishing = (async () => {
    let count = 0;
    for (; !isOver; count += 1) await server.publish("a", "tick", count + 1, token);
    return count;
  })();
  const reload = () => page.reload();
  for (const action of [reload, () => relay.cut(), reload, reload]) {
    const before = (await heard()).length;
    await until("more is heard", async () => (await heard()).length > before + 20);
    await action();
  }
  const before = (await heard()).length;
  await until("more is heard", async () => (await heard()).length > before + 20);
  isOver = true;
  const count = await publishing;
  const published = page.evaluate("client.publish('a', 'bytes', Uint8Array.of(0, 1, 255))");
  assert.equal(((await published) as { offset: number }).offset, count + 1);
  await until("all is heard", async () => (await heard()).length > count);
  assert.deepEqual(await heard(), [...range(1, count), [0, 1, 255]]);
  assert.deepEqual(faults, []);
});
