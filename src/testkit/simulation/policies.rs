//! What rooms promised to slow members at each offset of theirs.

use std::collections::BTreeSet;

use crate::config::SlowConsumer;
use crate::testkit::operations::SHIFTING;

/// The policies of all rooms, over time.
#[derive(Debug, Default)]
pub(super) struct Policies {
    /// Those of the room that reloads change: from which offset on, and which.
    shifts: Vec<(u64, SlowConsumer)>,
    /// Where that room stood last.
    last: u64,
    /// Its stream has begun anew, so that offsets do not tell its policy.
    is_unsure: bool,
}

impl Policies {
    /// The room whose policy changes stands at `offset` and has `policy` for what comes.
    pub(super) fn note(&mut self, offset: u64, policy: SlowConsumer) {
        self.is_unsure |= offset < self.last;
        self.last = offset;
        if self
            .shifts
            .last()
            .is_none_or(|(_, before)| *before != policy)
        {
            self.shifts.push((offset + 1, policy));
        }
    }

    /// The policy that a publication had; `None` if nobody knows.
    pub(super) fn at(&self, room: &str, offset: u64) -> Option<SlowConsumer> {
        if room == SHIFTING {
            let before = self.shifts.iter().rev();
            let shift = before.into_iter().find(|(from, _)| *from <= offset);
            return shift.filter(|_| !self.is_unsure).map(|(_, policy)| *policy);
        }
        Some(match room.split(':').next() {
            Some("drop") => SlowConsumer::DropOldest,
            Some("latest" | "paced") => SlowConsumer::Latest,
            Some("lag") => SlowConsumer::Lag,
            Some(_) | None => SlowConsumer::Close,
        })
    }

    /// Whether one of `rooms` has or had a policy.
    pub(super) fn has_any(&self, rooms: &BTreeSet<String>, policy: SlowConsumer) -> bool {
        rooms.iter().any(|room| {
            let shifted = self.shifts.iter().any(|(_, other)| *other == policy);
            room == SHIFTING && shifted || self.at(room, u64::MAX) == Some(policy)
        })
    }

    /// Whether a member of `room` may go without all of `missing`, which are offsets in their order
    /// without those it was left out of. With `drop_oldest` each may be missing; with `latest` what
    /// follows one that is missing may be, too, whatever its policy.
    pub(super) fn may_miss(&self, room: &str, missing: impl Iterator<Item = u64>) -> bool {
        let mut waits = false;
        for offset in missing {
            match self.at(room, offset) {
                None | Some(SlowConsumer::Latest) => waits = true,
                Some(SlowConsumer::DropOldest) => {}
                Some(SlowConsumer::Close | SlowConsumer::Lag) if waits => {}
                Some(SlowConsumer::Close | SlowConsumer::Lag) => return false,
            }
        }
        true
    }
}
