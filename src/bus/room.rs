//! One room: its stream and its count of members, behind the lock that is its sequencer.
//!
//! Only [`Rooms`](crate::bus::rooms::Rooms) changes it. Invariant: whoever finds a room dropped
//! after taking its lock must look it up again.

use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use crate::base::clock::Mono;
use crate::base::locks::{lock, read, write};
use crate::bus::presence::{Flux, Roster};
use crate::config::NamespaceOptions;
use crate::dialect::publication::Publication;
use crate::domain::command::Since;
use crate::domain::position::{Epoch, Position};
use crate::domain::room::RoomName;
use crate::domain::stream::{Retention, Stream};

/// One room.
#[derive(Debug)]
pub struct Room {
    /// Its name.
    pub name: RoomName,
    options: RwLock<Arc<NamespaceOptions>>,
    state: Mutex<RoomState>,
}

#[derive(Debug)]
pub(super) struct RoomState {
    pub(super) stream: Stream<Arc<Publication>>,
    /// Members by shard.
    pub(super) members: Box<[u32]>,
    /// Who they are, in rooms that tell of it.
    pub(super) roster: Option<Box<Roster>>,
    /// It was occupied or vacated, and the room `system` is to be told.
    pub(super) occupied: Option<Flux>,
    /// When it was first seen with neither members nor history; `None` if it was used since.
    pub(super) unused_since: Option<Mono>,
    /// It stands in the list of rooms that were left.
    pub(super) is_left: bool,
    /// It has left the table; whoever still holds it must look it up again.
    pub(super) dropped: bool,
}

/// What can be told of a room.
#[derive(Clone, Debug)]
pub struct RoomSummary {
    /// Its name.
    pub room: RoomName,
    /// Memberships, over all shards.
    pub members: u64,
    /// Where its stream stands.
    pub position: Position,
}

/// What a member that comes back wants.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Everything after this position.
    pub since: &'a Since,
    /// If it is at most so many publications; nothing otherwise.
    pub most: usize,
}

/// What a member missed; `None` when it did not ask or not all of it is there.
pub type Missed = Option<Vec<(u64, Arc<Publication>)>>;

/// Why a member cannot be sent what it missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Some of it is no longer retained.
    Gone,
    /// The stream began anew.
    Reset,
}

impl Room {
    pub(super) fn new(
        name: RoomName,
        options: Arc<NamespaceOptions>,
        epoch: Epoch,
        shards: usize,
    ) -> Self {
        let state = RoomState {
            stream: Stream::new(epoch),
            members: vec![0; shards].into(),
            roster: None,
            occupied: None,
            unused_since: None,
            is_left: false,
            dropped: false,
        };
        Self {
            name,
            options: RwLock::new(options),
            state: Mutex::new(state),
        }
    }

    /// Its namespace's options, which a reload may replace.
    #[must_use]
    pub fn options(&self) -> Arc<NamespaceOptions> {
        Arc::clone(&read(&self.options))
    }

    pub(super) fn set_options(&self, options: Arc<NamespaceOptions>) {
        *write(&self.options) = options;
    }

    pub(super) fn state(&self) -> MutexGuard<'_, RoomState> {
        lock(&self.state)
    }

    pub(super) fn summary(&self) -> RoomSummary {
        let state = self.state();
        RoomSummary {
            room: self.name.clone(),
            members: state.member_count(),
            position: state.position(),
        }
    }
}

impl RoomState {
    pub(super) fn is_unused(&self) -> bool {
        self.member_count() == 0 && self.stream.is_empty()
    }

    pub(super) fn member_count(&self) -> u64 {
        self.members.iter().map(|count| u64::from(*count)).sum()
    }

    pub(super) fn position(&self) -> Position {
        Position {
            epoch: *self.stream.epoch(),
            offset: self.stream.offset(),
        }
    }

    pub(super) fn missed(
        &mut self,
        wanted: Wanted<'_>,
        options: &NamespaceOptions,
        now: Mono,
    ) -> Missed {
        let Wanted { since, most } = wanted;
        if since
            .epoch
            .is_some_and(|epoch| epoch != *self.stream.epoch())
        {
            return None;
        }
        self.stream.expire(&retention(options), now);
        let offset = match options.history_count {
            // A room that keeps one publication has a state: the newest says all of it.
            1 => since.offset.max(self.stream.offset().saturating_sub(1)),
            _ => since.offset,
        };
        self.stream.missed(offset, most)
    }
}

pub(super) fn retention(options: &NamespaceOptions) -> Retention {
    Retention {
        count: options.history_count,
        bytes: options.history_bytes,
        age: options.history_age,
    }
}
