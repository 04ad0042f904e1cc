// Who looks, and for how long: tokens, the keyboard, tabs in the background, restarts.

import assert from "node:assert/strict";

import { browse, check, live, Relay, Server, shows, sign, TOKENS, until, visit }
  from "./support.js";

const TABS = ["Overview", "Rooms", "Console", "Projects", "Host", "Server", "Errors"];

check("token mode asks for a token until one is good, and keeps it on wish", async () => {
  const server = await Server.start(TOKENS);
  const tab = await browse(server.url);
  const { page } = tab;
  const enter = async (token) => {
    await page.getByLabel("Token or API key").fill(token);
    await page.getByRole("button", { name: "Go on" }).click();
  };
  await page.goto(server.url);
  await shows(page, "This server wants to know who looks.", "dialog");
  // It cannot be dismissed.
  await page.keyboard.press("Escape");
  await enter("no good token");
  await shows(page, "That is no token", "dialog");
  await enter("no-token");
  await shows(page, "neither an API key of this server nor a token", "dialog");
  await enter(sign("ada", "admin", -3600));
  await shows(page, "the token expired at", "dialog");
  await enter(sign("ada"));
  await live(page);
  await shows(page, "ada (admin)", "header");
  await shows(page, "healthy");
  await page.reload();
  await shows(page, "This server wants to know who looks.", "dialog");
  await page.getByLabel("Keep it until this tab is closed").check();
  await enter(sign("ada"));
  await live(page);
  await page.reload();
  await live(page);
  await page.getByRole("button", { name: "Forget the token" }).click();
  await shows(page, "The token is forgotten.", "dialog");
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  assert.deepEqual(tab.faults, []);
});

check("whoever may only read is told what they may not", async () => {
  const server = await Server.start(TOKENS);
  const project = await server.project("shop", sign("root"));
  const tab = await browse(server.url);
  const { page } = tab;
  await page.goto(server.url);
  await page.getByLabel("Token or API key").fill(sign("bob", "readonly"));
  await page.keyboard.press("Enter");
  await live(page);
  await shows(page, "You may not see this: this needs the role admin");
  await shows(page, "healthy");
  const open = (hash) => page.evaluate((to) => (location.hash = to), hash);
  await open("#/console/chat:1");
  await shows(page, "chat:1: ", ".outcome");
  await open("#/server");
  await shows(page, "You may not see this");
  await open(`#/projects/${project}`);
  await shows(page, "No run yet");
  await page.getByRole("button", { name: "Start run" }).click();
  await shows(page, /You may not|does not grant|needs/, "form .outcome");
  await open("#/projects");
  await shows(page, "shop");
  assert.deepEqual(tab.faults, []);
});

check("an API key opens what the HTTP API tells, and the page says so", async () => {
  const key = "a-key-that-is-long-enough-and-no-token";
  const server = await Server.start(TOKENS, `[[auth.api_keys]]\nname = "probe"\nkey = "${key}"\n`);
  const tab = await browse(server.url);
  const { page } = tab;
  await page.goto(`${server.url}/#/rooms/chat%3A1`);
  await page.getByLabel("Token or API key").fill(key);
  await page.keyboard.press("Enter");
  await shows(page, "live events need a token", "header");
  await shows(page, "You may not listen here");
  await page.getByRole("tab", { name: "Overview" }).click();
  await shows(page, "in all");
  assert.deepEqual(tab.faults, []);
});

check("a session that an operator ends says so, and comes back when asked", async () => {
  const server = await Server.start();
  const tab = await browse(server.url);
  await visit(tab);
  const { connections } = await server.call("GET", "connections");
  await server.call("DELETE", `connections/${connections[0].id}`);
  await shows(tab.page, "disconnected by an operator", "header");
  await tab.page.getByRole("button", { name: "Connect again" }).click();
  await live(tab.page);
});

check("the keyboard alone reaches every view, and shows where it is", async () => {
  const server = await Server.start();
  const tab = await browse(server.url);
  const { page } = tab;
  await visit(tab);
  const focused = (read) => page.evaluate(`(${read})(document.activeElement)`);
  await page.keyboard.press("Tab");
  assert.equal(await focused("(it) => it.textContent"), "Skip to the content");
  await page.keyboard.press("Enter");
  assert.equal(await focused("(it) => it.id"), "panel");
  await page.keyboard.press("Shift+Tab");
  for (const name of [...TABS, TABS[0]]) {
    assert.equal(await focused("(it) => it.textContent"), name);
    assert.equal(await focused("(it) => it.getAttribute('aria-selected')"), "true");
    assert.notEqual(await focused("(it) => getComputedStyle(it).outlineStyle"), "none");
    await page.locator(`#panel[data-view=${name.toLowerCase()}]`).waitFor();
    await page.keyboard.press("ArrowRight");
    const at = () => focused("(it) => it.textContent");
    await until("the view has changed", async () => (await at()) !== name);
  }
  await page.keyboard.press("End");
  await page.locator("#panel[data-view=errors]").waitFor();
  await page.keyboard.press("Home");
  await page.locator("#panel[data-view=overview]").waitFor();
  // The back button is the browser's own.
  await page.goBack();
  await page.locator("#panel[data-view=errors]").waitFor();
  assert.deepEqual(tab.faults, []);
});

check("a restart of the server is survived, and what is heard goes on", async () => {
  const first = await Server.start();
  const relay = await Relay.start(first);
  const tab = await browse(relay.url);
  const { page } = tab;
  await visit(tab, "#/console/chat:1");
  await shows(page, "Listening to chat:1");
  await first.stop("SIGTERM");
  await page.waitForSelector("#connection[data-state=waiting]");
  const second = await Server.start();
  relay.aim(second);
  await live(page);
  await shows(page, "began anew, or too much was missed");
  await second.publish("chat:1", "said", "after the restart");
  await shows(page, "after the restart", "[role=log]");
  // A connection that is only cut recovers what was missed.
  await page.context().setOffline(true);
  relay.cut();
  await page.waitForSelector("#connection[data-state=waiting]");
  await second.publish("chat:1", "said", "while it was away");
  await page.context().setOffline(false);
  await live(page);
  await shows(page, "while it was away", "[role=log]");
  assert.deepEqual(tab.faults, []);
});

check("a page in the background costs the server nothing", async () => {
  const server = await Server.start();
  const tab = await browse(server.url);
  const { page } = tab;
  await page.clock.install();
  await visit(tab);
  await shows(page, "healthy");
  const look = (isHidden) => page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, isHidden);
  await look(true);
  await page.waitForSelector("#connection[data-state=paused]");
  await until("its session has ended", async () => {
    return (await server.call("GET", "ws/stats")).connectedClients === 0;
  });
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  await page.clock.runFor(120_000);
  assert.deepEqual(asked, []);
  await look(false);
  await live(page);
  assert(asked.length > 0);
  assert.deepEqual(tab.faults, []);
});
