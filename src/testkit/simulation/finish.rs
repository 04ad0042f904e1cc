//! How a simulation ends: everybody reads to the end, then the server shuts down.

use std::time::Duration;

use crate::base::limits::TOKEN_GRACE;
use crate::config::SlowConsumer;
use crate::domain::room::RoomName;
use crate::metrics::names::Counter;
use crate::shard::Shard;
use crate::testkit::operations::{Aspect, ROOMS};
use crate::testkit::simulation::expected::Verb;
use crate::testkit::simulation::person::Person;
use crate::testkit::simulation::rights::Standing;
use crate::testkit::simulation::{Played, Simulation};

const SECOND: Duration = Duration::from_secs(1);

/// A peer that sends as fast as it may gets its answers, or is closed for it, within this.
const ANSWERED_WITHIN: u32 = 60;

/// What everybody needs to read on when nothing keeps them from it.
const READING: Duration = Duration::from_secs(3);

impl Simulation {
    /// Lets everybody read to the end, expects that those who stayed were told everything, shuts
    /// the server down and expects that nothing is left.
    ///
    /// # Panics
    /// If it is not so.
    pub fn finish(mut self) -> Played {
        self.world.jobs.hold = false;
        for person in self.people.iter_mut().filter(|person| !person.is_gone) {
            self.world.client(person.client).appetite = None;
            person.send(&mut self.world, b"");
        }
        self.let_listeners_read();
        self.world.advance(READING);
        self.listen();
        for _ in 0..ANSWERED_WITHIN {
            let world = &mut self.world;
            let waits = |person: &Person| {
                let is_somebody = person.standing != Standing::Pending;
                is_somebody && !person.awaited.is_empty() && person.stays(world)
            };
            if !self.people.iter().any(waits) {
                break;
            }
            self.world.advance(SECOND);
            self.listen();
        }
        for index in 0..self.people.len() {
            self.check_person(index);
        }
        self.check_listeners();
        self.check_presence();
        self.publish_last();
        self.ledger.finish(&self.repeated);
        if !self.is_draining {
            self.is_draining = true;
            self.world.begin_drain(30 * SECOND);
        }
        self.world.advance(31 * SECOND);
        self.listen();
        self.check_empty();
        self.played()
    }

    /// Expects that the person was told everything, or ended for a reason.
    fn check_person(&mut self, index: usize) {
        if !self.people[index].stays(&mut self.world) {
            return self.check_end(index);
        }
        let now = self.world.now();
        let person = &self.people[index];
        if person.session.is_none() && self.is_draining {
            // A shard that has drained accepts nobody.
            return;
        }
        if person.standing == Standing::Pending {
            let live = self.world.services.live();
            let latest = person.came + live.config.limits.handshake_timeout + 2 * READING;
            assert!(now.mono < latest, "it has shown no token: {person:?}");
            return;
        }
        assert!(person.session.is_some(), "{person:?}");
        assert!(person.is_rude || person.awaited.is_empty(), "{person:?}");
        let expires = person.standing.expires();
        let has_expired = expires.is_some_and(|expires| {
            let latest = expires.as_millis() + millis(TOKEN_GRACE + SECOND);
            now.wall.as_millis() > latest
        });
        assert!(!has_expired, "its token has ended: {person:?}");
        let mut wishes = person.wishes.iter();
        let missed = wishes.find(|wish| wish.is_certain && wish.verb.is_told());
        assert!(missed.is_none(), "{missed:?} {person:?}");
        self.check_rooms(index, false);
    }

    /// Expects that the person, who reads and rests, has heard what the policies of its rooms
    /// promise: everything if publications are `live` again for everybody.
    fn check_rooms(&mut self, index: usize, live: bool) {
        let person = &self.people[index];
        let rooms: Vec<String> = person.rooms.keys().cloned().collect();
        for room in rooms {
            let name = RoomName::parse(&room).expect("the name of a room");
            let summary = self.world.services.rooms.summary(&name);
            let end = summary.expect("a room with a member").position.offset;
            let heard = person.heard_up_to(&room, end);
            let promises_end = match self.policies.at(&room, end) {
                Some(SlowConsumer::Close | SlowConsumer::Lag) => true,
                // Who is left out of the newest goes without the one before, too.
                Some(SlowConsumer::Latest) => !person.is_left_out(&room, end),
                Some(SlowConsumer::DropOldest) | None => false,
            };
            assert!(heard <= end, "{room}: {end} {person:?}");
            if promises_end || live {
                assert_eq!(heard, end, "{room}: {person:?}");
            }
        }
    }

    /// Expects that whoever asks is told of those who are in a room, and of nobody else.
    fn check_presence(&mut self) {
        if self.is_draining {
            // A shard that has drained answers nobody.
            return;
        }
        let rooms: std::collections::BTreeSet<&str> = ROOMS.into_iter().collect();
        for room in rooms {
            let presence = self.world.presence(room);
            let told = presence.members.iter();
            let told: Vec<String> = told.map(|each| each.session.to_string()).collect();
            for person in &self.people {
                let session = person.session.as_ref();
                let is_told = session.is_some_and(|session| told.contains(session));
                if person.stays(&mut self.world) && session.is_some() {
                    let is_in = person.rooms.contains_key(room);
                    assert_eq!(is_told, is_in, "{room}: {told:?} {person:?}");
                }
            }
            let known = |session: &String| {
                let mut people = self.people.iter();
                people.any(|person| person.session.as_ref() == Some(session))
            };
            // Who has just shown its token has not heard yet which session it is.
            let unheard = self.people.iter().filter(|person| person.session.is_none());
            let unknown = told.iter().filter(|session| !known(session)).count();
            // Listeners hear nothing of their sessions.
            let (told_so, at_most) = self.listeners_in(room);
            assert!(unknown >= told_so, "{room}: {told:?}");
            assert!(unknown <= unheard.count() + at_most, "{room}: {told:?}");
            assert_eq!(presence.sessions, told.len());
        }
    }

    /// Publishes once more into each room: everybody who is there has read on and hears it.
    fn publish_last(&mut self) {
        let world = &mut self.world;
        let present = self.people.iter().filter(|person| person.stays(world));
        let rooms: std::collections::BTreeSet<String> = present
            .flat_map(|person| person.rooms.keys().cloned())
            .collect();
        for room in &rooms {
            self.backend(&[room], 0, None);
            // Longer than any interval.
            self.world.advance(2 * SECOND);
            self.listen();
        }
        for index in 0..self.people.len() {
            let person = &self.people[index];
            if person.session.is_some() && person.stays(&mut self.world) {
                self.check_rooms(index, true);
            }
        }
    }

    /// Expects that the person, who does not stay, had a reason to go or to be closed.
    fn check_end(&mut self, index: usize) {
        let person = &self.people[index];
        if person.is_gone || person.is_rude {
            return;
        }
        let keeps_up = self.is_easy() && !person.is_slow;
        let visited = person.visited_perhaps();
        let was_in = |policy| self.policies.has_any(&visited, policy);
        let close = person.closed.as_ref();
        let close = close.map(|(code, reason, at)| (*code, reason.as_str(), *at));
        let has_reason = match close {
            Some((code, "an operator", _)) => {
                let mut wishes = person.wishes.iter();
                wishes.any(|wish| wish.verb == Verb::Closed(code))
            }
            Some((1001, ..)) if person.was_halted || person.rooms.is_empty() => true,
            // The Ping waits behind all that is on the way to a slow reader.
            Some((1001, "no pong", _)) if person.is_slow => true,
            Some((1001, ..)) => self.is_draining || self.tight.contains(&Aspect::Heartbeat),
            Some((1013, ..)) => person.session.is_none() && self.tight.contains(&Aspect::Rooms),
            Some((1009, ..)) => self.tight.contains(&Aspect::Messages),
            Some((4003, ..)) => self.tight.contains(&Aspect::Messages),
            Some((4503, ..)) => person.errors >= 10,
            Some((4000, "too far behind", _)) => !keeps_up && was_in(SlowConsumer::Lag),
            Some((4000, ..)) => !keeps_up && was_in(SlowConsumer::Close),
            Some((4002, ..)) => {
                let mut cleared = self.cleared.iter();
                let was_there = cleared.any(|room| visited.contains(*room));
                !keeps_up && was_in(SlowConsumer::Lag) && was_there
            }
            Some((4001, _, at)) => person
                .standing
                .expires()
                .is_some_and(|expires| expires.as_millis() + millis(TOKEN_GRACE) <= at.as_millis()),
            Some((4500, ..)) => person.standing == Standing::Pending,
            Some((4502, ..)) => {
                let mut rooms = person.visit.rooms.iter();
                person.session.is_none()
                    && rooms.any(|room| !person.may(super::rights::Deed::Subscribe, room))
            }
            // With TLS, who is refused before the handshake hears an alert only.
            None if self.speaks_tls() && self.limited_clients && person.session.is_none() => true,
            None => !keeps_up || self.is_draining,
            Some(_) => false,
        };
        assert!(has_reason, "{close:?} {person:?}");
    }

    fn check_empty(&mut self) {
        assert_eq!(self.world.connections(), 0);
        assert!(self.world.shards().all(Shard::is_empty));
        assert!(self.world.services.counted_clients().is_empty());
        assert_eq!(self.world.services.handshakes(), 0);
        let (rooms, _) = self.world.services.rooms.list("", "", 1000, |_| true);
        assert!(rooms.iter().all(|room| room.members == 0), "{rooms:?}");
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

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
