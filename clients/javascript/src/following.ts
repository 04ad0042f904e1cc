// One room, across connections: asks what was missed, and hands every publication over once.
//
//   connected ─▶ asking {since} ─┬─▶ recovered ─────────────────────────────▶ live
//                  ▲             └─▶ too much for one answer ─▶ paging ─┐
//                  └───── what the history still has was handed over ◀──┘
//
// Invariants: what is handed over has growing offsets; the position only moves past what was handed
// over or said to be lost; whatever arrives while the server is asked is in its answer, because a
// session is a member before the answer is put together. A stale answer, of an earlier connection,
// changes nothing: each connection is a new turn.

import { Acknowledger } from "./acknowledger.js";
import type { Backoff } from "./backoff.js";
import type { Outcome } from "./commands.js";
import { call } from "./emitter.js";
import type { Cancel, Environment } from "./environment.js";
import { isPassing, KingletError } from "./errors.js";
import type { PositionKeeper } from "./keeper.js";
import { parsePosition, parsePublications, type Fields } from "./message.js";
import type { Lost, Position, Publication, Subscribed } from "./types.js";
import type { SubscribeOptions, Subscription } from "./types.js";

/**
 * How often the history is paged through for one recovery. Each time less is missing, unless more
 * is published than can be read.
 */
const ROUNDS_MAX = 8;

/** What the client does for its rooms. */
export interface Host {
  readonly environment: Environment;
  /** Sends a command, if there is a connection; the outcome of any connection is handed over. */
  ask(body: Fields, settle: (outcome: Outcome) => void): void;
  /** Drops the room, and leaves it if the server does not know yet. */
  forget(room: string, isLeft: boolean): void;
}

type Stage = "idle" | "asking" | "live" | "over";

/** A room that the application subscribed to. */
export class Following implements Subscription {
  #stage: Stage = "idle";
  #position: Position | undefined;
  /** Grows whenever what was asked before no longer counts. */
  #turn = 0;
  #round = 0;
  #cancelRetry: Cancel = () => {};
  readonly #acknowledger: Acknowledger | undefined;
  /** What the server says was acknowledged of the room's stream. */
  #acknowledged: number | undefined;

  constructor(
    readonly room: string,
    private readonly options: SubscribeOptions,
    private readonly host: Host,
    private readonly backoff: Backoff,
    private readonly keeper: PositionKeeper | undefined,
  ) {
    const { since, durable } = options;
    this.#acknowledger = durable === undefined ? undefined : new Acknowledger(room, durable, host);
    const asked = typeof since === "number" ? { offset: since } : since;
    this.#position = keeper?.load() ?? asked;
  }

  get state(): Subscription["state"] {
    if (this.#stage === "over") return "unsubscribed";
    return this.#stage === "live" ? "subscribed" : "subscribing";
  }

  get position(): Position | undefined {
    return this.#position;
  }

  acknowledge(offset: number): void {
    this.#acknowledger?.acknowledge(offset);
  }

  unsubscribe(): void {
    if (this.#stage === "over") return;
    this.flush();
    this.#finish();
    this.host.forget(this.room, false);
  }

  /** A connection is there. */
  connected(): void {
    this.disconnected();
    this.#stage = "asking";
    this.#round = 0;
    this.#ask(this.#position);
  }

  /** The connection is gone. */
  disconnected(): void {
    this.#turn += 1;
    this.#cancelRetry();
    this.#acknowledger?.end();
    this.#stage = "idle";
  }

  /** The connection will be ended. */
  flush(): void {
    this.#acknowledger?.flush();
  }

  /** A publication came. */
  published(publication: Publication): void {
    if (this.#stage === "live" && this.#hand(publication)) this.#keep();
    if (this.#stage === "live") this.#acknowledger?.acknowledge(this.#dealtWith);
  }

  /** The server took the room away. */
  removed(): void {
    this.#refused(new KingletError("REMOVED", `${this.room}: the server took this room away`));
  }

  #ask(asked: Position | undefined): void {
    const { durable } = this.options;
    const body = { type: "subscribe", room: this.room, since: asked, durable };
    this.#command(body, (answer) => {
      const position = parsePosition(answer);
      if (position === undefined) return this.#retry();
      const acknowledged = answer["acknowledged"];
      this.#acknowledged = typeof acknowledged === "number" ? acknowledged : undefined;
      if (asked === undefined && durable !== undefined) this.#position = this.#kept(position);
      const since = asked ?? this.#position;
      if (since === undefined) return this.#live(position, undefined);
      if (answer["recovered"] === true) {
        if (this.#handAll(parsePublications(answer, this.room))) this.#live(position, true);
        return;
      }
      const isReset = since.epoch !== undefined && since.epoch !== position.epoch;
      if (isReset || this.#round >= ROUNDS_MAX) return this.#live(position, false);
      this.#round += 1;
      this.#page(since, since.offset);
    });
  }

  /** From where the server recovers; an empty epoch if that was of a stream that is gone. */
  #kept({ epoch }: Position): Position {
    const offset = this.#acknowledged;
    return offset === undefined ? { epoch: "", offset: 0 } : { ...(epoch && { epoch }), offset };
  }

  /** Hands over what the history has after `since`, of which nothing was read before `begin`. */
  #page(since: Position, begin: number): void {
    const body = { type: "history", room: this.room, ...pageOf(since) };
    const follow = (answer: Fields) => {
      const publications = parsePublications(answer, this.room);
      const next = publications[0]?.offset ?? since.offset + 1;
      if (next > since.offset + 1) return this.#loseAndGoOn();
      if (!this.#handAll(publications)) return;
      // From now on the stream is known, and another one under the same name shows.
      const epoch = parsePosition(answer)?.epoch ?? since.epoch;
      const offset = this.#position?.offset ?? since.offset;
      const reached: Position = epoch === undefined ? { offset } : { epoch, offset };
      this.#position = reached;
      this.#keep();
      if (answer["more"] === true && publications.length > 0) this.#page(reached, begin);
      else if (offset > begin) this.#ask(reached);
      // With nothing read, asking again would bring the same.
      else this.#loseAndGoOn();
    };
    // No history now, or none for this user: what is missing cannot be had.
    this.#command(body, follow, () => this.#loseAndGoOn());
  }

  /** Gives up what is missing; the answer says after what it goes on. */
  #loseAndGoOn(): void {
    this.#command({ type: "subscribe", room: this.room }, (answer) => {
      const position = parsePosition(answer);
      if (position === undefined) this.#retry();
      else this.#live(position, false);
    });
  }

  /** Asks the server; what comes of it counts only for this turn. */
  #command(body: Fields, follow: (answer: Fields) => void, refused?: () => void): void {
    const turn = this.#turn;
    this.host.ask(body, (outcome) => {
      if (turn !== this.#turn) return;
      if (!(outcome instanceof KingletError)) follow(outcome);
      else if (isPassing(outcome)) this.#retry();
      else if (refused !== undefined) refused();
      else this.#refused(outcome);
    });
  }

  #retry(): void {
    const turn = this.#turn;
    this.#cancelRetry = this.host.environment.after(this.backoff.next(), () => {
      // Ten errors in a row close the connection for good; a ping begins the count anew.
      this.host.ask({ type: "ping" }, () => {
        if (turn === this.#turn) this.connected();
      });
    });
  }

  /** Everything up to `position` is handed over, or lost. */
  #live(position: Position, recovered: boolean | undefined): void {
    const since = this.#position;
    this.backoff.reset();
    this.#position = position;
    this.#stage = "live";
    this.#keep();
    const turn = this.#turn;
    if (recovered === false && since !== undefined) {
      const isReset = since.epoch !== undefined && since.epoch !== position.epoch;
      this.#call<Lost>(this.options.onLost, {
        position,
        since,
        reason: isReset ? "reset" : "expired",
      });
    }
    if (turn !== this.#turn) return; // The handler unsubscribed.
    this.#call<Subscribed>(this.options.onSubscribed, {
      position,
      ...(recovered === undefined ? {} : { recovered }),
    });
    if (turn !== this.#turn) return;
    this.#acknowledger?.begin(position, this.#acknowledged, this.#dealtWith);
  }

  /** What may be acknowledged; nothing if the application says so itself. */
  get #dealtWith(): number {
    return this.options.manual === true ? 0 : (this.#position?.offset ?? 0);
  }

  /** Whether all were handed over, and nobody ended it meanwhile. */
  #handAll(publications: readonly Publication[]): boolean {
    const turn = this.#turn;
    for (const publication of publications) {
      this.#hand(publication);
      if (turn === this.#turn) continue;
      this.#keep();
      return false;
    }
    return true;
  }

  /** Hands a publication over if it is new; says whether it was. */
  #hand(publication: Publication): boolean {
    const { offset } = publication;
    if (offset <= (this.#position?.offset ?? 0)) return false;
    this.#position = { ...this.#position, offset };
    this.#call(this.options.onPublication, publication);
    return true;
  }

  #call<Argument>(handler: ((argument: Argument) => void) | undefined, argument: Argument): void {
    call(handler, argument, this.host.environment);
  }

  #keep(): void {
    const position = this.#position;
    if (this.#stage !== "over" && position !== undefined) this.keeper?.save(position);
  }

  #refused(error: KingletError): void {
    this.#finish();
    this.host.forget(this.room, true);
    this.#call(this.options.onUnsubscribed, error);
  }

  #finish(): void {
    this.disconnected();
    this.#stage = "over";
    this.keeper?.forget();
  }
}

/** Which part of a history comes after `since`. */
function pageOf({ epoch, offset }: Position): Fields {
  return epoch === undefined ? { since: offset } : { since: offset, epoch };
}
