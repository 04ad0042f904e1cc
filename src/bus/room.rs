//! One room: its stream and its count of members, behind the lock that is its sequencer.
//!
//! Only [`Rooms`](crate::bus::rooms::Rooms) changes it. Invariant: whoever finds a room dropped
//! after taking its lock must look it up again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use crate::base::clock::Mono;
use crate::base::limits;
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
    is_durable: AtomicBool,
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
    /// Something of it is in the store, which decides when it is dropped.
    pub(super) is_stored: bool,
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
    /// Some of it is no longer in memory; the store has it.
    Stored,
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
            is_stored: false,
            dropped: false,
        };
        Self {
            name,
            is_durable: AtomicBool::new(options.durable),
            options: RwLock::new(options),
            state: Mutex::new(state),
        }
    }

    /// Whether its stream is on disk, and moves when it was written there. That changes when its
    /// project is registered or deleted, and not otherwise.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.is_durable.load(Ordering::Relaxed)
    }

    /// Its options, which a reload may replace.
    #[must_use]
    pub fn options(&self) -> Arc<NamespaceOptions> {
        Arc::clone(&read(&self.options))
    }

    /// What is kept of it in memory; of durable rooms the newest part.
    pub(super) fn retention(&self, options: &NamespaceOptions) -> Retention {
        let mut retention = Retention::of(options);
        if self.is_durable() {
            retention.count = retention.count.min(limits::DURABLE_IN_MEMORY);
            retention.bytes = retention.bytes.min(limits::DURABLE_BYTES_IN_MEMORY);
        }
        retention
    }

    /// Where its stream stands.
    #[must_use]
    pub fn position(&self) -> Position {
        self.state().position()
    }

    pub(super) fn set_options(&self, options: Arc<NamespaceOptions>) {
        *write(&self.options) = options;
    }

    pub(super) fn set_durable(&self, is_durable: bool) {
        self.is_durable.store(is_durable, Ordering::Relaxed);
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
        self.is_resting() && !self.is_stored
    }

    /// Whether it has neither members nor a history in memory.
    pub(super) fn is_resting(&self) -> bool {
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

    /// What is wanted; if it is not all here, and the store may have it, the offset after which it
    /// begins there.
    pub(super) fn missed(
        &mut self,
        wanted: Option<Wanted<'_>>,
        room: &Room,
        now: Mono,
    ) -> (Missed, Option<u64>) {
        let epoch = *self.stream.epoch();
        let is_known = |wanted: &Wanted<'_>| wanted.since.epoch.is_none_or(|known| known == epoch);
        let Some(Wanted { since, most }) = wanted.filter(is_known) else {
            return (None, None);
        };
        let options = room.options();
        self.stream.expire(&room.retention(&options), now);
        let offset = match options.history_count {
            // A room that keeps one publication has a state: the newest says all of it.
            1 => since.offset.max(self.stream.offset().saturating_sub(1)),
            _ => since.offset,
        };
        let missed = self.stream.missed(offset, most);
        let count = self.stream.offset().checked_sub(offset);
        let is_short = count.is_some_and(|count| count <= most as u64);
        let is_stored = missed.is_none() && self.is_stored && is_short;
        (missed, is_stored.then_some(offset))
    }
}
