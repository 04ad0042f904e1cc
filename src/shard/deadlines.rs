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

/// A peer that is armed for no tick.
pub const UNARMED: Tick = Tick(0);

impl Deadlines {
    /// Makes sure that `peer`, now armed for `armed`, is looked at no later than `next`.
    pub fn arm(&mut self, peer: PeerId, armed: &mut Tick, next: Option<Tick>) {
        let Some(next) = next else { return };
        if *armed == UNARMED || next < *armed {
            *armed = next;
            self.buckets.entry(next).or_default().push(peer);
        }
    }

    /// The earliest tick with an entry.
    #[must_use]
    pub fn next(&self) -> Option<Tick> {
        self.buckets.first_key_value().map(|(tick, _)| *tick)
    }

    /// Takes out the earliest bucket that has begun at `now`. The caller skips peers that are
    /// gone or armed for another tick.
    pub fn take_due(&mut self, now: Tick) -> Option<(Tick, Vec<PeerId>)> {
        let entry = self.buckets.first_entry()?;
        (*entry.key() <= now).then(|| entry.remove_entry())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PeerId = PeerId {
        slot: 1,
        generation: 0,
    };

    #[test]
    fn a_later_timer_costs_no_entry_and_an_earlier_one_replaces_it() {
        let mut deadlines = Deadlines::default();
        let mut armed = UNARMED;
        deadlines.arm(A, &mut armed, Some(Tick(10)));
        deadlines.arm(A, &mut armed, Some(Tick(20)));
        assert_eq!((armed, deadlines.next()), (Tick(10), Some(Tick(10))));
        deadlines.arm(A, &mut armed, Some(Tick(5)));
        assert_eq!((armed, deadlines.next()), (Tick(5), Some(Tick(5))));
        assert_eq!(deadlines.take_due(Tick(4)), None);
        assert_eq!(deadlines.take_due(Tick(12)), Some((Tick(5), vec![A])));
        assert_eq!(deadlines.take_due(Tick(12)), Some((Tick(10), vec![A])));
        assert_eq!(deadlines.take_due(Tick(12)), None);
        deadlines.arm(A, &mut armed, None);
        assert_eq!(deadlines.next(), None);
    }
}
