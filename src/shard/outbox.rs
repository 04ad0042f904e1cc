//! What a connection still has to send: references to shared frames and bytes of its own.
//!
//! Bounded by count and bytes, which the caller checks before adding ([`Outbox::fits`]); an empty
//! outbox takes one message of any size, and one that nothing was left over in takes the shared
//! frames of a turn. Bytes of its own are gathered into one piece until a shared frame comes
//! between. Shared frames that may be dropped are in nobody's way: they make room for whatever
//! else is to be sent ([`Outbox::make_room`]). Invariants: an empty outbox owns no memory; nothing
//! that has begun to be written is dropped.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::{AddAssign, SubAssign};
use std::sync::Arc;

use crate::config::Limits;
use crate::dialect::frame::Frame;

/// Own bytes are gathered into pieces of about this size.
const PIECE_BYTES: usize = 64 * 1024;

/// One connection's queue of bytes to send.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: Option<Box<Queue>>,
}

#[derive(Debug)]
struct Queue {
    pieces: VecDeque<Piece>,
    /// Bytes of the first piece that the socket has taken.
    written: usize,
    /// Bytes of all pieces that the socket has not taken, and their messages, the one being written
    /// included.
    all: Load,
    /// What of that may be dropped; never what has begun to be written.
    droppable: Load,
}

/// So many messages with so many bytes in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    messages: usize,
    bytes: usize,
}

impl Load {
    fn of(frame: &Frame) -> Self {
        Self {
            messages: 1,
            bytes: frame.bytes().len(),
        }
    }

    /// Whether a message of `bytes` may be added; to nothing it always may.
    fn takes(self, bytes: usize, limits: &OutboxLimits) -> bool {
        self.messages == 0 || self.messages < limits.messages && self.bytes + bytes <= limits.bytes
    }
}

impl AddAssign for Load {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

impl SubAssign for Load {
    fn sub_assign(&mut self, other: Self) {
        self.messages -= other.messages;
        self.bytes -= other.bytes;
    }
}

/// Two words, which is what a waiting publication costs a session.
#[derive(Debug)]
enum Piece {
    Shared(Arc<Frame>),
    /// A shared frame that may be dropped for a newer one.
    Droppable(Arc<Frame>),
    Own(Box<Own>),
}

/// Whether a shared frame must be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is sent, or the session is closed.
    Always,
    /// It may be dropped, whole, for a newer one.
    UntilFull,
}

#[derive(Debug, Default)]
struct Own {
    bytes: Vec<u8>,
    messages: usize,
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(frame) | Self::Droppable(frame) => frame.bytes(),
            Self::Own(own) => &own.bytes,
        }
    }

    fn messages(&self) -> usize {
        match self {
            Self::Shared(_) | Self::Droppable(_) => 1,
            Self::Own(own) => own.messages,
        }
    }
}

impl Queue {
    /// An empty one with the place that a vector would make for its first element anyway; making
    /// it at once saves a fifth of a delivery.
    fn small() -> Box<Self> {
        Box::new(Self {
            pieces: VecDeque::with_capacity(4),
            written: 0,
            all: Load::default(),
            droppable: Load::default(),
        })
    }

    fn fits(&self, bytes: usize, limits: &OutboxLimits) -> bool {
        self.all.takes(bytes, limits)
    }

    /// What has to be sent.
    fn kept(&self) -> Load {
        let mut kept = self.all;
        kept -= self.droppable;
        kept
    }
}

/// How much an outbox may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Messages at most.
    pub messages: usize,
    /// Bytes at most.
    pub bytes: usize,
}

impl OutboxLimits {
    /// What the configuration allows.
    #[must_use]
    pub fn of(limits: &Limits) -> Self {
        Self {
            messages: limits.outbox_messages,
            bytes: limits.outbox_bytes,
        }
    }

    /// One `part`-th of them, though never too little for a message.
    #[must_use]
    pub fn part(self, part: usize) -> Self {
        Self {
            messages: (self.messages / part).max(1),
            bytes: self.bytes / part,
        }
    }
}

impl Outbox {
    /// Whether nothing is left to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_none()
    }

    /// Bytes the socket has not taken.
    #[cfg(any(test, feature = "testkit"))]
    pub fn bytes(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.all.bytes)
    }

    /// Messages that have not been written whole.
    #[cfg(test)]
    pub fn messages(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.all.messages)
    }

    /// Whether a message of `bytes` may be added.
    #[must_use]
    pub fn fits(&self, bytes: usize, limits: &OutboxLimits) -> bool {
        match &self.queue {
            None => true,
            Some(queue) => queue.fits(bytes, limits),
        }
    }

    /// Whether a message of `bytes` may be added when nothing that may be dropped is in its way.
    #[must_use]
    pub fn takes(&self, bytes: usize, limits: &OutboxLimits) -> bool {
        self.kept().takes(bytes, limits)
    }

    /// Whether what has to be sent is at most a `part`-th of `limits`.
    #[must_use]
    pub fn is_within(&self, part: usize, limits: &OutboxLimits) -> bool {
        let kept = self.kept();
        kept.messages * part <= limits.messages && kept.bytes * part <= limits.bytes
    }

    /// Bytes that one more message may have: any number if nothing has to be sent.
    #[must_use]
    pub fn space(&self, limits: &OutboxLimits) -> usize {
        match self.kept() {
            Load { messages: 0, .. } => usize::MAX,
            kept if kept.messages < limits.messages => limits.bytes.saturating_sub(kept.bytes),
            _ => 0,
        }
    }

    fn kept(&self) -> Load {
        let queue = self.queue.as_ref();
        queue.map_or_else(Load::default, |queue| queue.kept())
    }

    /// Adds a shared frame by reference.
    pub fn push_shared(&mut self, frame: Arc<Frame>, keep: Keep) {
        let queue = self.queue.get_or_insert_with(Queue::small);
        let load = Load::of(&frame);
        queue.all += load;
        queue.pieces.push_back(match keep {
            Keep::Always => Piece::Shared(frame),
            Keep::UntilFull => {
                queue.droppable += load;
                Piece::Droppable(frame)
            }
        });
    }

    /// Drops the oldest frames that may be dropped, until a message of `bytes` fits into `limits`;
    /// returns how many that were. `None`, and nothing dropped, if what is kept has no place for
    /// it in `share`, which is at most `limits`.
    pub fn make_room(
        &mut self,
        bytes: usize,
        share: &OutboxLimits,
        limits: &OutboxLimits,
    ) -> Option<usize> {
        if !self.takes(bytes, share) {
            return None;
        }
        let Some(queue) = &mut self.queue else {
            return Some(0);
        };
        let (mut dropped, mut place) = (0, 0);
        while queue.droppable.messages > 0 && !queue.fits(bytes, limits) {
            match queue.pieces.get(place) {
                Some(Piece::Droppable(frame)) => {
                    let load = Load::of(frame);
                    queue.all -= load;
                    queue.droppable -= load;
                    queue.pieces.remove(place);
                    dropped += 1;
                }
                Some(Piece::Shared(_) | Piece::Own(_)) => place += 1,
                None => break,
            }
        }
        if queue.pieces.is_empty() {
            self.queue = None;
        }
        Some(dropped)
    }

    /// Adds one message whose bytes `write` appends.
    pub fn push_own(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let queue = self.queue.get_or_insert_with(Queue::small);
        let gathering =
            matches!(queue.pieces.back(), Some(Piece::Own(own)) if own.bytes.len() < PIECE_BYTES);
        if !gathering {
            queue.pieces.push_back(Piece::Own(Box::default()));
        }
        if let Some(Piece::Own(own)) = queue.pieces.back_mut() {
            let before = own.bytes.len();
            write(&mut own.bytes);
            own.messages += 1;
            queue.all += Load {
                messages: 1,
                bytes: own.bytes.len() - before,
            };
        }
    }

    /// Forgets what the socket has taken no byte of, from the first shared frame on. What has begun
    /// must be finished, or the peer could not read what follows; so must be what stands before
    /// every shared frame, because the answer to the handshake does. Returns how many messages were
    /// forgotten.
    pub fn clear_unstarted(&mut self) -> usize {
        let Some(queue) = &mut self.queue else {
            return 0;
        };
        let before = queue.all.messages;
        let own = |piece: &&Piece| matches!(piece, Piece::Own(_));
        let keep = queue.pieces.iter().take_while(own).count();
        queue
            .pieces
            .truncate(keep.max(usize::from(queue.written > 0)));
        let bytes: usize = queue.pieces.iter().map(|piece| piece.bytes().len()).sum();
        queue.all = Load {
            messages: queue.pieces.iter().map(Piece::messages).sum(),
            bytes: bytes - queue.written,
        };
        queue.droppable = Load::default();
        let forgotten = before - queue.all.messages;
        if queue.pieces.is_empty() {
            self.queue = None;
        }
        forgotten
    }

    /// Fills `slices` with what is to be written next, at most `bytes_max` bytes; returns how many
    /// slices and bytes. Call [`Outbox::wrote`] with what the socket took before calling again.
    #[must_use]
    pub fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>], bytes_max: usize) -> (usize, usize) {
        let Some(queue) = &self.queue else {
            return (0, 0);
        };
        let (mut count, mut total) = (0, 0);
        for (slot, piece) in slices.iter_mut().zip(&queue.pieces) {
            let start = if count == 0 { queue.written } else { 0 };
            let bytes = piece.bytes().get(start..).unwrap_or_default();
            let bytes = bytes.get(..bytes_max - total).unwrap_or(bytes);
            *slot = IoSlice::new(bytes);
            count += 1;
            total += bytes.len();
            if total >= bytes_max {
                break;
            }
        }
        (count, total)
    }

    /// Notes that the socket took `taken` bytes; returns how many messages that completed.
    pub fn wrote(&mut self, taken: usize) -> usize {
        let Some(queue) = &mut self.queue else {
            return 0;
        };
        debug_assert!(
            taken <= queue.all.bytes,
            "a socket takes no more than it was given"
        );
        queue.all.bytes = queue.all.bytes.saturating_sub(taken);
        queue.written += taken;
        let mut completed = 0;
        while let Some(piece) = queue.pieces.front_mut() {
            if let Piece::Droppable(frame) = piece
                && queue.written > 0
            {
                // What has begun must be finished.
                queue.droppable -= Load::of(frame);
                *piece = Piece::Shared(Arc::clone(frame));
            }
            let length = piece.bytes().len();
            if queue.written < length {
                break;
            }
            queue.written -= length;
            completed += piece.messages();
            queue.pieces.pop_front();
        }
        queue.all.messages -= completed;
        if queue.pieces.is_empty() {
            self.queue = None;
        }
        completed
    }
}

#[cfg(test)]
mod tests;
