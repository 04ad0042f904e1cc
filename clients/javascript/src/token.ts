// Whose client this is: one token for every attempt, or a callback whose token is used until a
// minute before it ends. When it ends is read from the token and counted by the server's clock,
// because the machine's own may be wrong.

import type { Cancel, Environment } from "./environment.js";
import { KingletError } from "./errors.js";
import { isFields } from "./message.js";
import type { Token } from "./types.js";

/** How long before its end a token is replaced, if it lives that long. */
const MARGIN_MS = 60_000;

/** How long the callback may take. */
const CALLBACK_TIMEOUT_MS = 20_000;

/** A token, `null` if the application has none any more, `undefined` if it never gives one. */
export type Taken = string | null | undefined;

/** The token at hand, and how to get another. */
export class TokenSource {
  #cached: string | undefined;
  /** By this machine's clock; unknown until the server's is known. */
  #staleAt: number | undefined;

  constructor(
    private readonly token: Token | undefined,
    private readonly environment: Environment,
  ) {}

  /** Whether there may be another token than the last. */
  get isRefreshable(): boolean {
    return typeof this.token === "function";
  }

  /** Gives `take` the token at hand, at once, or a new one. */
  take(take: (token: Taken | KingletError, isNew: boolean) => void): Cancel {
    if (typeof this.token !== "function") {
      take(this.token, true);
      return () => {};
    }
    const isStale = this.#staleAt !== undefined && this.environment.now() >= this.#staleAt;
    if (this.#cached === undefined || isStale) return this.renew((token) => take(token, true));
    take(this.#cached, false);
    return () => {};
  }

  /** Asks the callback; `take` is called once, unless that is cancelled. */
  renew(take: (token: Taken | KingletError) => void): Cancel {
    let isOver = false;
    const finish = (token: Taken | KingletError) => {
      if (isOver) return;
      isOver = true;
      cancelTimer();
      this.#cached = typeof token === "string" ? token : undefined;
      this.#staleAt = undefined;
      take(token);
    };
    const cancelTimer = this.environment.after(CALLBACK_TIMEOUT_MS, () => {
      finish(failed(`the token callback took more than ${CALLBACK_TIMEOUT_MS} ms`));
    });
    // In a promise's body, so that a callback that throws is one that rejects.
    new Promise<string | null>((resolve) => {
      resolve(typeof this.token === "function" ? this.token() : null);
    }).then(finish, (cause: unknown) => finish(failed("the token callback failed", cause)));
    return () => {
      isOver = true;
      cancelTimer();
    };
  }

  /** Forgets the token at hand: it was refused, or has expired. */
  drop(): void {
    this.#cached = undefined;
  }

  /**
   * The server took the token when its clock said `serverTime`. Returns after how many
   * milliseconds to replace it; `undefined` if that is unknown or impossible.
   */
  accepted(serverTime: number): number | undefined {
    const end = this.#cached === undefined ? undefined : expiry(this.#cached);
    if (end === undefined || Number.isNaN(serverTime)) return undefined;
    const delay = refreshDelay(end - serverTime);
    this.#staleAt = this.environment.now() + delay;
    return delay;
  }
}

/** After how long a token that lives `lifetime` is replaced: short ones at half of it. */
export function refreshDelay(lifetime: number): number {
  return Math.max(lifetime - MARGIN_MS, lifetime / 2, 0);
}

/** When a token ends (RFC 7519 section 4.1.4), in milliseconds since 1970. */
export function expiry(token: string): number | undefined {
  const payload = token.split(".")[1] ?? "";
  try {
    const claims: unknown = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/")));
    const exp = isFields(claims) ? claims["exp"] : undefined;
    return typeof exp === "number" ? exp * 1000 : undefined;
  } catch {
    return undefined; // No JWT: the server's business.
  }
}

function failed(message: string, cause?: unknown): KingletError {
  return new KingletError("TOKEN_FAILED", message, {}, cause);
}
