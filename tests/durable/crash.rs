//! kill -9 at random moments while many publish: nothing that was acknowledged or delivered may be
//! missing after the restart, nothing may be there twice, and every room keeps its order and epoch.
//!
//! `KINGLET_TEST_KILLS` says how often (10), `KINGLET_TEST_DURABILITY` how durable.

use std::collections::{BTreeMap, HashSet};
use std::env;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use kinglet::base::rng::Rng;
use kinglet::testkit::client::{Connection, note};
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::{Received, Socket};
use kinglet::wire::http::client::encode_request;
use serde_json::{Value, json};

use crate::{history, offset_of, start};

const ROOMS: [&str; 3] = ["a", "b", "c"];

const WRITERS: usize = 4;

/// Publications that one kill waits for at most.
const BEFORE_A_KILL: u64 = 200;

/// Somebody who publishes numbers, each until it is acknowledged.
struct Writer {
    name: usize,
    next: u64,
    rng: Rng,
    /// What was sent last and not acknowledged: it is sent again under its key.
    pending: Option<(u64, Vec<&'static str>)>,
    acknowledged: Vec<Acknowledged>,
}

/// Where a number went.
#[derive(Clone, Debug)]
struct Acknowledged {
    data: String,
    places: Vec<(String, u64, String)>,
}

impl Writer {
    fn new(name: usize) -> Self {
        Self {
            name,
            next: 1,
            rng: Rng::from_seed(name as u64),
            pending: None,
            acknowledged: Vec::new(),
        }
    }

    /// Publishes until the server is gone.
    fn write(&mut self, server: SocketAddr, count: &AtomicU64) {
        let Ok(mut connection) = Connection::try_open(server) else {
            return;
        };
        loop {
            let (number, rooms) = self.pending.take().unwrap_or_else(|| {
                let picked = 1 + self.rng.below(7);
                let rooms = ROOMS.iter().enumerate();
                let rooms = rooms.filter(|(index, _)| picked >> index & 1 == 1);
                self.next += 1;
                (self.next - 1, rooms.map(|(_, room)| *room).collect())
            });
            self.pending = Some((number, rooms.clone()));
            let data = format!("{}.{number}", self.name);
            let body = json!({"rooms": rooms, "event": "e", "data": data}).to_string();
            let headers = [("Idempotency-Key", data.as_str())];
            let host = connection.host();
            let request =
                encode_request("POST", "/api/v1/publish", &host, &headers, body.as_bytes());
            if connection.try_send(&request).is_err() {
                return;
            }
            let Ok(answer) = connection.answer(false) else {
                return;
            };
            assert_eq!(answer.status(), 200, "{answer:?}");
            let results = answer.json()["results"].take();
            let places = results.as_array().expect("results").iter().map(|place| {
                let text = |member: &str| place[member].as_str().expect("text").to_owned();
                (text("room"), offset_of(place), text("epoch"))
            });
            let places = places.collect();
            self.acknowledged.push(Acknowledged { data, places });
            self.pending = None;
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Somebody who listens to one room, and comes back after each kill.
#[derive(Default)]
struct Follower {
    since: Option<Value>,
    heard: Vec<(u64, Value)>,
}

impl Follower {
    /// Joins from where it stopped; what was missed is heard first.
    fn join(&mut self, server: &Server) -> Socket {
        let mut socket = Socket::open(server.address(), "/ws?room=elsewhere");
        // More may have been missed than one recovery has: the rest comes page by page.
        while let Some(since) = self.since.clone() {
            let asked = json!({"type": "history", "room": "a", "limit": 200,
                "epoch": since["epoch"], "since": since["offset"]});
            let page = socket.ask(&asked);
            assert_eq!(page["type"], "history", "{page}");
            self.hear_all(&page["publications"]);
            if page["more"] != true {
                break;
            }
        }
        let asked = json!({"type": "subscribe", "room": "a", "since": self.since.clone()
            .unwrap_or(json!(0))});
        let reply = socket.ask(&asked);
        assert_eq!(reply["recovered"], true, "{reply}");
        self.hear_all(&reply["publications"]);
        self.since = Some(json!({"epoch": reply["epoch"], "offset": reply["offset"]}));
        socket
    }

    fn hear_all(&mut self, publications: &Value) {
        for publication in publications.as_array().into_iter().flatten() {
            self.hear(publication);
        }
    }

    fn hear(&mut self, publication: &Value) {
        let offset = offset_of(publication);
        let expected = self.heard.last().map_or(1, |(last, _)| last + 1);
        assert_eq!(offset, expected, "a gap or a repeat");
        self.heard.push((offset, publication["data"].clone()));
        if let Some(since) = &mut self.since {
            since["offset"] = json!(offset);
        }
    }

    /// Hears what comes until the server is gone.
    fn follow(&mut self, mut socket: Socket) {
        loop {
            match socket.receive() {
                Received::Text(text) => {
                    let message: Value = serde_json::from_str(&text).expect("JSON");
                    let also = message["also"].as_array();
                    debug_assert!(also.is_none(), "it is in one of the rooms");
                    self.hear(&message);
                }
                Received::None(_) => return,
                _ => {}
            }
        }
    }
}

/// What must hold of what is on disk. Returns how many are lost, and how many are there twice.
fn check(server: &Server, writers: &[Writer], follower: &Follower, epoch: &str) -> (u64, u64) {
    let mut stored: BTreeMap<&str, BTreeMap<u64, String>> = BTreeMap::new();
    let mut repeated = 0;
    for room in ROOMS {
        let (publications, found) = history(server, room);
        assert_eq!(found, epoch, "another epoch in {room}");
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        let mut seen = HashSet::new();
        let entries = stored.entry(room).or_default();
        for (expected, publication) in (1..).zip(&publications) {
            assert_eq!(offset_of(publication), expected, "a hole in {room}");
            let data = publication["data"].as_str().expect("text").to_owned();
            let (writer, number) = data.split_once('.').expect("two numbers");
            let number: u64 = number.parse().expect("a number");
            let before = last.insert(writer.to_owned(), number).unwrap_or(0);
            repeated += u64::from(!seen.insert(data.clone()));
            assert!(before < number, "{room}: {data} after {before}");
            entries.insert(expected, data);
        }
    }
    let mut lost = 0;
    for place in writers.iter().flat_map(|writer| &writer.acknowledged) {
        for (room, offset, found) in &place.places {
            assert_eq!(found, epoch);
            let is_there = stored[room.as_str()].get(offset) == Some(&place.data);
            lost += u64::from(!is_there);
        }
    }
    for (offset, data) in &follower.heard {
        let is_there = stored["a"].get(offset).map(String::as_str) == data.as_str();
        assert!(is_there, "{offset} {data} was delivered and is not on disk");
    }
    (lost, repeated)
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_there_twice_whenever_the_server_is_killed() {
    let kills = env::var("KINGLET_TEST_KILLS").ok();
    let kills: u64 = kills.map_or(10, |count| count.parse().expect("a number of kills"));
    let durability = env::var("KINGLET_TEST_DURABILITY").unwrap_or_else(|_| "process".to_owned());
    let settings = [
        ("KINGLET_STORE__DURABILITY", durability.as_str()),
        ("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "0"),
        ("KINGLET_ROOMS__DEFAULT__HISTORY_COUNT", "1000000"),
        ("KINGLET_ROOMS__DEFAULT__HISTORY_BYTES", "1GiB"),
    ];
    let directory = tempfile::tempdir().unwrap();
    let mut rng = Rng::from_seed(kills);
    let mut writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
    let mut follower = Follower::default();
    let mut epoch = None;
    let (mut lost, mut repeated) = (0, 0);
    let mut server = start(directory.path(), &settings);
    for _ in 0..kills {
        let socket = follower.join(&server);
        let count = Arc::new(AtomicU64::new(0));
        let target = 1 + rng.below(BEFORE_A_KILL);
        let address = server.address();
        thread::scope(|scope| {
            for writer in &mut writers {
                let count = Arc::clone(&count);
                scope.spawn(move || writer.write(address, &count));
            }
            scope.spawn(|| follower.follow(socket));
            until("they write", || count.load(Ordering::SeqCst) >= target);
            drop(server);
        });
        server = start(directory.path(), &settings);
        let epoch = epoch.get_or_insert_with(|| history(&server, "a").1);
        let found = check(&server, &writers, &follower, epoch);
        lost += found.0;
        repeated += found.1;
    }
    let acknowledged: usize = writers.iter().map(|writer| writer.acknowledged.len()).sum();
    note(&format!(
        "kill -9 with durability {durability}: kills {kills}, acknowledged {acknowledged}, \
         delivered {}, lost {lost}, repeated {repeated}",
        follower.heard.len()
    ));
    assert_eq!((lost, repeated), (0, 0));
    assert!(acknowledged as u64 >= kills, "somebody wrote");
}
