// What the application sees: options, publications, positions and the answers to commands.

import type { PositionStorage, SocketClass } from "./environment.js";
import type { KingletError } from "./errors.js";

/** A token, or what gets one: `null` says that there is none any more (somebody logged out). */
export type Token = string | (() => string | null | Promise<string | null>);

/** How a client behaves. Durations are milliseconds. */
export interface ClientOptions {
  /** Who this is, in token mode. A function is called again before the token expires. */
  readonly token?: Token;
  /** The class of sockets, where the platform has none: `ws` for Node.js before 22. */
  readonly WebSocket?: SocketClass;
  /** How long a command may take, waiting for a connection included; 10,000. */
  readonly timeout?: number;
  /** How many commands may wait for their answers; 1,000. */
  readonly queue?: number;
  /** Where `persist` keeps positions; `sessionStorage`. */
  readonly storage?: PositionStorage;
  /** Reconnects wait from 0 to this at first; 500. */
  readonly backoffFirst?: number;
  /** No reconnect waits longer; 30,000. */
  readonly backoffMax?: number;
}

/** Disconnected: it does not try. Connecting: it does, or waits before it does again. */
export type State = "disconnected" | "connecting" | "connected";

/** What became of the client. */
export interface StateChange {
  readonly state: State;
  /** The close code of the connection that ended; 1006 if it broke or never was. */
  readonly code?: number;
  /** Why it ended, in words. */
  readonly reason?: string;
  /** When it tries again, in milliseconds from now. */
  readonly retryIn?: number;
}

/** What a client tells whoever listens. */
export interface ClientEvents {
  /** The state changed, or an attempt failed and another will be made. */
  state: StateChange;
  /** Something failed that nobody waits for: the token callback, a refresh, the storage. */
  error: KingletError;
  /** A publication in a room that an operator put the session in, and nobody subscribed to. */
  publication: Publication;
}

/** One event in a room. */
export interface Publication<Data = unknown> {
  /** The event's name; `type` on the wire. */
  readonly event: string;
  readonly room: string;
  /** Its place in the room's stream. */
  readonly offset: number;
  /** When it entered the stream: RFC 3339, UTC. */
  readonly timestamp: string;
  /** As published; bytes are a `Uint8Array`. */
  readonly data: Data;
  readonly source?: string;
  /** If it went to several rooms: the same on every copy. */
  readonly uid?: string;
}

/** A place in a room's stream. Without an epoch it is taken whatever the epoch. */
export interface Position {
  readonly epoch?: string;
  readonly offset: number;
}

/** A room that one listens to; it survives every reconnect. */
export interface Subscription {
  readonly room: string;
  readonly state: "subscribing" | "subscribed" | "unsubscribed";
  /** The last publication that was handed over; unknown until first subscribed. */
  readonly position: Position | undefined;
  /** Says that everything up to `offset` was dealt with; for `durable` with `manual`. */
  acknowledge(offset: number): void;
  /** Ends it for good. Nothing is handed over afterwards, and what `persist` kept is forgotten. */
  unsubscribe(): void;
}

/** That a subscription is live: everything up to `position` was handed over, or was lost. */
export interface Subscribed {
  readonly position: Position;
  /** Whether nothing was missed; absent if there was no position to recover from. */
  readonly recovered?: boolean;
}

/** That publications were missed and cannot be recovered. */
export interface Lost {
  /** What comes next comes after this. */
  readonly position: Position;
  /** The last position from which nothing is missing. */
  readonly since: Position;
  /** Whether the stream began anew, or what was missed is no longer kept. */
  readonly reason: "reset" | "expired";
}

/** What to do with a room. Handlers run in order, never at the same time; nobody awaits them. */
export interface SubscribeOptions<Data = unknown> {
  /** Gets every publication once, in order. */
  readonly onPublication: (publication: Publication<Data>) => void;
  /** After each connection, when everything missed was handed over. */
  readonly onSubscribed?: (subscribed: Subscribed) => void;
  /** Publications are missing for good: load the state anew. */
  readonly onLost?: (lost: Lost) => void;
  /** The server refused the room or took it away. It is not asked for again. */
  readonly onUnsubscribed?: (error: KingletError) => void;
  /** Begin after this position; 0 is the beginning. Without it, begin with what is new. */
  readonly since?: Position | number;
  /** Keep the position in the storage under this name, so that a reload goes on from it. */
  readonly persist?: string;
  /**
   * Have the server keep under this name what was dealt with, in a durable room: a client that
   * comes back without a position goes on from there. A publication counts as dealt with when
   * `onPublication` has returned; what is lost, when `onLost` has.
   */
  readonly durable?: string;
  /** With `durable`: only what `acknowledge` is called with counts. */
  readonly manual?: boolean;
}

/** How to publish. */
export interface PublishOptions {
  /** An idempotency key: sent again after a cut, and carried out once. 1 to 255 bytes. */
  readonly key?: string;
  /** Who publishes, for those who read it. */
  readonly source?: string;
  /** Sessions that shall not receive it, as `client.session`. */
  readonly except?: string | readonly string[];
  /** In place of the client's. */
  readonly timeout?: number;
}

/** Where a publication stands in one room. */
export interface Placed {
  readonly room: string;
  readonly offset: number;
  readonly epoch: string;
}

/** Where a publication stands in its first room, and in all of them. */
export interface Published extends Placed {
  readonly results: readonly Placed[];
}

/** Which part of a history. */
export interface HistoryOptions {
  /** Only what comes after this offset; with `reverse`, before it. */
  readonly since?: number;
  /** Fail with STREAM_RESET if it is another. */
  readonly epoch?: string;
  /** 1 to 300, which is the default. */
  readonly limit?: number;
  /** The newest first. */
  readonly reverse?: boolean;
}

/** A page of a history, and where the room is now. */
export interface History {
  readonly room: string;
  readonly epoch: string;
  readonly offset: number;
  readonly publications: readonly Publication[];
  readonly more: boolean;
}

/** Who is in a room. */
export interface Presence {
  readonly room: string;
  readonly users: number;
  readonly sessions: number;
  /** Those who came first before the others; empty if it is truncated. */
  readonly members: readonly Member[];
  /** Whether there are too many to list. */
  readonly truncated: boolean;
  /** Where the room's stream stood before anybody was counted; absent if there is no such room. */
  readonly position?: Position;
}

/** One session in a room. */
export interface Member {
  readonly session: string;
  /** When it came: RFC 3339, UTC. */
  readonly since: string;
  /** Absent if it is nobody's. */
  readonly user?: string;
  /** What the user's token says. */
  readonly info?: unknown;
}
