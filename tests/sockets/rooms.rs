//! Rooms as clients of P2 and kinglet's own see them: first rooms, joining, leaving, live events.

use kinglet::testkit::client::{Connection, get, post};
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::Socket;
use serde_json::{Value, json};

use crate::start;

const PUBLISH: &str = "/api/v1/publish";

/// Publishes over HTTP and returns the results.
fn publish(server: &Server, rooms: &[&str], event: &str, data: &Value) -> Value {
    let body = json!({"rooms": rooms, "event": event, "data": data});
    let answer = post(server.address(), PUBLISH, &body);
    assert_eq!(answer.status(), 200, "{answer:?}");
    answer.json()["results"].clone()
}

fn members(server: &Server, room: &str) -> Value {
    get(server.address(), &format!("/api/v1/rooms/{room}")).json()["members"].clone()
}

#[test]
fn a_p2_client_gets_the_events_of_its_project_one_in_each_frame() {
    let server = start(&[]);
    let mut viewer = Socket::open(server.address(), "/ws?project_id=abc");
    let task = json!({"task_id": "t", "board_id": "b", "action": "created", "task": {"id": "t"}});
    publish(&server, &["project:other"], "task.created", &task);
    for event in ["task.created", "task.updated", "task.deleted"] {
        publish(&server, &["project:abc"], event, &task);
    }
    for (event, offset) in [
        ("task.created", 1),
        ("task.updated", 2),
        ("task.deleted", 3),
    ] {
        // A frame that held several would be no JSON, and break their clients.
        let message = viewer.message();
        assert_eq!(message["type"], event);
        assert_eq!(message["data"], task);
        assert_eq!(message["project_id"], "abc");
        assert_eq!(
            (&message["room"], &message["offset"]),
            (&json!("project:abc"), &json!(offset))
        );
        let timestamp = message["timestamp"].as_str().unwrap();
        assert!(
            timestamp.len() == 24 && timestamp.ends_with('Z'),
            "{timestamp}"
        );
        assert_eq!(message.get("uid"), None);
    }
    viewer.hears_nothing();
    let pong = viewer.ask(&json!({"type": "ping", "timestamp": "2025-10-23T17:00:00Z"}));
    assert_eq!((&pong["type"], pong.get("data")), (&json!("pong"), None));
    assert!(pong["timestamp"].is_string());
}

#[test]
fn the_query_names_the_first_rooms_and_global_is_the_default() {
    let server = start(&[]);
    for (target, rooms) in [
        ("/ws", &["global"][..]),
        ("/ws?other=1", &["global"]),
        ("/ws?board_id=b", &["board:b"]),
        ("/ws?project_id=p&board_id=b", &["project:p", "board:b"]),
        (
            "/ws?room=a&room=b&room=a&project_id=p",
            &["a", "b", "project:p"],
        ),
        (
            "/ws?room=user:auth0%7C42&room=a%2Bb",
            &["user:auth0|42", "a+b"],
        ),
    ] {
        let connection = Connection::open(server.address());
        let mut socket = Socket::handshake(connection, target, &["kinglet.v1"], &[]).unwrap();
        let hello = socket.message();
        let listed = hello["rooms"].as_array().unwrap().iter();
        let names: Vec<&str> = listed.map(|room| room["room"].as_str().unwrap()).collect();
        assert_eq!(names, rooms, "{target}");
        for room in rooms {
            let found = get(server.address(), "/api/v1/rooms").json()["rooms"].clone();
            let is_room = |entry: &&Value| entry["room"] == *room;
            let entry = found.as_array().unwrap().iter().find(is_room).cloned();
            assert_eq!(entry.unwrap()["members"], 1, "{room}");
        }
        socket.close(1000, "");
        assert_eq!(socket.closed().0, 1000);
        for room in rooms {
            let room = room.replace('|', "%7C");
            until("it has left", || members(&server, &room) == 0);
        }
    }
}

#[test]
fn subscribe_and_unsubscribe_take_every_spelling() {
    let server = start(&[]);
    for (number, spelling) in [
        json!({"room": "r"}),
        json!({"rooms": ["r"]}),
        json!({"channel": "r"}),
        json!({"data": {"channel": "r"}}),
        json!({"resource": "r", "events": ["task.*"]}),
    ]
    .into_iter()
    .enumerate()
    {
        let mut socket = Socket::open(server.address(), "/ws?room=else");
        let mut command = spelling.clone();
        command["type"] = json!("subscribe");
        command["id"] = json!(number);
        let reply = socket.ask(&command);
        assert_eq!(reply["type"], "subscribed", "{command} {reply}");
        assert_eq!(
            (&reply["room"], &reply["id"]),
            (&json!("r"), &json!(number))
        );
        assert!(reply["epoch"].is_string());
        assert_eq!(reply.get("recovered"), None);
        publish(&server, &["r"], "e", &json!(number));
        assert_eq!(socket.message()["data"], number, "{spelling}");
        command["type"] = json!("unsubscribe");
        let reply = socket.ask(&command);
        assert_eq!(
            (&reply["type"], &reply["room"]),
            (&json!("unsubscribed"), &json!("r"))
        );
        publish(&server, &["r"], "e", &json!("unheard"));
        socket.hears_nothing();
        // Leaving a room one is not in is no error.
        assert_eq!(socket.ask(&command)["type"], "unsubscribed");
    }
}

#[test]
fn several_rooms_are_answered_one_by_one() {
    let server = start(&[]);
    let mut socket = Socket::open(server.address(), "/ws?room=a");
    socket.json(&json!({"type": "subscribe", "request_id": "x", "rooms": ["a", "b c", "b"]}));
    let replies: Vec<Value> = (0..3).map(|_| socket.message()).collect();
    let types: Vec<&Value> = replies.iter().map(|reply| &reply["type"]).collect();
    assert_eq!(types, ["subscribed", "error", "subscribed"]);
    assert!(replies.iter().all(|reply| reply["request_id"] == "x"));
    assert_eq!(replies[1]["data"]["details"]["room"], "b c");
    assert_eq!(members(&server, "a"), 1);
    socket.hears_nothing();
}

#[test]
fn subscribing_again_answers_again_and_hears_once() {
    let server = start(&[]);
    let mut socket = Socket::open(server.address(), "/ws?room=a");
    for offset in 0..3 {
        let reply = socket.ask(&json!({"type": "subscribe", "room": "a"}));
        assert_eq!(
            (&reply["type"], &reply["offset"]),
            (&json!("subscribed"), &json!(offset))
        );
        publish(&server, &["a"], "e", &json!(offset));
        assert_eq!(socket.message()["data"], offset);
        socket.hears_nothing();
    }
    assert_eq!(members(&server, "a"), 1);
}

#[test]
fn subscribed_comes_before_the_first_live_event_and_nothing_is_missed() {
    let server = start(&[("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "0")]);
    let address = server.address();
    let publisher = std::thread::spawn(move || {
        let mut client = Connection::open(address);
        for number in 0..600 {
            let body = json!({"room": "a", "event": "e", "data": number}).to_string();
            client.request("POST", PUBLISH, &[], body.as_bytes());
        }
    });
    for _ in 0..20 {
        let mut socket = Socket::open(address, "/ws?room=else");
        let reply = socket.ask(&json!({"type": "subscribe", "room": "a"}));
        assert_eq!(reply["type"], "subscribed");
        let mut last = reply["offset"].as_u64().unwrap();
        for _ in 0..5 {
            if last + 1 < 600 {
                last += 1;
                assert_eq!(socket.message()["offset"], last);
            }
        }
    }
    publisher.join().unwrap();
}

#[test]
fn a_session_in_several_rooms_gets_one_message_that_names_them() {
    let server = start(&[]);
    let mut both = Socket::open(server.address(), "/ws?room=a&room=c");
    let mut all = Socket::open(server.address(), "/ws?room=c&room=b&room=a");
    let mut one = Socket::open(server.address(), "/ws?room=b");
    publish(&server, &["b"], "first", &json!(0));
    assert_eq!(all.message()["type"], "first");
    assert_eq!(one.message()["type"], "first");
    let results = publish(&server, &["c", "a", "b"], "e", &json!(1));
    let offsets: Vec<&Value> = (0..3).map(|index| &results[index]["offset"]).collect();
    assert_eq!(offsets, [1, 1, 2]);
    let of_both = both.message();
    let of_all = all.message();
    let of_one = one.message();
    for (message, room, offset, also) in [
        (&of_both, "c", 1, json!([{"room": "a", "offset": 1}])),
        (
            &of_all,
            "c",
            1,
            json!([{"room": "a", "offset": 1}, {"room": "b", "offset": 2}]),
        ),
        (&of_one, "b", 2, Value::Null),
    ] {
        assert_eq!(
            (&message["room"], &message["offset"]),
            (&json!(room), &json!(offset))
        );
        assert_eq!(message.get("also").cloned().unwrap_or_default(), also);
        assert_eq!(message["uid"], of_both["uid"]);
        assert_eq!(message["uid"].as_str().unwrap().len(), 32);
    }
    for socket in [&mut both, &mut all, &mut one] {
        socket.hears_nothing();
    }
}

#[test]
fn except_leaves_sessions_out() {
    let server = start(&[]);
    let open = || {
        let connection = Connection::open(server.address());
        Socket::handshake(connection, "/ws?room=a", &["kinglet.v1"], &[]).unwrap()
    };
    let (mut sender, mut other) = (open(), open());
    let session = sender.message()["session"].clone();
    other.message();
    let command = json!({
        "type": "publish", "room": "a", "event": "typing", "data": {}, "except": [session],
    });
    assert_eq!(sender.ask(&command)["type"], "published");
    sender.hears_nothing();
    assert_eq!(other.message()["type"], "typing");
    let body = json!({"room": "a", "event": "x", "except": [session]});
    assert_eq!(post(server.address(), PUBLISH, &body).status(), 200);
    assert_eq!(other.message()["type"], "x");
    sender.hears_nothing();
}

#[test]
fn two_members_see_each_room_and_what_two_rooms_share_in_one_order() {
    let server = start(&[("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "0")]);
    let address = server.address();
    let open = || Socket::open(address, "/ws?room=left&room=right");
    let mut members = [open(), open()];
    let publishers: Vec<_> = (0..4)
        .map(|publisher| {
            std::thread::spawn(move || {
                // Through the shard, and through workers, with the rooms in either order.
                let mut client = Connection::open(address);
                for number in 0..40 {
                    let rooms = match number % 4 {
                        0 => json!(["left", "right"]),
                        1 => json!(["right", "left"]),
                        2 => json!(["left"]),
                        _ => json!(["right"]),
                    };
                    let data = json!([publisher, number]);
                    let publish = json!({"rooms": rooms, "event": "e", "data": data});
                    let (target, body) = match publisher % 2 {
                        0 => (PUBLISH, publish),
                        _ => ("/api/v1/batch", json!({"commands": [{"publish": publish}]})),
                    };
                    let body = body.to_string();
                    let answer = client.request("POST", target, &[], body.as_bytes());
                    assert_eq!(answer.status(), 200, "{answer:?}");
                }
            })
        })
        .collect();
    let seen = members
        .each_mut()
        .map(|member| -> Vec<Value> { (0..160).map(|_| member.message()).collect() });
    for publisher in publishers {
        publisher.join().unwrap();
    }
    // Publications that share no room have no order, so members on two reactors may differ there.
    let in_room = |room: &str| {
        seen.each_ref().map(|seen| {
            let places =
                |message: &Value| message["room"] == room || message["also"][0]["room"] == room;
            seen.iter()
                .filter(|message| places(message))
                .cloned()
                .collect::<Vec<_>>()
        })
    };
    let shared = seen.each_ref().map(|seen| {
        seen.iter()
            .filter(|message| message["also"].is_array())
            .cloned()
            .collect::<Vec<_>>()
    });
    for [one, other] in [in_room("left"), in_room("right"), shared] {
        assert!(one.len() > 60 && one == other, "{one:?}\n{other:?}");
    }
    let mut expected = [("left", 1), ("right", 1)];
    for message in &seen[0] {
        let also = message["also"].as_array().into_iter().flatten();
        for place in std::iter::once(message).chain(also) {
            let (_, next) = expected
                .iter_mut()
                .find(|room| place["room"] == room.0)
                .unwrap();
            assert_eq!(place["offset"], *next, "{message}");
            *next += 1;
        }
    }
    assert_eq!(expected, [("left", 121), ("right", 121)]);
}

#[test]
fn names_are_canonical_and_confusing_ones_are_refused() {
    let server = start(&[]);
    let mut socket = Socket::open(server.address(), "/ws?room=a");
    let long = "r".repeat(255);
    let good = [
        "dialog#42#43",
        "A",
        "user:auth0|42",
        ":",
        "a:b:c",
        "%41",
        "..",
        long.as_str(),
    ];
    for name in good {
        let reply = socket.ask(&json!({"type": "subscribe", "room": name}));
        assert_eq!(reply["room"], name, "{reply}");
    }
    // The same letters in another case, or another name for the same bytes, are other rooms.
    publish(&server, &["a"], "e", &json!("a"));
    assert_eq!(socket.message()["room"], "a");
    let too_long = "r".repeat(256);
    for name in [
        "",
        "a b",
        "dialog#42,43",
        "a*",
        "a\"",
        "a\\",
        "a\0",
        "a\n",
        "\u{430}",
        "a\u{200b}",
        "\u{7f}",
        too_long.as_str(),
    ] {
        let reply = socket.ask(&json!({"type": "subscribe", "room": name}));
        assert_eq!(reply["data"]["code"], "VALIDATION_FAILED", "{name:?}");
        let body = json!({"room": name, "event": "e"});
        assert_eq!(
            post(server.address(), PUBLISH, &body).status(),
            400,
            "{name:?}"
        );
        // So that ten errors in a row do not end the session.
        assert_eq!(socket.ask(&json!({"type": "ping"}))["type"], "pong");
    }
    // A path is decoded once, and bytes that are no UTF-8 are no name.
    publish(&server, &["%41"], "e", &json!(1));
    assert_eq!(socket.message()["room"], "%41");
    for (target, status) in [
        ("/api/v1/rooms/%2541", 200),
        ("/api/v1/rooms/%41", 200),
        ("/api/v1/rooms/%ff", 400),
        ("/api/v1/rooms/%00", 400),
        ("/api/v1/rooms/a%2Cb", 400),
        ("/api/v1/rooms/..", 200),
    ] {
        assert_eq!(get(server.address(), target).status(), status, "{target}");
    }
    let invalid = Socket::handshake(Connection::open(server.address()), "/ws?room=%ff", &[], &[]);
    assert_eq!(invalid.unwrap_err().status(), 400);
}

#[test]
fn strict_rooms_know_only_configured_namespaces() {
    let server = start(&[
        ("KINGLET_SERVER__STRICT_ROOMS", "true"),
        ("KINGLET_ROOMS__CHAT__HISTORY_COUNT", "1"),
    ]);
    let mut socket = Socket::open(server.address(), "/ws");
    for (room, is_known) in [
        ("chat:1", true),
        ("project:x", true),
        ("metrics", true),
        ("user:1", true),
        ("chats:1", false),
        ("chat", true),
        ("nothing", false),
        ("default:1", false),
    ] {
        let reply = socket.ask(&json!({"type": "subscribe", "room": room}));
        assert_eq!(reply["type"] == "subscribed", is_known, "{room} {reply}");
        if !is_known {
            assert!(reply["error"].as_str().unwrap().contains("chat"), "{reply}");
        }
    }
    let refused = Socket::handshake(Connection::open(server.address()), "/ws?room=x", &[], &[]);
    assert_eq!(refused.unwrap_err().status(), 400);
    socket.hears_nothing();
    // Nobody is put into an unknown room; out of one that became unknown by a reload, they are.
    for (what, status) in [("subscribe", 400), ("unsubscribe", 200)] {
        let target = format!("/api/v1/users/ada/{what}");
        let body = json!({"room": "chats:1"});
        assert_eq!(
            post(server.address(), &target, &body).status(),
            status,
            "{what}"
        );
    }
}

#[test]
fn a_session_may_be_in_so_many_rooms_and_the_server_may_have_so_many() {
    let server = start(&[
        ("KINGLET_LIMITS__ROOMS_PER_SESSION", "3"),
        ("KINGLET_LIMITS__ROOMS", "4"),
    ]);
    let mut socket = Socket::open(server.address(), "/ws?room=a&room=b&room=c");
    let reply = socket.ask(&json!({"type": "subscribe", "room": "d"}));
    assert_eq!(reply["data"]["code"], "RESOURCE_LIMIT");
    let target = "/ws?room=1&room=2&room=3&room=4";
    let refused = Socket::handshake(Connection::open(server.address()), target, &[], &[]);
    assert_eq!(refused.unwrap_err().status(), 429);
    // Of the two new ones there is place for one; none stays behind when the upgrade fails.
    let target = "/ws?room=1&room=2";
    let refused = Socket::handshake(Connection::open(server.address()), target, &[], &[]);
    assert_eq!(refused.unwrap_err().status(), 429);
    publish(&server, &["d"], "e", &json!(1));
    let body = json!({"rooms": ["d", "e"], "event": "e"});
    let answer = post(server.address(), PUBLISH, &body);
    assert_eq!(
        (answer.status(), answer.code()),
        (429, "RESOURCE_LIMIT".into())
    );
    assert_eq!(get(server.address(), "/api/v1/rooms/d").json()["offset"], 1);
}
