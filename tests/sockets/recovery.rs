//! Coming back: recovery from what a room retains, history in pages, streams that begin anew.

use kinglet::testkit::client::{Connection, get, post};
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::{Received, Socket};
use serde_json::{Value, json};

use crate::start;

fn publish(server: &Server, room: &str, count: u64) {
    let mut client = Connection::open(server.address());
    for number in 1..=count {
        let body = json!({"room": room, "event": "e", "data": number}).to_string();
        let answer = client.request("POST", "/api/v1/publish", &[], body.as_bytes());
        assert_eq!(answer.status(), 200);
    }
}

fn history(server: &Server, room: &str, query: &str) -> Value {
    let answer = get(
        server.address(),
        &format!("/api/v1/rooms/{room}/history{query}"),
    );
    assert_eq!(answer.status(), 200, "{query} {answer:?}");
    answer.json()
}

fn offsets(page: &Value) -> Vec<u64> {
    let publications = page["publications"].as_array().unwrap().iter();
    publications
        .map(|entry| entry["offset"].as_u64().unwrap())
        .collect()
}

fn subscribe(socket: &mut Socket, room: &str, since: &Value) -> Value {
    let reply = socket.ask(&json!({"type": "subscribe", "room": room, "since": since}));
    assert_eq!(reply["type"], "subscribed", "{reply}");
    reply
}

#[test]
fn who_comes_back_gets_exactly_what_was_missed() {
    let server = start(&[]);
    publish(&server, "a", 5);
    let mut socket = Socket::open(server.address(), "/ws?room=else");
    let epoch = history(&server, "a", "")["epoch"].clone();
    for (since, missed) in [
        (json!(0), &[1, 2, 3, 4, 5][..]),
        (json!(3), &[4, 5]),
        (json!(5), &[]),
        (json!({"epoch": epoch, "offset": 4}), &[5]),
        (json!({"offset": 4}), &[5]),
        (json!({"epoch": "", "offset": 4}), &[5]),
    ] {
        let reply = subscribe(&mut socket, "a", &since);
        assert_eq!(reply["recovered"], true, "{since}");
        assert_eq!(offsets(&reply), missed, "{since}");
        assert_eq!((&reply["epoch"], &reply["offset"]), (&epoch, &json!(5)));
        if let Some(first) = reply["publications"].get(0) {
            assert_eq!(
                (&first["type"], &first["data"]),
                (&json!("e"), &first["offset"])
            );
            assert!(first["timestamp"].is_string() && first.get("room").is_none());
        }
    }
    publish(&server, "a", 1);
    assert_eq!(socket.message()["offset"], 6);
    socket.hears_nothing();
}

#[test]
fn what_cannot_be_recovered_whole_is_not_recovered_in_part() {
    let server = start(&[("KINGLET_ROOMS__SHORT__HISTORY_COUNT", "3")]);
    publish(&server, "short:a", 5);
    let mut socket = Socket::open(server.address(), "/ws?room=else");
    for (since, is_recovered) in [
        (json!(2), true),
        (json!(1), false),
        (json!(0), false),
        // From a future that this stream has not reached.
        (json!(6), false),
        (json!({"epoch": "another", "offset": 5}), false),
    ] {
        let reply = subscribe(&mut socket, "short:a", &since);
        assert_eq!(reply["recovered"], is_recovered, "{since}");
        assert_eq!(reply["offset"], 5, "{since}");
        let missed: &[u64] = if is_recovered { &[3, 4, 5] } else { &[] };
        assert_eq!(offsets(&reply), missed, "{since}");
    }
    for since in [
        json!(-1),
        json!("1"),
        json!([]),
        json!({"epoch": "a b", "offset": 1}),
    ] {
        let reply = socket.ask(&json!({"type": "subscribe", "room": "a", "since": since}));
        assert_eq!(reply["data"]["code"], "VALIDATION_FAILED", "{since}");
    }
}

#[test]
fn members_hear_a_stream_that_began_anew_from_its_first_event() {
    let server = start(&[]);
    publish(&server, "a", 5);
    let mut member = Socket::open(server.address(), "/ws?room=a");
    let before = history(&server, "a", "")["epoch"].clone();
    let mut client = Connection::open(server.address());
    let reset = client.request("DELETE", "/api/v1/rooms/a/history", &[], b"");
    assert_eq!(reset.status(), 200);
    let last = reset.json()["offset"].as_u64().unwrap();
    assert_ne!(reset.json()["epoch"], before);
    let mut later = Socket::open(server.address(), "/ws?room=a");
    publish(&server, "a", 2);
    for socket in [&mut member, &mut later] {
        assert_eq!(socket.message()["offset"], last + 1);
        assert_eq!(socket.message()["offset"], last + 2);
        socket.hears_nothing();
    }
    let reply = subscribe(&mut later, "a", &json!({"epoch": before, "offset": last}));
    assert_eq!(
        (&reply["recovered"], &reply["offset"]),
        (&json!(false), &json!(last + 2))
    );
    let since = json!({"epoch": reply["epoch"], "offset": last + 1});
    let reply = subscribe(&mut later, "a", &since);
    assert_eq!(
        (&reply["recovered"], offsets(&reply)),
        (&json!(true), vec![last + 2])
    );
    // What a client remembers from before is void even without its epoch.
    let reply = subscribe(&mut later, "a", &json!(1));
    assert_eq!(reply["recovered"], false);
}

#[test]
fn history_comes_in_pages_and_backwards() {
    let server = start(&[]);
    publish(&server, "a", 10);
    for (query, expected, more) in [
        ("", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10][..], false),
        ("?limit=3", &[1, 2, 3], true),
        ("?limit=3&since=3", &[4, 5, 6], true),
        ("?since=9&limit=3", &[10], false),
        ("?since=10", &[], false),
        ("?since=99", &[], false),
        ("?reverse=true&limit=3", &[10, 9, 8], true),
        ("?reverse=1&limit=3&since=8", &[7, 6, 5], true),
        ("?reverse&since=3", &[2, 1], false),
    ] {
        let page = history(&server, "a", query);
        assert_eq!(
            (offsets(&page), &page["more"]),
            (expected.to_vec(), &json!(more)),
            "{query}"
        );
        assert_eq!((&page["room"], &page["offset"]), (&json!("a"), &json!(10)));
    }
    for query in [
        "?limit=0",
        "?limit=301",
        "?limit=x",
        "?since=-1",
        "?reverse=2",
        "?epoch=a%20b",
    ] {
        let answer = get(server.address(), &format!("/api/v1/rooms/a/history{query}"));
        assert_eq!(
            (answer.status(), answer.code()),
            (400, "VALIDATION_FAILED".into()),
            "{query}"
        );
    }
    let answer = get(server.address(), "/api/v1/rooms/nobody/history");
    assert_eq!((answer.status(), answer.code()), (404, "NOT_FOUND".into()));
}

#[test]
fn another_epoch_is_409_and_says_the_current_one() {
    let server = start(&[]);
    publish(&server, "a", 3);
    let epoch = history(&server, "a", "")["epoch"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        offsets(&history(&server, "a", &format!("?epoch={epoch}&since=2"))),
        [3]
    );
    let answer = get(server.address(), "/api/v1/rooms/a/history?epoch=other");
    assert_eq!(
        (answer.status(), answer.code()),
        (409, "STREAM_RESET".into())
    );
    assert_eq!(
        answer.json()["error"]["details"],
        json!({"epoch": epoch, "offset": 3})
    );

    let mut socket = Socket::open(server.address(), "/ws");
    let reply = socket.ask(&json!({"type": "history", "room": "a", "epoch": "other"}));
    assert_eq!(reply["data"]["code"], "STREAM_RESET");
    assert_eq!(reply["data"]["details"]["epoch"], epoch.as_str());
    let command = json!({
        "type": "history", "room": "a", "epoch": epoch, "since": 1, "limit": 1, "id": "h",
    });
    let reply = socket.ask(&command);
    assert_eq!(
        (&reply["type"], &reply["id"]),
        (&json!("history"), &json!("h"))
    );
    assert_eq!((offsets(&reply), &reply["more"]), (vec![2], &json!(true)));
}

#[test]
fn a_history_that_is_off_or_aged_out_keeps_nothing() {
    let server = start(&[
        ("KINGLET_ROOMS__OFF__HISTORY_COUNT", "0"),
        ("KINGLET_ROOMS__BRIEF__HISTORY_AGE", "200ms"),
        ("KINGLET_ROOMS__SMALL__HISTORY_BYTES", "1KiB"),
    ]);
    let _member = Socket::open(server.address(), "/ws?room=off:a&room=brief:a");
    publish(&server, "off:a", 2);
    publish(&server, "brief:a", 2);
    let page = history(&server, "off:a", "");
    assert_eq!((offsets(&page), &page["offset"]), (vec![], &json!(2)));
    until("it has aged out", || {
        offsets(&history(&server, "brief:a", "")).is_empty()
    });
    assert_eq!(history(&server, "brief:a", "")["offset"], 2);
    for _ in 0..5 {
        let body = json!({"room": "small:a", "event": "e", "data": "x".repeat(400)});
        assert_eq!(
            post(server.address(), "/api/v1/publish", &body).status(),
            200
        );
    }
    assert_eq!(offsets(&history(&server, "small:a", "")), [4, 5]);
}

#[test]
fn a_member_that_was_closed_for_slowness_recovers_without_gap_or_repeat() {
    let server = start(&[
        ("KINGLET_LIMITS__OUTBOX_MESSAGES", "4"),
        ("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "0"),
        ("KINGLET_ROOMS__DEFAULT__HISTORY_BYTES", "64MiB"),
    ]);
    let mut slow = Socket::open(server.address(), "/ws?room=a");
    let data = "x".repeat(512 * 1024);
    let mut published = 0;
    while server.counter("kinglet_slow_consumers_closed_total") == 0 {
        let body = json!({"room": "a", "event": "e", "data": data});
        assert_eq!(
            post(server.address(), "/api/v1/publish", &body).status(),
            200
        );
        published += 1;
    }
    let mut last = 0;
    loop {
        match slow.receive() {
            Received::Text(text) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(message["offset"], last + 1);
                last += 1;
            }
            Received::Close(4000, _) => break,
            other => panic!("{other:?}"),
        }
    }
    let mut back = Socket::open(server.address(), "/ws?room=else");
    let reply = subscribe(&mut back, "a", &json!(last));
    assert_eq!(reply["recovered"], true);
    let expected: Vec<u64> = (last + 1..=published).collect();
    assert_eq!(offsets(&reply), expected);
    publish(&server, "a", 1);
    assert_eq!(back.message()["offset"], published + 1);
}

#[test]
fn a_flood_of_recoveries_does_not_outgrow_the_outbox() {
    let server = start(&[("KINGLET_LIMITS__MESSAGES_PER_SECOND", "0")]);
    let rooms: Vec<String> = (0..40).map(|number| format!("r{number}")).collect();
    let data = "x".repeat(900 * 1024);
    for room in &rooms {
        let body = json!({"room": room, "event": "e", "data": data});
        assert_eq!(
            post(server.address(), "/api/v1/publish", &body).status(),
            200
        );
    }
    let mut socket = Socket::open(server.address(), "/ws?room=else");
    socket.json(&json!({"type": "subscribe", "rooms": rooms, "since": 0}));
    let replies: Vec<Value> = rooms.iter().map(|_| socket.message()).collect();
    // The first reply fits an empty outbox; what does not fit any more says so.
    assert_eq!(replies[0]["recovered"], true);
    let lost = replies.iter().filter(|reply| reply["recovered"] == false);
    assert!(
        lost.count() >= 30,
        "40 replies of 900 KB were queued at once"
    );
    for (reply, room) in replies.iter().zip(&rooms) {
        assert_eq!(
            (&reply["room"], &reply["offset"]),
            (&json!(room), &json!(1))
        );
        let missed = if reply["recovered"] == true {
            vec![1]
        } else {
            vec![]
        };
        assert_eq!(offsets(reply), missed);
    }
}

#[test]
fn who_left_before_the_first_publication_gets_it_on_coming_back() {
    let server = start(&[]);
    let mut socket = Socket::open(server.address(), "/ws?room=else");
    let joined = socket.ask(&json!({"type": "subscribe", "room": "a"}));
    assert_eq!(joined["offset"], 0);
    socket.close(1000, "");
    assert_eq!(socket.closed().0, 1000);
    publish(&server, "a", 2);
    let mut socket = Socket::open(server.address(), "/ws?room=else");
    let since = json!({"epoch": joined["epoch"], "offset": 0});
    let reply = subscribe(&mut socket, "a", &since);
    assert_eq!(reply["recovered"], true, "{reply}");
    assert_eq!(offsets(&reply), [1, 2]);
}

#[test]
fn unused_rooms_make_place_for_new_ones_at_the_limit() {
    let server = start(&[("KINGLET_LIMITS__ROOMS", "3")]);
    let mut socket = Socket::open(server.address(), "/ws?room=kept");
    for room in ["a", "b"] {
        socket.ask(&json!({"type": "subscribe", "room": room}));
    }
    let full = socket.ask(&json!({"type": "subscribe", "room": "c"}));
    assert_eq!(full["data"]["code"], "RESOURCE_LIMIT", "{full}");
    socket.ask(&json!({"type": "unsubscribe", "room": "a"}));
    let reply = socket.ask(&json!({"type": "subscribe", "room": "c"}));
    assert_eq!(reply["type"], "subscribed", "{reply}");
    let full = socket.ask(&json!({"type": "subscribe", "room": "d"}));
    assert_eq!(full["data"]["code"], "RESOURCE_LIMIT", "{full}");
}
