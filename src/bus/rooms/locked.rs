//! The rooms of one publication, locked together.

use std::sync::{Arc, MutexGuard};

use crate::bus::room::{Room, RoomState};
use crate::config::NamespaceOptions;

/// A room that is being published to.
pub(super) struct Locked<'a> {
    /// Its place among the rooms of the publication.
    pub(super) place: usize,
    pub(super) room: &'a Room,
    pub(super) options: Arc<NamespaceOptions>,
    pub(super) state: MutexGuard<'a, RoomState>,
}

/// Locks rooms, no two of which are the same, and returns them in the order given.
///
/// They are locked in byte order of their names, so that two publications cannot wait for each
/// other and have the same order in every room they share.
pub(super) fn lock_all(rooms: &[Arc<Room>]) -> Vec<Locked<'_>> {
    let mut by_name: Vec<(usize, &Arc<Room>)> = rooms.iter().enumerate().collect();
    by_name.sort_unstable_by_key(|&(_, room)| &room.name);
    let locked = by_name.into_iter().map(|(place, room)| Locked {
        place,
        room,
        state: room.state(),
        options: room.options(),
    });
    let mut locked: Vec<Locked<'_>> = locked.collect();
    locked.sort_unstable_by_key(|room| room.place);
    locked
}
