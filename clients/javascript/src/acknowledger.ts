// How far the application got with one room, told to the server under a name: at once, but not again
// before some time has passed, so that a burst of publications costs one command and many rooms stay
// below the rate that a session has. Nothing is kept here; what the server was not told it hands over
// again.

import type { Cancel } from "./environment.js";
import { isPassing, KingletError } from "./errors.js";
import type { Host } from "./following.js";
import type { Position } from "./types.js";

/** Between two commands: 128 rooms, as many as a session has, send fewer than 50 a second. */
const INTERVAL_MS = 3_000;

/** What tells the server, while there is a connection. */
export class Acknowledger {
  #epoch: string | undefined;
  /** What is to be acknowledged, and what is. */
  #wanted = 0;
  #known = 0;
  #isLive = false;
  /** Set while a command was sent so shortly before that there is no other yet. */
  #isResting = false;
  /** Grows whenever what was asked before no longer counts. */
  #turn = 0;
  #cancelRest: Cancel = () => {};

  constructor(
    private readonly room: string,
    private readonly name: string,
    private readonly host: Host,
  ) {}

  /**
   * The room is live in this stream, of which the server knows so much to be acknowledged, and so
   * much was dealt with.
   */
  begin({ epoch }: Position, known: number | undefined, offset: number): void {
    this.end();
    this.#wanted = Math.max(this.#epoch === epoch ? this.#wanted : 0, offset);
    this.#epoch = epoch;
    // Even 0 is to be said of a stream of which the server knows nothing.
    this.#known = known ?? -1;
    this.#isLive = true;
    this.#tell();
  }

  /** The connection is gone. */
  end(): void {
    this.#turn += 1;
    this.#isLive = false;
    this.#isResting = false;
    this.#cancelRest();
  }

  /** Everything up to `offset` was dealt with. */
  acknowledge(offset: number): void {
    this.#wanted = Math.max(this.#wanted, offset);
    this.#tell();
  }

  /** Tells the last of it without waiting, because the connection or the subscription ends. */
  flush(): void {
    if (!this.#isLive) return;
    this.#isResting = false;
    this.#tell();
  }

  #tell(): void {
    if (!this.#isLive || this.#isResting || this.#wanted <= this.#known) return;
    this.#rest();
    const turn = this.#turn;
    const before = this.#known;
    const offset = this.#wanted;
    this.#known = offset;
    this.host.ask({ type: "ack", room: this.room, durable: this.name, offset }, (outcome) => {
      const isRefused = outcome instanceof KingletError && isPassing(outcome);
      // Said again, unless something newer was said meanwhile.
      if (isRefused && turn === this.#turn && this.#known === offset) this.#known = before;
    });
  }

  #rest(): void {
    this.#cancelRest();
    this.#isResting = true;
    this.#cancelRest = this.host.environment.after(INTERVAL_MS, () => {
      this.#isResting = false;
      this.#tell();
    });
  }
}
