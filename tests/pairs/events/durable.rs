//! Streams of rooms that are on disk.

use kinglet::metrics::names::Counter;
use kinglet::testkit::world::{Options, World};
use serde_json::{Value, json};

use super::{Stream, said, say};
use crate::{SECOND, ask, numbers};

const CONFIG: &str = "[limits]\nmessages_per_second = 0\nrecovery_max = 8\n\
    [rooms.default]\ndurable = true\n[rooms.state]\nhistory_count = 1\n\
    [rooms.memory]\ndurable = false\n";

fn options() -> Options<'static> {
    Options {
        config: CONFIG,
        shards: 2,
        ..Options::default()
    }
}

/// Another server on the disk of one that was killed.
fn restart(world: World) -> World {
    let disk = world.disk.clone();
    drop(world);
    World::on(options(), disk)
}

#[test]
fn who_comes_back_after_a_restart_gets_what_was_missed_from_the_disk() {
    let mut world = World::new(options());
    let talker = world.connect("/ws?room=memory:x");
    let mut stream = Stream::open(&mut world, "/api/v1/rooms/a/events");
    stream.take(&mut world);
    for number in 0..5 {
        say(&mut world, talker, "a", number);
    }
    let heard = stream.take(&mut world);
    assert_eq!(said(&heard), numbers(0..5));
    let second = heard[1].id.clone();
    let epoch = second.split_once(':').unwrap().0.to_owned();

    let mut world = restart(world);
    let talker = world.connect("/ws?room=memory:x");
    // While a worker reads for one of them, more is published.
    world.jobs.delay_turns_max = 20;
    let ids = ["0", &second, &format!("{epoch}:5"), "another:2", "9"];
    let target = "/api/v1/rooms/a/events";
    let mut streams = ids.map(|id| Stream::ask(&mut world, target, &[("Last-Event-ID", id)]));
    say(&mut world, talker, "a", 5);
    say(&mut world, talker, "a", 6);
    let expected = [(true, 0), (true, 2), (true, 5), (false, 7), (false, 7)];
    for (stream, (recovered, first)) in streams.iter_mut().zip(expected) {
        let events = stream.take(&mut world);
        let told = events[0].json();
        assert_eq!(told["recovered"], recovered);
        let mut told_or_live = said(&events);
        if !recovered {
            // What was published after it had been told the position.
            let position = told["offset"].as_u64().unwrap();
            assert_eq!(told_or_live, numbers(position..7));
            told_or_live = vec![];
        }
        assert_eq!(told_or_live, numbers(first..7));
        if recovered && events.len() > 1 {
            assert_eq!(events.last().unwrap().id, format!("{epoch}:7"));
        }
    }
    say(&mut world, talker, "a", 7);
    for stream in &mut streams {
        assert_eq!(said(&stream.take(&mut world)), [7]);
    }
    assert!(world.total(Counter::StoreReads) >= 2);
}

#[test]
fn what_is_on_disk_of_several_rooms_comes_once_for_each_of_them() {
    let mut world = World::new(options());
    let talker = world.connect("/ws?room=memory:x");
    let both =
        |data: u64| json!({"type": "publish", "rooms": ["a", "b"], "event": "said", "data": data});
    say(&mut world, talker, "a", 0);
    ask(&mut world, talker, both(1));
    say(&mut world, talker, "b", 2);
    let mut world = restart(world);
    let talker = world.connect("/ws?room=memory:x");
    let target = "/api/v1/events?room=a&room=memory:y&room=b";
    let check = |world: &mut World, id: &str, recovered: [bool; 3], expected: &[(&str, u64)]| {
        let mut stream = Stream::resume(world, target, id);
        let events = stream.take(world);
        let told: Vec<Value> = events.iter().map(|event| event.json()).collect();
        let all: Vec<_> = told[..3].iter().map(|it| it["recovered"].clone()).collect();
        assert_eq!(all, recovered, "{id}");
        let heard: Vec<_> = told[3..]
            .iter()
            .map(|it| (it["room"].as_str().unwrap(), it["data"].as_u64().unwrap()))
            .collect();
        assert_eq!(heard, expected, "{id}");
        stream.reader.last_id
    };
    let on_disk = [("a", 0), ("a", 1), ("b", 1), ("b", 2)];
    let last = check(&mut world, "0", [true; 3], &on_disk);
    ask(&mut world, talker, both(3));
    let live = [("a", 3)];
    assert_ne!(check(&mut world, &last, [true; 3], &live), last);
    // What is in memory as well is read with the rest of its room.
    let all = [("a", 0), ("a", 1), ("a", 3), ("b", 1), ("b", 2), ("b", 3)];
    check(&mut world, "0", [true; 3], &all);
    check(&mut world, "2,0,another:1", [true, true, false], &live);
}

#[test]
fn recoveries_from_the_disk_are_all_or_nothing_up_to_what_is_configured() {
    let mut world = World::new(options());
    let talker = world.connect("/ws?room=memory:x");
    for number in 0..10 {
        say(&mut world, talker, "a", number);
        say(&mut world, talker, "state:1", number);
    }
    let mut world = restart(world);
    let talker = world.connect("/ws?room=memory:x");
    let mut check = |room: &str, since: &str, expected: Option<std::ops::Range<u64>>| {
        let target = format!("/api/v1/rooms/{room}/events");
        let events = Stream::resume(&mut world, &target, since).take(&mut world);
        let found = events[0].json()["recovered"] == true;
        assert_eq!(found, expected.is_some(), "{room} {since}");
        let missed = numbers(expected.unwrap_or_default());
        assert_eq!(said(&events), missed, "{room} {since}");
        let since: u64 = since.parse().unwrap();
        let subscribe = json!({"type": "subscribe", "room": room, "since": since});
        let told = &ask(&mut world, talker, subscribe)[0];
        assert_eq!(told["recovered"], found, "{told}");
        if found {
            assert_eq!(
                crate::said(told["publications"].as_array().unwrap()),
                missed
            );
        }
    };
    check("a", "2", Some(2..10));
    check("a", "1", None);
    check("a", "11", None);
    // The newest of them says all.
    check("state:1", "0", Some(9..10));
    check("state:1", "10", Some(0..0));
}

#[test]
fn a_disk_that_cannot_be_read_loses_a_recovery_and_no_stream() {
    let mut world = World::new(options());
    let talker = world.connect("/ws?room=memory:x");
    say(&mut world, talker, "a", 0);
    let mut world = restart(world);
    std::fs::remove_dir_all(world.disk.path()).unwrap();
    let mut stream = Stream::resume(&mut world, "/api/v1/rooms/a/events", "0");
    let events = stream.take(&mut world);
    assert_eq!(events[0].json()["recovered"], false);
    assert_eq!(world.total(Counter::StoreReadsFailed), 1);
}

#[test]
fn who_waits_for_the_disk_may_go_and_the_server_too() {
    let mut world = World::new(options());
    let talker = world.connect("/ws?room=memory:x");
    say(&mut world, talker, "a", 0);
    let mut world = restart(world);
    world.jobs.delay_turns_max = 1000;
    let target = "/api/v1/rooms/a/events";
    let since = [("Last-Event-ID", "0")];
    let gone = Stream::ask(&mut world, target, &since);
    let mut told = Stream::ask(&mut world, target, &since);
    while world.total(Counter::HttpRequests) < 2 {
        world.turn();
    }
    world.client(gone.client).cut();
    world.begin_drain(SECOND * 10);
    world.advance(SECOND * 10);
    assert!(told.take(&mut world).is_empty());
    assert!(told.head().starts_with("HTTP/1.1 503 "), "{}", told.head());
    assert_eq!(world.connections(), 0);
}
