// socket.io-client in headless Chromium, from a page of another origin: `node browser.mjs ORIGIN_FILE`
// serves the page, prints its origin, and waits on standard input for the server that allows it. Exits
// 0 when each version spoke over each transport.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

import { PATIENCE_MS, limitTime } from './common.mjs';

const CHROMIUM = '/usr/bin/chromium';
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const PACKAGES = { 3: 'socket.io-client-3', 4: 'socket.io-client' };

/** What a page does with each client; it runs there. */
const PAGE = `<!doctype html><title>clients</title><script src="/client.js"></script><script>
async function speak(server, transports) {
  const socket = io(server, { transports, auth: { from: "a page" } });
  const heard = (emitter, event) => new Promise((resolve) => emitter.once(event, resolve));
  const ask = (...words) => new Promise((resolve) => socket.emit(...words, resolve));
  const shown = await heard(socket, "auth");
  const back = heard(socket, "message-back");
  socket.emit("message", { text: "grüße ✓" });
  const said = await back;
  const bytes = await ask("message-with-ack", new Uint8Array([0, 1, 255]).buffer);
  const custom = io(server + "/custom", { transports });
  const main = await heard(custom, "auth");
  const wanted = transports.at(-1);
  while (socket.io.engine.transport.name !== wanted) await new Promise((go) => setTimeout(go, 10));
  const last = await ask("message-with-ack", 1);
  const ids = [socket.id, custom.id].every((id) => typeof id === "string");
  socket.disconnect();
  custom.disconnect();
  return { shown, said, bytes: [...new Uint8Array(bytes)], main, last, ids };
}
</script>`;

limitTime();
let version = 4;
const listener = createServer(async (request, response) => {
  if (request.url === '/client.js') {
    const packageFile = createRequire(import.meta.url).resolve(`${PACKAGES[version]}/package.json`);
    const script = join(dirname(packageFile), 'dist/socket.io.js');
    response.setHeader('content-type', 'text/javascript').end(await readFile(script));
  } else {
    response.setHeader('content-type', 'text/html; charset=utf-8').end(PAGE);
  }
});
listener.listen(0, '127.0.0.1');
await once(listener, 'listening');
const origin = `http://127.0.0.1:${listener.address().port}`;
const lines = createInterface(process.stdin);
const line = once(lines, 'line');
console.log(origin);
const [server] = await line;

const folder = await mkdtemp(join(tmpdir(), 'kinglet-chromium-'));
const context = await chromium.launchPersistentContext(folder, {
  executablePath: CHROMIUM,
  args: FLAGS,
  timeout: PATIENCE_MS,
});
let failure;
try {
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(error.message));
  for (version of [4, 3]) {
    await page.goto(`${origin}/`);
    for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
      const words = JSON.stringify([server, transports]);
      const spoken = await page.evaluate(`speak(...${words})`);
      assert.deepEqual(spoken, {
        shown: { from: 'a page' },
        said: { text: 'grüße ✓' },
        bytes: [0, 1, 255],
        main: {},
        last: 1,
        ids: true,
      }, `version ${version} over ${transports}`);
    }
  }
  assert.deepEqual(faults, []);
} catch (error) {
  failure = error;
}
await context.close();
await rm(folder, { recursive: true, force: true, maxRetries: 5 });
if (failure !== undefined) console.error(failure.stack);
process.exit(failure === undefined ? 0 : 1);
