//! One piece of what a connection still has to send.
//!
//! May not touch: limits, and what was written; see [`crate::shard::outbox`].

use std::sync::Arc;

use crate::dialect::frame::Frame;
use crate::shard::outbox::Keep;

/// Own bytes are gathered into pieces of about this size.
pub(super) const PIECE_BYTES: usize = 64 * 1024;

/// Two words, which is what a waiting publication costs a session.
#[derive(Debug)]
pub(super) enum Piece {
    Shared(Arc<Frame>),
    /// A shared frame that may be dropped for a newer one.
    Droppable(Arc<Frame>),
    Own(Box<Own>),
}

/// Messages that only this connection gets, gathered.
#[derive(Debug, Default)]
pub(super) struct Own {
    pub(super) bytes: Vec<u8>,
    pub(super) messages: usize,
}

impl Piece {
    pub(super) fn shared(frame: Arc<Frame>, keep: Keep) -> Self {
        match keep {
            Keep::Always => Self::Shared(frame),
            Keep::UntilFull => Self::Droppable(frame),
        }
    }

    pub(super) fn own(write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut own = Box::<Own>::default();
        own.add(write);
        Self::Own(own)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(frame) | Self::Droppable(frame) => frame.bytes(),
            Self::Own(own) => &own.bytes,
        }
    }

    pub(super) fn messages(&self) -> usize {
        match self {
            Self::Shared(_) | Self::Droppable(_) => 1,
            Self::Own(own) => own.messages,
        }
    }

    /// Makes it one that must be sent.
    pub(super) fn keep(&mut self) {
        if let Self::Droppable(frame) = self {
            *self = Self::Shared(Arc::clone(frame));
        }
    }

    pub(super) fn is_droppable(&self) -> bool {
        matches!(self, Self::Droppable(_))
    }
}

impl Own {
    /// Whether more is gathered here rather than in a piece of its own.
    pub(super) fn is_gathering(&self) -> bool {
        self.bytes.len() < PIECE_BYTES
    }

    /// Adds one message; returns how many bytes it has.
    pub(super) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let before = self.bytes.len();
        write(&mut self.bytes);
        self.messages += 1;
        self.bytes.len() - before
    }
}
