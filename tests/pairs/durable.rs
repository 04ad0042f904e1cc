//! Durable rooms in virtual time: transactions that take their time or fail, sessions that come and
//! go meanwhile, servers that are killed at any moment, and a list beside them of what must be.

use std::collections::{BTreeMap, BTreeSet};

use kinglet::base::rng::Rng;
use kinglet::testkit::events::EventReader;
use kinglet::testkit::world::{ClientId, Disk, Options, World};
use serde_json::{Value, json};

use crate::SECOND;

const CONFIG: &str = "[limits]\nmessages_per_second = 0\noutbox_bytes = \"64MiB\"\n\
    outbox_messages = 100000\n[rooms.default]\ndurable = true\n\
    history_count = 100000\nhistory_bytes = \"1GiB\"\nhistory_age = \"365d\"\n\
    [rooms.memory]\ndurable = false\n";

const ROOMS: [&str; 2] = ["r", "s"];

/// What was told of publications, by room and offset: whoever tells of one tells the same.
#[derive(Default)]
struct Ledger {
    told: BTreeMap<(String, u64), u64>,
    /// Numbers that were refused and so must not be anywhere.
    refused: BTreeSet<u64>,
    epoch: Option<Value>,
}

impl Ledger {
    fn tell(&mut self, room: &str, offset: u64, number: u64) {
        let known = self.told.insert((room.to_owned(), offset), number);
        assert!(known.is_none_or(|known| known == number), "{room} {offset}");
        assert!(!self.refused.contains(&number), "{number} was refused");
    }

    fn check_epoch(&mut self, epoch: &Value) {
        assert_eq!(self.epoch.get_or_insert_with(|| epoch.clone()), epoch);
    }
}

/// Somebody who publishes numbers.
struct Talker {
    client: ClientId,
    sent: BTreeMap<u64, Vec<&'static str>>,
}

impl Talker {
    fn take(&mut self, world: &mut World, ledger: &mut Ledger) {
        for message in world.client(self.client).take_json() {
            let Some(number) = message["id"].as_u64() else {
                continue;
            };
            let rooms = self.sent.remove(&number).expect("it was asked, once");
            let first = self.sent.keys().next();
            assert!(
                first.is_none_or(|first| *first > number),
                "answers keep their order"
            );
            if message["type"] == "error" {
                assert_eq!(message["data"]["code"], "STORE_UNAVAILABLE", "{message}");
                ledger.refused.insert(number);
                assert!(
                    !ledger.told.values().any(|told| *told == number),
                    "it was told"
                );
                continue;
            }
            let results = message["results"].as_array().expect("results");
            for (room, result) in rooms.iter().zip(results) {
                assert_eq!(result["room"], *room);
                if *room != "memory:1" {
                    ledger.check_epoch(&result["epoch"]);
                    ledger.tell(room, result["offset"].as_u64().expect("an offset"), number);
                }
            }
        }
    }
}

/// Somebody who follows one room, through everything.
struct Follower {
    client: ClientId,
    room: &'static str,
    position: Option<(Value, u64)>,
}

impl Follower {
    fn subscribe(&self, world: &mut World) {
        let mut command = json!({"type": "subscribe", "room": self.room, "since": 0});
        if let Some((epoch, offset)) = &self.position {
            command["since"] = json!({"epoch": epoch, "offset": offset});
        }
        world.client(self.client).command(command);
    }

    fn take(&mut self, world: &mut World, ledger: &mut Ledger) {
        for message in world.client(self.client).take_json() {
            match message["type"].as_str() {
                Some("subscribed") => {
                    assert_eq!(message["recovered"], true, "{message}");
                    ledger.check_epoch(&message["epoch"]);
                    let before = self.position.as_ref().map_or(0, |(_, offset)| *offset);
                    self.position = Some((message["epoch"].clone(), before));
                    for publication in message["publications"].as_array().expect("a list") {
                        // A member goes on hearing while its question is on the way.
                        if publication["offset"].as_u64() > Some(before) {
                            self.hear(publication, ledger);
                        }
                    }
                    let offset = self.position.as_ref().map(|(_, offset)| *offset);
                    assert_eq!(message["offset"].as_u64(), offset);
                }
                Some("said") => self.hear(&message, ledger),
                _ => panic!("{message}"),
            }
        }
    }

    fn hear(&mut self, publication: &Value, ledger: &mut Ledger) {
        let offset = publication["offset"].as_u64().expect("an offset");
        let (_, last) = self.position.as_mut().expect("it has subscribed");
        assert_eq!(offset, *last + 1, "no gap and no repeat in {}", self.room);
        *last = offset;
        let number = publication["data"]["n"].as_u64().expect("a number");
        ledger.tell(self.room, offset, number);
    }
}

/// Somebody who listens to a stream of both rooms, through everything.
#[derive(Default)]
struct Listener {
    /// The connection and what was read of it.
    stream: Option<(ClientId, EventReader)>,
    last_id: String,
    /// The offsets that it has heard up to, of [`ROOMS`].
    places: [u64; 2],
}

impl Listener {
    /// Comes, or comes back.
    fn ask(&mut self, world: &mut World) {
        if let Some((client, _)) = self.stream.take() {
            world.client(client).cut();
        }
        let client = world.open();
        world.client(client).keep_raw();
        let headers: &[(&str, &str)] = match &*self.last_id {
            "" => &[],
            id => &[("Last-Event-ID", id)],
        };
        let target = "/api/v1/events?room=r&room=s&last_event_id=0";
        world.client(client).request_with("GET", target, headers);
        let reader = EventReader::default();
        self.stream = Some((client, reader));
    }

    fn take(&mut self, world: &mut World, ledger: &mut Ledger) {
        let Some((client, reader)) = &mut self.stream else {
            return;
        };
        let bytes = world.client(*client).take_raw();
        for event in reader.feed(&bytes) {
            let message = event.json();
            // The id says where the stream is in both rooms after this event.
            let places: Vec<u64> = event.id.split(',').map(offset_of).collect();
            if message["type"] == "subscribed" {
                assert_eq!(message["recovered"], true, "{message}");
                ledger.check_epoch(&message["epoch"]);
                assert_eq!(places, self.places, "it goes on where it was");
                continue;
            }
            let number = message["data"]["n"].as_u64().expect("a number");
            for (place, room) in ROOMS.iter().enumerate() {
                if places[place] > self.places[place] {
                    assert_eq!(places[place], self.places[place] + 1, "no gap in {room}");
                    ledger.tell(room, places[place], number);
                }
            }
            assert_ne!(places, self.places, "no repeat");
            self.places.copy_from_slice(&places);
        }
        if !reader.last_id.is_empty() {
            self.last_id.clone_from(&reader.last_id);
        }
    }
}

fn offset_of(position: &str) -> u64 {
    let offset = position.rsplit(':').next();
    offset.and_then(|it| it.parse().ok()).expect("an offset")
}

struct Story {
    options: Options<'static>,
    world: World,
    talkers: Vec<Talker>,
    followers: Vec<Follower>,
    listener: Listener,
    ledger: Ledger,
    rng: Rng,
    number: u64,
}

impl Story {
    fn new(seed: u64) -> Self {
        let options = Options {
            config: CONFIG,
            shards: 1 + u16::try_from(seed % 2).expect("0 or 1"),
            mailbox: if seed.is_multiple_of(5) { 8 } else { 1024 },
            seed,
            ..Options::default()
        };
        let mut story = Self {
            options,
            world: World::new(options),
            talkers: Vec::new(),
            followers: Vec::new(),
            listener: Listener::default(),
            ledger: Ledger::default(),
            rng: Rng::from_seed(seed),
            number: 0,
        };
        story.settle_in();
        story
    }

    /// Everybody connects, and goes on from where they were.
    fn settle_in(&mut self) {
        self.world.writing.delay_turns_max = self.rng.below(8);
        self.world.jobs.delay_turns_max = self.rng.below(8);
        let world = &mut self.world;
        self.talkers = (0..2)
            .map(|_| Talker {
                client: world.connect("/ws?room=elsewhere"),
                sent: BTreeMap::new(),
            })
            .collect();
        let positions = std::mem::take(&mut self.followers);
        let mut positions = positions.into_iter().map(|follower| follower.position);
        for room in ["r", "s", "r"] {
            let follower = Follower {
                client: world.connect("/ws?room=elsewhere"),
                room,
                position: positions.next().flatten(),
            };
            follower.subscribe(world);
            self.followers.push(follower);
        }
        self.listener.ask(world);
    }

    fn publish(&mut self) {
        let index = usize::try_from(self.rng.below(2)).expect("0 or 1");
        let rooms = match self.rng.below(5) {
            0 => vec!["r"],
            1 => vec!["s"],
            2 => vec!["s", "r"],
            3 => vec!["memory:1", "r"],
            _ => vec!["memory:1"],
        };
        // Now and then more than stays in memory.
        let size = if self.rng.below(6) == 0 { 60_000 } else { 1 };
        self.number += 1;
        let data = json!({"n": self.number, "fill": "x".repeat(size)});
        let talker = &mut self.talkers[index];
        self.world
            .client(talker.client)
            .command(json!({"type": "publish", "rooms": rooms,
            "event": "said", "data": data, "id": self.number}));
        talker.sent.insert(self.number, rooms);
    }

    fn listen(&mut self) {
        for follower in &mut self.followers {
            follower.take(&mut self.world, &mut self.ledger);
        }
        self.listener.take(&mut self.world, &mut self.ledger);
        for talker in &mut self.talkers {
            talker.take(&mut self.world, &mut self.ledger);
        }
    }

    /// kill -9, and another server on the same disk.
    fn restart(mut self) -> Self {
        self.listen();
        self.listener.stream = None;
        let Self { world, options, .. } = self;
        let disk: Disk = world.disk.clone();
        drop(world);
        let mut next = Self {
            world: World::on(options, disk),
            ..self
        };
        next.settle_in();
        next
    }

    fn step(mut self) -> Self {
        match self.rng.below(21) {
            0..8 => (0..self.rng.below(6)).for_each(|_| self.publish()),
            8..12 => drop(self.world.turn()),
            12 => self.world.settle(),
            13 => self.world.advance(SECOND / 20),
            14 => self.world.writing.hold = self.rng.below(3) == 0,
            15 => self.world.writing.failing_percent = [0, 0, 40][self.rng.below(3) as usize],
            16 | 17 => {
                let index = usize::try_from(self.rng.below(3)).expect("an index");
                let follower = &mut self.followers[index];
                follower.take(&mut self.world, &mut self.ledger);
                self.world.client(follower.client).cut();
                follower.client = self.world.connect("/ws?room=elsewhere");
                follower.subscribe(&mut self.world);
            }
            18 => {
                let index = usize::try_from(self.rng.below(3)).expect("an index");
                let follower = &mut self.followers[index];
                follower.take(&mut self.world, &mut self.ledger);
                follower.subscribe(&mut self.world);
            }
            19 => {
                self.listener.take(&mut self.world, &mut self.ledger);
                self.listener.ask(&mut self.world);
            }
            _ => return self.restart(),
        }
        self.listen();
        self
    }

    fn finish(mut self) {
        self.world.writing.hold = false;
        self.world.advance(SECOND);
        self.listen();
        for talker in &self.talkers {
            assert!(
                talker.sent.is_empty(),
                "everybody is answered: {:?}",
                talker.sent
            );
        }
        let mut story = self.restart();
        story.world.advance(SECOND);
        story.listen();
        for (place, room) in ROOMS.iter().enumerate() {
            let told = story.ledger.told.keys();
            let offsets: Vec<u64> = told
                .filter(|(named, _)| named == *room)
                .map(|(_, offset)| *offset)
                .collect();
            let last = offsets.last().copied().unwrap_or(0);
            assert!(offsets.iter().copied().eq(1..=last), "no hole in {room}");
            let mut followers = story.followers.iter();
            let follower = followers.find(|follower| follower.room == *room);
            let heard = follower.and_then(|follower| follower.position.as_ref());
            assert_eq!(
                heard.map(|(_, offset)| *offset),
                Some(last),
                "all of {room}"
            );
            assert_eq!(story.listener.places[place], last, "all of {room}");
        }
    }
}

fn tell(seed: u64) {
    let mut story = Story::new(seed);
    for _ in 0..120 {
        story = story.step();
    }
    story.finish();
}

#[test]
fn nothing_durable_is_lost_or_repeated_whatever_happens() {
    crate::random::for_each_seed("nothing_durable_is_lost", 64, tell);
}
