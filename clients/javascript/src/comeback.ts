// Whether to come back: what the end of a connection says about the next one. Who is told not to
// come back does not; who is told nothing does, because a page that nobody looks at must not fall
// silent for a connection that was only lost.

/** The token expired. */
export const TOKEN_EXPIRED = 4001;

/** The token is invalid or missing. */
export const INVALID_TOKEN = 4500;

/** A message was too big. */
export const TOO_BIG = 1009;

/** What a browser says when there was no close frame (RFC 6455 section 7.1.5). */
export const ABNORMAL = 1006;

/** Whether a connection that ended with `code` is to be made again (docs/protocol.md). */
export function comesBack(code: number): boolean {
  switch (code) {
    // What was sent was wrong, and would be again; 1010 lacks an extension (RFC 6455).
    case 1002:
    case 1003:
    case 1007:
    case 1008:
    case 1010:
      return false;
    default:
      return code < 4500 || code > 4999;
  }
}
