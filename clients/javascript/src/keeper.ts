// Where a subscription's position outlives its page. A storage that fails is reported and done
// without: events matter more than where they were.

import type { PositionStorage } from "./environment.js";
import { KingletError } from "./errors.js";
import { isFields, parsePosition } from "./message.js";
import type { Position } from "./types.js";

/** One position in a storage. */
export class PositionKeeper {
  readonly #name: string;

  /** The room is in the name, so that one `persist` may serve several subscriptions. */
  constructor(
    persist: string,
    room: string,
    private readonly storage: () => PositionStorage | undefined,
    private readonly report: (error: KingletError) => void,
  ) {
    this.#name = `kinglet:${persist}:${room}`;
  }

  /** The position of the last page, if there is one that makes sense. */
  load(): Position | undefined {
    const text = this.#try((storage) => storage.getItem(this.#name));
    if (typeof text !== "string") return undefined;
    try {
      const kept: unknown = JSON.parse(text);
      return isFields(kept) ? parsePosition(kept) : undefined;
    } catch {
      return undefined; // Something else stands there, and is overwritten.
    }
  }

  /** Keeps a position in place of the last. */
  save(position: Position): void {
    this.#try((storage) => storage.setItem(this.#name, JSON.stringify(position)));
  }

  /** Forgets it. */
  forget(): void {
    this.#try((storage) => storage.removeItem(this.#name));
  }

  #try<Value>(action: (storage: PositionStorage) => Value): Value | undefined {
    try {
      const storage = this.storage();
      if (storage === undefined) throw new Error("there is no sessionStorage: give `storage`");
      return action(storage);
    } catch (cause) {
      const message = `the position in ${this.#name} cannot be kept: ${String(cause)}`;
      this.report(new KingletError("STORAGE_FAILED", message, {}, cause));
      return undefined;
    }
  }
}
