//! One event in one or several rooms, shared by everybody who receives it.
//!
//! It is encoded when the first recipient of a form needs it and never again: once per dialect,
//! and, if it went to several rooms, once per distinct set of rooms that a session is in
//! (product: a session in several of them gets one message that names them). Invariant: nothing
//! but the encoded forms changes after it was made.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::base::clock::Wall;
use crate::dialect::frame::Frame;
use crate::dialect::native::encode;
use crate::domain::command::Payload;
use crate::domain::position::Epoch;
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
}

/// Some of a publication's placements: bit n stands for the n-th room of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
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

    /// Whether no room is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

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
    /// Its rooms in the request's order; never empty.
    pub placements: Box<[Placement]>,
    single: OnceLock<Arc<Frame>>,
    sets: Mutex<Vec<(RoomSet, Arc<Frame>)>>,
}

impl Publication {
    /// A publication whose offsets have been assigned.
    #[must_use]
    pub fn new(
        event: Box<str>,
        payload: Payload,
        source: Option<Box<str>>,
        timestamp: Wall,
        uid: u128,
        placements: Box<[Placement]>,
    ) -> Self {
        debug_assert!(!placements.is_empty());
        let (single, sets) = (OnceLock::new(), Mutex::new(Vec::new()));
        Self {
            event,
            payload,
            source,
            timestamp,
            uid,
            placements,
            single,
            sets,
        }
    }

    /// What it adds to the retained bytes of each of its rooms.
    #[must_use]
    pub fn retained_bytes(&self) -> usize {
        self.payload.len() + self.event.len() + self.source.as_ref().map_or(0, |text| text.len())
    }

    /// The frame for native sessions that are in the rooms of `set`, encoded on first use.
    #[must_use]
    pub fn native_frame(&self, set: RoomSet) -> Arc<Frame> {
        let encode = || {
            let mut json = Vec::with_capacity(160 + self.payload.len());
            encode::publication(self, set, &mut json);
            Frame::text(&json)
        };
        if self.placements.len() == 1 {
            return Arc::clone(self.single.get_or_init(encode));
        }
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, frame)) = sets.iter().find(|(known, _)| *known == set) {
            return Arc::clone(frame);
        }
        let frame = encode();
        sets.push((set, Arc::clone(&frame)));
        frame
    }
}
