//! How a simulation ends: everybody reads to the end, then the server shuts down.

use std::time::Duration;

use crate::domain::room::RoomName;
use crate::metrics::names::Counter;
use crate::shard::Shard;
use crate::testkit::simulation::Simulation;
use crate::testkit::simulation::person::Person;
use crate::testkit::world::{Message, World};

const SECOND: Duration = Duration::from_secs(1);

/// A peer that sends as fast as it may gets its answers, or is closed for it, within this.
const ANSWERED_WITHIN: u32 = 60;

impl Simulation {
    /// Lets everybody read to the end, expects that those who stayed were told everything, shuts
    /// the server down and expects that nothing is left. Returns a digest of all that was written.
    ///
    /// # Panics
    /// If it is not so.
    pub fn finish(mut self) -> u64 {
        self.world.jobs.hold = false;
        for person in self.people.iter_mut().filter(|person| !person.is_gone) {
            self.world.client(person.client).appetite = None;
            person.send(&mut self.world, b"");
        }
        self.world.advance(3 * SECOND);
        self.listen();
        for _ in 0..ANSWERED_WITHIN {
            let world = &mut self.world;
            let waits = |person: &Person| !person.awaited.is_empty() && person.stays(world);
            if !self.people.iter().any(waits) {
                break;
            }
            self.world.advance(SECOND);
            self.listen();
        }
        for index in 0..self.people.len() {
            self.check_person(index);
        }
        self.ledger.finish(&self.repeated);
        if !self.is_draining {
            self.world.begin_drain(30 * SECOND);
        }
        self.world.advance(31 * SECOND);
        self.listen();
        self.check_empty();
        self.world.trace()
    }

    /// Expects that the person was told everything, or ended for a reason.
    fn check_person(&mut self, index: usize) {
        if !self.people[index].stays(&mut self.world) {
            return self.check_end(index);
        }
        let person = &mut self.people[index];
        if person.session.is_none() && self.is_draining {
            // A shard that has drained accepts nobody.
            return;
        }
        assert!(person.session.is_some(), "{person:?}");
        assert!(person.is_rude || person.awaited.is_empty(), "{person:?}");
        let rooms: Vec<String> = person.rooms.keys().cloned().collect();
        for room in rooms {
            let name = RoomName::parse(&room).expect("the name of a room");
            let summary = self.world.services.rooms.summary(&name);
            let end = summary.map(|summary| summary.position.offset);
            person.assert_heard_all(&room, end);
        }
    }

    /// Expects that the person, who does not stay, had a reason to go or to be closed.
    fn check_end(&mut self, index: usize) {
        let person = &self.people[index];
        if person.is_gone || person.is_rude {
            return;
        }
        let keeps_up = self.setup.is_easy() && !person.is_slow;
        let inbox = &self.world.client(person.client).inbox;
        let close = inbox.iter().find_map(|message| match message {
            Message::Close(code, _) => Some(*code),
            Message::Text(_) | Message::Binary(_) | Message::Ping | Message::Pong(_) => None,
        });
        let has_reason = match close {
            Some(1001) if person.was_halted || person.rooms.is_empty() => true,
            Some(1001) => self.is_draining || self.setup.is_tight,
            Some(4003) => self.setup.is_tight,
            Some(4503) => person.errors >= 10,
            Some(4000) => !keeps_up,
            None => !keeps_up || self.is_draining,
            Some(_) => false,
        };
        assert!(has_reason, "{close:?} {person:?}");
    }

    fn check_empty(&mut self) {
        assert_eq!(self.world.connections(), 0);
        assert!(self.world.shards().all(Shard::is_empty));
        // Histories age out in five minutes, unused rooms in another five.
        for _ in 0..3 {
            self.world.pass(301 * SECOND);
            self.world.turn();
        }
        let services = &self.world.services;
        assert_eq!(services.rooms.count(), 0);
        assert_eq!((services.connections(), services.sessions()), (0, 0));
        assert_eq!(services.total(Counter::HandlerPanics), 0);
    }
}

impl Person {
    /// Whether it neither went nor was ended or asked to go.
    pub(super) fn stays(&self, world: &mut World) -> bool {
        let client = world.client(self.client);
        !self.is_gone && client.end.is_none() && client.close_code().is_none()
    }
}
