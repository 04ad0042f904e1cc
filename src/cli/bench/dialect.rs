//! How a server wraps messages: not at all, or as Socket.IO 5 over Engine.IO 4 does.
//!
//! ```text
//! Socket.IO: 101 ─▶ 0{…} ─ we say 40 ─▶ 40{…}: open ─▶ 42["bench","…"] both ways, 2 is answered by 3
//! ```
//!
//! May not touch: frames. Invariant: what is wrapped needs no escapes in JSON.

/// The event that messages go out and come back as.
const EVENT_START: &[u8] = br#"42["bench",""#;
const EVENT_END: &[u8] = br#""]"#;

/// Where Socket.IO is, without its polling.
pub(super) const SOCKETIO_PATH: &str = "/socket.io/?EIO=4&transport=websocket";

/// How messages are wrapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Not at all.
    #[default]
    Plain,
    /// As events of Socket.IO, in its default namespace.
    SocketIo,
}

/// What a text message of Socket.IO means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    /// To be answered with this.
    Answer(&'static [u8]),
    /// We are in the namespace.
    Joined,
    /// We may not be in it.
    Refused,
    /// An event: our text, or all of it if it is none of ours.
    Message(&'a [u8]),
}

impl Dialect {
    /// Whether there is more to a connection than its upgrade.
    pub(super) fn has_to_join(self) -> bool {
        match self {
            Self::Plain => false,
            Self::SocketIo => true,
        }
    }

    /// Takes a text message apart.
    pub(super) fn read(self, text: &[u8]) -> Packet<'_> {
        match (self, text) {
            (Self::Plain, _) => Packet::Message(text),
            (Self::SocketIo, [b'0', ..]) => Packet::Answer(b"40"),
            (Self::SocketIo, b"2") => Packet::Answer(b"3"),
            (Self::SocketIo, [b'4', b'0', ..]) => Packet::Joined,
            (Self::SocketIo, [b'4', b'4', ..]) => Packet::Refused,
            (Self::SocketIo, _) => {
                let inner = text.strip_prefix(EVENT_START);
                let inner = inner.and_then(|rest| rest.strip_suffix(EVENT_END));
                Packet::Message(inner.unwrap_or(text))
            }
        }
    }

    /// What is sent for `text`.
    pub(super) fn wrap(self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain => text.to_vec(),
            Self::SocketIo => [EVENT_START, text, EVENT_END].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_mean_what_socketio_says() {
        let check = |text: &[u8], expected: Packet<'_>| {
            assert_eq!(Dialect::SocketIo.read(text), expected);
        };
        check(
            br#"0{"sid":"a","pingInterval":25000}"#,
            Packet::Answer(b"40"),
        );
        check(br#"40{"sid":"b"}"#, Packet::Joined);
        check(br#"44{"message":"no"}"#, Packet::Refused);
        check(b"2", Packet::Answer(b"3"));
        check(br#"42["bench","abc"]"#, Packet::Message(b"abc"));
        check(br#"42["other",1]"#, Packet::Message(br#"42["other",1]"#));
        check(&Dialect::SocketIo.wrap(b"abc"), Packet::Message(b"abc"));
        assert_eq!(Dialect::Plain.read(b"2"), Packet::Message(b"2"));
        assert_eq!(Dialect::Plain.wrap(b"2"), b"2");
    }
}
