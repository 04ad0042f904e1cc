// What strangers say stays text: in names, in data, and in what a child prints.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { browse, check, Server, shows, visit } from "./support.js";

const LOG = "[role=log]";
const MARKUP = "<img src=x onerror=alert(1)><script>alert(1)</script>";

/** That nothing of it has become an element. */
async function isInert({ page, faults }) {
  assert.equal(await page.locator("img, script:not([src]), iframe").count(), 0);
  assert.deepEqual(faults, []);
}

check("markup in rooms, events, data and errors stays text", async () => {
  const server = await Server.start();
  const tab = await browse(server.url);
  const { page } = tab;
  const room = "<img/src=x/onerror=alert(1)>";
  await server.publish(room, MARKUP, { [MARKUP]: MARKUP, long: "x".repeat(900_000) });
  await server.publish(room, "turned \u202e round", "a\u0000b\u0007c \u2066\u200f");
  await visit(tab, "#/rooms");
  await page.getByRole("link", { name: room }).click();
  await shows(page, MARKUP, LOG);
  await shows(page, "turned [U+202E] round", LOG);
  await shows(page, "\\u0000b\\u0007c [U+2066][U+200F]", LOG);
  await page.locator(`${LOG} summary`).first().click();
  await shows(page, "characters more", `${LOG} pre`);
  await isInert(tab);
  const errors = [{ at: "2026-01-01T00:00:00.000Z", level: MARKUP, message: `${MARKUP}\u001b[2J` }];
  await page.route("**/api/v1/errors", (route) => route.fulfill({ json: { errors, more: false } }));
  await page.getByRole("tab", { name: "Errors" }).click();
  await shows(page, `${MARKUP}\u241b[2J`);
  await isInert(tab);
});

check("escape sequences and lines of a megabyte of a child do no harm", async () => {
  const server = await Server.start();
  const project = await server.project("shop");
  const tab = await browse(server.url);
  const { page } = tab;
  await visit(tab, `#/projects/${project}`);
  const escapes = "\u001b[31mred\u001b[0m \u001b]0;title\u0007after \u202egnp.exe \u0008\u009b2J";
  const file = join(server.work, "hostile");
  await writeFile(file, `${MARKUP}\n${escapes}\n${"wide ".repeat(200_000)}\nthe end\n`);
  await server.run(project, "say", `file:${file}`);
  await shows(page, "the end", LOG);
  await shows(page, MARKUP, LOG);
  await shows(page, "red after [U+202E]gnp.exe \u2408[U+009B]2J", LOG);
  await shows(page, "(996,000 characters more)", LOG);
  assert(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  await isInert(tab);
});

check("the policy keeps out what is not ours", async () => {
  const server = await Server.start();
  const tab = await browse(server.url);
  await visit(tab);
  const outcome = await tab.page.evaluate(async () => {
    const script = document.createElement("script");
    let isTyped = false;
    try {
      script.text = "window.ran = true";
    } catch {
      isTyped = true;
    }
    document.body.append(script);
    const { directive } = await new Promise((resolve) => {
      addEventListener("securitypolicyviolation", ({ effectiveDirective: directive }) =>
        directive === "connect-src" && resolve({ directive }));
      fetch("http://192.0.2.1/").catch(() => {});
    });
    return { isTyped, ran: window.ran, directive };
  });
  assert.deepEqual(outcome, { isTyped: true, ran: undefined, directive: "connect-src" });
});

check("the page and its files say what they are, and are asked for once", async () => {
  const server = await Server.start();
  const ask = (path, headers = {}) => fetch(server.url + path, { headers });
  const html = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };
  const page = await ask("/", html);
  assert.equal(page.headers.get("content-type"), "text/html; charset=utf-8");
  assert.equal(page.headers.get("vary"), "Accept");
  const json = await ask("/");
  assert.equal((await json.json()).status, "ok");
  assert.equal(json.headers.get("vary"), "Accept");
  const files = [["/", html], ["/dashboard/app.js", {}], ["/dashboard/style.css", {}]];
  for (const [path, headers] of files) {
    const answer = await ask(path, headers);
    const told = (name) => answer.headers.get(name);
    assert.match(told("content-security-policy"), /^default-src 'none'; script-src 'self';/, path);
    assert.equal(told("x-content-type-options"), "nosniff");
    assert.equal(told("referrer-policy"), "no-referrer");
    assert.equal(told("cache-control"), "no-cache");
    const again = await ask(path, { ...headers, "if-none-match": told("etag") });
    assert.equal(again.status, 304);
    assert.equal(again.headers.get("etag"), told("etag"));
  }
  assert.equal((await ask("/dashboard/nothing.js")).status, 404);
  assert.equal((await ask("/dashboard/..%2fmod.rs")).status, 404);
});
