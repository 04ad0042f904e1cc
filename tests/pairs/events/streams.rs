//! What a stream says from its first line to its last.

use kinglet::metrics::names::Counter;
use kinglet::testkit::world::{Options, World};
use serde_json::{Value, json};

use super::{Stream, said, say};
use crate::{NO_RATE, SECOND, ask, numbers, pick, publish, world};

const ROOM: &str = "/api/v1/rooms/a/events";

#[test]
fn a_stream_tells_its_room_and_then_what_is_published() {
    let mut world = world("");
    let talker = world.connect("/ws?room=x");
    say(&mut world, talker, "a", 1);
    let mut stream = Stream::open(&mut world, ROOM);
    let first = stream.take(&mut world);
    let head = stream.head().to_owned();
    for line in [
        "HTTP/1.1 200 OK\r\n",
        "Content-Type: text/event-stream\r\n",
        "Cache-Control: no-store\r\n",
        "X-Accel-Buffering: no\r\n",
        "Connection: close\r\n",
    ] {
        assert!(head.contains(line), "{line:?} in {head}");
    }
    assert!(!head.contains("Content-Length") && !head.contains("Transfer-Encoding"));
    assert!((1000..5000).contains(&stream.reader.retry.unwrap()));
    let told = first[0].json();
    let epoch = told["epoch"].as_str().unwrap().to_owned();
    assert_eq!(
        pick(&told, &["type", "room", "offset", "recovered"]),
        [json!("subscribed"), json!("a"), json!(1), Value::Null]
    );
    assert_eq!((first.len(), &*first[0].id), (1, &*format!("{epoch}:1")));

    say(&mut world, talker, "a", 2);
    let heard = stream.take(&mut world);
    assert_eq!(said(&heard), [2]);
    assert_eq!(heard[0].id, format!("{epoch}:2"));
    assert_eq!(heard[0].name, "message", "so that onmessage hears it");
    assert_eq!(heard[0].json()["offset"], 2);
    assert_eq!(world.total(Counter::EventStreamsOpened), 1);
    world.client(stream.client).cut();
    world.settle();
    assert_eq!(world.services.sessions(), 1);
}

#[test]
fn events_have_names_for_those_who_want_them() {
    let mut world = world("");
    let talker = world.connect("/ws?room=x");
    let mut stream = Stream::open(&mut world, "/api/v1/rooms/a/events?named=1");
    assert_eq!(stream.take(&mut world)[0].name, "subscribed");
    say(&mut world, talker, "a", 1);
    assert_eq!(stream.take(&mut world)[0].name, "said");
}

#[test]
fn who_comes_back_gets_what_was_missed_and_then_what_is_live() {
    let mut world = world(NO_RATE);
    let talker = world.connect("/ws?room=x");
    let mut stream = Stream::open(&mut world, ROOM);
    stream.take(&mut world);
    for number in 0..5 {
        say(&mut world, talker, "a", number);
    }
    let heard = stream.take(&mut world);
    let (third, epoch) = (&heard[2].id, heard[2].id.split_once(':').unwrap().0);
    let check = |world: &mut World, target: &str, id: &str, recovered: Value, expected: &[u64]| {
        let mut again = Stream::resume(world, target, id);
        let events = again.take(world);
        assert_eq!(events[0].json()["recovered"], recovered, "{id}");
        assert_eq!(said(&events), expected, "{id}");
        // Cut right here, or after each event, it would come back for the rest.
        let mut next: Vec<u64> = (5 - expected.len() as u64..=5).collect();
        for event in &events {
            assert_eq!(event.id, format!("{epoch}:{}", next.remove(0)));
        }
        assert!(next.is_empty());
        world.client(again.client).cut();
    };
    check(&mut world, ROOM, third, json!(true), &[3, 4]);
    check(&mut world, ROOM, "3", json!(true), &[3, 4]);
    check(&mut world, ROOM, "0", json!(true), &[0, 1, 2, 3, 4]);
    check(&mut world, ROOM, &format!("{epoch}:5"), json!(true), &[]);
    check(&mut world, ROOM, "another:3", json!(false), &[]);
    check(&mut world, ROOM, "6", json!(false), &[]);
    let in_query = format!("{ROOM}?last_event_id=2");
    check(&mut world, &in_query, third, json!(true), &[3, 4]);
    check(&mut world, &in_query, "", json!(true), &[2, 3, 4]);
    assert_eq!(world.total(Counter::RecoveriesRefused), 2);
}

#[test]
fn a_recovery_is_all_or_nothing_up_to_what_is_configured() {
    let mut world = world("[limits]\nmessages_per_second = 0\nrecovery_max = 3\n");
    let talker = world.connect("/ws?room=x");
    for number in 0..5 {
        say(&mut world, talker, "a", number);
    }
    let recovered = |world: &mut World, since: &str| {
        let events = Stream::resume(world, ROOM, since).take(world);
        (events[0].json()["recovered"].clone(), said(&events))
    };
    assert_eq!(recovered(&mut world, "2"), (json!(true), numbers(2..5)));
    assert_eq!(recovered(&mut world, "1"), (json!(false), vec![]));
    let subscribe = json!({"type": "subscribe", "room": "a", "since": 1});
    let reply = ask(&mut world, talker, subscribe).remove(0);
    assert_eq!(reply["recovered"], false);
}

#[test]
fn a_room_that_keeps_one_publication_tells_it_to_who_asks() {
    let mut world = world("[rooms.state]\nhistory_count = 1\n");
    let talker = world.connect("/ws?room=x");
    let target = "/api/v1/rooms/state:1/events";
    for number in 0..5 {
        say(&mut world, talker, "state:1", number);
    }
    let mut check = |id: &str, recovered: Value, expected: &[u64]| {
        let events = Stream::resume(&mut world, target, id).take(&mut world);
        assert_eq!(events[0].json()["recovered"], recovered, "{id}");
        assert_eq!(said(&events), expected, "{id}");
    };
    check("", Value::Null, &[]);
    check("0", json!(true), &[4]);
    check("3", json!(true), &[4]);
    check("5", json!(true), &[]);
    check("another:4", json!(false), &[]);
}

#[test]
fn a_stream_of_several_rooms_tells_each_publication_once_and_where_it_is_in_all() {
    let mut world = world(NO_RATE);
    let talker = world.connect("/ws?room=x");
    let target = "/api/v1/events?room=b&room=a";
    let mut stream = Stream::open(&mut world, target);
    let first = stream.take(&mut world);
    let rooms: Vec<_> = first.iter().map(|it| it.json()["room"].clone()).collect();
    assert_eq!(rooms, ["b", "a"]);
    let epochs: Vec<_> = first.iter().map(|it| it.json()["epoch"].clone()).collect();
    let id = |b: u64, a: u64| {
        let [of_b, of_a] = [&epochs[0], &epochs[1]].map(|it| it.as_str().unwrap());
        format!("{of_b}:{b},{of_a}:{a}")
    };
    assert_eq!(first[1].id, id(0, 0));
    say(&mut world, talker, "a", 1);
    let both = json!({"type": "publish", "rooms": ["a", "x", "b"], "event": "said", "data": 2});
    ask(&mut world, talker, both.clone());
    say(&mut world, talker, "b", 3);
    let heard = stream.take(&mut world);
    assert_eq!(said(&heard), [1, 2, 3]);
    let ids: Vec<&str> = heard.iter().map(|event| &*event.id).collect();
    assert_eq!(ids, [&*id(0, 1), &id(1, 2), &id(2, 2)]);
    let common = heard[1].json();
    assert_eq!(pick(&common, &["room", "also"]), [json!("a"), Value::Null]);

    // What was missed comes in the order in which it was published, and once.
    world.client(stream.client).cut();
    say(&mut world, talker, "b", 4);
    ask(&mut world, talker, both);
    say(&mut world, talker, "a", 5);
    let mut again = Stream::resume(&mut world, target, ids[0]);
    let events = again.take(&mut world);
    assert_eq!(said(&events), [2, 3, 4, 2, 5]);
    assert_eq!(events[1].id, id(0, 1));
    assert_eq!(events.last().unwrap().id, id(4, 4));
    // A position may be lost in one room and not in the other.
    let mut again = Stream::resume(&mut world, target, &format!("another:1,{}", 2));
    let events = again.take(&mut world);
    let recovered: Vec<_> = events[..2]
        .iter()
        .map(|it| it.json()["recovered"].clone())
        .collect();
    assert_eq!(recovered, [false, true]);
    assert_eq!(said(&events), [2, 5]);
    assert_eq!(events[0].id, id(4, 2));
    // From the beginning in all of them.
    let events = Stream::resume(&mut world, target, "0").take(&mut world);
    assert_eq!(said(&events), [1, 2, 3, 4, 2, 5]);
}

#[test]
fn publications_are_encoded_once_for_all_streams_and_sockets() {
    for shards in [1, 2] {
        let mut world = World::new(Options {
            shards,
            config: NO_RATE,
            ..Options::default()
        });
        let talker = world.connect("/ws?room=x");
        let targets = [
            ROOM,
            ROOM,
            "/api/v1/rooms/a/events?named=1",
            "/api/v1/events?room=a&room=b",
        ];
        let mut streams: Vec<Stream> = (0..16)
            .map(|number| Stream::open(&mut world, targets[number % 4]))
            .collect();
        let sockets: Vec<_> = (0..4).map(|_| world.connect("/ws?room=a")).collect();
        world.settle();
        for number in 0..20 {
            ask(&mut world, talker, publish("a", number));
        }
        for stream in &mut streams {
            assert_eq!(said(&stream.take(&mut world)), numbers(0..20));
        }
        for socket in sockets {
            assert_eq!(
                crate::said(&world.client(socket).take_json()),
                numbers(0..20)
            );
        }
    }
}

#[test]
fn a_comment_comes_every_15_seconds_unless_there_is_more_to_say() {
    let mut world = world("[heartbeat]\nidle_timeout = \"1m\"\n");
    let mut stream = Stream::open(&mut world, ROOM);
    stream.take(&mut world);
    world.advance(300 * SECOND);
    stream.take(&mut world);
    let comments = stream.reader.comments.len();
    assert!((19..=21).contains(&comments), "{comments}");
    assert!(stream.reader.comments.iter().all(String::is_empty));
    assert!(!stream.has_ended(&mut world), "a member is not idle");
}

#[test]
fn an_older_client_is_served_and_what_a_client_sends_behind_is_dropped() {
    let mut world = world("");
    let talker = world.connect("/ws?room=x");
    let client = world.open();
    world.client(client).keep_raw();
    let request = format!("GET {ROOM} HTTP/1.0\r\nHost: 127.0.0.1:8080\r\n\r\n");
    world.client(client).send(request.as_bytes());
    world
        .client(client)
        .send(b"GET /health HTTP/1.1\r\n\r\nand more");
    let mut stream = Stream {
        client,
        reader: super::EventReader::default(),
    };
    stream.take(&mut world);
    say(&mut world, talker, "a", 1);
    assert_eq!(said(&stream.take(&mut world)), [1]);
    world.client(client).finish();
    world.settle();
    assert_eq!(world.connections(), 1, "who sends no more has gone");
}

#[test]
fn a_drain_ends_streams_in_order_and_they_may_come_back() {
    let mut world = world("");
    let mut streams: Vec<Stream> = (0..50).map(|_| Stream::open(&mut world, ROOM)).collect();
    world.settle();
    world.begin_drain(30 * SECOND);
    world.settle();
    for stream in &mut streams {
        stream.take(&mut world);
        assert_eq!(stream.ending(), "1001 server shutting down");
        assert!(stream.has_ended(&mut world));
    }
    assert_eq!((world.connections(), world.drain_cut()), (0, 0));
}
