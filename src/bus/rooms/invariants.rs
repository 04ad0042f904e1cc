//! What must hold of all rooms between two calls, and what tests compare it with.

use std::collections::BTreeMap;

use crate::base::ids::ShardId;
use crate::base::locks::lock;
use crate::bus::rooms::Rooms;

impl Rooms {
    /// The members on one shard, by room; rooms without any are left out.
    #[must_use]
    pub fn members_on(&self, shard: ShardId) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::new();
        for stripe in &self.stripes {
            for room in lock(stripe).values() {
                let count = room.state().members.get(shard.index()).copied();
                if let Some(count) = count.filter(|count| *count > 0) {
                    counts.insert(room.name.as_str().to_owned(), count);
                }
            }
        }
        counts
    }

    /// Checks the count of rooms and every stream; for tests.
    ///
    /// # Panics
    /// When something does not hold.
    pub fn check_invariants(&self) {
        let mut count = 0;
        for stripe in &self.stripes {
            for (name, room) in lock(stripe).iter() {
                assert_eq!(*name, room.name);
                let state = room.state();
                assert!(!state.dropped, "a dropped room is not in the table");
                state.stream.check_invariants();
                if let Some(roster) = &state.roster {
                    assert_eq!(roster.census().0, state.member_count(), "{name}");
                }
                count += 1;
            }
        }
        assert_eq!(self.count(), count);
    }

    /// How many changes of presence are not settled; those of rooms that were dropped are none.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        let in_room = |room: &std::sync::Arc<crate::bus::room::Room>| {
            let state = room.state();
            let parties = state.roster.as_ref().map_or(0, |roster| roster.census().1);
            parties + usize::from(state.occupied.is_some())
        };
        let stripes = self.stripes.iter();
        let in_stripe = stripes.map(|stripe| lock(stripe).values().map(in_room).sum::<usize>());
        in_stripe.sum()
    }
}
