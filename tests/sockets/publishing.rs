//! Publishing: over HTTP, in batches and on sockets; idempotency; who may publish what; the shapes
//! of the answers about rooms and sessions.

use kinglet::testkit::client::{Answer, Connection, get, post};
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::{Received, Socket};
use serde_json::{Value, json};

use crate::start;

const PUBLISH: &str = "/api/v1/publish";

fn keyed(server: &Server, header: Option<&str>, body: &Value) -> Answer {
    let headers: Vec<(&str, &str)> = header
        .map(|key| ("Idempotency-Key", key))
        .into_iter()
        .collect();
    let body = body.to_string();
    Connection::open(server.address()).request("POST", PUBLISH, &headers, body.as_bytes())
}

#[test]
fn a_publication_is_answered_with_its_places() {
    let server = start(&[]);
    let mut member = Socket::open(server.address(), "/ws?room=a");
    let body = json!({"room": "a", "event": "e", "data": {"n": 1}, "source": "backend"});
    let answer = post(server.address(), PUBLISH, &body).json();
    assert_eq!(answer["id"].as_str().unwrap().len(), 32);
    assert_eq!(answer["results"].as_array().unwrap().len(), 1);
    let result = &answer["results"][0];
    assert_eq!(
        (&result["room"], &result["offset"]),
        (&json!("a"), &json!(1))
    );
    assert!(result["epoch"].is_string());
    let message = member.message();
    assert_eq!(
        (&message["source"], &message["data"]),
        (&json!("backend"), &json!({"n": 1}))
    );
    // Bytes are spelt in base64, absent data is null.
    let body = json!({"room": "a", "event": "e", "data_base64": "AP8="});
    assert_eq!(post(server.address(), PUBLISH, &body).status(), 200);
    assert_eq!(member.message()["data"], json!({"base64": "AP8="}));
    let body = json!({"room": "a", "event": "e"});
    assert_eq!(post(server.address(), PUBLISH, &body).status(), 200);
    assert_eq!(member.message()["data"], Value::Null);
}

#[test]
fn data_arrives_as_it_was_spelt() {
    let server = start(&[]);
    let mut member = Socket::open(server.address(), "/ws?room=a");
    let mut client = Connection::open(server.address());
    for data in [
        "12345678901234567890.123456789012345678901234567890",
        "1e400",
        "-0",
        "{\"a\":1,\"a\":2}",
        "\"\\ud800\"",
        "\"\\u0000\\u2028\"",
        "[[[[[[[[[[]]]]]]]]]]",
    ] {
        let body = format!("{{\"room\":\"a\",\"event\":\"e\",\"data\":{data}}}");
        let answer = client.request("POST", PUBLISH, &[], body.as_bytes());
        assert_eq!(answer.status(), 200, "{data} {answer:?}");
        let Received::Text(text) = member.receive() else {
            panic!("a message was expected");
        };
        assert!(text.contains(&format!("\"data\":{data}")), "{text}");
    }
    // Line breaks between its parts are taken out: one message is one line.
    let body = "{\"room\":\"a\",\"event\":\"e\",\"data\":{\n \"a\" :\r\n\t1 }}";
    assert_eq!(
        client
            .request("POST", PUBLISH, &[], body.as_bytes())
            .status(),
        200
    );
    assert_eq!(member.message()["data"], json!({"a": 1}));
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let body = format!("{{\"room\":\"a\",\"event\":\"e\",\"data\":{deep}}}");
    assert_eq!(
        client
            .request("POST", PUBLISH, &[], body.as_bytes())
            .status(),
        400
    );
    member.hears_nothing();
}

#[test]
fn names_of_the_servers_own_messages_are_refused() {
    let server = start(&[]);
    let mut socket = Socket::open(server.address(), "/ws?room=a");
    for event in [
        "error",
        "pong",
        "subscribed",
        "connected",
        "project_state",
        "run.started",
        "permission.requested",
        "presence.joined",
        "connection_established",
        "disconnect",
        "newListener",
        "",
        "a\nb",
    ] {
        let body = json!({"room": "a", "event": event});
        let answer = post(server.address(), PUBLISH, &body);
        assert_eq!(
            (answer.status(), answer.code()),
            (400, "VALIDATION_FAILED".into()),
            "{event}"
        );
        let reply = socket.ask(&json!({"type": "publish", "room": "a", "event": event}));
        assert_eq!(reply["data"]["code"], "VALIDATION_FAILED", "{event}");
        assert_eq!(socket.ask(&json!({"type": "ping"}))["type"], "pong");
    }
    for event in ["task.created", "Error", "__proto__", "errors", "run", "ü"] {
        let body = json!({"room": "a", "event": event});
        assert_eq!(
            post(server.address(), PUBLISH, &body).status(),
            200,
            "{event}"
        );
        assert_eq!(socket.message()["type"], event);
    }
}

#[test]
fn a_repeat_with_the_same_key_gets_the_first_answer_and_publishes_nothing() {
    let server = start(&[]);
    let mut member = Socket::open(server.address(), "/ws?room=a");
    let body = json!({"room": "a", "event": "e", "data": 1});
    let mut with_id = body.clone();
    with_id["id"] = json!("k1");
    let first = keyed(&server, Some("k1"), &body);
    assert_eq!((first.status(), &first.json()["id"]), (200, &json!("k1")));
    for repeat in [
        keyed(&server, Some("k1"), &body),
        keyed(&server, None, &with_id),
        keyed(&server, Some("k1"), &with_id),
    ] {
        assert_eq!((repeat.status(), repeat.json()), (200, first.json()));
    }
    assert_eq!(member.message()["offset"], 1);
    member.hears_nothing();
    for (member, other) in [
        ("data", json!(2)),
        ("event", json!("f")),
        ("room", json!("b")),
        ("source", json!("s")),
        ("data", json!("1")),
    ] {
        let mut body = body.clone();
        body[member] = other;
        let answer = keyed(&server, Some("k1"), &body);
        assert_eq!(
            (answer.status(), answer.code()),
            (422, "IDEMPOTENCY_MISMATCH".into())
        );
    }
    assert_eq!(
        keyed(&server, Some("k2"), &body).json()["results"][0]["offset"],
        2
    );
    let differing = keyed(
        &server,
        Some("k1"),
        &json!({"room": "a", "event": "e", "id": "k2"}),
    );
    assert_eq!(differing.status(), 400);
    for key in [String::new(), "k".repeat(256)] {
        let body = json!({"room": "a", "event": "e", "id": key});
        assert_eq!(keyed(&server, None, &body).status(), 400, "{key:?}");
    }
    assert_eq!(server.counter("kinglet_idempotent_repeats_total"), 3);
}

#[test]
fn a_request_that_failed_may_be_repeated_with_its_key() {
    let server = start(&[("KINGLET_LIMITS__ROOMS", "1")]);
    let member = Socket::open(server.address(), "/ws?room=a");
    let body = json!({"room": "b", "event": "e"});
    assert_eq!(keyed(&server, Some("k"), &body).status(), 429);
    drop(member);
    until("there is place", || {
        keyed(&server, Some("k"), &body).status() == 200
    });
    assert_eq!(get(server.address(), "/api/v1/rooms/b").json()["offset"], 1);
}

#[test]
fn on_sockets_the_key_is_key_and_id_is_only_echoed() {
    let server = start(&[]);
    let mut socket = Socket::open(server.address(), "/ws?room=else");
    let mut publish = json!({"type": "publish", "rooms": ["a", "b"], "event": "e", "id": "x"});
    for offset in 1..=2 {
        let reply = socket.ask(&publish);
        assert_eq!(
            (&reply["type"], &reply["id"]),
            (&json!("published"), &json!("x"))
        );
        assert_eq!(
            (&reply["room"], &reply["offset"]),
            (&json!("a"), &json!(offset))
        );
        assert_eq!(reply["epoch"], reply["results"][0]["epoch"]);
        assert_eq!(reply["results"][1]["room"], "b");
    }
    publish["key"] = json!("k");
    for _ in 0..2 {
        assert_eq!(socket.ask(&publish)["offset"], 3);
    }
    publish["event"] = json!("other");
    assert_eq!(socket.ask(&publish)["data"]["code"], "IDEMPOTENCY_MISMATCH");
}

#[test]
fn a_batch_answers_each_command_by_itself() {
    let server = start(&[]);
    let batch = |commands: Value| {
        post(
            server.address(),
            "/api/v1/batch",
            &json!({"commands": commands}),
        )
    };
    let answer = batch(json!([
        {"publish": {"room": "a", "event": "e", "data": 1}},
        {"publish": {"room": "a b", "event": "e"}},
        {"other": {}},
        {"publish": {"rooms": ["a", "b"], "event": "e", "id": "k"}},
        {"publish": {"rooms": ["a", "b"], "event": "e", "id": "k"}},
        {"publish": {"room": "a", "event": "e"}, "other": {}},
        {},
    ]));
    assert_eq!(answer.status(), 200);
    let results = answer.json()["results"].clone();
    assert_eq!(results[0]["results"][0]["offset"], 1);
    assert_eq!(results[1]["error"]["code"], "VALIDATION_FAILED");
    assert_eq!(results[2]["error"]["code"], "VALIDATION_FAILED");
    assert_eq!(
        (&results[3]["id"], &results[3]["results"][0]["offset"]),
        (&json!("k"), &json!(2))
    );
    assert_eq!(results[4], results[3]);
    // An entry that asks for two things gets neither.
    let message = results[5]["error"]["message"].as_str().unwrap();
    assert_eq!(results[5]["error"]["code"], "VALIDATION_FAILED");
    assert!(message.contains("unknown field `other`"), "{message}");
    assert_eq!(results[6]["error"]["code"], "VALIDATION_FAILED");
    let room = get(server.address(), "/api/v1/rooms/a");
    assert_eq!(room.json()["offset"], 2);
    let one = json!({"publish": {"room": "a", "event": "e"}});
    assert_eq!(batch(json!(vec![one.clone(); 100])).status(), 200);
    for commands in [json!([]), json!(vec![one; 101]), json!({}), json!(null)] {
        assert_eq!(batch(commands).status(), 400);
    }
}

#[test]
fn the_policy_of_a_namespace_says_who_may_publish() {
    let server = start(&[
        ("KINGLET_ROOMS__CLUB__PUBLISH", "members"),
        ("KINGLET_ROOMS__NEWS__PUBLISH", "server"),
    ]);
    let mut socket = Socket::open(server.address(), "/ws?room=club:in");
    for (room, is_allowed) in [
        ("open", true),
        ("club:in", true),
        ("club:out", false),
        ("news:a", false),
        ("metrics", false),
    ] {
        socket.json(&json!({"type": "publish", "room": room, "event": "e"}));
        let first = socket.message();
        // A publisher that is a member hears itself, too.
        let reply = if first["type"] == "e" {
            socket.message()
        } else {
            first
        };
        if is_allowed {
            assert_eq!(reply["type"], "published", "{room}");
        } else {
            assert_eq!(reply["data"]["code"], "PERMISSION_DENIED", "{room}");
        }
        if room == "club:in" {
            assert_eq!(socket.message()["type"], "e");
        }
        let body = json!({"room": room, "event": "e"});
        assert_eq!(
            post(server.address(), PUBLISH, &body).status(),
            200,
            "{room}"
        );
        if room == "club:in" {
            assert_eq!(socket.message()["type"], "e");
        }
    }
    // One room that is refused refuses the whole publication.
    let reply = socket.ask(&json!({"type": "publish", "rooms": ["open", "news:a"], "event": "e"}));
    assert_eq!(reply["data"]["code"], "PERMISSION_DENIED");
    assert_eq!(
        get(server.address(), "/api/v1/rooms/open").json()["offset"],
        2
    );
}

#[test]
fn rooms_are_listed_by_name_in_pages() {
    let server = start(&[]);
    for room in ["b:2", "a:1", "b:1", "b:3", "c"] {
        let body = json!({"room": room, "event": "e"});
        assert_eq!(post(server.address(), PUBLISH, &body).status(), 200);
    }
    let _member = Socket::open(server.address(), "/ws?room=b:2");
    for (query, expected, more) in [
        ("", &["a:1", "b:1", "b:2", "b:3", "c"][..], false),
        ("?prefix=b:", &["b:1", "b:2", "b:3"], false),
        ("?prefix=b:&limit=2", &["b:1", "b:2"], true),
        ("?prefix=b:&limit=2&after=b:2", &["b:3"], false),
        ("?after=b:3", &["c"], false),
        ("?prefix=nothing", &[], false),
    ] {
        let answer = get(server.address(), &format!("/api/v1/rooms{query}")).json();
        let rooms = answer["rooms"].as_array().unwrap().iter();
        let names: Vec<&str> = rooms.map(|room| room["room"].as_str().unwrap()).collect();
        assert_eq!(
            (names, &answer["more"]),
            (expected.to_vec(), &json!(more)),
            "{query}"
        );
    }
    let room = get(server.address(), "/api/v1/rooms/b:2").json();
    assert_eq!((&room["members"], &room["offset"]), (&json!(1), &json!(1)));
    for query in ["?limit=0", "?limit=301", "?limit=-1"] {
        assert_eq!(
            get(server.address(), &format!("/api/v1/rooms{query}")).status(),
            400
        );
    }
    let answer = get(server.address(), "/api/v1/rooms/nobody");
    assert_eq!((answer.status(), answer.code()), (404, "NOT_FOUND".into()));
}

#[test]
fn statistics_have_the_shapes_that_p3_and_p4_know() {
    let server = start(&[]);
    let mut socket = Socket::open(server.address(), "/ws?room=a&room=b");
    socket.ask(&json!({"type": "publish", "room": "c", "event": "e"}));
    let p4 = get(server.address(), "/api/v1/ws/stats").json();
    assert_eq!(
        (
            &p4["connectedClients"],
            p4["clients"].as_array().unwrap().len()
        ),
        (&json!(1), 1)
    );
    let client = &p4["clients"][0];
    assert_eq!(client["id"].as_str().unwrap().len(), 32);
    assert_eq!(
        (&client["dialect"], &client["subscribedChannels"]),
        (&json!("native"), &json!(["a", "b"]))
    );
    assert!(client["connectedAt"].as_str().unwrap().ends_with('Z'));
    let p3 = get(server.address(), "/api/v1/websocket/stats").json();
    assert_eq!(
        (&p3["connections"], &p3["rooms"]),
        (&json!(1), &json!({"a": 1, "b": 1}))
    );
    assert_eq!(
        (&p3["events_emitted"], &p3["rooms_total"]),
        (&json!(1), &json!(3))
    );
    assert!(p3["uptime_seconds"].is_u64());
    let health = get(server.address(), "/health").json();
    assert_eq!(
        (&health["status"], &health["service"]),
        (&json!("healthy"), &json!("kinglet"))
    );
    assert!(health["connections"].as_u64().unwrap() >= 1 && health["checks"].is_object());
    let ready = get(server.address(), "/health/ready").json();
    assert_eq!(
        (&ready["details"]["sessions"], &ready["details"]["rooms"]),
        (&json!(1), &json!(3))
    );
}
