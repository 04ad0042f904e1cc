//! The frames of one turn that many peers are sent in a row, joined once for all of them.
//!
//! Under load a turn brings a room several publications, and each member's outbox then holds the
//! same frames. Given to the kernel piece by piece each frame costs it a step; joined here they
//! are one piece, and the copy is made once for all members. Invariants: what is joined is known by
//! its frames, which are held so that none of them can be mistaken for a later one at its address;
//! nothing is held beyond the turn.

use std::sync::Arc;

use crate::dialect::frame::Frame;
use crate::shard::outbox::Outbox;

/// Bytes joined at most: so few that they stay in the cache while they are sent to many.
const BYTES_MAX: usize = 64 * 1024;

/// What one peer was to be sent, and, once another was to be sent the same, its bytes.
#[derive(Debug, Default)]
pub(super) struct Joined {
    frames: Vec<Arc<Frame>>,
    bytes: Vec<u8>,
}

impl Joined {
    /// All that `outbox` holds, in one piece, if the peer before it was to be sent just that, too.
    pub(super) fn of(&mut self, outbox: &Outbox) -> Option<&[u8]> {
        if !outbox.is_run_of(&self.frames) {
            self.clear();
            outbox.copy_run(&mut self.frames, BYTES_MAX);
            return None;
        }
        if self.bytes.is_empty() {
            for frame in &self.frames {
                self.bytes.extend_from_slice(frame.bytes());
            }
        }
        Some(&self.bytes)
    }

    /// Forgets everything, at the end of a turn.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.bytes.clear();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::IoSlice;

    use super::*;
    use crate::shard::outbox::Keep;

    fn frame(letter: &str, length: usize) -> Arc<Frame> {
        Frame::text(letter.repeat(length).as_bytes())
    }

    fn outbox(frames: &[&Arc<Frame>]) -> Outbox {
        let mut outbox = Outbox::default();
        for frame in frames {
            outbox.push_shared(Arc::clone(frame), Keep::Always);
        }
        outbox
    }

    #[test]
    fn the_second_peer_with_the_same_frames_gets_them_in_one_piece() {
        let (a, b) = (frame("a", 10), frame("b", 300));
        let (first, second) = (outbox(&[&a, &b]), outbox(&[&a, &b]));
        let mut joined = Joined::default();
        assert_eq!(joined.of(&first), None);
        let mut slices = [IoSlice::new(&[]); 4];
        let (count, _) = second.gather(&mut slices, usize::MAX);
        let expected: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
        assert_eq!(joined.of(&second).unwrap(), expected);
        assert_eq!(joined.of(&outbox(&[&a, &b])).unwrap(), expected);
    }

    #[test]
    fn what_is_not_the_same_is_not_joined() {
        let (a, b, c) = (frame("a", 10), frame("b", 10), frame("a", 10));
        let mut begun = outbox(&[&a, &b]);
        begun.wrote(1);
        let mut mixed = outbox(&[&a]);
        mixed.push_own(|out| out.push(0));
        let mut joined = Joined::default();
        for other in [
            Outbox::default(),
            outbox(&[&a]),
            outbox(&[&b, &a]),
            outbox(&[&c, &b]),
            outbox(&[&a, &b, &c]),
            begun,
            mixed,
        ] {
            joined.clear();
            assert_eq!(joined.of(&outbox(&[&a, &b])), None);
            assert_eq!(joined.of(&other), None, "{other:?}");
        }
    }

    #[test]
    fn neither_one_frame_nor_large_ones_are_joined() {
        let (small, large) = (frame("a", 10), frame("b", BYTES_MAX));
        for frames in [vec![&small], vec![&large, &small]] {
            let mut joined = Joined::default();
            for _ in 0..3 {
                assert_eq!(joined.of(&outbox(&frames)), None);
            }
        }
    }

    #[test]
    fn nothing_is_held_beyond_the_turn() {
        let (a, b) = (frame("a", 10), frame("b", 10));
        let mut joined = Joined::default();
        joined.of(&outbox(&[&a, &b]));
        joined.of(&outbox(&[&a, &b]));
        joined.clear();
        assert_eq!((Arc::strong_count(&a), Arc::strong_count(&b)), (1, 1));
        assert_eq!(joined.of(&outbox(&[&a, &b])), None);
    }
}
