// Whether the server is still there. Browsers answer its pings without telling the page, so silence
// proves nothing by itself: after an interval without a message the client asks, and a server that
// does not answer in time is gone. Every message counts, not only answers.

import type { Cancel, Environment } from "./environment.js";

/** For servers that do not ping (kinglet's own default). */
const INTERVAL_DEFAULT_MS = 25_000;

/** How long an answer may take. */
export const ANSWER_TIMEOUT_MS = 10_000;

/** The watch over one connection. */
export class Heartbeat {
  #heard = true;
  #cancel: Cancel = () => {};

  constructor(
    private readonly intervalMs: number,
    private readonly environment: Environment,
    private readonly ping: () => void,
    private readonly silent: () => void,
  ) {
    this.#wait();
  }

  /** Notes that a message came. */
  heard(): void {
    this.#heard = true;
  }

  /** Asks now, because something happened that may have cut the connection. */
  probe(): void {
    this.#cancel();
    this.#heard = false;
    this.ping();
    this.#cancel = this.environment.after(ANSWER_TIMEOUT_MS, () => {
      if (this.#heard) this.#wait();
      else this.silent();
    });
  }

  /** Ends the watch. */
  stop(): void {
    this.#cancel();
  }

  #wait(): void {
    this.#heard = false;
    this.#cancel = this.environment.after(this.intervalMs || INTERVAL_DEFAULT_MS, () => {
      if (this.#heard) this.#wait();
      else this.probe();
    });
  }
}
