//! Which sessions of this shard are in which rooms.
//!
//! A member keeps its place in the room's list for as long as it stays, so leaving needs no
//! search and moves nobody; free places are used again. A member that is behind hears no mail; what
//! it is sent instead is its session's business. Invariants: a member's place and the session's
//! [`Membership`] name each other; a room is here exactly while it has members here; `due` names
//! exactly the rooms that hold a publication back.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use slab::Slab;

use crate::base::clock::Mono;
use crate::base::ids::PeerId;
use crate::bus::room::Room;
use crate::bus::rooms::Joined;
use crate::config::SlowConsumer;
use crate::dialect::delivery::Delivery;
use crate::dialect::publication::Placement;
use crate::domain::room::RoomName;
use crate::metrics::counters::Counters;
use crate::metrics::names::Counter;
use crate::protocol::timers::Tick;
use crate::shard::behind::{Behind, Wants};
use crate::shard::latest::Latest;

/// The rooms of one shard with their members.
#[derive(Debug)]
pub struct LocalRooms {
    by_name: HashMap<RoomName, u32>,
    rooms: Slab<LocalRoom>,
    /// Rooms that hold a publication back, by the moment it is due.
    due: BTreeSet<(Mono, u32)>,
    counters: Arc<Counters>,
}

/// One room's members on this shard.
#[derive(Debug)]
pub struct LocalRoom {
    /// The room, shared with the other shards.
    pub room: Arc<Room>,
    members: Vec<Member>,
    /// Places of `members` that nobody has.
    free: Vec<u32>,
    heard: Heard,
    /// In rooms whose policy is or was `latest`, once it is needed.
    latest: Option<Box<Latest>>,
}

/// The newest publication that a room's members here were offered, or did not need to be because
/// they came after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Its number among all publications.
    pub sequence: u64,
    /// Its offset in the room.
    pub offset: u64,
}

/// A session's membership, as the session keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    room: u32,
    place: u32,
}

/// A session in a room, as the room keeps it.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    slot: u32,
    /// When it joined; in the place that alignment leaves beside the slot.
    since: Tick,
    /// The sequence when it joined: what came up to there is not live for it. [`BEHIND`] for one
    /// who is behind, [`WAITING`] for one who is still to hear what it missed, so that nothing is,
    /// and nobody else pays for asking.
    joined: u64,
}

/// No publication ever has this number.
const BEHIND: u64 = u64::MAX;

/// Nor this one, of a member that waits for what it missed before it hears anything.
const WAITING: u64 = BEHIND - 1;

/// The slot of a place that nobody has.
const NOBODY: u32 = u32::MAX;

impl Member {
    /// The member's slot and when it joined, if anybody has the place.
    #[must_use]
    pub fn is_here(&self) -> Option<(u32, Tick)> {
        (self.slot != NOBODY).then_some((self.slot, self.since))
    }

    /// The member's slot in the shard's peers, if mail of this sequence is for it.
    #[must_use]
    pub fn hears(&self, sequence: u64) -> Option<u32> {
        (self.slot != NOBODY && sequence > self.joined).then_some(self.slot)
    }

    /// The member's slot, if it is behind.
    #[must_use]
    pub fn lags(&self) -> Option<u32> {
        (self.slot != NOBODY && self.joined == BEHIND).then_some(self.slot)
    }
}

impl LocalRooms {
    /// No rooms yet.
    #[must_use]
    pub fn new(counters: Arc<Counters>) -> Self {
        Self {
            by_name: HashMap::new(),
            rooms: Slab::new(),
            due: BTreeSet::new(),
            counters,
        }
    }

    /// The room of a placement, whose members are to be offered `delivery` now. `None` if it has no
    /// members here, or holds the publication back; [`LocalRooms::take_due`] has it later then.
    pub fn hear(
        &mut self,
        placement: &Placement,
        delivery: &Arc<Delivery>,
        now: Mono,
    ) -> Option<&LocalRoom> {
        let index = *self.by_name.get(&placement.room)?;
        let local = self.rooms.get_mut(index as usize)?;
        if placement.slow_consumer == SlowConsumer::Latest || local.latest.is_some() {
            let due = local.pace(placement, delivery, &self.counters, now);
            if let Some(due) = due.replaced {
                self.due.remove(&(due, index));
            }
            if let Some(due) = due.held {
                self.due.insert((due, index));
                return None;
            }
        }
        local.heard = Heard {
            sequence: delivery.publication().sequence,
            offset: placement.offset,
        };
        Some(local)
    }

    /// A publication that was held back and is due at `now`; it is to be delivered like mail.
    pub fn take_due(&mut self, now: Mono) -> Option<Arc<Delivery>> {
        let (due, index) = *self.due.first()?;
        if due > now {
            return None;
        }
        self.due.pop_first();
        let latest = self.rooms.get_mut(index as usize)?.latest.as_mut()?;
        latest.take_held().map(|held| held.delivery)
    }

    /// When [`LocalRooms::take_due`] has something.
    #[must_use]
    pub fn next_due(&self) -> Option<Mono> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The room of this name, if it has members here.
    #[must_use]
    pub fn find(&self, name: &RoomName) -> Option<&LocalRoom> {
        self.rooms.get(*self.by_name.get(name)? as usize)
    }

    /// The room of a membership.
    #[must_use]
    pub fn room(&self, membership: Membership) -> Option<&Arc<Room>> {
        Some(&self.rooms.get(membership.room as usize)?.room)
    }

    /// Which of `memberships` is in the room of this name.
    #[must_use]
    pub fn position(
        &self,
        name: &RoomName,
        memberships: impl IntoIterator<Item = Membership>,
    ) -> Option<usize> {
        let room = *self.by_name.get(name)?;
        let mut memberships = memberships.into_iter();
        memberships.position(|membership| membership.room == room)
    }

    /// The newest publication that the members of a membership's room were offered.
    #[must_use]
    pub fn heard(&self, membership: Membership) -> Heard {
        let room = self.rooms.get(membership.room as usize);
        room.map_or_else(Heard::default, |room| room.heard)
    }

    /// The sequence after which mail is live for a member; `None` while none is.
    #[must_use]
    pub fn joined(&self, membership: Membership) -> Option<u64> {
        let room = self.rooms.get(membership.room as usize)?;
        let member = room.members.get(membership.place as usize)?;
        Some(member.joined).filter(|joined| *joined < WAITING)
    }

    /// What members get that are behind in a membership's room and want the newest.
    #[must_use]
    pub fn newest(&self, membership: Membership) -> Option<&Arc<Delivery>> {
        let room = self.rooms.get(membership.room as usize)?;
        room.latest.as_ref()?.newest()
    }

    /// Makes no mail live for a member from `delivery` on, which it is not sent either.
    pub fn fall_behind(&mut self, behind: &Behind, delivery: &Arc<Delivery>) {
        let Membership { room, place } = behind.membership;
        let Some(local) = self.rooms.get_mut(room as usize) else {
            return;
        };
        if let Some(member) = local.members.get_mut(place as usize) {
            member.joined = BEHIND;
        }
        match behind.wants {
            Wants::Newest => local.latest.get_or_insert_default().fall_behind(delivery),
            Wants::After(_) => {}
        }
    }

    /// Makes the mail live again for a member that was behind.
    pub fn catch_up(&mut self, behind: &Behind) {
        let Membership { room, place } = behind.membership;
        let Some(local) = self.rooms.get_mut(room as usize) else {
            return;
        };
        if let Some(member) = local.members.get_mut(place as usize) {
            member.joined = local.heard.sequence;
        }
        match (behind.wants, &mut local.latest) {
            (Wants::Newest, Some(latest)) => latest.catch_up(),
            (Wants::Newest, None) | (Wants::After(_), _) => {}
        }
    }

    /// Adds `peer` to a room that it was not in; what came after it `joined` is live for it.
    pub fn add(&mut self, joined: &Joined, peer: PeerId, now: Mono) -> Membership {
        let room = &joined.room;
        let index = match self.by_name.get(&room.name) {
            Some(index) => *index,
            None => {
                let local = LocalRoom {
                    room: Arc::clone(room),
                    members: Vec::new(),
                    free: Vec::new(),
                    heard: Heard {
                        sequence: joined.sequence,
                        offset: joined.position.offset,
                    },
                    latest: None,
                };
                // Rooms here are fewer than peers times rooms per session, far below 2^32.
                let index = u32::try_from(self.rooms.insert(local)).unwrap_or(u32::MAX);
                self.by_name.insert(room.name.clone(), index);
                index
            }
        };
        let member = Member {
            slot: peer.slot,
            since: Tick::reached(now),
            joined: joined.sequence,
        };
        let mut place = 0;
        if let Some(local) = self.rooms.get_mut(index as usize) {
            place = local.free.pop().unwrap_or_else(|| {
                local.members.push(member);
                u32::try_from(local.members.len() - 1).unwrap_or(u32::MAX)
            });
            if let Some(vacant) = local.members.get_mut(place as usize) {
                *vacant = member;
            }
        }
        Membership { room: index, place }
    }

    /// Lets only mail after the sequence `joined` be live for a member.
    pub fn rejoin(&mut self, membership: Membership, joined: u64) {
        let room = self.rooms.get_mut(membership.room as usize);
        if let Some(member) = room.and_then(|room| room.members.get_mut(membership.place as usize))
        {
            member.joined = joined;
        }
    }

    /// Lets no mail be live for a member until [`LocalRooms::rejoin`].
    pub fn wait(&mut self, membership: Membership) {
        self.rejoin(membership, WAITING);
    }

    /// Whether a member waits for what it missed.
    #[must_use]
    pub fn is_waiting(&self, membership: Membership) -> bool {
        let room = self.rooms.get(membership.room as usize);
        let member = room.and_then(|room| room.members.get(membership.place as usize));
        member.is_some_and(|member| member.joined == WAITING)
    }

    /// Takes a member out of its room; returns the room, which the caller leaves, too.
    pub fn remove(&mut self, membership: Membership) -> Option<Arc<Room>> {
        let local = self.rooms.get_mut(membership.room as usize)?;
        local.members.get_mut(membership.place as usize)?.slot = NOBODY;
        local.free.push(membership.place);
        if local.free.len() < local.members.len() {
            return Some(Arc::clone(&local.room));
        }
        let local = self.rooms.try_remove(membership.room as usize)?;
        self.by_name.remove(&local.room.name);
        if let Some(held) = local.latest.and_then(|mut latest| latest.take_held()) {
            self.due.remove(&(held.due, membership.room));
        }
        Some(local.room)
    }
}

#[cfg(any(test, feature = "testkit"))]
impl LocalRooms {
    /// Whether a membership's place in its room is that of `peer`.
    pub(super) fn is_held_by(&self, membership: Membership, peer: PeerId) -> bool {
        let room = self.rooms.get(membership.room as usize);
        let member = room.and_then(|room| room.members.get(membership.place as usize));
        member.is_some_and(|member| member.slot == peer.slot)
    }

    /// Compares the rooms with `members`, the members counted by name.
    ///
    /// # Panics
    /// When they differ, or a list of free places is wrong.
    pub(super) fn check_invariants(&self, members: &std::collections::BTreeMap<&str, u32>) {
        assert_eq!(self.by_name.len(), members.len());
        assert_eq!(self.rooms.len(), members.len());
        for (name, index) in &self.by_name {
            let room = self.rooms.get(*index as usize);
            let Some(room) = room else {
                unreachable!("{} is lost", name.as_str());
            };
            assert_eq!(room.room.name, *name);
            let vacant = |place: &usize| room.members.get(*place).is_some_and(|m| m.slot == NOBODY);
            let vacant: Vec<usize> = (0..room.members.len()).filter(vacant).collect();
            let mut free: Vec<usize> = room.free.iter().map(|place| *place as usize).collect();
            free.sort_unstable();
            assert_eq!(vacant, free, "{}", name.as_str());
            let count = u32::try_from(room.members.len() - free.len()).ok();
            assert_eq!(count.as_ref(), members.get(name.as_str()));
        }
    }

    /// Compares the members that are behind with the entries of all sessions.
    ///
    /// # Panics
    /// When they differ, an entry has caught up, or a publication is held back without a moment.
    pub(super) fn check_behind(&self, entries: &[Behind]) {
        let lagging = self.rooms.iter().map(|(_, room)| {
            let members = room.members.iter();
            members.filter(|member| member.lags().is_some()).count()
        });
        assert_eq!(lagging.sum::<usize>(), entries.len());
        let mut newest: HashMap<u32, u32> = HashMap::new();
        for Behind { membership, wants } in entries {
            let room = self.rooms.get(membership.room as usize);
            let member = room.and_then(|room| room.members.get(membership.place as usize));
            assert!(member.is_some_and(|member| member.lags().is_some()));
            match wants {
                Wants::Newest => *newest.entry(membership.room).or_default() += 1,
                Wants::After(position) => {
                    assert!(position.offset < self.heard(*membership).offset);
                }
            }
        }
        let mut due = BTreeSet::new();
        for (index, room) in &self.rooms {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            if let Some(latest) = &room.latest {
                let counted = newest.get(&index).copied().unwrap_or_default();
                assert_eq!(latest.check_behind(), counted);
                due.extend(latest.due().map(|due| (due, index)));
            }
        }
        assert_eq!(self.due, due);
    }
}

/// What became of the publications of a room that waits for its interval to pass.
struct Paced {
    /// When the one was due that will not be sent.
    replaced: Option<Mono>,
    /// When the new one is due; `None` if that is now.
    held: Option<Mono>,
}

impl LocalRoom {
    /// The members' places, vacant ones included; ask each with [`Member::hears`].
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Lets a publication take the place of those that wait, and perhaps wait itself.
    ///
    /// One to several rooms never waits: a session that is in several of them gets it as one
    /// message, and another room's members need not wait for this one's interval.
    fn pace(
        &mut self,
        placement: &Placement,
        delivery: &Arc<Delivery>,
        counters: &Counters,
        now: Mono,
    ) -> Paced {
        let is_alone = delivery.publication().placements.len() == 1;
        let interval = self.room.options().min_interval;
        let waits =
            is_alone && placement.slow_consumer == SlowConsumer::Latest && !interval.is_zero();
        if waits {
            self.latest.get_or_insert_default();
        }
        let members = self.members.len() - self.free.len();
        let mut paced = Paced {
            replaced: None,
            held: None,
        };
        if let Some(latest) = &mut self.latest {
            if let Some(held) = latest.take_held() {
                paced.replaced = Some(held.due);
                counters.add(Counter::LatestReplaced, members as u64);
            }
            if waits {
                paced.held = latest.hold(delivery, interval, now);
            }
            if paced.held.is_none() {
                let missed = latest.pass(delivery, now);
                counters.add(Counter::LatestReplaced, u64::from(missed));
            }
        }
        paced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_membership_stays_small() {
        assert_eq!((size_of::<Member>(), size_of::<Membership>()), (16, 8));
    }
}
