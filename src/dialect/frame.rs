//! Bytes ready for the wire, shared by all who receive them.
//!
//! A frame is made once per publication and wire form; outboxes hold references. Invariant: the
//! bytes never change after they were made.

use std::fmt;
use std::sync::Arc;

use crate::wire::websocket::frame::{Opcode, frame};

/// A whole WebSocket frame (RFC 6455 section 5.2), unmasked as servers send it.
#[derive(PartialEq, Eq)]
pub struct Frame(Box<[u8]>);

impl Frame {
    /// A text frame around `json`.
    #[must_use]
    pub fn text(json: &[u8]) -> Arc<Self> {
        Arc::new(Self(frame(Opcode::Text, json).into_boxed_slice()))
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
