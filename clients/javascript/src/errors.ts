// The one kind of error that the client rejects with and reports.

/** Codes that the client itself gives; all others are the server's (docs/protocol.md, Errors). */
export type ClientCode =
  /** No answer came in time. It may have been carried out. */
  | "TIMEOUT"
  /** The connection ended before the answer came. It may have been carried out. */
  | "CONNECTION_LOST"
  /** The client is not connected and does not try to be. Nothing was sent. */
  | "DISCONNECTED"
  /** Too many commands wait for their answers. Nothing was sent. */
  | "QUEUE_FULL"
  /** The server, or a newer token, took the room away. */
  | "REMOVED"
  /** The token callback failed; the cause is `cause`. */
  | "TOKEN_FAILED"
  /** Positions cannot be kept; the cause is `cause`. */
  | "STORAGE_FAILED"
  /** The answer is none that a kinglet server gives. */
  | "BAD_ANSWER";

/** What went wrong, by `code` for programs and `message` for people. */
export class KingletError extends Error {
  readonly code: ClientCode | (string & {});
  /** What the server says besides; an empty object if nothing. */
  readonly details: unknown;

  constructor(code: KingletError["code"], message: string, details: unknown = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "KingletError";
    this.code = code;
    this.details = details;
  }
}

/** Codes of refusals that may pass by themselves, as the same status over HTTP says. */
const PASSING = [
  "SERVER_BUSY",
  "STORE_BUSY",
  "STORE_UNAVAILABLE",
  "RATE_LIMITED",
  "INTERNAL_ERROR",
  "TIMEOUT",
];

/** Whether asking the same later makes sense. */
export function isPassing(error: KingletError): boolean {
  return PASSING.includes(error.code);
}
