//! Which rooms are those of projects: these are durable, whatever their namespace says.
//!
//! The one place that knows; who asks for the options of a room asks here. Only whoever writes the
//! store changes it, when a project's row is written and before anything enters its room.

use std::sync::Arc;

use crate::base::locks::{lock, read, write};
use crate::bus::rooms::Rooms;
use crate::config::{NamespaceOptions, Namespaces};
use crate::domain::position::Epoch;
use crate::domain::room::RoomName;

impl Rooms {
    /// The options of a room, whether it exists or not: a project's, or what `namespaces` say.
    /// `None` as [`Namespaces::options`].
    #[must_use]
    pub fn options_of(
        &self,
        name: &RoomName,
        namespaces: &Namespaces,
    ) -> Option<Arc<NamespaceOptions>> {
        if self.is_registered(name) {
            return Some(Arc::clone(&self.rules().projects));
        }
        namespaces.options_of_room(name.as_str()).map(Arc::clone)
    }

    /// Makes a room that of a project. One that exists goes on as it stands.
    pub fn register(&self, name: &RoomName) {
        if !write(&self.registered).insert(name.clone()) {
            return;
        }
        if let Some(room) = self.find(name) {
            room.set_durable(true);
            room.set_options(Arc::clone(&self.rules().projects));
        }
    }

    /// The room's project is gone, and with it its stream: whoever is still in it is in an ordinary
    /// room with nothing in it. Durable rooms made from now on have the epoch `fresh`.
    pub fn unregister(&self, name: &RoomName, fresh: Epoch) {
        write(&self.registered).remove(name);
        *lock(&self.durable_epoch) = Some(fresh);
        let options = self.options_of(name, &self.rules().namespaces);
        let mut stripe = lock(self.stripe(name));
        let Some(room) = stripe.get(name).map(Arc::clone) else {
            return;
        };
        if let Some(options) = options {
            room.set_durable(options.durable);
            room.set_options(options);
        }
        let mut state = room.state();
        state.stream.reset(fresh);
        state.is_stored = false;
        if state.is_unused() {
            self.drop_room(name, &mut state, &mut stripe);
        }
    }

    pub(super) fn is_registered(&self, name: &RoomName) -> bool {
        name.namespace() == "project" && read(&self.registered).contains(name)
    }
}
