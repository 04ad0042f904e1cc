//! When to look at which peer: buckets of one tick each.
//!
//! A peer has one entry that counts, at the tick it is armed for; moving a timer later costs
//! nothing (the entry fires, finds nothing due, and is armed anew), moving it earlier adds an
//! entry and leaves the old one to be ignored. A binary heap costs 25 times more at a million
//! peers. Invariant: an armed peer has an entry at its armed tick.

use std::collections::BTreeMap;

use crate::base::ids::PeerId;
use crate::protocol::timers::Tick;

/// The buckets of one shard.
#[derive(Debug, Default)]
pub struct Deadlines {
    buckets: BTreeMap<Tick, Vec<PeerId>>,
}

/// No tick.
pub const UNARMED: Tick = Tick(0);

/// The ticks at which a peer has entries.
#[derive(Clone, Copy, Debug, Default)]
pub struct Armed {
    /// The entry that counts.
    pub next: Tick,
    /// The latest entry that was overtaken by an earlier one; it counts again when its turn has
    /// come. Without it a peer whose near timer fires often (a paused one, 15 times a second)
    /// would add an entry at its far timer each time.
    later: Tick,
}

impl Armed {
    /// Notes that the peer's entry at `due` has been taken out; true if it is the one that counts.
    pub fn take(&mut self, due: Tick) -> bool {
        if self.later == due {
            self.later = UNARMED;
        }
        let counts = self.next == due;
        if counts {
            self.next = UNARMED;
        }
        counts
    }
}

impl Deadlines {
    /// Makes sure that `peer`, now armed as `armed` says, is looked at no later than `next`.
    pub fn arm(&mut self, peer: PeerId, armed: &mut Armed, next: Option<Tick>) {
        let Some(next) = next else { return };
        if armed.next == UNARMED && armed.later != UNARMED && armed.later <= next {
            armed.next = std::mem::take(&mut armed.later);
        } else if armed.next == UNARMED || next < armed.next {
            armed.later = armed.later.max(armed.next);
            armed.next = next;
            self.buckets.entry(next).or_default().push(peer);
        }
    }

    /// The earliest tick with an entry.
    #[must_use]
    pub fn next(&self) -> Option<Tick> {
        self.buckets.first_key_value().map(|(tick, _)| *tick)
    }

    /// Takes out the earliest bucket that has begun at `now`. The caller skips peers that are
    /// gone, and those for whom [`Armed::take`] says that another entry counts.
    pub fn take_due(&mut self, now: Tick) -> Option<(Tick, Vec<PeerId>)> {
        let entry = self.buckets.first_entry()?;
        (*entry.key() <= now).then(|| entry.remove_entry())
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    const A: PeerId = PeerId {
        slot: 1,
        generation: 0,
    };

    #[test]
    fn a_later_timer_costs_no_entry_and_an_earlier_one_replaces_it() {
        let mut deadlines = Deadlines::default();
        let mut armed = Armed::default();
        deadlines.arm(A, &mut armed, Some(Tick(10)));
        deadlines.arm(A, &mut armed, Some(Tick(20)));
        assert_eq!((armed.next, deadlines.next()), (Tick(10), Some(Tick(10))));
        deadlines.arm(A, &mut armed, Some(Tick(5)));
        assert_eq!((armed.next, deadlines.next()), (Tick(5), Some(Tick(5))));
        assert_eq!(deadlines.take_due(Tick(4)), None);
        assert_eq!(deadlines.take_due(Tick(12)), Some((Tick(5), vec![A])));
        assert_eq!(deadlines.take_due(Tick(12)), Some((Tick(10), vec![A])));
        assert_eq!(deadlines.take_due(Tick(12)), None);
        deadlines.arm(A, &mut armed, None);
        assert_eq!(deadlines.next(), None);
    }

    #[test]
    fn a_near_timer_that_fires_often_leaves_one_entry_at_the_far_one() {
        let mut deadlines = Deadlines::default();
        let mut armed = Armed::default();
        deadlines.arm(A, &mut armed, Some(Tick(1000)));
        for near in 1..500 {
            deadlines.arm(A, &mut armed, Some(Tick(near)));
            let (due, peers) = deadlines.take_due(Tick(near)).expect("it is due");
            assert_eq!((due, peers), (Tick(near), vec![A]));
            assert!(armed.take(due));
            deadlines.arm(A, &mut armed, Some(Tick(1000)));
            assert_eq!(armed.next, Tick(1000));
        }
        assert_eq!(deadlines.take_due(Tick(1000)), Some((Tick(1000), vec![A])));
        assert!(armed.take(Tick(1000)));
        assert_eq!(deadlines.next(), None);
    }
}
