//! Close codes and the payload of a close frame (RFC 6455 sections 5.5.1 and 7.4).
//!
//! Invariant: every code that kinglet sends is a constant here and a row of [`CLOSE_CODES`].

use tungstenite::protocol::frame::coding::CloseCode;

/// Normal closure; also the device dialect's shutdown.
pub const NORMAL: u16 = 1000;
/// The server is shutting down, or the connection was idle for too long.
pub const GOING_AWAY: u16 = 1001;
/// The peer broke RFC 6455.
pub const PROTOCOL_ERROR: u16 = 1002;
/// The kind of data is not accepted here.
pub const UNSUPPORTED_DATA: u16 = 1003;
/// The data does not fit its kind: text that is not UTF-8.
pub const INVALID_PAYLOAD: u16 = 1007;
/// A policy was violated and no other code fits.
pub const POLICY_VIOLATION: u16 = 1008;
/// The message is larger than the limits allow.
pub const MESSAGE_TOO_BIG: u16 = 1009;
/// The fault is ours.
pub const INTERNAL_ERROR: u16 = 1011;
/// The server restarts; come back after a random delay.
pub const RESTART: u16 = 1012;
/// The server is overloaded; try later.
pub const TRY_AGAIN_LATER: u16 = 1013;
/// The client reads more slowly than its rooms speak. Come back.
pub const SLOW_CONSUMER: u16 = 4000;
/// The token expired and was not refreshed. Come back with a new one.
pub const TOKEN_EXPIRED: u16 = 4001;
/// The position in a stream was lost. Come back and recover.
pub const POSITION_LOST: u16 = 4002;
/// The client sends more than its rate. Come back later.
pub const RATE_LIMITED: u16 = 4003;
/// The token is invalid or missing. Do not come back with it.
pub const INVALID_TOKEN: u16 = 4500;
/// An operator ended the connection. Do not come back.
pub const DISCONNECTED: u16 = 4501;
/// The client may not be here. Do not come back.
pub const FORBIDDEN: u16 = 4502;
/// Too many errors in a row. Do not come back.
pub const TOO_MANY_ERRORS: u16 = 4503;

/// Every close code that kinglet sends, with its meaning. 4000 to 4499 invite the client to come
/// back, 4500 to 4999 do not.
pub const CLOSE_CODES: &[(u16, &str)] = &[
    (NORMAL, "normal closure"),
    (GOING_AWAY, "server shutting down or connection idle"),
    (PROTOCOL_ERROR, "protocol error"),
    (UNSUPPORTED_DATA, "unsupported data"),
    (INVALID_PAYLOAD, "invalid payload"),
    (POLICY_VIOLATION, "policy violation"),
    (MESSAGE_TOO_BIG, "message too big"),
    (INTERNAL_ERROR, "internal error"),
    (RESTART, "server restarting"),
    (TRY_AGAIN_LATER, "overloaded, try again later"),
    (SLOW_CONSUMER, "slow consumer"),
    (TOKEN_EXPIRED, "token expired"),
    (POSITION_LOST, "stream position lost"),
    (RATE_LIMITED, "rate limited"),
    (INVALID_TOKEN, "invalid or missing token"),
    (DISCONNECTED, "disconnected by an operator"),
    (FORBIDDEN, "forbidden"),
    (TOO_MANY_ERRORS, "too many errors"),
];

/// Bytes that a close reason may have: a control frame's 125 less two for the code.
pub const REASON_BYTES_MAX: usize = 123;

/// Bad gateway: registered with IANA after RFC 6455, and unknown to tungstenite.
const BAD_GATEWAY: u16 = 1014;

/// Whether a close frame may carry `code`: 1000 to 1003, 1007 to 1014 and 3000 to 4999, that is
/// what RFC 6455 section 7.4 and IANA's registry allow on the wire.
#[must_use]
pub fn is_allowed_on_wire(code: u16) -> bool {
    code == BAD_GATEWAY || CloseCode::from(code).is_allowed()
}

/// The payload of a close frame: the code and the reason, cut to [`REASON_BYTES_MAX`] bytes at the
/// boundary of a character. `code` must be allowed on the wire.
#[must_use]
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    debug_assert!(is_allowed_on_wire(code), "{code} may not be sent");
    let end = (0..=reason.len().min(REASON_BYTES_MAX))
        .rev()
        .find(|&end| reason.is_char_boundary(end))
        .unwrap_or(0);
    let reason = reason.get(..end).unwrap_or_default();
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(reason.as_bytes());
    payload
}

#[cfg(test)]
mod tests {
    use super::{CLOSE_CODES, close_payload, is_allowed_on_wire};

    #[test]
    fn allows_exactly_the_codes_of_the_registry() {
        for code in 0..=u16::MAX {
            let allowed = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
            assert_eq!(is_allowed_on_wire(code), allowed, "{code}");
        }
    }

    #[test]
    fn the_table_is_sorted_and_may_be_sent() {
        assert!(
            CLOSE_CODES
                .iter()
                .all(|(code, _)| is_allowed_on_wire(*code))
        );
        assert!(CLOSE_CODES.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn cuts_the_reason_at_a_character() {
        let check = |reason: &str, bytes: usize| {
            let payload = close_payload(1000, reason);
            assert_eq!(payload.get(..2), Some(&[0x03, 0xe8][..]));
            assert_eq!(payload.get(2..), reason.as_bytes().get(..bytes), "{reason}");
        };
        check("", 0);
        check(&"a".repeat(123), 123);
        check(&"a".repeat(124), 123);
        check(&format!("{}é", "a".repeat(121)), 123);
        check(&format!("{}é", "a".repeat(122)), 122);
        check(&format!("{}🦀", "a".repeat(120)), 120);
        check(&"🦀".repeat(40), 120);
    }
}
