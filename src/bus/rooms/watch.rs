//! Whoever is to know at once that some rooms have members, because it makes what they are told
//! only for them.

use std::fmt;

use crate::bus::rooms::Rooms;
use crate::domain::room::RoomName;

/// Rooms, and whom to wake when one of them gets its first member.
pub struct Watch {
    /// The rooms: a handful, which every first member's is compared with.
    pub rooms: Vec<RoomName>,
    /// Called under the room's lock: it must neither wait nor ask the rooms.
    pub wake: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watch({:?})", self.rooms)
    }
}

impl Rooms {
    /// Keeps `watch` from now on; there is one, and it is the first.
    pub fn watch(&self, watch: Watch) {
        // A second one would be a mistake of ours that costs its owner's promptness only.
        let is_first = self.watch.set(watch).is_ok();
        debug_assert!(is_first, "one watch is kept");
    }

    /// Notes that a room has its first member.
    pub(super) fn tell_watch(&self, room: &RoomName) {
        if let Some(watch) = self.watch.get()
            && watch.rooms.contains(room)
        {
            (watch.wake)();
        }
    }
}
