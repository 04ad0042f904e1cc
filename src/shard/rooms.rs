//! Which sessions of this shard are in which rooms.
//!
//! A member keeps its place in the room's list for as long as it stays, so leaving needs no
//! search and moves nobody; free places are used again. Invariants: a member's place and the
//! session's [`Membership`] name each other; a room is here exactly while it has members here.

use std::collections::HashMap;
use std::sync::Arc;

use slab::Slab;

use crate::base::ids::PeerId;
use crate::bus::room::Room;
use crate::domain::room::RoomName;

/// The rooms of one shard with their members.
#[derive(Debug, Default)]
pub struct LocalRooms {
    by_name: HashMap<RoomName, u32>,
    rooms: Slab<LocalRoom>,
}

/// One room's members on this shard.
#[derive(Debug)]
pub struct LocalRoom {
    /// The room, shared with the other shards.
    pub room: Arc<Room>,
    members: Vec<Member>,
    /// Places of `members` that nobody has.
    free: Vec<u32>,
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
    /// The sequence when it joined: what came up to there is not live for it.
    joined: u64,
}

/// The slot of a place that nobody has.
const NOBODY: u32 = u32::MAX;

impl Member {
    /// The member's slot in the shard's peers, if mail of this sequence is for it.
    #[must_use]
    pub fn hears(&self, sequence: u64) -> Option<u32> {
        (self.slot != NOBODY && sequence > self.joined).then_some(self.slot)
    }
}

impl LocalRooms {
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
    pub fn position(&self, name: &RoomName, memberships: &[Membership]) -> Option<usize> {
        let room = *self.by_name.get(name)?;
        memberships
            .iter()
            .position(|membership| membership.room == room)
    }

    /// Adds `peer` to a room it is not in; mail after the sequence `joined` is live for it.
    pub fn add(&mut self, room: &Arc<Room>, peer: PeerId, joined: u64) -> Membership {
        let index = match self.by_name.get(&room.name) {
            Some(index) => *index,
            None => {
                let local = LocalRoom {
                    room: Arc::clone(room),
                    members: Vec::new(),
                    free: Vec::new(),
                };
                // Rooms here are fewer than peers times rooms per session, far below 2^32.
                let index = u32::try_from(self.rooms.insert(local)).unwrap_or(u32::MAX);
                self.by_name.insert(room.name.clone(), index);
                index
            }
        };
        let member = Member {
            slot: peer.slot,
            joined,
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
}

impl LocalRoom {
    /// The members' places, vacant ones included; ask each with [`Member::hears`].
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }
}
