//! Bytes ready for the wire, shared by all who receive them.
//!
//! A frame is made once per publication and wire form; outboxes hold references. Invariant: the
//! bytes never change after they were made.

use std::sync::Arc;
use std::{fmt, iter};

use crate::wire::websocket::frame::{
    Opcode, Role, frame, parse_header, write_compressed_header, write_header,
};

/// Bytes of most headers: two, and a length of 16 bits.
const HEADER_BYTES: usize = 4;

/// One whole WebSocket frame, or several of as many messages (RFC 6455 section 5.2), unmasked as
/// servers send them; or the lines of an event stream.
#[derive(PartialEq, Eq)]
pub struct Frame {
    bytes: Box<[u8]>,
    messages: usize,
}

impl Frame {
    /// A text frame around `json`.
    #[must_use]
    pub fn text(json: &[u8]) -> Arc<Self> {
        Arc::new(Self {
            bytes: frame(Opcode::Text, json).into_boxed_slice(),
            messages: 1,
        })
    }

    /// Lines of an event stream, which need no frame.
    #[must_use]
    pub fn lines(lines: Vec<u8>) -> Arc<Self> {
        Arc::new(Self {
            bytes: lines.into_boxed_slice(),
            messages: 1,
        })
    }

    /// How many messages it is.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// What is framed, message by message, as long as none is compressed: whether it is text or
    /// bytes, and what it says.
    pub fn payloads(&self) -> impl Iterator<Item = (Opcode, &[u8])> {
        let mut left = &*self.bytes;
        iter::from_fn(move || {
            let header = parse_header(left, Role::Client).ok().flatten()?;
            let (_, behind) = left.split_at_checked(header.header_bytes)?;
            let length = usize::try_from(header.length).ok()?;
            let (payload, rest) = behind.split_at_checked(length)?;
            left = rest;
            Some((header.opcode, payload))
        })
    }

    /// The bytes to write.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Messages that become one [`Frame`], because whoever gets the first gets all of them.
#[derive(Debug, Default)]
pub struct Messages {
    bytes: Vec<u8>,
    count: usize,
}

impl Messages {
    /// Adds a text message.
    pub fn text(&mut self, json: &[u8]) {
        self.message(Opcode::Text, json);
    }

    /// Adds a message of bytes.
    pub fn binary(&mut self, bytes: &[u8]) {
        self.message(Opcode::Binary, bytes);
    }

    /// Adds a message, which is text or bytes.
    pub fn message(&mut self, opcode: Opcode, payload: &[u8]) {
        self.bytes.reserve_exact(HEADER_BYTES + payload.len());
        write_header(true, opcode, payload.len() as u64, None, &mut self.bytes);
        self.bytes.extend_from_slice(payload);
        self.count += 1;
    }

    /// Adds what a [`Deflater`](crate::wire::websocket::deflate::Deflater) made of a message.
    pub fn compressed(&mut self, opcode: Opcode, deflated: &[u8]) {
        self.bytes.reserve_exact(HEADER_BYTES + deflated.len());
        let length = deflated.len() as u64;
        write_compressed_header(true, opcode, length, None, &mut self.bytes);
        self.bytes.extend_from_slice(deflated);
        self.count += 1;
    }

    /// All of them.
    #[must_use]
    pub fn finish(self) -> Arc<Frame> {
        Arc::new(Frame {
            bytes: self.bytes.into_boxed_slice(),
            messages: self.count,
        })
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} bytes)", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_go_together_are_frames_of_their_own() {
        let long = vec![b'x'; 70_000];
        let mut messages = Messages::default();
        for json in [&b"{}"[..], &long, b""] {
            messages.text(json);
        }
        let together = messages.finish();
        let apart: Vec<u8> = [&b"{}"[..], &long, b""]
            .iter()
            .flat_map(|json| Frame::text(json).bytes().to_vec())
            .collect();
        assert_eq!(together.bytes(), apart);
        assert_eq!(together.messages(), 3);
        let payloads: Vec<_> = together.payloads().collect();
        assert_eq!(
            payloads,
            [&b"{}"[..], &long, b""].map(|text| (Opcode::Text, text))
        );
        assert_eq!(Frame::text(b"{}").messages(), 1);
    }

    #[test]
    fn text_and_bytes_that_go_together_stay_what_they_are() {
        let mut messages = Messages::default();
        messages.text(b"51-");
        messages.binary(b"\xff\0");
        let together = messages.finish();
        let payloads: Vec<_> = together.payloads().collect();
        assert_eq!(
            payloads,
            [
                (Opcode::Text, &b"51-"[..]),
                (Opcode::Binary, &b"\xff\0"[..])
            ]
        );
    }
}
