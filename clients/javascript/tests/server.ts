// The real server as a child process, and a relay before it that a test can cut, hold, and point at
// another server: so a server may come back at another port, and tests never name one.

import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createConnection, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** How long anything may take on a machine under load. */
export const PATIENCE_MS = 30_000;

const LISTENS = / listens on http:\/\/127\.0\.0\.1:(\d+)$/;

/** The binary to test, or `undefined`, which is then the reason to skip. */
export const BINARY = process.env["KINGLET_TEST_BINARY"];

/** A running server. */
export class RealServer {
  private constructor(
    private readonly child: ChildProcess,
    readonly port: number,
    private readonly folder: string,
  ) {}

  /** Starts it on a free port; `settings` are environment variables. */
  static async start(settings: Readonly<Record<string, string>> = {}): Promise<RealServer> {
    assert(BINARY !== undefined);
    const folder = await mkdtemp(join(tmpdir(), "kinglet-"));
    const own = { KINGLET_SERVER__LISTEN: "127.0.0.1:0", KINGLET_SERVER__DATA_DIR: folder };
    const env = { ...own, ...settings };
    const child = spawn(BINARY, ["serve"], { env, stdio: ["ignore", "pipe", "ignore"] });
    for await (const line of createInterface(child.stdout)) {
      const port = LISTENS.exec(line)?.[1];
      if (port !== undefined) return new RealServer(child, Number(port), folder);
    }
    throw new Error("the server ended before it listened");
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Publishes by HTTP, as a backend does. */
  async publish(room: string, event: string, data: unknown, token?: string): Promise<void> {
    const answer = await fetch(`${this.url}/api/v1/publish`, {
      method: "POST",
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      body: JSON.stringify({ room, event, data }),
    });
    assert.equal(answer.status, 200, await answer.text());
  }

  /** Ends it: "SIGTERM" lets it say good-bye, "SIGKILL" does not. */
  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGKILL"): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = once(this.child, "exit");
      this.child.kill(signal);
      await ended;
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** What stands between clients and a server. */
export class Relay {
  readonly #links = new Set<Link>();
  readonly #listener: Server;
  #port: number;

  private constructor(server: RealServer) {
    this.#port = server.port;
    this.#listener = createServer((client) => this.#link(client));
  }

  /** Listens on a free port. */
  static async start(server: RealServer): Promise<Relay> {
    const relay = new Relay(server);
    relay.#listener.listen(0, "127.0.0.1");
    await once(relay.#listener, "listening");
    return relay;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#listener.address() as AddressInfo).port}`;
  }

  /** Connects whoever comes from now on to this server. */
  aim(server: RealServer): void {
    this.#port = server.port;
  }

  /** Cuts every connection, without a good-bye. */
  cut(): void {
    for (const link of [...this.#links]) link.cut();
  }

  /** Lets nothing through any more on the connections that there are, and tells nobody. */
  hold(): void {
    for (const { client, server } of this.#links) {
      client.unpipe(server).pause();
      server.unpipe(client).pause();
    }
  }

  /** Cuts everything and listens no more. */
  stop(): void {
    this.#listener.close();
    this.cut();
  }

  #link(client: Socket): void {
    const server = createConnection(this.#port, "127.0.0.1");
    const link: Link = {
      client,
      server,
      cut: () => {
        this.#links.delete(link);
        client.destroy();
        server.destroy();
      },
    };
    this.#links.add(link);
    for (const end of [client, server]) {
      end.on("error", link.cut);
      end.on("close", link.cut);
    }
    client.pipe(server);
    server.pipe(client);
  }
}

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  readonly cut: () => void;
}

/** Waits until `condition` holds; fails with `what` when it does not in time. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    assert(Date.now() < end, `not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
