//! All policies at once, by chance, against the truth that the streams tell.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use kinglet::base::ids::SessionId;
use kinglet::base::rng::Rng;
use kinglet::bus::rooms::Rooms;
use kinglet::domain::command::{Payload, Publish};
use kinglet::domain::room::RoomName;
use kinglet::metrics::names::Counter;
use kinglet::testkit::link::Conditions;
use kinglet::testkit::world::{ClientId, Message, Options, World};
use serde_json::{Value, json};

use crate::random::for_each_seed;
use crate::{POLICIES, SECOND};

const ROOMS: [&str; 8] = [
    "a", "drop:a", "drop:b", "lag:a", "lag:b", "lag:c", "latest:a", "paced:a",
];

/// A publication as its stream has it.
struct Truth {
    number: u64,
    except: Vec<String>,
}

struct Person {
    client: ClientId,
    session: String,
    /// The last offset that it knows of each room it is in.
    rooms: BTreeMap<String, u64>,
    /// Publications it has heard live.
    heard: BTreeSet<u64>,
    is_gone: bool,
}

struct Scene {
    world: World,
    rng: Rng,
    people: Vec<Person>,
    truth: BTreeMap<String, BTreeMap<u64, Truth>>,
    published: u64,
}

/// What all seeds together have brought about, so that the test shows that it tests something.
static FELL_BEHIND: AtomicU64 = AtomicU64::new(0);
static REFILLED: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);
static REPLACED: AtomicU64 = AtomicU64::new(0);
static CLOSED: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

impl Scene {
    fn new(seed: u64) -> Self {
        let history = 10 + seed % 3 * 60;
        let config = POLICIES.replace("history_count = 300", &format!("history_count = {history}"))
            + "[rooms.paced]\nslow_consumer = \"latest\"\nmin_interval = \"200ms\"\n\
               [rooms.default]\nhistory_count = 300\n";
        let mut world = World::new(Options {
            config: &config,
            shards: 1 + u16::try_from(seed % 2).unwrap(),
            seed,
            ..Options::default()
        });
        world.conditions = Conditions {
            capacity: 1500,
            piece_max: seed.is_multiple_of(3).then_some(200),
            delay: SECOND / 1000 * u32::try_from(seed % 4).unwrap(),
        };
        Self {
            world,
            rng: Rng::from_seed(seed ^ 0xabcd),
            people: Vec::new(),
            truth: BTreeMap::new(),
            published: 0,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.rng.below(bound as u64)).unwrap()
    }

    fn room(&mut self) -> &'static str {
        ROOMS[self.below(ROOMS.len())]
    }

    fn step(&mut self) {
        let present: Vec<usize> = (0..self.people.len())
            .filter(|index| !self.people[*index].is_gone)
            .collect();
        let choice = self.below(40);
        if choice == 0 || present.len() < 4 {
            return self.come();
        }
        let index = present[self.below(present.len())];
        let client = self.people[index].client;
        let room = self.room();
        match choice {
            1 => {
                let command = json!({"type": "unsubscribe", "room": room});
                self.world.client(client).command(command);
            }
            2..4 => {
                let command = json!({"type": "subscribe", "room": room});
                self.world.client(client).command(command);
            }
            4 => {
                let known = self.people[index].rooms.get(room);
                let since = known.copied().unwrap_or(0);
                let command = json!({"type": "subscribe", "room": room, "since": since});
                self.world.client(client).command(command);
            }
            5..9 => self.world.client(client).appetite = Some(self.below(400)),
            9 => self.world.client(client).appetite = None,
            10 if self.below(4) == 0 => {
                self.people[index].is_gone = true;
                match self.below(2) {
                    0 => self.world.client(client).cut(),
                    _ => self.world.client(client).close(1000),
                }
            }
            11 if self.below(10) == 0 => {
                let name = RoomName::parse(room).unwrap();
                self.world.services.rooms.clear_history(&name);
            }
            12..28 => {
                for _ in 0..self.below(8) {
                    let rooms = match self.below(5) {
                        0 => self.several_rooms(),
                        _ => vec![room],
                    };
                    self.publish(&rooms);
                }
            }
            28..36 => drop(self.world.turn()),
            _ => {
                let millis = u32::try_from(self.below(300)).unwrap();
                self.world.pass(SECOND / 1000 * millis);
                self.world.turn();
            }
        }
    }

    fn come(&mut self) {
        let client = self.world.open();
        let rooms: Vec<String> = self
            .several_rooms()
            .iter()
            .map(|room| format!("room={room}"))
            .collect();
        let target = format!("/ws?{}", rooms.join("&"));
        self.world.client(client).upgrade(&target, "kinglet.v1");
        self.people.push(Person {
            client,
            session: String::new(),
            rooms: BTreeMap::new(),
            heard: BTreeSet::new(),
            is_gone: false,
        });
    }

    /// Some rooms in some order. The one that closes is rare, or nobody would be behind for long.
    fn several_rooms(&mut self) -> Vec<&'static str> {
        let mut rooms = Vec::new();
        for _ in 0..1 + self.below(4) {
            let room = self.room();
            let is_wanted = room != "a" || self.below(4) == 0;
            if is_wanted && !rooms.contains(&room) {
                rooms.push(room);
            }
        }
        if rooms.is_empty() {
            rooms.push("lag:a");
        }
        rooms
    }

    /// Publishes past all sockets, so that the truth is known at once.
    fn publish(&mut self, rooms: &[&str]) {
        self.published += 1;
        let mut except = Vec::new();
        if self.below(6) == 0 && !self.people.is_empty() {
            let somebody = self.below(self.people.len());
            except.push(self.people[somebody].session.clone());
        }
        let filling = "x".repeat(self.below(120));
        let data = json!({"number": self.published, "filling": filling});
        let sessions = except.iter().filter_map(|text| SessionId::parse(text));
        let publish = Publish {
            rooms: rooms
                .iter()
                .map(|room| RoomName::parse(room).unwrap())
                .collect(),
            event: "said".into(),
            payload: Payload::Json(data.to_string().into()),
            source: None,
            key: None,
            except: sessions.collect(),
        };
        let streams: &Rooms = &self.world.services.rooms;
        let publication = streams.publish(publish, self.world.now()).unwrap();
        for placement in &publication.placements {
            let number = self.published;
            let except = except.clone();
            let room = self.truth.entry(placement.room.as_str().to_owned());
            let before = room
                .or_default()
                .insert(placement.offset, Truth { number, except });
            assert!(before.is_none(), "an offset twice");
        }
    }

    fn listen(&mut self) {
        for index in 0..self.people.len() {
            for message in self.world.client(self.people[index].client).take_json() {
                let person = &mut self.people[index];
                match message["type"].as_str().unwrap() {
                    "said" => person.hear(&message, &self.truth),
                    _ => person.be_told(&message),
                }
            }
        }
    }

    fn finish(mut self) {
        for person in self.people.iter().filter(|person| !person.is_gone) {
            self.world.client(person.client).appetite = None;
        }
        self.world.advance(3 * SECOND);
        self.listen();
        // What comes to those who have caught up reaches them, whatever the policy.
        for room in ROOMS {
            self.publish(&[room]);
            self.world.advance(SECOND);
        }
        self.listen();
        for index in 0..self.people.len() {
            self.check_end(index);
        }
        for (sum, counter) in [
            (&FELL_BEHIND, Counter::FellBehind),
            (&REFILLED, Counter::Refilled),
            (&DROPPED, Counter::OldestDropped),
            (&REPLACED, Counter::LatestReplaced),
            (&CLOSED[0], Counter::SlowConsumersClosed),
            (&CLOSED[1], Counter::LagClosedGone),
            (&CLOSED[2], Counter::LagClosedReset),
        ] {
            sum.fetch_add(self.world.total(counter), Ordering::Relaxed);
        }
        self.world.begin_drain(30 * SECOND);
        self.world.advance(31 * SECOND);
        assert_eq!(self.world.connections(), 0);
    }

    fn check_end(&mut self, index: usize) {
        let person = &self.people[index];
        let client = self.world.client(person.client);
        let inbox: Vec<Message> = client.inbox.drain(..).collect();
        let close = inbox.iter().find_map(|message| match message {
            Message::Close(code, reason) => Some((*code, reason.as_str())),
            _ => None,
        });
        if person.is_gone {
            return;
        }
        if client.end.is_some() {
            match close {
                Some((4000, "slow consumer" | "too far behind"))
                | Some((4002, "stream position lost"))
                | None => {}
                other => panic!("{other:?}"),
            }
            return;
        }
        assert_eq!(close, None);
        for (room, known) in &person.rooms {
            let Some((end, truth)) = self
                .truth
                .get(room)
                .and_then(|truth| truth.last_key_value())
            else {
                continue;
            };
            if !truth.except.contains(&person.session) {
                assert_eq!(known, end, "{room} of {}", person.session);
            }
        }
    }
}

impl Person {
    fn be_told(&mut self, message: &Value) {
        let position = |place: &Value| {
            let room = place["room"].as_str().unwrap().to_owned();
            (room, place["offset"].as_u64().unwrap())
        };
        match message["type"].as_str().unwrap() {
            "connected" => {
                message["session"]
                    .as_str()
                    .unwrap()
                    .clone_into(&mut self.session);
                self.rooms
                    .extend(message["rooms"].as_array().unwrap().iter().map(position));
            }
            // With `since` nothing up to the position comes again; without, it may be on its way.
            "subscribed" if message["recovered"].is_boolean() => {
                let (room, offset) = position(message);
                if message["recovered"] == true {
                    let first = message["publications"][0]["offset"].as_u64();
                    assert!(first.is_none_or(|first| first <= offset));
                }
                self.rooms.insert(room, offset);
            }
            "subscribed" => {
                let (room, offset) = position(message);
                self.rooms.entry(room).or_insert(offset);
            }
            "unsubscribed" => drop(self.rooms.remove(message["room"].as_str().unwrap())),
            other => panic!("{other}: {message}"),
        }
    }

    fn hear(&mut self, message: &Value, truth: &BTreeMap<String, BTreeMap<u64, Truth>>) {
        let number = message["data"]["number"].as_u64().unwrap();
        assert!(self.heard.insert(number), "{number} twice");
        let also = message["also"].as_array().cloned().unwrap_or_default();
        for place in [message].into_iter().chain(&also) {
            let room = place["room"].as_str().unwrap();
            let offset = place["offset"].as_u64().unwrap();
            let truth = &truth[room];
            assert_eq!(truth[&offset].number, number);
            assert!(!truth[&offset].except.contains(&self.session), "left out");
            let known = self.rooms.get_mut(room);
            let known = known.expect("only members hear a room");
            assert!(offset > *known, "{room}: {offset} after {known}");
            let is_whole = room == "a" || room.starts_with("lag:");
            let missed = truth.range(*known + 1..offset);
            for (missing, between) in missed.filter(|_| is_whole) {
                let is_left_out = between.except.contains(&self.session);
                assert!(is_left_out, "{room}: {missing} missing before {offset}");
            }
            *known = offset;
        }
    }
}

fn party(seed: u64) {
    let mut scene = Scene::new(seed);
    for _ in 0..500 {
        scene.step();
        scene.listen();
    }
    scene.finish();
}

#[test]
fn each_policy_keeps_its_promise_whatever_happens() {
    for_each_seed("each_policy", 96, party);
    if std::env::var("KINGLET_SEED").is_err() {
        for sum in [&FELL_BEHIND, &REFILLED, &DROPPED, &REPLACED]
            .into_iter()
            .chain(&CLOSED)
        {
            assert!(sum.load(Ordering::Relaxed) > 20, "{sum:?} is too rare");
        }
    }
}
