//! Everything at once, by chance: many clients, cuts, slow readers, time; and a model beside it.

use std::collections::BTreeMap;

use kinglet::base::rng::Rng;
use kinglet::testkit::link::Conditions;
use kinglet::testkit::world::{ClientId, Message, Options, World};
use serde_json::{Value, json};

use crate::{SECOND, publish};

/// Runs `scenario` for `count` seeds, or for the one in KINGLET_SEED; says how to replay a failure.
pub fn for_each_seed(name: &str, count: u64, scenario: fn(u64)) {
    let asked = std::env::var("KINGLET_SEED").ok();
    let seeds = match asked.and_then(|seed| seed.parse::<u64>().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..count,
    };
    for seed in seeds {
        if std::panic::catch_unwind(|| scenario(seed)).is_err() {
            panic!(
                "seed {seed} failed; replay with: KINGLET_SEED={seed} cargo test --test pairs {name}"
            );
        }
    }
}

const ROOMS: [&str; 4] = ["a", "b", "c:1", "project:2"];

/// What the model knows of a member of a room.
#[derive(Clone, Debug)]
struct Stay {
    /// Publications of the room when its join was answered.
    since: u64,
    /// The next offset it must hear.
    next: u64,
}

/// A client with what it must hear.
#[derive(Debug)]
struct Person {
    client: ClientId,
    rooms: BTreeMap<String, Stay>,
    is_gone: bool,
    /// It was made to read slowly, so that it may be closed for it.
    is_slow: bool,
}

struct Scene {
    world: World,
    rng: Rng,
    people: Vec<Person>,
    /// Publications answered as published, by room: offset to data.
    accepted: BTreeMap<String, BTreeMap<u64, Value>>,
    heard: BTreeMap<String, BTreeMap<u64, Value>>,
    told: u64,
    /// Links that cut or delay may keep anybody from keeping up.
    links_are_slow: bool,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut world = World::new(Options {
            config: "[limits]\nmessages_per_second = 0\noutbox_messages = 32\n\
                     outbox_bytes = \"16KiB\"\n[rooms.default]\nhistory_count = 20\n",
            shards: 1 + u16::try_from(seed % 3).unwrap(),
            mailbox: 200,
            seed,
        });
        world.conditions = Conditions {
            capacity: 8000,
            piece_max: seed.is_multiple_of(2).then_some(300),
            delay: SECOND / 1000 * u32::try_from(seed % 5).unwrap(),
        };
        world.jobs.delay_turns_max = seed % 4;
        world.jobs.refused_percent = seed % 3 * 30;
        Self {
            world,
            rng: Rng::from_seed(seed ^ 0x5eed),
            people: Vec::new(),
            accepted: BTreeMap::new(),
            heard: BTreeMap::new(),
            told: 0,
            links_are_slow: seed.is_multiple_of(2) || !seed.is_multiple_of(5),
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.rng.below(bound as u64)).unwrap()
    }

    fn anybody(&mut self) -> Option<usize> {
        let present: Vec<usize> = (0..self.people.len())
            .filter(|index| !self.people[*index].is_gone)
            .collect();
        (!present.is_empty()).then(|| present[self.below(present.len())])
    }

    fn room(&mut self) -> &'static str {
        ROOMS[self.below(ROOMS.len())]
    }

    fn step(&mut self) {
        let choice = self.below(20);
        if choice == 0 || self.people.len() < 3 {
            return self.come();
        }
        let Some(index) = self.anybody() else {
            return self.come();
        };
        let client = self.people[index].client;
        let room = self.room();
        match choice {
            1..3 => {
                let command = json!({"type": "subscribe", "room": room});
                self.world.client(client).command(command);
            }
            3 => {
                let command = json!({"type": "unsubscribe", "room": room});
                self.world.client(client).command(command);
            }
            4 => {
                let command = json!({"type": "history", "room": "a"});
                self.world.client(client).command(command);
            }
            5 => {
                self.people[index].is_slow = true;
                self.world.client(client).appetite = Some(self.below(300));
            }
            6 => self.world.client(client).appetite = None,
            7 if self.below(3) == 0 => {
                self.people[index].is_gone = true;
                match self.below(3) {
                    0 => self.world.client(client).cut(),
                    1 => self.world.client(client).finish(),
                    _ => self.world.client(client).close(1000),
                }
            }
            8..14 => {
                for _ in 0..self.below(6) {
                    self.told += 1;
                    let filling = "x".repeat(self.below(200));
                    let data = format!("{} {filling}", self.told);
                    self.world.client(client).command(publish(room, data));
                }
            }
            14 => {
                let (first, second) = (self.room(), self.room());
                self.told += 1;
                let command = json!({"type": "publish", "rooms": [first, second],
                    "event": "said", "data": self.told});
                self.world.client(client).command(command);
            }
            15..18 => drop(self.world.turn()),
            _ => {
                let millis = u32::try_from(self.below(400)).unwrap();
                self.world.pass(SECOND / 1000 * millis);
                self.world.turn();
            }
        }
    }

    fn come(&mut self) {
        let client = self.world.open();
        let room = self.room();
        self.world
            .client(client)
            .upgrade(&format!("/ws?room={room}"), "kinglet.v1");
        self.people.push(Person {
            client,
            rooms: BTreeMap::new(),
            is_gone: false,
            is_slow: false,
        });
    }

    /// Takes in what everybody has received, and checks it against the model.
    fn listen(&mut self) {
        for index in 0..self.people.len() {
            for message in self.world.client(self.people[index].client).take_json() {
                self.hear(index, &message);
            }
        }
    }

    fn hear(&mut self, index: usize, message: &Value) {
        let person = &mut self.people[index];
        let offset = message["offset"].as_u64().unwrap_or(0);
        let room = message["room"].as_str().unwrap_or("").to_owned();
        let stay = |offset| Stay {
            since: offset,
            next: offset + 1,
        };
        match message["type"].as_str().unwrap() {
            "connected" => {
                for joined in message["rooms"].as_array().unwrap() {
                    let name = joined["room"].as_str().unwrap().to_owned();
                    person
                        .rooms
                        .insert(name, stay(joined["offset"].as_u64().unwrap()));
                }
            }
            "subscribed" => {
                person.rooms.entry(room).or_insert(stay(offset));
            }
            "unsubscribed" => drop(person.rooms.remove(&room)),
            "published" => {
                for result in message["results"].as_array().unwrap() {
                    let name = result["room"].as_str().unwrap().to_owned();
                    let offset = result["offset"].as_u64().unwrap();
                    let room = self.accepted.entry(name).or_default();
                    assert!(
                        room.insert(offset, Value::Null).is_none(),
                        "an offset twice"
                    );
                }
            }
            "said" => {
                let also = message["also"].as_array().cloned().unwrap_or_default();
                for place in also.iter().chain([message]) {
                    let name = place["room"].as_str().unwrap();
                    let offset = place["offset"].as_u64().unwrap();
                    let stay = person
                        .rooms
                        .get_mut(name)
                        .expect("only members hear a room");
                    assert_eq!(offset, stay.next, "{name} since {}", stay.since);
                    stay.next += 1;
                    let heard = self.heard.entry(name.to_owned()).or_default();
                    let data = heard.entry(offset).or_insert(message["data"].clone());
                    assert_eq!(*data, message["data"], "one offset, one publication");
                }
            }
            "history" => {}
            "error" => {
                let code = message["data"]["code"].as_str().unwrap();
                assert!(matches!(code, "SERVER_BUSY" | "NOT_FOUND"), "{message}");
            }
            other => panic!("{other}"),
        }
    }

    /// Everybody reads to the end; then everything accepted has reached everybody who stayed.
    fn finish(mut self) {
        for person in &self.people {
            if !person.is_gone {
                self.world.client(person.client).appetite = None;
            }
        }
        self.world.advance(3 * SECOND);
        self.listen();
        let ends: BTreeMap<&str, u64> = ROOMS
            .iter()
            .filter_map(|name| {
                let name = kinglet::domain::room::RoomName::parse(name).unwrap();
                let summary = self.world.services.rooms.summary(&name)?;
                let spelt = ROOMS.iter().find(|room| **room == name.as_str())?;
                Some((*spelt, summary.position.offset))
            })
            .collect();
        for index in 0..self.people.len() {
            let client = self.people[index].client;
            let inbox: Vec<Message> = self.world.client(client).inbox.drain(..).collect();
            let close = inbox
                .iter()
                .find(|message| matches!(message, Message::Close(..)));
            let has_ended = self.world.client(client).end.is_some();
            let person = &self.people[index];
            if person.is_gone || has_ended {
                // The server ends nobody who reads.
                let kept_up = !person.is_slow && !self.links_are_slow && !person.is_gone;
                assert!(!kept_up, "{person:?} {close:?}");
                let is_slow = matches!(close, None | Some(Message::Close(4000 | 4503, _)));
                assert!(is_slow || person.is_gone, "{close:?}");
                continue;
            }
            for (name, stay) in &person.rooms {
                assert_eq!(
                    Some(&(stay.next - 1)),
                    ends.get(name.as_str()),
                    "{person:?} {name}"
                );
            }
        }
        for (name, offsets) in &self.accepted {
            let end = ends.get(name.as_str());
            assert!(end.is_none_or(|end| offsets.keys().all(|offset| offset <= end)));
        }
        self.world.begin_drain(30 * SECOND);
        self.world.advance(31 * SECOND);
        assert_eq!(self.world.connections(), 0);
        // Histories age out in five minutes, unused rooms in another five.
        self.world.advance(605 * SECOND);
        assert_eq!(self.world.services.rooms.count(), 0);
        let services = &self.world.services;
        assert_eq!((services.connections(), services.sessions()), (0, 0));
    }
}

fn play(seed: u64, steps: usize) -> Scene {
    let mut scene = Scene::new(seed);
    for _ in 0..steps {
        scene.step();
        scene.listen();
    }
    scene
}

fn party(seed: u64) {
    play(seed, 400).finish();
}

#[test]
fn whatever_happens_every_member_that_stays_hears_everything_once_and_in_order() {
    for_each_seed("whatever_happens", 64, party);
}

#[test]
fn a_seed_replays_every_byte() {
    let trace = |seed| {
        let mut scene = play(seed, 300);
        scene.world.advance(2 * SECOND);
        scene.world.trace()
    };
    for seed in 0..6 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
    assert_ne!(trace(0), trace(1));
}
