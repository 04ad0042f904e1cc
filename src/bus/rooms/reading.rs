//! What rooms retain and how many are in them: reading it, and forgetting what they retain.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::clock::Mono;
use crate::base::locks::lock;
use crate::bus::room::{Lost, Room, RoomSummary};
use crate::bus::rooms::Rooms;
use crate::dialect::publication::Publication;
use crate::domain::position::{Epoch, Position};
use crate::domain::room::RoomName;
use crate::domain::stream::Page;

/// A page of a room's history, as far as it is in memory.
#[derive(Clone, Debug)]
pub struct History {
    /// Where the stream stands.
    pub position: Position,
    /// The page.
    pub page: Page<Arc<Publication>>,
    /// Whether there is no more of it; if not, the store has the page.
    pub is_whole: bool,
}

/// What is in all rooms together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomTotals {
    /// Memberships.
    pub members: u64,
    /// Publications that are retained in memory.
    pub publications: u64,
    /// Bytes of these.
    pub bytes: u64,
}

impl Rooms {
    /// A page of what a room retains; `None` if there is no such room.
    #[must_use]
    pub fn history(
        &self,
        name: &RoomName,
        since: Option<u64>,
        limit: usize,
        reverse: bool,
        now: Mono,
    ) -> Option<History> {
        let room = self.find(name)?;
        let mut state = room.state();
        let retention = room.retention(&room.options());
        state.stream.expire(&retention, now);
        let page = if reverse {
            state.stream.before(since, limit)
        } else {
            state.stream.after(since.unwrap_or(0), limit)
        };
        let oldest = page.items.last().map(|(offset, _)| *offset);
        let is_whole = !state.is_stored
            || if reverse {
                page.more || oldest == Some(1)
            } else {
                state.stream.retains_after(since.unwrap_or(0))
            };
        Some(History {
            position: state.position(),
            page,
            is_whole,
        })
    }

    /// Forgets what a room retains and gives its stream a new epoch; `None` if there is no such
    /// room.
    pub fn clear_history(&self, name: &RoomName) -> Option<Position> {
        let room = self.find(name)?;
        let epoch = Epoch::random(&mut self.rng());
        let mut state = room.state();
        state.stream.reset(epoch);
        Some(state.position())
    }

    /// Forgets what a room retains; its stream goes on.
    pub fn forget_history(&self, name: &RoomName, now: Mono) {
        if let Some(room) = self.find(name) {
            let mut retention = room.retention(&room.options());
            retention.count = 0;
            room.state().stream.expire(&retention, now);
        }
    }

    /// Whether a room has members.
    #[must_use]
    pub fn is_occupied(&self, name: &RoomName) -> bool {
        let room = self.find(name);
        room.is_some_and(|room| room.state().member_count() > 0)
    }

    /// What a member that is behind missed after `position`, up to the offset `last`: at most
    /// `limit` publications, and whether there are more.
    ///
    /// # Errors
    /// Not all of it is there.
    pub fn missed(
        &self,
        room: &Room,
        position: &Position,
        last: u64,
        limit: usize,
        now: Mono,
    ) -> Result<Page<Arc<Publication>>, Lost> {
        let mut state = room.state();
        if *state.stream.epoch() != position.epoch {
            return Err(Lost::Reset);
        }
        let retention = room.retention(&room.options());
        state.stream.expire(&retention, now);
        if !state.stream.retains_after(position.offset) {
            return Err(if state.is_stored {
                Lost::Stored
            } else {
                Lost::Gone
            });
        }
        let wanted = last.saturating_sub(position.offset);
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let mut page = state.stream.after(position.offset, wanted.min(limit));
        page.more = wanted > limit;
        Ok(page)
    }

    /// What can be told of one room; `None` if there is no such room.
    #[must_use]
    pub fn summary(&self, name: &RoomName) -> Option<RoomSummary> {
        Some(self.find(name)?.summary())
    }

    /// What is in all rooms together. Looks at every room: for workers, not for shards.
    #[must_use]
    pub fn totals(&self) -> RoomTotals {
        let mut totals = RoomTotals::default();
        for stripe in &self.stripes {
            let rooms: Vec<Arc<Room>> = lock(stripe).values().cloned().collect();
            for room in rooms {
                let state = room.state();
                totals.members += state.member_count();
                totals.publications += state.stream.len() as u64;
                totals.bytes += state.stream.retained_bytes() as u64;
            }
        }
        totals
    }

    /// At most `limit` rooms that are shown, whose names begin with `prefix` and come after
    /// `after`, by name, and whether there are more. Looks at every room: for workers, not for
    /// shards.
    #[must_use]
    pub fn list(
        &self,
        prefix: &str,
        after: &str,
        limit: usize,
        is_shown: impl Fn(&RoomName) -> bool,
    ) -> (Vec<RoomSummary>, bool) {
        let mut first: BTreeSet<RoomName> = BTreeSet::new();
        for stripe in &self.stripes {
            for name in lock(stripe).keys() {
                let spelt = name.as_str();
                if spelt.starts_with(prefix) && spelt > after && is_shown(name) {
                    first.insert(name.clone());
                    if first.len() > limit + 1 {
                        first.pop_last();
                    }
                }
            }
        }
        let more = first.len() > limit;
        let rooms = first
            .iter()
            .take(limit)
            .filter_map(|name| self.summary(name))
            .collect();
        (rooms, more)
    }
}
