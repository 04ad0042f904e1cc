//! One packet of Engine.IO 4: a digit and its data as text, or bare bytes.
//!
//! On a WebSocket a packet is a frame: a text frame begins with the type, a binary frame is the data
//! of a message and has none. In a body of the polling transport the same text stands between
//! separators, and bytes as `b` and base64 (see [`payload`](super::payload)).

use std::borrow::Cow;

use crate::wire::engine_io::fault::PacketFault;

/// One packet, borrowed from what carried it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The server's first: the JSON of the handshake.
    Open(&'a str),
    /// The session ends.
    Close,
    /// The server asks whether the client lives; with `probe` the client tries a WebSocket.
    Ping(&'a str),
    /// The answer to a ping, with its data.
    Pong(&'a str),
    /// A message of text.
    Message(&'a str),
    /// A message of bytes.
    Binary(Cow<'a, [u8]>),
    /// The client goes over to the WebSocket on which it sends this.
    Upgrade,
    /// Nothing; it ends a poll that would hang.
    Noop,
}

/// The data of the ping and the pong that try a WebSocket out.
pub const PROBE: &str = "probe";

/// What the text of a message begins with; what is written behind it is the message.
pub const MESSAGE: u8 = b'4';

impl<'a> Packet<'a> {
    /// Reads a packet that came as text. Data where none belongs is ignored, as others do.
    ///
    /// # Errors
    /// [`PacketFault::Empty`] and [`PacketFault::UnknownType`].
    pub fn parse(text: &'a str) -> Result<Self, PacketFault> {
        let kind = text.bytes().next().ok_or(PacketFault::Empty)?;
        // A digit is one byte, so the data begins at a character.
        let data = text.get(1..).unwrap_or_default();
        match kind {
            b'0' => Ok(Self::Open(data)),
            b'1' => Ok(Self::Close),
            b'2' => Ok(Self::Ping(data)),
            b'3' => Ok(Self::Pong(data)),
            MESSAGE => Ok(Self::Message(data)),
            b'5' => Ok(Self::Upgrade),
            b'6' => Ok(Self::Noop),
            _ => Err(PacketFault::UnknownType),
        }
    }

    /// The packet of a binary frame.
    #[must_use]
    pub fn binary(bytes: &'a [u8]) -> Self {
        Self::Binary(Cow::Borrowed(bytes))
    }

    /// Writes what its frame on a WebSocket holds: bytes for [`Packet::Binary`], else text.
    pub fn write_frame(&self, out: &mut Vec<u8>) {
        let (kind, data) = match self {
            Self::Open(json) => (b'0', *json),
            Self::Close => (b'1', ""),
            Self::Ping(data) => (b'2', *data),
            Self::Pong(data) => (b'3', *data),
            Self::Message(text) => (MESSAGE, *text),
            Self::Upgrade => (b'5', ""),
            Self::Noop => (b'6', ""),
            Self::Binary(bytes) => return out.extend_from_slice(bytes),
        };
        out.push(kind);
        out.extend_from_slice(data.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &Result<Packet<'_>, PacketFault>) {
        let found = Packet::parse(text);
        assert_eq!(&found, expected, "{text:?}");
        if let Ok(packet) = found {
            let mut out = Vec::new();
            packet.write_frame(&mut out);
            let printed = String::from_utf8_lossy(&out);
            assert_eq!(Packet::parse(&printed), Ok(packet), "{text:?}");
        }
    }

    #[test]
    fn the_first_character_says_what_a_packet_is() {
        check("0{\"sid\":\"a\"}", &Ok(Packet::Open("{\"sid\":\"a\"}")));
        check("1", &Ok(Packet::Close));
        check("2", &Ok(Packet::Ping("")));
        check("2probe", &Ok(Packet::Ping(PROBE)));
        check("3probe", &Ok(Packet::Pong(PROBE)));
        check("4hello", &Ok(Packet::Message("hello")));
        check("4", &Ok(Packet::Message("")));
        check("4€€€", &Ok(Packet::Message("€€€")));
        check("5", &Ok(Packet::Upgrade));
        check("6", &Ok(Packet::Noop));
        check("1 and more", &Ok(Packet::Close));
    }

    #[test]
    fn any_other_beginning_is_refused() {
        check("", &Err(PacketFault::Empty));
        for text in ["7", "abc", "bAQID", " 4", "€4", "\u{0}", "-1", "\u{1e}4"] {
            check(text, &Err(PacketFault::UnknownType));
        }
    }

    #[test]
    fn bytes_go_into_a_frame_as_they_are() {
        let mut out = Vec::new();
        Packet::binary(&[4, 0, 255]).write_frame(&mut out);
        assert_eq!(out, [4, 0, 255]);
    }
}
