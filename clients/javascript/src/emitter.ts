// Who listens to what. A listener that throws harms neither the client nor the other listeners.

import type { Cancel, Environment } from "./environment.js";

/** Listeners by the name of what they hear. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>();

  constructor(private readonly environment: Pick<Environment, "rethrow">) {}

  /** Adds a listener, until the function that it returns is called. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): Cancel {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /** Tells every listener. */
  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      call(listener as (event: Events[Name]) => void, event, this.environment);
    }
  }
}

/** Calls what the application gave; what it throws is thrown again, elsewhere. */
export function call<Argument>(
  handler: ((argument: Argument) => void) | undefined,
  argument: Argument,
  environment: Pick<Environment, "rethrow">,
): void {
  try {
    handler?.(argument);
  } catch (error) {
    environment.rethrow(error);
  }
}
