//! How connections end: Close both ways, the end of input in each state, sockets that stall.

use kinglet::base::ids::ShardId;
use kinglet::metrics::names::Counter;
use kinglet::testkit::world::{End, Message};
use serde_json::json;

use crate::{NO_RATE, SECOND, TICK, ask, publish, types, world};

#[test]
fn a_close_is_answered_with_its_code_and_the_connection_ends() {
    let mut world = world("");
    let id = world.connect("/ws");
    world.client(id).close(3000);
    world.settle();
    assert_eq!(world.client(id).close_code(), Some(3000));
    assert_eq!(world.client(id).end, Some(End::Finished));
    assert_eq!(world.total(Counter::SessionsClosed), 1);
    assert_eq!(world.connections(), 0);
}

#[test]
fn one_who_answers_no_close_is_dropped_after_two_seconds() {
    let mut world = world("");
    let id = world.connect("/ws");
    world.client(id).answers_close = false;
    for _ in 0..10 {
        ask(&mut world, id, json!({"type": "nonsense"}));
    }
    assert_eq!(world.client(id).close_code(), Some(4503));
    world.advance(2 * SECOND - TICK);
    assert_eq!(world.connections(), 1);
    world.advance(2 * TICK);
    assert_eq!(world.connections(), 0);
    assert_eq!(world.client(id).end, Some(End::Finished));
}

#[test]
fn a_session_that_is_closing_hears_nothing_more() {
    let mut world = world("");
    let (id, other) = (world.connect("/ws"), world.connect("/ws"));
    world.client(id).answers_close = false;
    for _ in 0..10 {
        ask(&mut world, id, json!({"type": "nonsense"}));
    }
    ask(&mut world, other, publish("global", 1));
    world.client(id).command(json!({"type": "ping"}));
    world.settle();
    assert_eq!(types(&world.client(id).take_json()), [""; 0]);
}

#[test]
fn a_protocol_fault_is_told_with_its_code_and_input_is_drained() {
    let mut world = world("");
    let id = world.connect("/ws");
    world.client(id).answers_close = false;
    // A frame without a mask, and much behind it that is never read as frames.
    world.client(id).send(b"\x81\x01a");
    world.client(id).send(&[b'x'; 100_000]);
    world.settle();
    assert_eq!(world.client(id).close_code(), Some(1002));
    assert_eq!(world.client(id).end, Some(End::Finished));
    assert_eq!(world.connections(), 1, "its end is awaited");
    world.client(id).finish();
    world.settle();
    assert_eq!(world.connections(), 0);
    assert_eq!(world.total(Counter::ProtocolFaults), 1);
}

#[test]
fn closes_that_cross_end_the_connection_at_once() {
    let mut world = world("");
    let id = world.connect("/ws");
    for _ in 0..10 {
        world.client(id).command(json!({"type": "nonsense"}));
    }
    world.client(id).close(1000);
    world.settle();
    assert_eq!(world.client(id).close_code(), Some(4503));
    assert_eq!(world.connections(), 0);
}

#[test]
fn a_close_that_finds_its_peer_paused_still_reads_the_answer_at_once() {
    let mut world = world("");
    let id = world.connect("/ws?room=a");
    world.jobs.hold = true;
    world
        .client(id)
        .command(json!({"type": "history", "room": "a"}));
    // Its own Close, the only one it sends, lies unread when the server says Close.
    world.client(id).answers_close = false;
    world.client(id).close(1000);
    world.settle();
    world.begin_drain(30 * SECOND);
    world.settle();
    assert_eq!(world.client(id).close_code(), Some(1001));
    assert_eq!(
        world.connections(),
        0,
        "both have said Close: nothing is left to wait for"
    );
}

#[test]
fn the_end_of_input_ends_a_connection_in_each_state() {
    let check = |name: &str, prepare: &dyn Fn(&mut crate::World, crate::ClientId)| {
        let mut world = world("");
        let id = world.open();
        prepare(&mut world, id);
        world.client(id).finish();
        world.settle();
        assert_eq!(world.connections(), 0, "{name}");
        assert!(world.client(id).end.is_some(), "{name}");
        assert_eq!(
            world.total(Counter::ConnectionsAccepted),
            world.total(Counter::ConnectionsClosed)
        );
    };
    check("before anything", &|_, _| {});
    check("in a head", &|world, id| world.client(id).send(b"GET / HT"));
    check("in a body", &|world, id| {
        let head =
            b"POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{";
        world.client(id).send(head);
    });
    check("after a request", &|world, id| {
        world.client(id).request("GET", "/", "");
    });
    check("after a fault", &|world, id| {
        world.client(id).send(b"nonsense\r\n\r\n");
    });
    check("in a session", &|world, id| {
        world.client(id).upgrade("/ws", "");
    });
    check("in a frame", &|world, id| {
        world.client(id).upgrade("/ws", "");
        world.client(id).send(&[0x81]);
    });
    check("after a close", &|world, id| {
        world.client(id).upgrade("/ws", "");
        world.client(id).close(1000);
    });
}

#[test]
fn a_half_closed_client_gets_the_answers_it_waits_for() {
    let mut world = world("");
    let id = world.open();
    world.jobs.delay_turns_max = 3;
    for _ in 0..2 {
        world.client(id).request("GET", "/api/v1/rooms", "");
    }
    world.client(id).finish();
    world.settle();
    let statuses: Vec<u16> = world.client(id).answers.iter().map(|a| a.status).collect();
    assert_eq!(statuses, [200, 200]);
    assert_eq!(world.connections(), 0);
}

#[test]
fn a_peer_that_takes_no_byte_for_ten_seconds_is_dropped() {
    let mut world = world(NO_RATE);
    world.conditions.capacity = 1000;
    let (id, other) = (world.connect("/ws?room=a"), world.connect("/ws?room=b"));
    world.client(id).appetite = Some(0);
    ask(&mut world, other, publish("a", "x".repeat(5000)));
    world.advance(9 * SECOND);
    // A byte taken earns it another ten seconds.
    world.client(id).appetite = Some(1);
    world.turn();
    world.turn();
    world.client(id).appetite = Some(0);
    world.advance(9 * SECOND);
    assert_eq!(world.connections(), 2);
    world.advance(2 * SECOND);
    assert_eq!(world.connections(), 1);
    assert_eq!(world.total(Counter::WriteStalls), 1);
    assert_eq!(world.client(id).close_code(), None);
}

#[test]
fn an_http_answer_that_is_not_read_ends_by_its_stall() {
    let mut world = world("");
    world.conditions.capacity = 100;
    let id = world.open();
    world.client(id).appetite = Some(0);
    world.client(id).send(b"nonsense\r\n\r\n");
    world.advance(9 * SECOND);
    assert_eq!(world.connections(), 1);
    world.advance(2 * SECOND);
    assert_eq!(world.connections(), 0);
}

#[test]
fn a_cut_connection_is_forgotten_with_its_memberships() {
    let mut world = world("");
    let id = world.connect("/ws?room=a&room=b");
    world.client(id).cut();
    world.settle();
    assert_eq!(world.connections(), 0);
    assert_eq!(world.services.rooms.members_on(ShardId(0)).len(), 0);
    assert!(world.client(id).inbox.iter().all(|m| *m != Message::Ping));
}
