//! What a session was told last, so that its client can come back to where it was.
//!
//! References to the frames that were queued for it, in their order, sent or not. A frame knows its
//! own offset: it is the last thing in its text. Bounded by count and bytes; the oldest go first.
//! Invariant: what is kept is without a gap up to the newest.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::dialect::frame::Frame;

/// Frames that are kept.
pub const FRAMES: usize = 256;

/// Bytes of frames that are kept, but for the newest, which is kept whatever it has.
const BYTES: usize = 1024 * 1024;

/// The last frames of one session.
#[derive(Debug, Default)]
pub struct Ring {
    frames: VecDeque<Arc<Frame>>,
    bytes: usize,
    /// Frames that are kept no longer.
    is_cut: bool,
    /// Events that only this session was told.
    own: u64,
}

impl Ring {
    /// Keeps a frame.
    pub fn push(&mut self, frame: &Arc<Frame>) {
        self.bytes += frame.bytes().len();
        self.frames.push_back(Arc::clone(frame));
        while self.frames.len() > 1
            && (self.frames.len() > FRAMES || self.bytes > BYTES)
            && let Some(oldest) = self.frames.pop_front()
        {
            self.bytes -= oldest.bytes().len();
            self.is_cut = true;
        }
    }

    /// The offset of the next event that only this session is told.
    pub fn own_offset(&mut self) -> String {
        self.own += 1;
        format!("own:{:x}", self.own)
    }

    /// What follows the event with this offset, or everything for a client that has heard nothing;
    /// `None` if something of it is kept no longer.
    #[must_use]
    pub fn after(&self, offset: Option<&str>) -> Option<Vec<Arc<Frame>>> {
        let first = match offset {
            None if self.is_cut => return None,
            None => 0,
            Some(offset) => {
                let ending = format!(",\"{offset}\"]");
                let ends = |frame: &Arc<Frame>| {
                    let text = frame.payloads().next();
                    text.is_some_and(|(_, text)| text.ends_with(ending.as_bytes()))
                };
                // Whoever comes back has heard most of it.
                let back = self.frames.iter().rev().position(ends)?;
                self.frames.len() - back
            }
        };
        Some(self.frames.iter().skip(first).cloned().collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn frame(offset: &str) -> Arc<Frame> {
        Frame::text(format!("42[\"said\",1,\"{offset}\"]").as_bytes())
    }

    fn ring(count: usize) -> Ring {
        let mut ring = Ring::default();
        for number in 0..count {
            ring.push(&frame(&number.to_string()));
        }
        ring
    }

    fn check(ring: &Ring, offset: Option<&str>, expected: Option<usize>) {
        let found = ring.after(offset);
        assert_eq!(found.map(|frames| frames.len()), expected, "{offset:?}");
    }

    #[test]
    fn what_follows_an_offset_is_everything_or_nothing() {
        let few = ring(10);
        check(&few, Some("9"), Some(0));
        check(&few, Some("0"), Some(9));
        check(&few, None, Some(10));
        for unknown in ["10", "", "1,2", "\"9", "said\",1,\"9"] {
            check(&few, Some(unknown), None);
        }
        let after = few.after(Some("7")).unwrap();
        assert_eq!(after, [frame("8"), frame("9")]);
    }

    #[test]
    fn the_oldest_are_kept_no_longer_and_that_is_remembered() {
        let full = ring(FRAMES);
        check(&full, None, Some(FRAMES));
        let over = ring(FRAMES + 1);
        check(&over, None, None);
        check(&over, Some("0"), None);
        check(&over, Some("1"), Some(FRAMES - 1));
    }

    #[test]
    fn bytes_are_bounded_but_for_the_newest() {
        let mut ring = Ring::default();
        let large = |offset: &str, bytes| {
            Frame::text(format!("42[\"{}\",\"{offset}\"]", "x".repeat(bytes)).as_bytes())
        };
        for offset in ["0", "1", "2"] {
            ring.push(&large(offset, BYTES / 2 - 100));
        }
        check(&ring, Some("0"), None);
        check(&ring, Some("1"), Some(1));
        ring.push(&large("3", 2 * BYTES));
        assert_eq!(ring.frames.len(), 1);
    }

    #[test]
    fn offsets_of_its_own_are_told_apart() {
        let mut ring = Ring::default();
        let (first, second) = (ring.own_offset(), ring.own_offset());
        assert_ne!(first, second);
    }
}
