//! Somebody in a simulation who listens to an event stream and comes back with the id of the last
//! event, as browsers do.
//!
//! Invariants checked here: the rooms are told first, in the order asked for; an id says what the
//! client has of every room, and nothing between two ids is missing that the room's policy does not
//! allow; what comes back after `recovered` goes on right behind the id that was shown.

use std::collections::BTreeSet;

use crate::config::SlowConsumer;
use crate::domain::command::Since;
use crate::domain::position::Position;
use crate::domain::room::RoomName;
use crate::testkit::events::{Event, EventReader};
use crate::testkit::operations::{API_KEY, Aspect, Hearing};
use crate::testkit::simulation::Simulation;
use crate::testkit::simulation::ledger::{Ledger, Place, number, offset, text};
use crate::testkit::simulation::policies::Policies;
use crate::testkit::world::{ClientId, World};

/// Listeners that are there at a time.
const LISTENERS: u8 = 4;

/// A client with an event stream, or between two of them.
#[derive(Debug)]
pub(super) struct Listener {
    rooms: Vec<&'static str>,
    /// The current stream; none once it was cut.
    stream: Option<(ClientId, EventReader)>,
    /// Where it is in each room, as far as it knows; in the order asked for.
    places: Vec<Position>,
    last_id: String,
    /// Rooms that the current stream has told.
    told: usize,
    /// What the current stream was asked for with; nothing if with no id.
    shown: Vec<Position>,
    /// It did not always read all it could.
    is_slow: bool,
}

impl Simulation {
    /// Lets one listener come, go, or read otherwise.
    pub(super) fn hearing(&mut self, who: u8, rooms: Vec<&'static str>, what: Hearing) {
        let who = usize::from(who % LISTENERS);
        if self.listeners.len() <= who {
            if what == Hearing::Come {
                self.listeners.push(Listener::new(rooms));
            }
            return;
        }
        let Some(listener) = self.listeners.get_mut(who) else {
            return;
        };
        match (what, &listener.stream) {
            (Hearing::Come, None) => listener.come(&mut self.world),
            (Hearing::Come, Some(_)) | (_, None) => {}
            (Hearing::Cut, Some((client, _))) => {
                self.world.client(*client).cut();
                listener.stream = None;
            }
            (Hearing::Slowly(bytes), Some((client, _))) => {
                listener.is_slow = true;
                self.world.client(*client).appetite = Some(bytes);
            }
            (Hearing::All, Some((client, _))) => self.world.client(*client).appetite = None,
        }
    }

    /// Takes in what all listeners have received.
    pub(super) fn hear_streams(&mut self) {
        let is_easy = self.is_easy();
        for listener in &mut self.listeners {
            listener.hear(&mut self.world, &mut self.ledger, &self.policies);
            let Some((client, reader)) = &listener.stream else {
                continue;
            };
            if self.world.client(*client).end.is_some() {
                let keeps_up = is_easy && !listener.is_slow;
                let rooms = listener.rooms.iter().map(|room| (*room).to_owned());
                let rooms: BTreeSet<String> = rooms.collect();
                let has = |policy| self.policies.has_any(&rooms, policy);
                let status = reader
                    .head
                    .as_deref()
                    .and_then(|head| head.split(' ').nth(1));
                let ending = reader.comments.iter().rev().find(|it| !it.is_empty());
                let has_reason = match (status, ending.map(String::as_str)) {
                    (Some("200"), Some("1001 server shutting down")) => self.is_draining,
                    (Some("200"), Some("4000 too far behind")) => {
                        !keeps_up && has(SlowConsumer::Lag)
                    }
                    (Some("200"), Some("4000 slow consumer")) => {
                        !keeps_up && has(SlowConsumer::Close)
                    }
                    (Some("200"), Some("4002 stream position lost")) => {
                        !keeps_up && has(SlowConsumer::Lag)
                    }
                    (Some("429"), None) => self.tight.contains(&Aspect::Rooms),
                    (Some("503"), None) => self.is_draining,
                    (Some("200" | "408") | None, None) => !keeps_up || self.is_draining,
                    _ => false,
                };
                assert!(has_reason, "{status:?} {ending:?} {listener:?}");
                listener.stream = None;
            }
        }
    }

    /// Lets all listeners read what there is.
    pub(super) fn let_listeners_read(&mut self) {
        for listener in &self.listeners {
            if let Some((client, _)) = &listener.stream {
                self.world.client(*client).appetite = None;
            }
        }
    }

    /// How many listeners have been told that they are in `room`, and how many may be.
    pub(super) fn listeners_in(&self, room: &str) -> (usize, usize) {
        let listen = |it: &&Listener| it.stream.is_some() && it.rooms.contains(&room);
        let listening = self.listeners.iter().filter(listen);
        let told = listening.clone().filter(|it| it.told > 0);
        (told.count(), listening.count())
    }

    /// Expects that the listeners who read and rest have heard what the policies promise.
    pub(super) fn check_listeners(&self) {
        let is_there = |it: &&Listener| it.stream.is_some() && it.told > 0;
        for listener in self.listeners.iter().filter(is_there) {
            assert_eq!(listener.told, listener.rooms.len(), "{listener:?}");
            for (room, place) in listener.rooms.iter().zip(&listener.places) {
                let name = RoomName::parse(room).expect("the name of a room");
                let summary = self.world.services.rooms.summary(&name);
                let end = summary.expect("a room with a member").position.offset;
                let promises_end = match self.policies.at(room, end) {
                    Some(SlowConsumer::Close | SlowConsumer::Lag | SlowConsumer::Latest) => true,
                    Some(SlowConsumer::DropOldest) | None => false,
                };
                assert!(place.offset <= end, "{room}: {end} {listener:?}");
                assert!(
                    place.offset == end || !promises_end,
                    "{room}: {end} {listener:?}"
                );
            }
        }
    }
}

impl Listener {
    fn new(rooms: Vec<&'static str>) -> Self {
        Self {
            rooms,
            stream: None,
            places: Vec::new(),
            last_id: String::new(),
            told: 0,
            shown: Vec::new(),
            is_slow: false,
        }
    }

    fn come(&mut self, world: &mut World) {
        let client = world.open();
        let mut target = String::from("/api/v1/events?");
        for room in &self.rooms {
            target += &format!("room={room}&");
        }
        let shown = ("Last-Event-ID", self.last_id.as_str());
        self.shown.clone_from(&self.places);
        let headers = [("X-API-Key", API_KEY), shown];
        let headers = match self.last_id.is_empty() {
            true => &headers[..1],
            false => &headers[..],
        };
        world.client(client).keep_raw();
        world.client(client).request_with("GET", &target, headers);
        (self.told, self.is_slow) = (0, false);
        self.stream = Some((client, EventReader::default()));
    }

    fn hear(&mut self, world: &mut World, ledger: &mut Ledger, policies: &Policies) {
        let Some((client, mut reader)) = self.stream.take() else {
            return;
        };
        for event in reader.feed(&world.client(client).take_raw()) {
            let places = event.id.split(',').map(|place| {
                let since = Since::parse(place).expect("an id is of positions");
                Position {
                    epoch: since.epoch.expect("an id has epochs"),
                    offset: since.offset,
                }
            });
            let places: Vec<Position> = places.collect();
            assert_eq!(places.len(), self.rooms.len(), "{event:?}");
            if text(&event.json(), "type") == "subscribed" {
                self.told(&event, &places);
            } else {
                self.heard(&event, &places, ledger, policies);
            }
            self.last_id = event.id;
            self.places = places;
        }
        self.stream = Some((client, reader));
    }

    fn told(&mut self, event: &Event, places: &[Position]) {
        let message = event.json();
        let index = self.told;
        assert_eq!(self.rooms.get(index), Some(&text(&message, "room")));
        let place = places[index];
        assert_eq!(text(&message, "epoch"), place.epoch.as_str());
        match message["recovered"].as_bool() {
            None => assert!(self.shown.is_empty(), "an id was shown"),
            Some(true) => assert_eq!(Some(&place), self.shown.get(index), "{message}"),
            Some(false) => assert_eq!(place.offset, offset(&message), "nothing of it follows"),
        }
        self.told += 1;
    }

    fn heard(
        &mut self,
        event: &Event,
        places: &[Position],
        ledger: &mut Ledger,
        policies: &Policies,
    ) {
        let message = event.json();
        assert_eq!(self.told, self.rooms.len(), "the rooms are told first");
        let number = number(&message);
        let mut moved = 0;
        for ((room, before), after) in self.rooms.iter().zip(&self.places).zip(places) {
            if before == after {
                continue;
            }
            moved += 1;
            assert!(after.offset > before.offset, "{room}: {before} {event:?}");
            let missing = before.offset + 1..after.offset;
            assert!(
                policies.may_miss(room, missing),
                "{room}: {before} {event:?}"
            );
            let (epoch, offset) = (after.epoch.as_str(), after.offset);
            ledger.tell(
                number,
                Place {
                    room,
                    epoch,
                    offset,
                },
            );
        }
        assert!(moved > 0, "{event:?} {:?}", self.places);
        let named = self.rooms.iter().zip(places);
        let mut named = named.filter(|(room, _)| **room == text(&message, "room"));
        let place = named.next().map(|(_, place)| place.offset);
        assert_eq!(place, Some(offset(&message)));
    }
}
