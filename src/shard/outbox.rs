//! What a connection still has to send: references to shared frames and bytes of its own.
//!
//! A shared frame may have a few bytes of the connection's own before it, and is one message with
//! them. Bounded by count and bytes, which the caller checks before adding ([`Outbox::fits`]); an empty
//! outbox takes one message of any size, and one that nothing was left over in takes the shared
//! frames of a turn. Bytes of its own are gathered into one piece until a shared frame comes
//! between. Shared frames that may be dropped are in nobody's way: they make room for whatever
//! else is to be sent ([`Outbox::make_room`]). Invariants: an empty outbox owns no memory; one that
//! holds a single piece of which nothing is written owns no queue; nothing that has begun to be
//! written is dropped.

mod piece;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::IoSlice;
use std::iter;
use std::ops::{AddAssign, SubAssign};
use std::sync::Arc;

use crate::config::Limits;
use crate::dialect::frame::Frame;
use crate::shard::outbox::piece::{Marked, Piece};

/// One connection's queue of bytes to send.
#[derive(Debug, Default)]
pub struct Outbox {
    held: Held,
}

#[derive(Debug, Default)]
enum Held {
    #[default]
    Nothing,
    /// What most turns leave to most sessions: one publication or its own replies, which the socket
    /// then takes whole.
    One(Piece),
    Queue(Box<Queue>),
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
    fn of(piece: &Piece) -> Self {
        Self {
            messages: piece.messages(),
            bytes: piece.length(),
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

    fn push(&mut self, piece: Piece) {
        let load = Load::of(&piece);
        self.all += load;
        if piece.is_droppable() {
            self.droppable += load;
        }
        self.pieces.push_back(piece);
    }

    /// What has to be sent.
    fn kept(&self) -> Load {
        let mut kept = self.all;
        kept -= self.droppable;
        kept
    }
}

/// Whether a shared frame must be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is sent, or the session is closed.
    Always,
    /// It may be dropped, whole, for a newer one.
    UntilFull,
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
        matches!(self.held, Held::Nothing)
    }

    /// Bytes the socket has not taken.
    #[cfg(any(test, feature = "testkit"))]
    pub fn bytes(&self) -> usize {
        self.all().bytes
    }

    /// Messages that have not been written whole.
    #[cfg(test)]
    pub fn messages(&self) -> usize {
        self.all().messages
    }

    /// Whether a message of `bytes` may be added.
    #[must_use]
    pub fn fits(&self, bytes: usize, limits: &OutboxLimits) -> bool {
        self.all().takes(bytes, limits)
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

    /// What the socket has not taken.
    fn all(&self) -> Load {
        match &self.held {
            Held::Nothing => Load::default(),
            Held::One(piece) => Load::of(piece),
            Held::Queue(queue) => queue.all,
        }
    }

    /// What of that has to be sent.
    fn kept(&self) -> Load {
        match &self.held {
            Held::Nothing => Load::default(),
            Held::One(piece) if piece.is_droppable() => Load::default(),
            Held::One(piece) => Load::of(piece),
            Held::Queue(queue) => queue.kept(),
        }
    }

    /// Takes what is held as a queue; [`Outbox::put_back`] brings it back.
    fn take(&mut self) -> Box<Queue> {
        match std::mem::take(&mut self.held) {
            Held::Nothing => Queue::small(),
            Held::One(piece) => {
                let mut queue = Queue::small();
                queue.push(piece);
                queue
            }
            Held::Queue(queue) => queue,
        }
    }

    fn put_back(&mut self, queue: Box<Queue>) {
        if !queue.pieces.is_empty() {
            self.held = Held::Queue(queue);
        }
    }

    /// Adds a shared frame by reference.
    pub fn push_shared(&mut self, frame: Arc<Frame>, keep: Keep) {
        self.push(Piece::shared(frame, keep));
    }

    /// Adds a shared frame by reference, with `mark` before it.
    pub fn push_marked(&mut self, mark: Box<[u8]>, frame: Arc<Frame>, keep: Keep) {
        self.push(Piece::Marked(Box::new(Marked { mark, frame, keep })));
    }

    fn push(&mut self, piece: Piece) {
        match &mut self.held {
            Held::Nothing => self.held = Held::One(piece),
            Held::Queue(queue) => queue.push(piece),
            Held::One(_) => {
                let mut queue = self.take();
                queue.push(piece);
                self.held = Held::Queue(queue);
            }
        }
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
        if self.fits(bytes, limits) {
            return Some(0);
        }
        let mut queue = self.take();
        let (mut dropped, mut place) = (0, 0);
        while queue.droppable.messages > 0 && !queue.all.takes(bytes, limits) {
            match queue.pieces.get(place) {
                Some(piece) if piece.is_droppable() => {
                    let load = Load::of(piece);
                    queue.all -= load;
                    queue.droppable -= load;
                    queue.pieces.remove(place);
                    dropped += 1;
                }
                Some(_) => place += 1,
                None => break,
            }
        }
        self.put_back(queue);
        Some(dropped)
    }

    /// Adds one message whose bytes `write` appends.
    pub fn push_own(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        match &mut self.held {
            Held::One(Piece::Own(own)) if own.is_gathering() => {
                own.add(write);
            }
            Held::Queue(queue) => match queue.pieces.back_mut() {
                Some(Piece::Own(own)) if own.is_gathering() => {
                    let (messages, bytes) = (1, own.add(write));
                    queue.all += Load { messages, bytes };
                }
                _ => queue.push(Piece::own(write)),
            },
            Held::Nothing | Held::One(_) => self.push(Piece::own(write)),
        }
    }

    /// Forgets what the socket has taken no byte of, from the first shared frame on. What has begun
    /// must be finished, or the peer could not read what follows; so must be what stands before
    /// every shared frame, because the answer to the handshake does. Returns how many messages were
    /// forgotten.
    pub fn clear_unstarted(&mut self) -> usize {
        if self.is_empty() {
            return 0;
        }
        let mut queue = self.take();
        let before = queue.all.messages;
        let own = |piece: &&Piece| matches!(piece, Piece::Own(_));
        let keep = queue.pieces.iter().take_while(own).count();
        queue
            .pieces
            .truncate(keep.max(usize::from(queue.written > 0)));
        let bytes: usize = queue.pieces.iter().map(Piece::length).sum();
        queue.all = Load {
            messages: queue.pieces.iter().map(Piece::messages).sum(),
            bytes: bytes - queue.written,
        };
        queue.droppable = Load::default();
        let forgotten = before - queue.all.messages;
        self.put_back(queue);
        forgotten
    }

    /// Fills `slices` with what is to be written next, at most `bytes_max` bytes; returns how many
    /// slices and bytes. Call [`Outbox::wrote`] with what the socket took before calling again.
    #[must_use]
    pub fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>], bytes_max: usize) -> (usize, usize) {
        match &self.held {
            Held::Nothing => (0, 0),
            Held::One(piece) => gather_from(iter::once(piece), 0, slices, bytes_max),
            Held::Queue(queue) => {
                gather_from(queue.pieces.iter(), queue.written, slices, bytes_max)
            }
        }
    }

    /// Whether it holds exactly `frames`, several of them, of which nothing is written.
    #[must_use]
    pub fn is_run_of(&self, frames: &[Arc<Frame>]) -> bool {
        let Held::Queue(queue) = &self.held else {
            return false;
        };
        let is_same = |(piece, frame): (&Piece, &Arc<Frame>)| match piece {
            Piece::Shared(held) | Piece::Droppable(held) => Arc::ptr_eq(held, frame),
            Piece::Own(_) | Piece::Marked(_) => false,
        };
        queue.written == 0
            && queue.pieces.len() == frames.len()
            && queue.pieces.iter().zip(frames).all(is_same)
    }

    /// Copies the frames into `into` if it holds nothing else, several, and at most `bytes_max`
    /// bytes, of which nothing is written; otherwise none.
    pub fn copy_run(&self, into: &mut Vec<Arc<Frame>>, bytes_max: usize) {
        let Held::Queue(queue) = &self.held else {
            return;
        };
        if queue.written > 0 || queue.pieces.len() < 2 || queue.all.bytes > bytes_max {
            return;
        }
        for piece in &queue.pieces {
            match piece {
                Piece::Shared(frame) | Piece::Droppable(frame) => into.push(Arc::clone(frame)),
                Piece::Own(_) | Piece::Marked(_) => return into.clear(),
            }
        }
    }

    /// Takes the next shared frame out, for somebody else to send; none if nothing is left. For
    /// outboxes that hold nothing but whole shared frames.
    pub fn take_frame(&mut self) -> Option<Arc<Frame>> {
        let mut queue = self.take();
        let piece = queue.pieces.pop_front();
        if let Some(piece) = &piece {
            let load = Load::of(piece);
            queue.all -= load;
            if piece.is_droppable() {
                queue.droppable -= load;
            }
        }
        self.put_back(queue);
        match piece? {
            Piece::Shared(frame) | Piece::Droppable(frame) => Some(frame),
            Piece::Own(_) | Piece::Marked(_) => {
                debug_assert!(false, "whoever takes frames out puts nothing else in");
                None
            }
        }
    }

    /// Notes that the socket took `taken` bytes; returns how many messages that completed.
    pub fn wrote(&mut self, taken: usize) -> usize {
        match &self.held {
            Held::Nothing => return 0,
            Held::One(piece) if taken >= piece.length() => {
                let completed = piece.messages();
                self.held = Held::Nothing;
                return completed;
            }
            Held::One(_) if taken == 0 => return 0,
            Held::One(_) | Held::Queue(_) => {}
        }
        let mut queue = self.take();
        debug_assert!(
            taken <= queue.all.bytes,
            "a socket takes no more than it was given"
        );
        queue.all.bytes = queue.all.bytes.saturating_sub(taken);
        queue.written += taken;
        let mut completed = 0;
        while let Some(piece) = queue.pieces.front_mut() {
            if queue.written > 0 && piece.is_droppable() {
                // What has begun must be finished.
                queue.droppable -= Load::of(piece);
                piece.keep();
            }
            let length = piece.length();
            if queue.written < length {
                break;
            }
            queue.written -= length;
            completed += piece.messages();
            queue.pieces.pop_front();
        }
        queue.all.messages -= completed;
        self.put_back(queue);
        completed
    }
}

/// Fills `slices` with what `pieces` have behind the `written` bytes of them; see
/// [`Outbox::gather`].
fn gather_from<'a>(
    pieces: impl Iterator<Item = &'a Piece>,
    mut written: usize,
    slices: &mut [IoSlice<'a>],
    bytes_max: usize,
) -> (usize, usize) {
    let (mut count, mut total) = (0, 0);
    for piece in pieces {
        for bytes in [piece.mark(), piece.bytes()] {
            let (skipped, left) = bytes.split_at(written.min(bytes.len()));
            written -= skipped.len();
            let left = left.get(..bytes_max - total).unwrap_or(left);
            if left.is_empty() {
                continue;
            }
            let Some(slot) = slices.get_mut(count) else {
                return (count, total);
            };
            *slot = IoSlice::new(left);
            count += 1;
            total += left.len();
        }
        if total >= bytes_max {
            break;
        }
    }
    (count, total)
}
