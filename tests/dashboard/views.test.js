// Every view, light and dark, wide and narrow, with a run in progress and a hundred connections.
// With KINGLET_TEST_SHOTS, a folder, it keeps a picture of each.

import assert from "node:assert/strict";
import { once } from "node:events";
import { join } from "node:path";

import WebSocket from "ws";

import { browse, check, finallyDo, fits, Server, SIZES, shows, until, visit } from "./support.js";

const CONNECTIONS = 100;

const SHOTS = process.env.KINGLET_TEST_SHOTS;

/** A server at which something goes on. */
async function busy() {
  const server = await Server.start({ KINGLET_HOST__INTERVAL: "500ms" });
  const [shop] = [await server.project("shop"), await server.project("bakery")];
  const over = await server.run(shop, "claude", "scenario:multi_message");
  await until("the run is over", async () => {
    return (await server.call("GET", `runs/${over}`)).state === "exited";
  });
  for (let number = 0; number < 40; number += 1) {
    const text = number % 2 === 0 ? "short" : "a text that is too long for its line ".repeat(4);
    await server.publish(`chat:${number % 4}`, "message.posted", { number, text });
  }
  const sockets = [];
  for (let number = 0; number < CONNECTIONS; number += 1) {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws?room=chat:${number % 4}`);
    sockets.push(socket);
    finallyDo(() => socket.terminate());
    await once(socket, "open");
  }
  const active = await server.run(shop, "say", "slow");
  return { server, shop, over, active };
}

/** What each view shows when it has what it needs. */
const VIEWS = [
  ["overview", "#/overview", "healthy"],
  ["rooms", "#/rooms", "chat:3"],
  ["room", "#/rooms/chat%3A1", "101 sessions|26 sessions"],
  ["console", "#/console", "Subscribe to a room, and see here what happens."],
  ["projects", "#/projects", "bakery"],
  ["project", "#/projects/{shop}", "of a long run"],
  ["run", "#/projects/{shop}/runs/{over}", "message 3"],
  ["host", "#/host", "GiB of"],
  ["server", "#/server", "messages_sent"],
  ["errors", "#/errors", "nothing|every local user"],
];

/** Waits until a chart has a line of several points. */
function drawn(page, title) {
  const line = page.locator(".chart", { hasText: title }).locator("path.line").first();
  return until("a line is drawn", async () => {
    return ((await line.getAttribute("d")) ?? "").split("L").length > 4;
  });
}

check("every view has what it is for, fits its window, and asks nobody else", async () => {
  const stage = await busy();
  const tell = async (tab, [name, hash, expected], picture) => {
    const address = hash.replace(/\{(\w+)\}/g, (_, word) => stage[word]);
    await tab.page.evaluate((to) => (location.hash = to), address);
    await shows(tab.page, new RegExp(expected));
    await fits(tab.page, `${name} ${picture}`);
    if (name === "host") await drawn(tab.page, "Processors");
    if (SHOTS === undefined) return;
    await tab.page.screenshot({ path: join(SHOTS, `${name}-${picture}.png`), fullPage: true });
  };
  for (const size of Object.keys(SIZES)) {
    for (const theme of ["light", "dark"]) {
      const tab = await browse(stage.server.url, { size, theme });
      await visit(tab);
      for (const view of VIEWS) await tell(tab, view, `${size}-${theme}`);
      assert.deepEqual(tab.faults, []);
      await tab.context.close();
    }
  }
});

check("the overview counts who is there and what goes on", async () => {
  const { server } = await busy();
  const tab = await browse(server.url);
  await visit(tab);
  const figure = (name) => tab.page.locator(".card", { hasText: name }).locator("dd").first();
  const reads = (name, text) => until(`${name} is ${text}`, async () => {
    return (await figure(name).textContent()) === text;
  });
  await reads("Sessions", String(CONNECTIONS + 1));
  await reads("Active runs", "1");
  await reads("Status", "healthy");
  await shows(tab.page, "mailboxes");
  assert.deepEqual(tab.faults, []);
});

check("rooms can be found, opened, heard, and read back", async () => {
  const server = await Server.start();
  for (const room of ["chat:1", "chat:2", "news"]) await server.publish(room, "said", { to: room });
  const tab = await browse(server.url);
  const { page } = tab;
  await visit(tab, "#/rooms");
  await shows(page, "news");
  await page.getByLabel("Begins with").fill("chat:");
  await page.getByRole("link", { name: "news" }).waitFor({ state: "detached" });
  await page.getByRole("link", { name: "chat:2" }).click();
  await shows(page, '{"to":"chat:2"}', "[aria-label='History of chat:2']");
  await shows(page, "1 sessions of 0 users");
  await server.publish("chat:2", "said", { now: true });
  await shows(page, '{"now":true}', "[aria-label='Events in chat:2']");
  // A view that is left hears nothing more.
  await page.getByRole("link", { name: "All rooms" }).click();
  await until("nobody is in the room", async () => {
    return (await server.call("GET", "rooms/chat:2")).members === 0;
  });
  assert.deepEqual(tab.faults, []);
});

check("the console hears and publishes, checks JSON, and keeps 500 lines", async () => {
  const server = await Server.start();
  const tab = await browse(server.url);
  const { page } = tab;
  await visit(tab, "#/console");
  await page.getByLabel("Rooms", { exact: true }).fill("chat:1, chat:2");
  await page.getByRole("button", { name: "Subscribe" }).click();
  await shows(page, "Listening to chat:2");
  await page.getByLabel("Room", { exact: true }).fill("chat:1");
  await page.getByLabel("Event").fill("said");
  await page.getByLabel("Data, as JSON").fill('{"text": ');
  await shows(page, "That is no JSON yet");
  await page.getByLabel("Data, as JSON").fill('{"text": "hello"}');
  await page.getByRole("button", { name: "Publish" }).click();
  await shows(page, "Published to chat:1, offset 1.");
  await shows(page, '{"text":"hello"}', "[role=log]");
  // What comes while another view is shown is there on return.
  await page.getByRole("tab", { name: "Errors" }).click();
  await until("nobody listens", async () => {
    return (await server.call("GET", "rooms/chat:1")).members === 0;
  });
  await server.publish("chat:1", "said", "meanwhile");
  await page.getByRole("tab", { name: "Console" }).click();
  await shows(page, '"meanwhile"', "[role=log]");
  for (let number = 0; number < 600; number += 1) await server.publish("chat:2", "tick", number);
  await shows(page, "before them");
  await page.locator("[role=log] li", { hasText: /^.*tick\s*599$/ }).waitFor({ state: "attached" });
  assert.equal(await page.locator("[role=log] li").count(), 500);
  // One publication to both is one line.
  await server.call("POST", "publish", { rooms: ["chat:1", "chat:2"], event: "both", data: 1 });
  await shows(page, "both", "[role=log]");
  await page.getByRole("button", { name: "Unsubscribe from chat:2" }).click();
  await shows(page, "Left chat:2");
  assert.equal(await page.locator("[role=log] strong", { hasText: /^both$/ }).count(), 1);
  assert.deepEqual(tab.faults, []);
});

check("text stands out from its ground in both themes", async () => {
  const server = await Server.start();
  for (const theme of ["light", "dark"]) {
    const tab = await browse(server.url, { theme });
    await visit(tab);
    const colour = (name) => tab.page.evaluate((variable) =>
      getComputedStyle(document.documentElement).getPropertyValue(variable), `--${name}`);
    const contrast = async (text, ground) => {
      const [one, other] = [luminance(await colour(text)), luminance(await colour(ground))];
      const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
      assert(ratio >= 4.5, `${theme}: ${text} on ${ground} has ${ratio}`);
    };
    const texts = ["ink", "muted", "accent", "ok", "warn", "bad"];
    for (const ground of ["ground", "surface"]) {
      for (const text of texts) await contrast(text, ground);
    }
    await contrast("on-accent", "accent");
    await tab.context.close();
  }
});

/** The relative luminance of a colour in hexadecimal (WCAG 2.2). */
function luminance(colour) {
  const digits = colour.trim().slice(1);
  const whole = digits.length === 3 ? digits.replace(/./g, "$&$&") : digits;
  const parts = whole.match(/../g).map((part) => parseInt(part, 16) / 255);
  const linear = parts.map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

check("the host is watched only while somebody looks at it", async () => {
  const server = await Server.start({ KINGLET_HOST__INTERVAL: "500ms" });
  const tab = await browse(server.url);
  const { page } = tab;
  await visit(tab, "#/host");
  await drawn(page, "Processors");
  for (const text of ["load ", "iB of", "core 0"]) await shows(page, text);
  await shows(page, "lo", "table[aria-label='Network interfaces']");
  assert((await page.locator("table[aria-label='Top processes'] tbody tr").count()) > 0);
  assert.equal((await server.call("GET", "rooms/metrics")).members, 1);
  await page.getByRole("tab", { name: "Server" }).click();
  await shows(page, "of one of");
  await shows(page, "at most");
  await until("nobody watches the host", async () => {
    return (await server.call("GET", "rooms/metrics")).members === 0;
  });
  await page.getByText("Show those that are zero").click();
  await shows(page, "tls_failed_http");
  assert.deepEqual(tab.faults, []);
});
