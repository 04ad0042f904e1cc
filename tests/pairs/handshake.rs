//! From a connection to a session, or to the answer that says why not.

use std::net::IpAddr;

use kinglet::metrics::names::Counter;
use kinglet::testkit::link::Conditions;
use kinglet::testkit::world::{End, HOST, Message, World};
use serde_json::json;

use crate::{SECOND, TICK, publish, types, world};

#[test]
fn an_upgrade_opens_a_session_in_global() {
    let mut world = world("");
    let id = world.connect("/ws");
    world.client(id).command(publish("global", 1));
    world.settle();
    let received = world.client(id).take_json();
    assert_eq!(types(&received), ["published", "said"]);
    assert_eq!(world.total(Counter::SessionsOpened), 1);
}

#[test]
fn kinglet_v1_says_hello_first_and_names_its_rooms() {
    let mut world = world("");
    let id = world.open();
    world
        .client(id)
        .upgrade("/ws?room=a&project_id=7&room=a", "kinglet.v1");
    world.settle();
    let hello = &world.client(id).take_json()[0];
    assert_eq!(hello["type"], "connected");
    assert_eq!(hello["ping_interval_ms"], 25_000);
    let rooms: Vec<_> = hello["rooms"].as_array().unwrap().iter().collect();
    assert_eq!(rooms.len(), 2);
    assert_eq!(
        (&rooms[0]["room"], &rooms[1]["room"]),
        (&json!("a"), &json!("project:7"))
    );
}

#[test]
fn a_handshake_may_come_byte_by_byte_with_the_first_message_behind_it() {
    for seed in 0..8 {
        let mut world = world("");
        world.rng = kinglet::base::rng::Rng::from_seed(seed);
        world.conditions = Conditions {
            piece_max: Some(1 + usize::try_from(seed).unwrap() * 5),
            ..Conditions::default()
        };
        let id = world.open();
        world.client(id).upgrade("/ws", "");
        world.client(id).command(json!({"type": "ping", "id": 7}));
        world.settle();
        let pong = &world.client(id).take_json()[0];
        assert_eq!((&pong["type"], &pong["id"]), (&json!("pong"), &json!(7)));
    }
}

#[test]
fn a_bad_handshake_is_answered_and_the_connection_can_be_used_again() {
    let mut world = world("");
    let id = world.open();
    world.client(id).request("GET", "/ws", "");
    world.settle();
    assert_eq!(world.client(id).answers.pop_front().unwrap().status, 426);
    world.client(id).upgrade("/ws?room=*", "");
    world.settle();
    assert_eq!(world.client(id).answers.pop_front().unwrap().status, 400);
    world.client(id).upgrade("/ws?room=a", "");
    world.settle();
    assert_eq!(world.client(id).answers.pop_front().unwrap().status, 101);
    assert_eq!(world.total(Counter::HandshakeFailures), 2);
}

#[test]
fn a_request_that_does_not_arrive_in_time_is_answered_with_408() {
    let check = |sent: &str| {
        let mut world = world("");
        let id = world.open();
        world.client(id).send(sent.as_bytes());
        world.advance(10 * SECOND - TICK);
        assert_eq!(world.client(id).answers.len(), 0, "{sent:?}");
        world.advance(2 * TICK);
        let answer = world.client(id).answers.pop_front().unwrap();
        assert_eq!(answer.status, 408, "{sent:?}");
        assert_eq!(answer.connection.as_deref(), Some("close"));
        assert_eq!(world.client(id).end, Some(End::Finished));
        assert_eq!(world.total(Counter::HandshakeTimeouts), 1);
        assert_eq!(world.connections(), 0);
    };
    check("");
    check("GET / HTTP/1.1\r\nHost: ");
    check(&format!(
        "POST /api/v1/publish HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\n\r\n{{"
    ));
}

#[test]
fn one_who_dribbles_a_head_gets_no_more_time() {
    let mut world = world("");
    let id = world.open();
    for _ in 0..11 {
        world.client(id).send(b"G");
        world.advance(SECOND);
    }
    assert_eq!(world.client(id).answers.pop_front().unwrap().status, 408);
}

#[test]
fn nothing_of_the_handshakes_time_is_left_after_the_upgrade() {
    let mut world = world("");
    let id = world.open();
    world.client(id).send(b"GET /");
    world.advance(9 * SECOND);
    world.client(id).upgrade("ws", "");
    // The request line begun above is completed by this one's.
    world.settle();
    let other = world.connect("/ws");
    world.advance(20 * SECOND);
    assert_eq!(world.client(other).end, None);
    assert_eq!(world.total(Counter::HandshakeTimeouts), 0);
}

/// A world with one connection from an address that may have no more.
fn full() -> (World, IpAddr) {
    let mut world = world("[limits]\nconnections_per_ip = 1\nhandshake_timeout = \"1h\"\n");
    let outside = IpAddr::from([192, 0, 2, 1]);
    world.open_from(outside);
    (world, outside)
}

#[test]
fn a_refused_connection_gets_its_answer_and_16_kib_or_2_seconds() {
    let (mut world, outside) = full();
    let patient = world.open_from(outside);
    world.settle();
    let answer = world.client(patient).answers.pop_front().unwrap();
    assert_eq!(answer.status, 429);
    assert_eq!(world.client(patient).end, Some(End::Finished));
    assert_eq!(world.connections(), 1);

    let check = |bytes: usize, stays: bool| {
        let (mut world, outside) = full();
        let id = world.open_from(outside);
        world.client(id).answers_close = false;
        world.settle();
        world.client(id).send(&vec![b'x'; bytes]);
        world.settle();
        assert_eq!(world.connections(), 1 + usize::from(stays), "{bytes}");
        world.advance(2 * SECOND - TICK);
        assert_eq!(world.connections(), 1 + usize::from(stays), "{bytes}");
        world.advance(2 * TICK);
        assert_eq!(world.connections(), 1, "{bytes}");
        assert_eq!(world.total(Counter::ConnectionsClosed), 0);
    };
    check(0, true);
    check(16 * 1024, true);
    check(16 * 1024 + 1, false);
}

#[test]
fn a_refused_connection_that_does_not_read_is_gone_after_two_seconds() {
    let (mut world, outside) = full();
    world.conditions.capacity = 10;
    let id = world.open_from(outside);
    world.client(id).appetite = Some(0);
    world.advance(2 * SECOND - TICK);
    assert_eq!(world.connections(), 2);
    world.advance(2 * TICK);
    assert_eq!(world.connections(), 1);
}

#[test]
fn messages_behind_a_close_are_not_answered() {
    let mut world = world("");
    let id = world.connect("/ws");
    world.client(id).close(1000);
    world.client(id).command(json!({"type": "ping"}));
    world.settle();
    let inbox: Vec<Message> = world.client(id).inbox.drain(..).collect();
    assert_eq!(inbox, [Message::Close(1000, String::new())]);
}
