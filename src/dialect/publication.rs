//! One event in one or several rooms: what rooms retain and members receive.
//!
//! A plain value, shared by reference; its encoded forms are a
//! [`Delivery`](crate::dialect::delivery::Delivery)'s. Invariant: nothing changes after it was
//! made.

use crate::base::clock::Wall;
use crate::base::ids::SessionId;
use crate::config::SlowConsumer;
use crate::domain::command::Payload;
use crate::domain::position::{Epoch, Position};
use crate::domain::room::RoomName;

/// Where a publication stands in one room's stream.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The room.
    pub room: RoomName,
    /// The offset it got there, from 1.
    pub offset: u64,
    /// The stream's identity.
    pub epoch: Epoch,
    /// What happens to members that read too slowly for it: the room's policy when it was
    /// published, so that all shards follow the same one whatever changes meanwhile.
    pub slow_consumer: SlowConsumer,
}

impl Placement {
    /// The place in the room's stream.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            epoch: self.epoch,
            offset: self.offset,
        }
    }
}

/// Some of a publication's placements: bit n stands for the n-th room of the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoomSet(u128);

impl RoomSet {
    /// The set of the first room alone.
    pub const FIRST: Self = Self(1);

    /// The set with the room at `index` (below 128) added.
    #[must_use]
    pub const fn with(self, index: usize) -> Self {
        Self(self.0 | (1 << index))
    }

    /// Whether the room at `index` is in it.
    #[must_use]
    pub const fn contains(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }

    /// The set of its first room alone.
    #[must_use]
    pub const fn first(self) -> Self {
        Self(self.0 & self.0.wrapping_neg())
    }

    /// Whether no room is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The [`Publication::sequence`] of one that was read from the store: less than any other, and the
/// same for all, which are told apart by room and offset.
pub const FROM_STORE: u64 = 0;

/// A published event.
#[derive(Debug)]
pub struct Publication {
    /// The event's name.
    pub event: Box<str>,
    /// What was published.
    pub payload: Payload,
    /// Who published, as they say.
    pub source: Option<Box<str>>,
    /// When it entered its rooms.
    pub timestamp: Wall,
    /// Marks the copies of one publication; on the wire only if it went to several rooms.
    pub uid: u128,
    /// Whether there are copies of it in several rooms, which are not all among its placements if
    /// it was read from the store.
    pub has_copies: bool,
    /// Its rooms in the request's order; never empty.
    pub placements: Box<[Placement]>,
    /// Its number among all publications of all rooms. Unlike an offset it never begins anew, so
    /// it says whether a member joined before, even if the stream was reset or the room is
    /// another one of the same name; and it orders the publications of several rooms.
    pub sequence: u64,
    /// Sessions that do not receive it live.
    pub except: Box<[SessionId]>,
}

impl Publication {
    /// Its placements in the rooms of `set`, in the request's order.
    pub fn placements_in(&self, set: RoomSet) -> impl Iterator<Item = &Placement> {
        let placements = self.placements.iter().enumerate();
        placements
            .filter(move |(index, _)| set.contains(*index))
            .map(|(_, placement)| placement)
    }

    /// What it adds to the retained bytes of each of its rooms.
    #[must_use]
    pub fn retained_bytes(&self) -> usize {
        self.payload.len()
            + self.event.len()
            + self.source.as_ref().map_or(0, |text| text.len())
            + size_of_val(&*self.except)
    }
}
