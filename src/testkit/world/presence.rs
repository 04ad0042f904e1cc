//! Asking who is in a room as a worker does, which waits while the shards take turns.

use crate::bus::mail::{Answers, Mail, ask};
use crate::bus::rooms::Reading;
use crate::domain::presence::{Presence, Present};
use crate::domain::room::RoomName;
use crate::testkit::world::World;

/// Somebody who asks and has no answer yet.
#[derive(Debug)]
pub struct Asking {
    room: RoomName,
    reading: Option<Reading>,
    answers: Answers<Vec<Present>>,
}

impl World {
    /// Begins to ask who is in a room; the shards answer in their turns. `None` if one of them has
    /// too much mail.
    ///
    /// # Panics
    /// If `room` is not the name of one.
    #[must_use]
    pub fn ask_presence(&self, room: &str) -> Option<Asking> {
        let room = RoomName::parse(room).expect("the name of a room");
        let reading = self.services.rooms.read_presence(&room);
        let answers = ask(&self.services.mailboxes, |reply| Mail::ListPresent {
            room: room.clone(),
            reply,
        });
        answers.map(|answers| Asking {
            room,
            reading,
            answers,
        })
    }

    /// Who is in a room, as everybody is told who asks now.
    ///
    /// # Panics
    /// As [`World::ask_presence`], or if a shard does not answer.
    pub fn presence(&mut self, room: &str) -> Presence {
        self.settle();
        let asking = self.ask_presence(room);
        self.settle();
        asking.expect("nobody has mail").answer(self)
    }
}

impl Asking {
    /// What the asker is told, when all shards have answered.
    ///
    /// # Panics
    /// If one has not.
    #[must_use]
    pub fn answer(self, world: &World) -> Presence {
        let answers: Vec<_> = self.answers.try_iter().collect();
        assert_eq!(answers.len(), world.services.mailboxes.len());
        let position = self.reading.as_ref().map(|reading| reading.position);
        let present = answers.into_iter().flatten().collect();
        Presence::of(self.room, position, present)
    }
}
