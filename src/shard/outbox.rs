//! What a connection still has to send: references to shared frames and bytes of its own.
//!
//! Bounded by count and bytes, which the caller checks before adding ([`Outbox::fits`]); an empty
//! outbox takes one message of any size, and one that nothing was left over in takes the shared
//! frames of a turn. Bytes of its own are gathered into one piece until a
//! shared frame comes between. Invariant: an empty outbox owns no memory.

use std::collections::VecDeque;
use std::io::IoSlice;
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

#[derive(Debug, Default)]
struct Queue {
    pieces: VecDeque<Piece>,
    /// Bytes of the first piece that the socket has taken.
    written: usize,
    /// Bytes of all pieces that the socket has not taken.
    bytes: usize,
    /// Messages of all pieces, the one being written included.
    messages: usize,
}

#[derive(Debug)]
enum Piece {
    Shared(Arc<Frame>),
    Own(Box<Own>),
}

#[derive(Debug, Default)]
struct Own {
    bytes: Vec<u8>,
    messages: usize,
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(frame) => frame.bytes(),
            Self::Own(own) => &own.bytes,
        }
    }

    fn messages(&self) -> usize {
        match self {
            Self::Shared(_) => 1,
            Self::Own(own) => own.messages,
        }
    }
}

/// How much an outbox may hold.
#[derive(Clone, Copy, Debug)]
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
}

impl Outbox {
    /// Whether nothing is left to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_none()
    }

    /// Bytes the socket has not taken.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.bytes)
    }

    /// Messages that have not been written whole.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.messages)
    }

    /// Whether a message of `bytes` may be added.
    #[must_use]
    pub fn fits(&self, bytes: usize, limits: &OutboxLimits) -> bool {
        match &self.queue {
            None => true,
            Some(queue) => queue.messages < limits.messages && queue.bytes + bytes <= limits.bytes,
        }
    }

    /// Bytes that one more message may have: any number if the outbox is empty.
    #[must_use]
    pub fn space(&self, limits: &OutboxLimits) -> usize {
        match &self.queue {
            None => usize::MAX,
            Some(queue) if queue.messages < limits.messages => {
                limits.bytes.saturating_sub(queue.bytes)
            }
            Some(_) => 0,
        }
    }

    /// Adds a shared frame by reference.
    pub fn push_shared(&mut self, frame: Arc<Frame>) {
        let queue = self.queue.get_or_insert_default();
        queue.bytes += frame.bytes().len();
        queue.messages += 1;
        queue.pieces.push_back(Piece::Shared(frame));
    }

    /// Adds one message whose bytes `write` appends.
    pub fn push_own(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let queue = self.queue.get_or_insert_default();
        let gathering =
            matches!(queue.pieces.back(), Some(Piece::Own(own)) if own.bytes.len() < PIECE_BYTES);
        if !gathering {
            queue.pieces.push_back(Piece::Own(Box::default()));
        }
        if let Some(Piece::Own(own)) = queue.pieces.back_mut() {
            let before = own.bytes.len();
            write(&mut own.bytes);
            own.messages += 1;
            queue.bytes += own.bytes.len() - before;
            queue.messages += 1;
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
        let before = queue.messages;
        let own = |piece: &&Piece| matches!(piece, Piece::Own(_));
        let keep = queue.pieces.iter().take_while(own).count();
        queue
            .pieces
            .truncate(keep.max(usize::from(queue.written > 0)));
        let bytes: usize = queue.pieces.iter().map(|piece| piece.bytes().len()).sum();
        queue.messages = queue.pieces.iter().map(Piece::messages).sum();
        queue.bytes = bytes - queue.written;
        let forgotten = before - queue.messages;
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
            taken <= queue.bytes,
            "a socket takes no more than it was given"
        );
        queue.bytes = queue.bytes.saturating_sub(taken);
        queue.written += taken;
        let mut completed = 0;
        while let Some(piece) = queue.pieces.front() {
            let length = piece.bytes().len();
            if queue.written < length {
                break;
            }
            queue.written -= length;
            completed += piece.messages();
            queue.pieces.pop_front();
        }
        queue.messages -= completed;
        if queue.pieces.is_empty() {
            self.queue = None;
        }
        completed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: OutboxLimits = OutboxLimits {
        messages: 3,
        bytes: 100,
    };

    fn drain(outbox: &mut Outbox, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while !outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); 4];
            let (count, total) = outbox.gather(&mut slices, step);
            let bytes: Vec<u8> = slices
                .iter()
                .take(count)
                .flat_map(|slice| slice.iter().copied())
                .collect();
            assert_eq!(bytes.len(), total);
            assert!(total > 0 && total <= step);
            all.extend_from_slice(&bytes);
            outbox.wrote(total);
        }
        all
    }

    #[test]
    fn bytes_come_out_in_order_whatever_the_socket_takes() {
        for step in 1..40 {
            let mut outbox = Outbox::default();
            outbox.push_own(|out| out.extend_from_slice(b"one"));
            outbox.push_own(|out| out.extend_from_slice(b"two"));
            outbox.push_shared(Frame::text(b"shared"));
            outbox.push_own(|out| out.extend_from_slice(b"three"));
            assert_eq!(outbox.messages(), 4);
            assert_eq!(outbox.bytes(), 3 + 3 + 8 + 5);
            assert_eq!(drain(&mut outbox, step), b"onetwo\x81\x06sharedthree");
            assert_eq!((outbox.messages(), outbox.bytes()), (0, 0));
            assert!(outbox.queue.is_none(), "an empty outbox owns nothing");
        }
    }

    #[test]
    fn an_empty_outbox_takes_any_message_and_a_full_one_none() {
        let mut outbox = Outbox::default();
        assert!(outbox.fits(1000, &LIMITS));
        outbox.push_own(|out| out.extend_from_slice(&[0; 1000]));
        assert!(!outbox.fits(1, &LIMITS));
        outbox.wrote(950);
        assert!(outbox.fits(50, &LIMITS));
        assert!(!outbox.fits(51, &LIMITS));
        outbox.push_shared(Frame::text(b""));
        outbox.push_shared(Frame::text(b""));
        assert!(!outbox.fits(0, &LIMITS));
    }

    #[test]
    fn clearing_keeps_the_message_that_has_begun() {
        let mut outbox = Outbox::default();
        outbox.push_shared(Frame::text(b"first"));
        outbox.push_shared(Frame::text(b"second"));
        outbox.wrote(2);
        assert_eq!(outbox.clear_unstarted(), 1);
        assert_eq!((outbox.messages(), outbox.bytes()), (1, 5));
        outbox.push_own(|out| out.extend_from_slice(b"end"));
        assert_eq!(drain(&mut outbox, 100), b"firstend");
        outbox.push_shared(Frame::text(b"third"));
        assert_eq!(outbox.clear_unstarted(), 1);
        assert!(outbox.is_empty());
    }

    #[test]
    fn clearing_keeps_what_stands_before_the_first_publication() {
        let mut outbox = Outbox::default();
        outbox.push_own(|out| out.extend_from_slice(&[b'a'; PIECE_BYTES]));
        outbox.push_own(|out| out.extend_from_slice(b"101"));
        outbox.push_shared(Frame::text(b"publication"));
        outbox.push_own(|out| out.extend_from_slice(b"reply"));
        outbox.wrote(10);
        assert_eq!(outbox.clear_unstarted(), 2);
        let left = PIECE_BYTES - 10 + 3;
        assert_eq!((outbox.messages(), outbox.bytes()), (2, left));
        assert!(drain(&mut outbox, left).ends_with(b"a101"));
    }
}
