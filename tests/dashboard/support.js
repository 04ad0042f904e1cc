// What the tests of the dashboard stand on: the real server as a child process, a relay before it,
// and headless Chromium with a page whose every request and complaint is watched.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";

import { chromium } from "playwright-core";

/** How long anything may take on a machine under load. */
export const PATIENCE_MS = 30_000;

const CHROMIUM = "/usr/bin/chromium";
const BINARY = process.env.KINGLET_TEST_BINARY;
const STAND_IN = BINARY && join(dirname(BINARY), "claude-stand-in");
const LISTENS = / listens on http:\/\/127\.0\.0\.1:(\d+)$/;

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

/** A test, skipped with a word where it cannot run. */
export function check(title, body) {
  test(title, { skip: reason() }, body);
}

function reason() {
  if (BINARY === undefined) return "KINGLET_TEST_BINARY is not set";
  return existsSync(CHROMIUM) ? false : `there is no ${CHROMIUM}`;
}

const endings = [];
after(async () => {
  for (const end of endings.reverse()) await end();
});

/** Has `end` called when all tests of the file are over, the last one first. */
export function finallyDo(end) {
  endings.push(end);
}

/** A folder that is there until the tests are over. */
export async function folder() {
  const path = await mkdtemp(join(tmpdir(), "kinglet-dashboard-"));
  finallyDo(() => rm(path, { recursive: true, force: true, maxRetries: 5 }));
  return path;
}

/** A running server. */
export class Server {
  constructor(child, port, work) {
    this.child = child;
    this.port = port;
    this.work = work;
  }

  /** Starts it on a free port; `settings` are environment variables, `config` is of the file. */
  static async start(settings = {}, config = "") {
    const [data, work] = [await folder(), await folder()];
    const file = join(work, "kinglet.toml");
    await writeFile(file, config);
    const script = join(work, "say.sh");
    await writeFile(script, SAYS);
    const env = {
      PATH: process.env.PATH,
      HOME: work,
      KINGLET_SERVER__LISTEN: "127.0.0.1:0",
      KINGLET_SERVER__DATA_DIR: data,
      KINGLET_PROJECTS__ROOTS: work,
      KINGLET_AGENTS__CLAUDE__COMMAND: STAND_IN,
      KINGLET_AGENTS__CLAUDE__INTERACTIVE: "true",
      KINGLET_AGENTS__SAY__KIND: "lines",
      KINGLET_AGENTS__SAY__COMMAND: JSON.stringify(["/bin/sh", script]),
      ...settings,
    };
    const stdio = ["ignore", "pipe", "inherit"];
    const child = spawn(BINARY, ["serve", "--config", file], { env, stdio });
    let last = "";
    for await (const line of createInterface(child.stdout)) {
      last = line;
      const port = LISTENS.exec(line)?.[1];
      if (port === undefined) continue;
      child.stdout.resume();
      const server = new Server(child, Number(port), work);
      finallyDo(() => server.stop());
      return server;
    }
    throw new Error(`the server ended before it listened: ${last}`);
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** A request to the API; answers with the JSON. */
  async call(method, path, body, token) {
    const answer = await fetch(`${this.url}/api/v1/${path}`, {
      method,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    assert(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }

  publish(room, event, data, token) {
    return this.call("POST", "publish", { room, event, data }, token);
  }

  /** Makes a project in a new directory. */
  async project(name, token) {
    const path = join(this.work, name);
    await mkdir(path);
    return (await this.call("POST", "projects", { path, name }, token)).id;
  }

  /** Starts a run; answers with its id. */
  async run(project, agent, prompt, token) {
    const { run } = await this.call("POST", `projects/${project}/runs`, { agent, prompt }, token);
    return run.id;
  }

  async stop(signal = "SIGKILL") {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, "exit");
    this.child.kill(signal);
    await ended;
  }
}

/** The agent `say`: prints what it reads until the end of its input; `slow` prints on and on. */
const SAYS = `prompt=$(cat)
case "$prompt" in
  slow) n=0
    while [ $n -lt 1200 ]; do n=$((n + 1)); echo "step $n of a long run"; sleep 0.1; done ;;
  file:*) cat "\${prompt#file:}" ;;
  *) printf '%s\\n' "$prompt" ;;
esac
`;

/** What stands between browsers and a server, so that the server may come back at another port. */
export class Relay {
  #links = new Set();

  static async start(server) {
    const relay = new Relay();
    relay.aim(server);
    relay.listener = createServer((client) => relay.#link(client));
    relay.listener.listen(0, "127.0.0.1");
    await once(relay.listener, "listening");
    finallyDo(() => {
      relay.listener.close();
      relay.cut();
    });
    return relay;
  }

  get url() {
    return `http://127.0.0.1:${this.listener.address().port}`;
  }

  /** Connects whoever comes from now on to this server. */
  aim(server) {
    this.port = server.port;
  }

  /** Cuts every connection, without a good-bye. */
  cut() {
    for (const end of this.#links) end.destroy();
  }

  #link(client) {
    const server = createConnection(this.port, "127.0.0.1");
    for (const [end, other] of [[client, server], [server, client]]) {
      this.#links.add(end);
      end.on("error", () => other.destroy());
      end.on("close", () => {
        this.#links.delete(end);
        other.destroy();
      });
      end.pipe(other);
    }
  }
}

/** The settings of a server in token mode, and a token that it takes. */
export const SECRET = "of the tests, and long enough for HS256";
export const TOKENS = { KINGLET_AUTH__MODE: "token", JWT_SECRET_KEY: SECRET };

export function sign(user, role = "admin", seconds = 900, more = {}) {
  const spell = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const signed = `${spell({ alg: "HS256" })}.${spell({ sub: user, exp, role, ...more })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

/** Desktop and phone. */
export const SIZES = { desktop: { width: 1280, height: 900 }, phone: { width: 360, height: 740 } };

/**
 * A page of a browser that knows nothing yet. `faults` collects what must not be: requests to
 * another origin, uncaught errors, and complaints on the console, among them those of the policy.
 */
export async function browse(origin, { size = "desktop", theme = "light" } = {}) {
  const profile = await folder();
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    args: FLAGS,
    timeout: PATIENCE_MS,
    viewport: SIZES[size],
    colorScheme: theme,
    reducedMotion: "reduce",
    permissions: [],
  });
  finallyDo(() => context.close());
  const page = context.pages()[0] ?? (await context.newPage());
  page.setDefaultTimeout(PATIENCE_MS);
  const faults = [];
  page.on("pageerror", (error) => faults.push(`uncaught: ${error.stack}`));
  page.on("dialog", (dialog) => {
    faults.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("console", (message) => {
    // Chromium reports every refused request there; those the page expects.
    const isRefusal = /^Failed to load resource|WebSocket connection to/.test(message.text());
    if (message.type() === "error" && !isRefusal) faults.push(`console: ${message.text()}`);
  });
  const own = new URL(origin).host;
  const watch = (url) => {
    const { host, protocol } = new URL(url);
    if (host !== own && protocol !== "data:") faults.push(`a request to ${url}`);
  };
  context.on("request", (request) => watch(request.url()));
  page.on("websocket", (socket) => watch(socket.url()));
  return { page, context, faults, origin };
}

/** Opens a view by its address, and waits until it is live. */
export async function visit({ page, origin }, hash = "#/overview") {
  await page.goto(`${origin}/${hash}`);
  await live(page);
}

/** Waits until the page has its socket. */
export function live(page) {
  return page.waitForSelector("#connection[data-state=live]");
}

/** Waits until the text stands somewhere in the view. */
export function shows(page, text, where = "#panel") {
  return page.locator(where).getByText(text).first().waitFor();
}

/** That nothing of the page is wider than the window. */
export async function fits(page, what) {
  const wider = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const isClipped = (element) => element.closest("svg, .skip, thead, pre, .output") !== null;
    return [...document.body.querySelectorAll("*")]
      .filter((element) => !isClipped(element))
      .filter((element) => element.getBoundingClientRect().right > width + 0.5)
      .map((element) => `${element.tagName}.${element.className}`)
      .concat(document.documentElement.scrollWidth > width ? ["the page"] : []);
  });
  assert.deepEqual(wider, [], what);
}

/** Waits until `condition` holds; fails with `what` when it does not in time. */
export async function until(what, condition) {
  const end = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    assert(Date.now() < end, `not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
