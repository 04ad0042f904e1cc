//! Bytes ready for the wire, shared by all who receive them.
//!
//! A frame is made once per publication and wire form; outboxes hold references. Invariant: the
//! bytes never change after they were made.

use std::fmt;
use std::sync::Arc;

use crate::wire::websocket::frame::{Opcode, Role, frame, parse_header, write_compressed_header};

/// Bytes of most headers: two, and a length of 16 bits.
const HEADER_BYTES: usize = 4;

/// A whole WebSocket frame (RFC 6455 section 5.2), unmasked as servers send it, or the lines of an
/// event stream.
#[derive(PartialEq, Eq)]
pub struct Frame(Box<[u8]>);

impl Frame {
    /// A text frame around `json`.
    #[must_use]
    pub fn text(json: &[u8]) -> Arc<Self> {
        Arc::new(Self(frame(Opcode::Text, json).into_boxed_slice()))
    }

    /// A text frame around what a [`Deflater`](crate::wire::websocket::deflate::Deflater) made of
    /// some JSON.
    #[must_use]
    pub fn compressed_text(deflated: &[u8]) -> Arc<Self> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + deflated.len());
        let length = deflated.len() as u64;
        write_compressed_header(true, Opcode::Text, length, None, &mut bytes);
        bytes.extend_from_slice(deflated);
        Arc::new(Self(bytes.into_boxed_slice()))
    }

    /// Lines of an event stream, which need no frame.
    #[must_use]
    pub fn lines(lines: Vec<u8>) -> Arc<Self> {
        Arc::new(Self(lines.into_boxed_slice()))
    }

    /// What is framed, as long as it is not compressed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        let header = parse_header(&self.0, Role::Client).ok().flatten();
        let start = header.map_or(0, |header| header.header_bytes);
        self.0.get(start..).unwrap_or_default()
    }

    /// The bytes to write.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} bytes)", self.0.len())
    }
}
