//! Streams that come, read slowly, are cut and come back, while everybody publishes: per room each
//! publication once and in order, or a word that something is lost.

use std::cell::RefCell;
use std::collections::BTreeMap;

use kinglet::base::rng::Rng;
use kinglet::metrics::names::Counter;
use kinglet::testkit::link::Conditions;
use kinglet::testkit::world::{ClientId, Options, World};
use serde_json::json;

use super::Stream;
use crate::random::for_each_seed;
use crate::{SECOND, ask};

/// Small enough that histories run out and queues run full.
const CONFIG: &str = "[limits]\nmessages_per_second = 0\noutbox_messages = 16\nrecovery_max = 40\n\
    connections_per_ip = 0\nnew_connections_per_minute = 0\n\
    [rooms.default]\nhistory_count = 60\n\
    [rooms.lag]\nslow_consumer = \"lag\"\nhistory_count = 25\n";

const ROOMS: [&str; 4] = ["a", "b", "lag:1", "lag:2"];

/// Somebody who listens and comes back, as a browser does, and what they know of each room.
struct Listener {
    target: String,
    stream: Option<Stream>,
    last_id: String,
    /// Epoch and offset up to which nothing is missing.
    rooms: BTreeMap<String, (String, u64)>,
    /// Rooms that the current stream has told.
    told: usize,
    /// The current stream was asked for with a position.
    has_shown: bool,
}

impl Listener {
    fn new(rng: &mut Rng) -> Self {
        let first = rng.below(4);
        let count = 1 + rng.below(3);
        let rooms = (0..count).map(|more| ROOMS[usize::try_from((first + more) % 4).unwrap()]);
        let rooms: Vec<String> = rooms.map(|room| format!("room={room}")).collect();
        Self {
            target: format!("/api/v1/events?{}", rooms.join("&")),
            stream: None,
            last_id: String::new(),
            rooms: BTreeMap::new(),
            told: 0,
            has_shown: false,
        }
    }

    /// The rooms in the order asked for.
    fn names(&self) -> Vec<String> {
        let names = self.target.split("room=").skip(1);
        names
            .map(|name| name.trim_end_matches('&').to_owned())
            .collect()
    }

    fn come(&mut self, world: &mut World) {
        let stream = match &*self.last_id {
            "" => Stream::open(world, &self.target),
            id => {
                // It may know of some room from an id alone.
                for (name, place) in self.names().into_iter().zip(id.split(',')) {
                    let (epoch, offset) = place.split_once(':').unwrap();
                    let known = (epoch.to_owned(), offset.parse().unwrap());
                    self.rooms.insert(name, known);
                }
                Stream::resume(world, &self.target, id)
            }
        };
        self.told = 0;
        self.has_shown = !self.last_id.is_empty();
        self.stream = Some(stream);
    }

    /// Takes in what has come so far.
    fn listen(&mut self, world: &mut World, places: &BTreeMap<(String, u64), u64>) {
        let names = self.names();
        let Some(stream) = &mut self.stream else {
            return;
        };
        let bytes = world.client(stream.client).take_raw();
        for event in stream.reader.feed(&bytes) {
            let message = event.json();
            let room = message["room"].as_str().unwrap().to_owned();
            let offset = message["offset"].as_u64().unwrap();
            if message["type"] == "subscribed" {
                self.told += 1;
                let epoch = message["epoch"].as_str().unwrap().to_owned();
                let known = self.rooms.get(&room);
                match message["recovered"].as_bool() {
                    Some(true) => assert_eq!(known.map(|known| &known.0), Some(&epoch)),
                    Some(false) => drop(self.rooms.insert(room, (epoch, offset))),
                    None => {
                        assert!(!self.has_shown, "a position was shown");
                        self.rooms.insert(room, (epoch, offset));
                    }
                }
            } else {
                assert_eq!(self.told, names.len(), "the rooms are told first");
                let number = message["data"][0].as_u64().unwrap();
                // It may stand in other rooms of the stream, too, which the event does not spell;
                // what was lost there may still come from here.
                for (other, (_, known)) in &mut self.rooms {
                    let place = places.get(&(other.clone(), number));
                    if let Some(place) = place.filter(|place| *other == room || **place > *known) {
                        assert_eq!(*place, *known + 1, "{other}: no gap and no repeat");
                        *known = *place;
                    }
                }
                assert_eq!(self.rooms[&room].1, offset);
            }
            self.last_id = event.id;
        }
        // The id says what the client has of every room.
        if self.told == names.len() {
            let places = names.iter().map(|name| {
                let (epoch, offset) = &self.rooms[name];
                format!("{epoch}:{offset}")
            });
            let places: Vec<String> = places.collect();
            assert_eq!(self.last_id, places.join(","));
        }
        if world.client(stream.client).end.is_some() {
            self.stream = None;
        }
    }
}

/// Publishes from a session, and notes where it stands.
fn speak(
    world: &mut World,
    talker: ClientId,
    number: u64,
    rng: &mut Rng,
    places: &mut BTreeMap<(String, u64), u64>,
) {
    let mut rooms = vec![ROOMS[usize::try_from(rng.below(4)).unwrap()]];
    if rng.below(4) == 0 {
        let other = ROOMS[usize::try_from(rng.below(4)).unwrap()];
        if !rooms.contains(&other) {
            rooms.push(other);
        }
    }
    let command = json!({"type": "publish", "rooms": rooms, "event": "said",
                         "data": [number, "x".repeat(100)]});
    world.client(talker).command(command);
    // Only the talker's own words are waited for; others hear it whenever they do.
    let reply = loop {
        world.turn();
        let mut replies = world.client(talker).take_json();
        if let Some(reply) = replies.pop() {
            break reply;
        }
        world.advance(SECOND / 100);
    };
    for result in reply["results"].as_array().unwrap() {
        let room = result["room"].as_str().unwrap().to_owned();
        places.insert((room, number), result["offset"].as_u64().unwrap());
    }
}

fn party(seed: u64) {
    let mut rng = Rng::from_seed(seed);
    let mut world = World::new(Options {
        config: CONFIG,
        shards: 1 + u16::try_from(seed % 2).unwrap(),
        seed,
        ..Options::default()
    });
    let talker = world.connect("/ws?room=x");
    world.conditions = Conditions {
        capacity: if seed.is_multiple_of(2) {
            3000
        } else {
            100_000
        },
        piece_max: (!seed.is_multiple_of(3)).then_some(300),
        delay: SECOND / 1000 * u32::try_from(seed % 4).unwrap(),
    };
    let mut places = BTreeMap::new();
    let mut listeners: Vec<Listener> = (0..5).map(|_| Listener::new(&mut rng)).collect();
    let mut number = 0;
    for _ in 0..100 {
        let index = usize::try_from(rng.below(5)).unwrap();
        let listener = &mut listeners[index];
        match rng.below(10) {
            0..6 => {
                let most = [3, 3, 3, 50][usize::try_from(rng.below(4)).unwrap()];
                for _ in 0..rng.below(most) {
                    number += 1;
                    speak(&mut world, talker, number, &mut rng, &mut places);
                }
            }
            6 => match &listener.stream {
                Some(stream) => {
                    world.client(stream.client).cut();
                    listener.listen(&mut world, &places);
                    listener.stream = None;
                }
                None => listener.come(&mut world),
            },
            7 => {
                if let Some(stream) = &listener.stream {
                    let most = [0, 0, 50, 400][usize::try_from(rng.below(4)).unwrap()];
                    world.client(stream.client).appetite = Some(most);
                }
            }
            8 => {
                if let Some(stream) = &listener.stream {
                    world.client(stream.client).appetite = None;
                }
            }
            _ => world.advance(SECOND / 1000 * u32::try_from(rng.below(2000)).unwrap()),
        }
        for listener in &mut listeners {
            listener.listen(&mut world, &places);
            if listener.stream.is_none() && rng.below(12) == 0 {
                listener.come(&mut world);
            }
        }
    }
    // In the end everybody is there and has all.
    for listener in &mut listeners {
        if let Some(stream) = &listener.stream {
            world.client(stream.client).appetite = None;
        }
    }
    for _ in 0..3 {
        world.advance(SECOND);
        for listener in &mut listeners {
            listener.listen(&mut world, &places);
            if listener.stream.is_none() {
                listener.come(&mut world);
            }
        }
    }
    world.advance(SECOND);
    for listener in &mut listeners {
        listener.listen(&mut world, &places);
        for (room, (_, offset)) in &listener.rooms {
            let ask_room = json!({"type": "history", "room": room, "limit": 1});
            let end = ask(&mut world, talker, ask_room).remove(0)["offset"].clone();
            assert_eq!(Some(*offset), end.as_u64(), "{room}");
        }
    }
    COUNTS.with_borrow_mut(|counts| {
        let found = BROUGHT_ABOUT.map(|counter| world.total(counter));
        counts
            .iter_mut()
            .zip(found)
            .for_each(|(sum, count)| *sum += count);
    });
}

thread_local! {
    /// What the seeds have brought about, in the order of [`BROUGHT_ABOUT`].
    static COUNTS: RefCell<[u64; 5]> = const { RefCell::new([0; 5]) };
}

/// What must not go unchecked unnoticed.
const BROUGHT_ABOUT: [Counter; 5] = [
    Counter::RecoveriesRefused,
    Counter::SlowConsumersClosed,
    Counter::FellBehind,
    Counter::Refilled,
    Counter::LagClosedGone,
];

#[test]
fn streams_that_come_back_miss_nothing_unnoticed() {
    for_each_seed("streams_that_come_back", 20, party);
    if std::env::var("KINGLET_SEED").is_err() {
        let counts = COUNTS.take();
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    }
}
