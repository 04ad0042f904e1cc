//! Durable rooms as clients see them: recovery beyond memory, keys across restarts, streams that
//! begin anew, sessions that lag.

use kinglet::testkit::client::{Connection, get, post};
use kinglet::testkit::server::Server;
use kinglet::testkit::socket::Socket;
use serde_json::{Value, json};

use crate::{history, offset_of, start};

fn publish(server: &Server, body: &Value) -> Value {
    let answer = post(server.address(), "/api/v1/publish", body);
    assert_eq!(answer.status(), 200, "{answer:?}");
    answer.json()
}

fn fill(server: &Server, room: &str, numbers: std::ops::RangeInclusive<u64>) {
    let numbers: Vec<u64> = numbers.collect();
    for numbers in numbers.chunks(100) {
        let commands = numbers
            .iter()
            .map(|number| json!({"publish": {"room": room, "event": "e", "data": number}}));
        let body = json!({"commands": commands.collect::<Vec<_>>()});
        let answer = post(server.address(), "/api/v1/batch", &body);
        assert_eq!(answer.status(), 200, "{answer:?}");
        let results = answer.json()["results"].take();
        for (number, result) in numbers.iter().zip(results.as_array().unwrap()) {
            assert_eq!(result["results"][0]["offset"], *number, "{result}");
        }
    }
}

#[test]
fn recovery_and_history_reach_beyond_what_is_in_memory_and_across_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = start(directory.path(), &[]);
    fill(&server, "a", 1..=700);
    for restarts in [true, false] {
        let (all, epoch) = history(&server, "a");
        assert_eq!(all.len(), 700);
        let numbers = all.iter().map(|one| one["data"].as_u64().unwrap());
        assert!(numbers.eq(1..=700));
        let mut socket = Socket::open(server.address(), "/ws?room=b");
        for (since, recovered) in [(400, true), (699, true), (399, false), (701, false)] {
            let since = json!({"epoch": epoch, "offset": since});
            let reply = socket.ask(&json!({"type": "subscribe", "room": "a", "since": since}));
            assert_eq!(reply["recovered"], recovered, "{since} {reply}");
            assert_eq!(reply["offset"], 700);
            let found = reply["publications"].as_array().map_or(0, Vec::len);
            let missed = 700 - since["offset"].as_u64().unwrap().min(700);
            assert_eq!(found as u64, if recovered { missed } else { 0 });
        }
        let target = "/api/v1/rooms/a/history?reverse=1&since=200&limit=3";
        let page = get(server.address(), target).json();
        let offsets: Vec<u64> = page["publications"]
            .as_array()
            .unwrap()
            .iter()
            .map(offset_of)
            .collect();
        assert_eq!(
            (offsets, &page["more"]),
            (vec![199, 198, 197], &json!(true))
        );
        if restarts {
            server.signal("TERM");
            assert_eq!(server.wait(), 0);
            server = start(directory.path(), &[]);
        }
    }
}

#[test]
fn several_rooms_are_answered_in_order_when_some_must_be_read_from_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path(), &[]);
    for room in ["a", "b", "c"] {
        fill(&server, room, 1..=5);
    }
    drop(server);
    let server = start(directory.path(), &[]);
    fill(&server, "c", 6..=6);
    let mut socket = Socket::open(server.address(), "/ws?room=else");
    let asked = json!({"type": "subscribe", "rooms": ["a", "c", "*", "b"], "since": 2, "id": 7});
    let mut reply = socket.ask(&asked);
    for (room, count) in [("a", 3), ("c", 4), ("", 0), ("b", 3)] {
        assert_eq!(reply["id"], 7, "{reply}");
        if room.is_empty() {
            assert_eq!(reply["type"], "error", "{reply}");
        } else {
            assert_eq!(
                (&reply["room"], &reply["recovered"]),
                (&json!(room), &json!(true))
            );
            assert_eq!(reply["publications"].as_array().unwrap().len(), count);
        }
        if room != "b" {
            reply = socket.message();
        }
    }
    publish(
        &server,
        &json!({"rooms": ["b", "a"], "event": "e", "data": "live"}),
    );
    let live = socket.message();
    assert_eq!(
        (&live["room"], &live["offset"]),
        (&json!("b"), &json!(6)),
        "{live}"
    );
    assert_eq!(live["also"], json!([{"room": "a", "offset": 6}]));
    socket.hears_nothing();
}

#[test]
fn a_session_is_answered_in_the_order_it_asked_and_after_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path(), &[("KINGLET_ROOMS__M__DURABLE", "false")]);
    let mut socket = Socket::open(server.address(), "/ws?room=a&room=m:1");
    for (id, room) in [(1, "a"), (2, "m:1"), (3, "a")] {
        socket.json(&json!({"type": "publish", "room": room, "event": "e", "data": id, "id": id}));
    }
    socket.json(&json!({"type": "ping", "id": 4}));
    let (mut replies, mut heard) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        let message = socket.message();
        match message["id"].as_u64() {
            Some(id) => replies.push(id),
            None => heard.push(message["data"].as_u64().unwrap()),
        }
    }
    assert_eq!((replies, heard), (vec![1, 2, 3, 4], vec![1, 2, 3]));
}

#[test]
fn a_key_is_honoured_after_a_restart_and_history_that_was_deleted_stays_so() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path(), &[]);
    let keyed = json!({"rooms": ["a", "b"], "event": "e", "data": 1, "id": "once"});
    let first = publish(&server, &keyed);
    assert_eq!(publish(&server, &keyed), first);
    drop(server);
    let server = start(directory.path(), &[]);
    assert_eq!(publish(&server, &keyed), first);
    let other = json!({"room": "a", "event": "e", "data": 2, "id": "once"});
    let answer = post(server.address(), "/api/v1/publish", &other);
    assert_eq!(
        (answer.status(), answer.code().as_str()),
        (422, "IDEMPOTENCY_MISMATCH")
    );
    let mut client = Connection::open(server.address());
    let reset = client
        .request("DELETE", "/api/v1/rooms/a/history", &[], b"")
        .json();
    assert_eq!(reset["offset"], 1);
    assert_ne!(reset["epoch"], first["results"][0]["epoch"]);
    drop(server);
    let server = start(directory.path(), &[]);
    let (publications, epoch) = history(&server, "a");
    assert_eq!(
        (publications.len(), json!(epoch)),
        (0, reset["epoch"].clone())
    );
    assert_eq!(history(&server, "b").0.len(), 1);
    publish(&server, &json!({"room": "a", "event": "e", "data": 3}));
    assert_eq!(offset_of(&history(&server, "a").0[0]), 2);
}

#[test]
fn who_lags_is_refilled_from_the_disk_when_memory_has_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(
        directory.path(),
        &[
            ("KINGLET_ROOMS__DEFAULT__SLOW_CONSUMER", "lag"),
            ("KINGLET_LIMITS__OUTBOX_BYTES", "64KiB"),
            ("KINGLET_LIMITS__WRITE_TIMEOUT", "20s"),
        ],
    );
    let mut slow = Socket::open(server.address(), "/ws?room=a");
    // More than the kernel's buffers, the outbox and memory hold together.
    let padding = "x".repeat(20_000);
    let commands: Vec<Value> = (0..20)
        .map(|_| json!({"publish": {"room": "a", "event": "e", "data": padding}}))
        .collect();
    let count = 1000;
    for _ in 0..count / commands.len() {
        let answer = post(
            server.address(),
            "/api/v1/batch",
            &json!({"commands": commands}),
        );
        assert_eq!(answer.status(), 200, "{answer:?}");
    }
    for offset in 1..=count {
        assert_eq!(slow.message()["offset"], offset);
    }
    slow.hears_nothing();
    publish(&server, &json!({"room": "a", "event": "e"}));
    assert_eq!(slow.message()["offset"], count + 1);
    assert!(
        server.counter("kinglet_store_reads_total") > 0,
        "from the disk"
    );
    assert_eq!(server.counter("kinglet_lag_closed_gone_total"), 0);
}
