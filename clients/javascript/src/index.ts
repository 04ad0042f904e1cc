// What the package exports, and nothing besides.

export { Client } from "./client.js";
export { KingletError, type ClientCode } from "./errors.js";
export type { PositionStorage, SocketClass, SocketLike } from "./environment.js";
export type {
  ClientEvents,
  ClientOptions,
  History,
  HistoryOptions,
  Lost,
  Member,
  Placed,
  Position,
  Presence,
  Publication,
  Published,
  PublishOptions,
  State,
  StateChange,
  Subscribed,
  SubscribeOptions,
  Subscription,
  Token,
} from "./types.js";
