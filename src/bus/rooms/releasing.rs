//! Histories given up before their time, because the server has too much in memory.

use std::sync::Arc;

use crate::base::clock::Mono;
use crate::base::locks::lock;
use crate::bus::room::Room;
use crate::bus::rooms::Rooms;

impl Rooms {
    /// Forgets the histories of rooms that nobody is in, those first that were silent the longest,
    /// until `bytes` are free or none is left. Returns how many publications that were.
    ///
    /// Their streams go on where they stood, as if all had aged out: who comes back is told that it
    /// cannot be sent what it missed, or is sent it from the store if the room is durable. Rooms with
    /// members keep theirs, for a member that is behind reads from it. Looks at every room: for
    /// threads that may take their time.
    pub fn release(&self, bytes: u64) -> usize {
        let mut idle: Vec<(Mono, Arc<Room>)> = Vec::new();
        for stripe in &self.stripes {
            let rooms: Vec<Arc<Room>> = lock(stripe).values().cloned().collect();
            for room in rooms {
                let state = room.state();
                if state.member_count() == 0 && !state.stream.is_empty() {
                    let silent_since = state.stream.last_activity();
                    drop(state);
                    idle.push((silent_since, room));
                }
            }
        }
        idle.sort_unstable_by_key(|(silent_since, _)| *silent_since);
        let (mut publications, mut released) = (0, 0);
        for (_, room) in idle {
            if released >= bytes {
                break;
            }
            let mut state = room.state();
            // Somebody may have come meanwhile.
            if state.member_count() > 0 {
                continue;
            }
            released += state.stream.retained_bytes() as u64;
            publications += state.stream.forget();
            if state.is_unused() && !state.dropped {
                self.remember_left(&room, &mut state);
            }
        }
        publications
    }
}
