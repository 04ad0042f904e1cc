//! Rooms whose streams are on disk. Their sequencer is whoever writes there: one thread, which asks
//! for the rooms before a transaction ([`Rooms::reserve`]) and moves them after it
//! ([`Rooms::enter`]); nobody else moves them, and none is dropped while something of it is stored.
//!
//! What is kept in memory of them is only the newest part.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::base::clock::Now;
use crate::base::locks::lock;
use crate::bus::room::Room;
use crate::bus::rooms::locked::{Locked, lock_all};
use crate::bus::rooms::{Entered, RoomFault, Rooms, push_to};
use crate::dialect::publication::Publication;
use crate::domain::command::Publish;
use crate::domain::position::{Epoch, Position};
use crate::domain::room::RoomName;

impl Rooms {
    /// Takes the streams over that were stored; `epoch` is that of durable rooms of which nothing
    /// is. Those of namespaces that are no longer durable are left out.
    pub fn restore(&self, rooms: Vec<(RoomName, Position)>, epoch: Epoch) {
        *lock(&self.durable_epoch) = Some(epoch);
        let rules = self.rules();
        for (name, position) in rooms {
            let options = self.options_of(&name, &rules.namespaces);
            let Some(options) = options.filter(|options| options.durable) else {
                continue;
            };
            // What is stored is here, whatever the limit says: its members come back for it.
            self.count.fetch_add(1, Ordering::Relaxed);
            let mut stripe = lock(self.stripe(&name));
            let room = self.insert(&name, options, position.epoch, &mut stripe);
            let mut state = room.state();
            state.stream.resume(position);
            state.is_stored = true;
        }
    }

    /// The rooms of a publication, in the request's order, made if need be.
    ///
    /// # Errors
    /// An unknown namespace or too many rooms.
    pub fn reserve(&self, names: &[RoomName]) -> Result<Vec<Arc<Room>>, RoomFault> {
        names.iter().map(|name| self.find_or_make(name)).collect()
    }

    /// A room that exists.
    #[must_use]
    pub fn existing(&self, name: &RoomName) -> Option<Arc<Room>> {
        self.find(name)
    }

    /// A mark for the copies of a publication.
    #[must_use]
    pub fn random_uid(&self) -> u128 {
        self.rng().next_u128()
    }

    /// An epoch that no stream had before.
    #[must_use]
    pub fn random_epoch(&self) -> Epoch {
        Epoch::random(&mut self.rng())
    }

    /// Lets a publication that is on disk enter all its rooms, and tells every shard that has
    /// members. Memory rooms among them take their offsets only now, so that none of them has a
    /// hole if it could not be written. The caller has seen to it that the mailboxes have room.
    pub fn enter(
        &self,
        publish: Publish,
        mut rooms: Vec<Arc<Room>>,
        uid: u128,
        now: Now,
    ) -> Arc<Publication> {
        loop {
            let mut locked = lock_all(&rooms);
            let dropped = locked.iter().find(|room| room.state.dropped);
            if let Some(place) = dropped.map(|room| room.place) {
                drop(locked);
                if let Some(room) = rooms.get_mut(place) {
                    *room = self.make_again(room);
                }
                continue;
            }
            for room in &mut locked {
                room.state.is_stored |= room.room.is_durable();
            }
            let entered = Entered { publish, uid };
            return self.enter_locked(entered, &mut locked, now);
        }
    }

    /// A memory room that was dropped while a publication to it was being written.
    fn make_again(&self, dropped: &Room) -> Arc<Room> {
        let mut stripe = lock(self.stripe(&dropped.name));
        if let Some(room) = stripe.get(&dropped.name) {
            return Arc::clone(room);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        let epoch = self.random_epoch();
        self.insert(&dropped.name, dropped.options(), epoch, &mut stripe)
    }

    /// Lets a room go on as the stream that was written down for it.
    pub fn begin_anew(&self, room: &Room, position: Position) {
        let mut state = room.state();
        state.stream.reset(position.epoch);
        state.is_stored = true;
    }

    /// Which of these rooms nobody uses: neither members nor a history in memory.
    #[must_use]
    pub fn unused(&self, names: Vec<RoomName>) -> Vec<RoomName> {
        let is_unused = |name: &RoomName| {
            self.find(name)
                .is_some_and(|room| room.state().is_resting())
        };
        names.into_iter().filter(is_unused).collect()
    }

    /// Nothing is stored any more of these rooms; those made from now on have this epoch.
    pub fn forget(&self, names: &[RoomName], fresh: Epoch) {
        *lock(&self.durable_epoch) = Some(fresh);
        for name in names {
            let mut stripe = lock(self.stripe(name));
            let Some(room) = stripe.get(name).map(Arc::clone) else {
                continue;
            };
            let mut state = room.state();
            state.is_stored = false;
            // Whoever came meanwhile keeps it, at its offset: the next publication writes it anew.
            if state.is_unused() {
                self.drop_room(name, &mut state, &mut stripe);
            }
        }
    }

    /// Puts a publication that has all its places into the streams and the mailboxes.
    fn enter_locked(
        &self,
        entered: Entered,
        locked: &mut [Locked<'_>],
        now: Now,
    ) -> Arc<Publication> {
        let publication = self.append(entered, locked, now);
        push_to(self.targets(locked), &publication);
        publication
    }
}
