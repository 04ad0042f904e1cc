//! How a request of Engine.IO is refused, and what can be wrong with a packet.
//!
//! Invariant: codes, messages and statuses are those of the reference server, because clients and
//! their tests compare them; what is said beyond them goes to the log only.

use crate::wire::http::response::Status;
use crate::wire::json::object::Object;

/// Why a request is refused. Its text says what would be right; its body is [`Self::write_body`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// `transport` is missing or none of ours.
    #[error("transport must be polling or websocket")]
    TransportUnknown,
    /// No session has this `sid`, any more or at all.
    #[error("no session has this sid; begin one without sid")]
    SessionUnknown,
    /// A session was to be begun by another method than GET.
    #[error("a session is begun with GET")]
    HandshakeMethod,
    /// The request makes no sense where it stands.
    #[error("{0}")]
    BadRequest(BadRequest),
    /// The client may not connect.
    #[error("this client may not connect")]
    Forbidden,
    /// `EIO` is missing or another version.
    #[error("EIO must be 4")]
    UnsupportedVersion,
}

/// What makes no sense about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// A parameter with a meaning is there twice.
    #[error("EIO, transport, sid and j may each be there once")]
    Repeated,
    /// `j` asks for JSONP, which Engine.IO 4 does not have.
    #[error("j asks for JSONP, which is not spoken here; poll with XMLHttpRequest or fetch")]
    Jsonp,
    /// `transport=websocket` without an upgrade, or an upgrade with `transport=polling`.
    #[error("transport=websocket belongs to an upgrade, and to nothing else")]
    NotAnUpgrade,
    /// A session is polled with GET and POST.
    #[error("a session takes GET and POST")]
    Method,
    /// The session is on its WebSocket.
    #[error("the session is on its WebSocket; it is not polled any more")]
    Upgraded,
    /// The session is on a WebSocket, or about to be on one.
    #[error("the session has a WebSocket already")]
    SecondSocket,
    /// The session's last poll is not answered yet; it ends.
    #[error("the session's last poll is not answered yet")]
    ParallelPoll,
    /// The session's last POST is not answered yet; it ends.
    #[error("the session's last POST is not answered yet")]
    ParallelPost,
    /// The session is being closed.
    #[error("the session is being closed")]
    Closing,
    /// The body is no payload; the session ends.
    #[error("{0}")]
    Packet(PacketFault),
}

impl RequestFault {
    /// Its number in the reference server.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::TransportUnknown => 0,
            Self::SessionUnknown => 1,
            Self::HandshakeMethod => 2,
            Self::BadRequest(_) => 3,
            Self::Forbidden => 4,
            Self::UnsupportedVersion => 5,
        }
    }

    /// What the reference server says with that number.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::TransportUnknown => "Transport unknown",
            Self::SessionUnknown => "Session ID unknown",
            Self::HandshakeMethod => "Bad handshake method",
            Self::BadRequest(_) => "Bad request",
            Self::Forbidden => "Forbidden",
            Self::UnsupportedVersion => "Unsupported protocol version",
        }
    }

    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Forbidden => Status::FORBIDDEN,
            Self::TransportUnknown
            | Self::SessionUnknown
            | Self::HandshakeMethod
            | Self::BadRequest(_)
            | Self::UnsupportedVersion => Status::BAD_REQUEST,
        }
    }

    /// Writes the body of the answer, which is JSON: `{"code":1,"message":"Session ID unknown"}`.
    pub fn write_body(self, out: &mut Vec<u8>) {
        Object::begin(out)
            .number("code", u64::from(self.code()))
            .string("message", self.message())
            .end();
    }
}

impl From<PacketFault> for RequestFault {
    fn from(fault: PacketFault) -> Self {
        Self::BadRequest(BadRequest::Packet(fault))
    }
}

/// Why a packet, or a body of several, is refused; the peer's fault, and its session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketFault {
    /// There is no byte that says what it is.
    #[error("a packet is empty; it begins with its type, a digit from 0 to 6")]
    Empty,
    /// The first byte is no type.
    #[error("a packet begins with its type, a digit from 0 to 6")]
    UnknownType,
    /// A body of the polling transport is not text.
    #[error("the body must be UTF-8; bytes travel as b and base64")]
    NotUtf8,
    /// What follows `b` is not base64.
    #[error("what follows b must be base64 in its standard alphabet")]
    NotBase64,
    /// The body is over its limit.
    #[error("the body is longer than {limit} bytes")]
    TooLong {
        /// Bytes allowed.
        limit: usize,
    },
    /// The body has too many packets.
    #[error("the body has more than {limit} packets; send it in parts")]
    TooMany {
        /// Packets allowed.
        limit: usize,
    },
    /// A packet that only the server sends, or that does not belong here.
    #[error("this packet is not a client's to send at this point")]
    Unexpected,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_those_of_the_reference_server() {
        let check = |fault: RequestFault, status: u16, body: &str| {
            let mut out = Vec::new();
            fault.write_body(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), body);
            assert_eq!(fault.status().code(), status, "{fault}");
        };
        let bad = RequestFault::from(PacketFault::Empty);
        check(
            RequestFault::TransportUnknown,
            400,
            r#"{"code":0,"message":"Transport unknown"}"#,
        );
        check(
            RequestFault::SessionUnknown,
            400,
            r#"{"code":1,"message":"Session ID unknown"}"#,
        );
        check(
            RequestFault::HandshakeMethod,
            400,
            r#"{"code":2,"message":"Bad handshake method"}"#,
        );
        check(bad, 400, r#"{"code":3,"message":"Bad request"}"#);
        check(
            RequestFault::Forbidden,
            403,
            r#"{"code":4,"message":"Forbidden"}"#,
        );
        check(
            RequestFault::UnsupportedVersion,
            400,
            r#"{"code":5,"message":"Unsupported protocol version"}"#,
        );
        assert!(bad.to_string().contains("digit from 0 to 6"));
    }
}
