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
    Marked(Box<Marked>),
}

/// Messages that only this connection gets, gathered.
#[derive(Debug, Default)]
pub(super) struct Own {
    pub(super) bytes: Vec<u8>,
    pub(super) messages: usize,
}

/// A shared frame with bytes of the connection's own before it.
#[derive(Debug)]
pub(super) struct Marked {
    pub(super) mark: Box<[u8]>,
    pub(super) frame: Arc<Frame>,
    pub(super) keep: Keep,
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

    /// What stands before its other bytes; empty for most.
    pub(super) fn mark(&self) -> &[u8] {
        match self {
            Self::Shared(_) | Self::Droppable(_) | Self::Own(_) => &[],
            Self::Marked(marked) => &marked.mark,
        }
    }

    /// Its bytes behind the mark.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(frame) | Self::Droppable(frame) => frame.bytes(),
            Self::Own(own) => &own.bytes,
            Self::Marked(marked) => marked.frame.bytes(),
        }
    }

    pub(super) fn length(&self) -> usize {
        self.mark().len() + self.bytes().len()
    }

    pub(super) fn messages(&self) -> usize {
        match self {
            Self::Shared(frame) | Self::Droppable(frame) => frame.messages(),
            Self::Marked(_) => 1,
            Self::Own(own) => own.messages,
        }
    }

    pub(super) fn is_droppable(&self) -> bool {
        match self {
            Self::Shared(_) | Self::Own(_) => false,
            Self::Droppable(_) => true,
            Self::Marked(marked) => marked.keep == Keep::UntilFull,
        }
    }

    /// Makes it one that is never dropped.
    pub(super) fn keep(&mut self) {
        match self {
            Self::Shared(_) | Self::Own(_) => {}
            Self::Droppable(frame) => *self = Self::Shared(Arc::clone(frame)),
            Self::Marked(marked) => marked.keep = Keep::Always,
        }
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
