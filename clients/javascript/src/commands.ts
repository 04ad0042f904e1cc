// Commands on their way to an answer: numbered, timed, and kept or given up when a connection ends.
// Answers are handed over at once and not by promises, because a socket may deliver the next
// message before any promise is looked at, and order matters to subscriptions.

import type { Cancel, Environment } from "./environment.js";
import { KingletError } from "./errors.js";
import { isFields, type Fields } from "./message.js";

/** What came of a command: the answer, or why there is none. */
export type Outcome = Fields | KingletError;

/** The server forgets keys after five minutes; half a minute is left for the way there. */
const KEY_LIFETIME_MS = 270_000;

interface Command {
  readonly text: string;
  readonly isRepeatable: boolean;
  readonly settle: (outcome: Outcome) => void;
  readonly cancel: Cancel;
  isSent: boolean;
  /** When it was first sent. */
  sentAt: number | undefined;
}

/** All commands that wait for their answers, in the order asked. */
export class Commands {
  readonly #waiting = new Map<number, Command>();
  #lastId = 0;
  #send: ((text: string) => void) | undefined;

  constructor(private readonly environment: Environment) {}

  /** How many wait. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Sends `body` now, or when there is a connection; `settle` is called exactly once. */
  ask(
    body: Fields,
    how: { readonly timeout: number; readonly isRepeatable?: boolean },
    settle: (outcome: Outcome) => void,
  ): void {
    const id = ++this.#lastId;
    const command: Command = {
      text: JSON.stringify({ ...body, id }),
      isRepeatable: how.isRepeatable ?? false,
      settle,
      cancel: this.environment.after(how.timeout, () => {
        const message = `${String(body["type"])}: no answer within ${how.timeout} ms`;
        this.#settle(id, new KingletError("TIMEOUT", message));
      }),
      isSent: false,
      sentAt: undefined,
    };
    this.#waiting.set(id, command);
    if (this.#send !== undefined) this.#pass(command, this.#send);
  }

  /** From now on commands go to `send`; those that wait already go with `flush`. */
  attach(send: (text: string) => void): void {
    this.#send = send;
  }

  /** Sends what could not be sent before, and again what may be repeated. */
  flush(): void {
    const now = this.environment.now();
    for (const [id, command] of [...this.#waiting]) {
      if (this.#send === undefined || command.isSent) continue;
      const isForgotten = now - (command.sentAt ?? now) >= KEY_LIFETIME_MS;
      if (isForgotten) this.#settle(id, lost("for too long to repeat it"));
      else this.#pass(command, this.#send);
    }
  }

  /** Takes the answer to a command. */
  answer(id: number, body: Fields): void {
    this.#settle(id, body["type"] === "error" ? asError(body) : body);
  }

  /** The connection is gone: commands in flight fail, but for those that may be repeated. */
  detach(mayRepeat: boolean, why: string): void {
    this.#send = undefined;
    for (const [id, command] of [...this.#waiting]) {
      if (!command.isSent) continue;
      if (mayRepeat && command.isRepeatable) command.isSent = false;
      else this.#settle(id, lost(why));
    }
  }

  /** Fails everything that waits. */
  end(error: KingletError): void {
    this.#send = undefined;
    for (const id of [...this.#waiting.keys()]) this.#settle(id, error);
  }

  #pass(command: Command, send: (text: string) => void): void {
    command.sentAt ??= this.environment.now();
    command.isSent = true;
    send(command.text);
  }

  #settle(id: number, outcome: Outcome): void {
    const command = this.#waiting.get(id);
    if (command === undefined) return;
    this.#waiting.delete(id);
    command.cancel();
    command.settle(outcome);
  }
}

function lost(why: string): KingletError {
  const message = `the connection ended before the answer came (${why}); it may be carried out`;
  return new KingletError("CONNECTION_LOST", message);
}

/** What an error of the server says. */
export function asError(body: Fields): KingletError {
  const data = isFields(body["data"]) ? body["data"] : {};
  const { code, message, details } = data;
  return new KingletError(
    typeof code === "string" ? code : "BAD_ANSWER",
    typeof message === "string" ? message : "the server gives no reason",
    details,
  );
}
