// How long to wait before trying again: exponential, with full jitter
// (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), so that those who
// failed together come back apart. No delay exceeds the cap.

import type { Environment } from "./environment.js";

/** The delays of one thing that fails again and again. */
export class Backoff {
  #failures = 0;

  constructor(
    private readonly first: number,
    private readonly cap: number,
    private readonly environment: Pick<Environment, "random">,
  ) {}

  /** The delay after one more failure, in whole milliseconds. */
  next(): number {
    const ceiling = Math.min(this.cap, this.first * 2 ** this.#failures);
    this.#failures += 1;
    return Math.floor(this.environment.random() * ceiling);
  }

  /** Notes that it works again. */
  reset(): void {
    this.#failures = 0;
  }
}
