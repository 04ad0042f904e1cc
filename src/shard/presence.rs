//! Who is in a room on this shard, and what rooms tell of those who come and go here.

use crate::app::presence;
use crate::base::clock::{Mono, Now, Wall};
use crate::base::limits;
use crate::bus::presence::Entrant;
use crate::domain::presence::Present;
use crate::domain::room::RoomName;
use crate::shard::peer::Session;
use crate::shard::{Hub, Shard};

impl Shard {
    /// The sessions in a room here.
    pub(super) fn present(&mut self, room: &RoomName, now: Now) -> Vec<Present> {
        let members = self.hub.rooms.find(room).map(|local| local.members());
        let here = members
            .unwrap_or_default()
            .iter()
            .filter_map(|member| member.is_here());
        let (peers, started) = (&mut self.peers, self.hub.services.started);
        let present = here.filter_map(|(slot, since)| {
            let (_, peer) = peers.at_slot(slot)?;
            let session = peer.session()?;
            Some(Present {
                session: session.id,
                identity: session.identity.clone(),
                since: wall_of(since.begins(), started, now),
            })
        });
        present.collect()
    }
}

/// What the wall clock said then, or would have, had it been set right before. The same each time
/// that it is asked: the clock counts as set only by whole seconds.
fn wall_of(then: Mono, started: Now, now: Now) -> Wall {
    let signed = |millis: u64| i64::try_from(millis).unwrap_or(i64::MAX);
    let zero = |at: Now| signed(at.wall.as_millis()) - signed(at.mono.as_millis());
    let set_by = (zero(now) - zero(started) + 500).div_euclid(1000) * 1000;
    let millis = zero(started) + set_by + signed(then.as_millis());
    Wall::from_millis(u64::try_from(millis).unwrap_or(0))
}

impl Hub {
    /// Tells rooms who has come and gone for good. While the server shuts down nobody is told:
    /// everybody goes, and is told that.
    pub(super) fn tell_changes(&mut self, now: Now) {
        if self.draining {
            self.changes.clear();
            return;
        }
        self.changes.begin_waiting(now.mono);
        let context = self.services.context(&self.live, &self.counters, now);
        presence::tell(&mut self.changes, limits::CHANGES_PER_TURN, context);
    }

    /// When [`Hub::tell_changes`] has something to do.
    pub(super) fn next_change(&self) -> Option<Mono> {
        self.changes.next_due()
    }

    /// A session here as the one that joins or leaves a room.
    pub(super) fn entrant<'a>(&self, session: &'a Session) -> Entrant<'a> {
        Entrant {
            shard: self.shard,
            session: session.id,
            identity: &session.identity,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_alike_until_the_clock_is_set() {
        let at = |mono: u64, wall: u64| Now {
            mono: Mono::from_nanos(mono * 1_000_000),
            wall: Wall::from_millis(wall),
        };
        let check = |started: Now, now: Now, expected: u64| {
            let told = wall_of(Mono::from_nanos(64_000_000), started, now);
            assert_eq!(told.as_millis(), expected, "{now:?}");
        };
        let started = at(5, 1_000_005);
        check(started, started, 1_000_064);
        // Both clocks are cut to milliseconds, at different moments.
        check(started, at(100, 1_000_099), 1_000_064);
        check(started, at(100, 1_000_101), 1_000_064);
        check(
            started,
            at(100, 1_000_100 + 3_600_000),
            1_000_064 + 3_600_000,
        );
        check(started, at(100, 900_100), 900_064);
        check(started, at(1000, 0), 0);
    }
}
