//! The store on a real disk, without threads and under a clock of the test's own.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::base::clock::Wall;
use crate::base::ids::SessionId;
use crate::config::{Durability, SlowConsumer};
use crate::domain::command::{Payload, Publish};
use crate::domain::position::{Epoch, Position};
use crate::domain::room::RoomName;
use crate::domain::stream::Retention;
use crate::store::commit::{Done, Entry, Key, Target, Work};
use crate::store::database::{Opened, Opening, Store};
use crate::store::fault::OpenFault;
use crate::store::reader::Wanted;

pub(super) const KEYS: usize = 100;
const MINUTE: Duration = Duration::from_secs(60);
pub(super) const KEEP: Retention = Retention {
    count: 1000,
    bytes: 1 << 20,
    age: MINUTE,
};

pub(super) fn at(seconds: u64) -> Wall {
    Wall::from_millis(1_767_225_600_000 + seconds * 1000)
}

pub(super) fn epoch(text: &str) -> Epoch {
    Epoch::parse(text).unwrap()
}

pub(super) fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

pub(super) struct Place {
    directory: TempDir,
    pub(super) durability: Durability,
    pub(super) boot: Option<&'static str>,
}

impl Place {
    pub(super) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            durability: Durability::Process,
            boot: Some("first"),
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn try_open(&self, fresh: &str) -> Result<Opened, OpenFault> {
        Store::open(&Opening {
            directory: self.path(),
            durability: self.durability,
            boot: self.boot,
            fresh: epoch(fresh),
        })
    }

    pub(super) fn open(&self, fresh: &str) -> Opened {
        self.try_open(fresh).unwrap()
    }
}

pub(super) fn said(data: &str, rooms: &[&RoomName]) -> Publish {
    Publish {
        rooms: rooms.iter().map(|room| (*room).clone()).collect(),
        event: "said".into(),
        payload: Payload::Json(data.into()),
        source: None,
        key: None,
        except: Vec::new(),
    }
}

fn target(room: &RoomName, retention: Retention) -> Target<'_> {
    let base = Position {
        epoch: epoch("e"),
        offset: 0,
    };
    Target {
        room,
        base,
        retention,
    }
}

pub(super) fn entry<'a>(publish: &'a Publish, retention: Retention, at: Wall) -> Entry<'a> {
    Entry {
        publish,
        targets: publish
            .rooms
            .iter()
            .map(|room| target(room, retention))
            .collect(),
        uid: 7,
        at,
        key: None,
    }
}

/// Publishes so many numbers into a room, each in its own transaction.
pub(super) fn fill(
    store: &mut Store,
    room: &RoomName,
    count: u64,
    retention: Retention,
    now: Wall,
) -> u64 {
    let mut trimmed = 0;
    for number in 0..count {
        let publish = said(&number.to_string(), &[room]);
        let work = [Work::Publish(entry(&publish, retention, now))];
        trimmed += store.commit(&work, KEYS, now).unwrap().trimmed;
    }
    trimmed
}

pub(super) fn wanted(room: &RoomName, offset: u64, retention: Retention) -> Wanted<'_> {
    Wanted {
        room,
        position: Position {
            epoch: epoch("e"),
            offset,
        },
        retention,
        slow_consumer: SlowConsumer::Close,
    }
}

/// The offsets after one, and whether there are more.
fn after(
    store: &Store,
    wanted: &Wanted<'_>,
    since: u64,
    limit: usize,
    now: Wall,
) -> (Vec<u64>, bool) {
    let page = store.readers().after(wanted, since, limit, now).unwrap();
    (
        page.items.iter().map(|(offset, _)| *offset).collect(),
        page.more,
    )
}

fn rows(store: &Store) -> i64 {
    let sql = "SELECT count(*) FROM publications";
    store
        .connection
        .query_row(sql, [], |row| row.get(0))
        .unwrap()
}

#[test]
fn what_was_written_is_there_after_the_end_of_the_process() {
    let place = Place::new();
    let (a, b) = (room("a"), room("b"));
    let opened = place.open("e");
    assert_eq!(
        (opened.kept.rooms.len(), opened.kept.epoch),
        (0, epoch("e"))
    );
    let mut store = opened.store;
    let mut both = said("{\"n\":1}", &[&b, &a]);
    both.source = Some("test".into());
    both.except = vec![SessionId(5)];
    let mut bytes = said("", &[&a]);
    bytes.payload = Payload::Bytes(vec![0, 255, 10].into());
    let work = [
        Work::Publish(entry(&both, KEEP, at(1))),
        Work::Publish(entry(&bytes, KEEP, at(2))),
    ];
    let done = store.commit(&work, KEYS, at(2)).unwrap().done;
    let position = |offset| Position {
        epoch: epoch("e"),
        offset,
    };
    assert_eq!(done[0], Done::Published(vec![position(1), position(1)]));
    assert_eq!(done[1], Done::Published(vec![position(2)]));
    // As kill -9 leaves it.
    drop(store);

    let opened = place.open("other");
    assert!(!opened.began_anew);
    assert_eq!(opened.kept.epoch, epoch("e"));
    let mut rooms = opened.kept.rooms;
    rooms.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(rooms, [(a.clone(), position(2)), (b, position(1))]);
    let readers = opened.store.readers();
    let page = readers.after(&wanted(&a, 2, KEEP), 0, 10, at(2)).unwrap();
    let [(1, first), (2, second)] = page.items.as_slice() else {
        panic!("{page:?}");
    };
    assert_eq!(first.payload, both.payload);
    assert_eq!(first.source, both.source);
    assert_eq!(*first.except, [SessionId(5)]);
    assert_eq!((first.uid, first.has_copies), (7, true));
    assert_eq!((first.timestamp, &*first.event), (at(1), "said"));
    assert_eq!(
        (&second.payload, second.has_copies),
        (&bytes.payload, false)
    );
}

#[test]
fn pages_go_both_ways_and_end_where_the_stream_stood() {
    let place = Place::new();
    let room = room("a");
    let mut store = place.open("e").store;
    fill(&mut store, &room, 9, KEEP, at(0));
    let check = |since, limit, expected: &[u64], more| {
        let found = after(&store, &wanted(&room, 7, KEEP), since, limit, at(0));
        assert_eq!(found, (expected.to_vec(), more), "{since} {limit}");
    };
    check(0, 3, &[1, 2, 3], true);
    check(4, 3, &[5, 6, 7], false);
    check(6, 3, &[7], false);
    check(7, 3, &[], false);
    check(99, 3, &[], false);
    let back = |before, limit| {
        let wanted = wanted(&room, 7, KEEP);
        let page = store
            .readers()
            .before(&wanted, before, limit, at(0))
            .unwrap();
        let offsets: Vec<u64> = page.items.iter().map(|(offset, _)| *offset).collect();
        (offsets, page.more)
    };
    assert_eq!(back(None, 2), (vec![7, 6], true));
    assert_eq!(back(Some(3), 9), (vec![2, 1], false));
    let other = Wanted {
        position: Position {
            epoch: epoch("f"),
            offset: 7,
        },
        ..wanted(&room, 7, KEEP)
    };
    assert_eq!(
        after(&store, &other, 0, 9, at(0)),
        (vec![], false),
        "another epoch"
    );
}

#[test]
fn releasing_memory_loses_nothing() {
    let place = Place::new();
    let room = room("a");
    let mut store = place.open("e").store;
    let readers = store.readers();
    let read = |offset: u64| {
        let page = readers.after(&wanted(&room, offset, KEEP), 0, 10, at(1));
        page.unwrap().items.len()
    };
    fill(&mut store, &room, 2, KEEP, at(0));
    assert_eq!(read(2), 2);
    store.release().unwrap();
    readers.release();
    assert_eq!(read(2), 2);
    fill(&mut store, &room, 1, KEEP, at(0));
    assert_eq!(read(3), 3);
}

#[test]
fn a_history_keeps_its_bounds() {
    let place = Place::new();
    let (long, large) = (room("long"), room("large"));
    let mut store = place.open("e").store;
    let few = Retention { count: 10, ..KEEP };
    let trimmed = fill(&mut store, &long, 200, few, at(0));
    assert!(trimmed >= 200 - 10 - 64, "{trimmed}");
    let (offsets, more) = after(&store, &wanted(&long, 200, few), 0, 99, at(0));
    assert_eq!((offsets, more), ((191..=200).collect(), false));
    // "said" and two digits are six bytes.
    let small = Retention { bytes: 30, ..KEEP };
    fill(&mut store, &large, 60, small, at(0));
    let (offsets, _) = after(&store, &wanted(&large, 60, small), 0, 99, at(0));
    assert_eq!(offsets, (56..=60).collect::<Vec<u64>>());
    let (offsets, _) = after(&store, &wanted(&large, 60, small), 0, 99, at(60));
    assert_eq!(offsets, Vec::<u64>::new(), "too old");
}

#[test]
fn a_sweep_removes_what_is_too_old_and_finds_rooms_to_forget() {
    let place = Place::new();
    let rooms: Vec<RoomName> = (0..70).map(|n| room(&format!("r{n}"))).collect();
    let mut store = place.open("e").store;
    for room in &rooms {
        fill(&mut store, room, 3, KEEP, at(0));
    }
    fill(&mut store, &rooms[0], 300, KEEP, at(0));
    let mut sweep = |seconds, is_kept: bool| {
        let mut swept = (0, 0, false);
        for _ in 0..2 {
            let found = store
                .sweep(|_| is_kept.then_some(KEEP), at(seconds))
                .unwrap();
            swept.0 += found.trimmed;
            swept.1 += found.empty.len();
            swept.2 |= found.more;
        }
        swept
    };
    assert_eq!(sweep(59, true), (0, 0, false));
    assert_eq!(sweep(61, false), (0, 0, false), "no longer durable");
    assert_eq!(
        sweep(61, true),
        (256 + 69 * 3, 69, true),
        "a slice of each room"
    );
    assert_eq!(sweep(61, true), (47, 70, false));
    let work = [Work::Forget {
        rooms: &rooms[1..],
        fresh: epoch("f"),
    }];
    store.commit(&work, KEYS, at(62)).unwrap();
    drop(store);
    let opened = place.open("x");
    assert_eq!(
        (opened.kept.rooms.len(), opened.kept.epoch),
        (1, epoch("f"))
    );
}

#[test]
fn a_stream_that_begins_anew_shows_nothing_of_the_old() {
    let place = Place::new();
    let room = room("a");
    let mut store = place.open("e").store;
    fill(&mut store, &room, 300, KEEP, at(0));
    let clear = [Work::Clear {
        target: target(&room, KEEP),
        epoch: epoch("f"),
    }];
    let position = Position {
        epoch: epoch("f"),
        offset: 300,
    };
    let done = store.commit(&clear, KEYS, at(0)).unwrap().done;
    assert_eq!(done, [Done::Cleared(position)]);
    fill(&mut store, &room, 1, KEEP, at(0));
    let position = Position {
        offset: 301,
        ..position
    };
    let wanted = Wanted {
        position,
        ..wanted(&room, 301, KEEP)
    };
    assert_eq!(after(&store, &wanted, 0, 999, at(0)), (vec![301], false));
    assert_eq!(rows(&store), 301);
    while store.sweep(|_| Some(KEEP), at(0)).unwrap().more {}
    assert_eq!(rows(&store), 1);
}

#[test]
fn keys_hold_for_five_minutes_and_across_restarts() {
    let place = Place::new();
    let room = room("a");
    let mut store = place.open("e").store;
    let put = |store: &mut Store, data: &str, key: &str, seconds| {
        let publish = said(data, &[&room]);
        let print = [data.len() as u8; 32];
        let key = Key {
            owner: "me",
            key,
            print: &print,
        };
        let work = Entry {
            key: Some(key),
            ..entry(&publish, KEEP, at(seconds))
        };
        let mut done = store
            .commit(&[Work::Publish(work)], 3, at(seconds))
            .unwrap()
            .done;
        match done.pop().unwrap() {
            Done::Published(positions) => format!("new {}", positions[0].offset),
            Done::Repeat(7, placements) => format!("repeat {}", placements[0].1.offset),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(put(&mut store, "1", "k", 0), "new 1");
    assert_eq!(put(&mut store, "1", "k", 299), "repeat 1");
    assert_eq!(put(&mut store, "11", "k", 299), "Mismatch");
    drop(store);
    let mut store = place.open("e").store;
    assert_eq!(put(&mut store, "1", "k", 299), "repeat 1");
    assert_eq!(put(&mut store, "1", "k", 300), "new 2");
    for number in 0..3 {
        put(&mut store, "1", &format!("other {number}"), 300);
    }
    assert_eq!(put(&mut store, "1", "k", 301), "new 6", "three are kept");
}

#[test]
fn one_who_repeats_in_the_same_transaction_gets_the_first_answer() {
    let place = Place::new();
    let room = room("a");
    let mut store = place.open("e").store;
    let publish = said("1", &[&room]);
    let work = || {
        Work::Publish(Entry {
            key: Some(Key {
                owner: "me",
                key: "k",
                print: &[1; 32],
            }),
            ..entry(&publish, KEEP, at(0))
        })
    };
    let done = store.commit(&[work(), work()], KEYS, at(0)).unwrap().done;
    assert!(
        matches!(done.as_slice(), [Done::Published(_), Done::Repeat(7, _)]),
        "{done:?}"
    );
    assert_eq!(rows(&store), 1);
}

#[test]
fn a_transaction_that_fails_leaves_nothing_and_no_hole() {
    let place = Place::new();
    let room = room("a");
    let mut store = place.open("e").store;
    fill(&mut store, &room, 2, KEEP, at(0));
    let pages: i64 = store
        .connection
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap();
    store
        .connection
        .pragma_update(None, "max_page_count", pages)
        .unwrap();
    let large = said(&format!("\"{}\"", "x".repeat(100_000)), &[&room]);
    let small = said("3", &[&room]);
    let work = [&small, &large].map(|publish| Work::Publish(entry(publish, KEEP, at(0))));
    let fault = store.commit(&work, KEYS, at(0)).unwrap_err();
    assert!(fault.to_string().contains("full"), "{fault}");
    store
        .connection
        .pragma_update(None, "max_page_count", 1 << 20)
        .unwrap();
    fill(&mut store, &room, 1, KEEP, at(0));
    assert_eq!(
        after(&store, &wanted(&room, 3, KEEP), 0, 9, at(0)).0,
        [1, 2, 3]
    );
}

#[test]
fn a_bit_that_fell_over_makes_a_page_unreadable_and_no_other() {
    let place = Place::new();
    let (room, now) = (room("a"), at(0));
    let wanted = wanted(&room, 5, KEEP);
    for damage in [
        "payload = '7'",
        "payload = CAST('2' AS BLOB)",
        "event = 'sald'",
        "at = at + 1",
        "source = 'x'",
        "uid = zeroblob(16)",
        "left_out = zeroblob(16)",
        "sum = sum + 1",
    ] {
        let mut store = place.open("e").store;
        fill(&mut store, &room, 5, KEEP, now);
        assert_eq!(after(&store, &wanted, 0, 10, now).0, [1, 2, 3, 4, 5]);
        let sql = format!("UPDATE publications SET {damage} WHERE offset = 3");
        assert_eq!(store.connection.execute(&sql, []).unwrap(), 1);
        let page = |since| store.readers().after(&wanted, since, 10, now);
        let fault = page(0).unwrap_err().to_string();
        assert!(fault.contains("checksum"), "{damage}: {fault}");
        assert_eq!(page(3).unwrap().items.len(), 2, "{damage}");
        let sql = "DELETE FROM publications; DELETE FROM rooms";
        store.connection.execute_batch(sql).unwrap();
    }
}
