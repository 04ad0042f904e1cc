//! Shutting down: in order, spread, with what is owed.

use kinglet::base::ids::ShardId;
use kinglet::testkit::world::{End, Options, World};
use serde_json::json;

use crate::{SECOND, TICK, publish, world};

#[test]
fn a_small_server_stops_at_once() {
    let mut world = world("");
    let ids: Vec<_> = (0..100).map(|_| world.connect("/ws")).collect();
    let resting = world.open();
    world.client(resting).request("GET", "/health", "");
    world.settle();
    world.begin_drain(30 * SECOND);
    world.settle();
    for id in ids {
        assert_eq!(world.client(id).close_code(), Some(1001));
        assert_eq!(world.client(id).end, Some(End::Finished));
    }
    assert_eq!((world.connections(), world.drain_cut()), (0, 0));
}

#[test]
fn thousands_of_sessions_go_a_thousand_a_second_in_their_order() {
    let mut world = world("");
    let ids: Vec<_> = (0..3000).map(|_| world.open()).collect();
    for id in &ids {
        world.client(*id).upgrade("/ws", "");
    }
    world.settle();
    world.begin_drain(30 * SECOND);
    let mut closed = 0;
    for second in 1..=3 {
        world.advance(SECOND);
        let now = ids
            .iter()
            .take_while(|id| world.client(**id).end.is_some())
            .count();
        let ended = ids
            .iter()
            .filter(|id| world.client(**id).end.is_some())
            .count();
        assert_eq!(now, ended, "those who came first go first");
        assert!(now - closed <= 1200, "{} in second {second}", now - closed);
        closed = now;
    }
    assert_eq!(
        (closed, world.connections(), world.drain_cut()),
        (3000, 0, 0)
    );
}

#[test]
fn several_shards_share_the_pace() {
    let mut world = World::new(Options {
        shards: 4,
        ..Options::default()
    });
    let ids: Vec<_> = (0..1200).map(|_| world.open()).collect();
    for id in &ids {
        world.client(*id).upgrade("/ws", "");
    }
    world.settle();
    world.begin_drain(30 * SECOND);
    world.advance(SECOND / 2);
    let closed = ids.iter().filter(|id| world.client(**id).end.is_some());
    let closed = closed.count();
    assert!((500..=700).contains(&closed), "{closed}");
}

#[test]
fn closes_are_faster_when_the_time_demands_it() {
    let mut world = world("");
    let ids: Vec<_> = (0..3000).map(|_| world.open()).collect();
    for id in &ids {
        world.client(*id).upgrade("/ws", "");
    }
    world.settle();
    world.begin_drain(2 * SECOND);
    world.advance(SECOND / 2);
    let half = ids
        .iter()
        .filter(|id| world.client(**id).end.is_some())
        .count();
    assert!((1200..2200).contains(&half), "{half}");
    world.advance(SECOND * 3 / 2 - TICK);
    assert_eq!((world.connections(), world.drain_cut()), (0, 0));
}

#[test]
fn an_http_client_gets_the_answer_it_is_owed() {
    let mut world = world("");
    let (working, half, fresh) = (world.open(), world.open(), world.open());
    world.jobs.hold = true;
    world.client(working).request("GET", "/api/v1/rooms", "");
    world.client(half).send(b"GET /health/ready HTTP/1.1\r\n");
    world.settle();
    world.begin_drain(30 * SECOND);
    world.settle();
    assert_eq!(
        world.client(fresh).end,
        Some(End::Finished),
        "nothing is owed to it"
    );
    world.jobs.hold = false;
    world.client(half).send(b"Host: localhost\r\n\r\n");
    world.settle();
    for (id, status) in [(working, 200), (half, 503)] {
        let answer = world.client(id).answers.pop_front().unwrap();
        assert_eq!(
            (answer.status, answer.connection.as_deref()),
            (status, Some("close"))
        );
        assert_eq!(world.client(id).end, Some(End::Finished));
    }
    assert_eq!((world.connections(), world.drain_cut()), (0, 0));
}

#[test]
fn an_upgrade_is_refused_while_draining() {
    let mut world = world("");
    let id = world.open();
    world.client(id).send(b"GET /ws HTTP/1.1\r\n");
    world.settle();
    world.begin_drain(30 * SECOND);
    world.client(id).send(
        b"Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    world.settle();
    assert_eq!(world.client(id).answers.pop_front().unwrap().status, 503);
    assert_eq!(world.connections(), 0);
}

#[test]
fn a_connection_that_was_on_its_way_to_a_shard_does_not_hold_up_the_drain() {
    let mut world = world("");
    let (silent, asking) = (world.open(), world.open());
    world.client(asking).request("GET", "/health", "");
    world.begin_drain(30 * SECOND);
    world.settle();
    assert_eq!(world.client(asking).answers.len(), 1);
    assert_eq!(world.client(asking).end, Some(End::Finished));
    world.advance(2 * SECOND + TICK);
    assert!(world.client(silent).end.is_some());
    assert_eq!((world.connections(), world.drain_cut()), (0, 0));
}

#[test]
fn a_connection_that_still_reads_its_answer_ends_behind_it() {
    let mut world = world("");
    world.conditions.capacity = 50;
    let id = world.open();
    world.client(id).appetite = Some(0);
    world.client(id).request("GET", "/health", "");
    world.settle();
    world.begin_drain(30 * SECOND);
    world.client(id).appetite = None;
    world.settle();
    assert_eq!(world.client(id).answers.len(), 1);
    assert_eq!(world.connections(), 0, "nobody waits for another request");
}

#[test]
fn what_is_left_at_the_end_is_cut_and_counted() {
    let mut world = world("");
    world.conditions.capacity = 100;
    let (mute, rude, other) = (
        world.connect("/ws"),
        world.connect("/ws"),
        world.connect("/ws"),
    );
    let working = world.open();
    world.jobs.hold = true;
    world.client(working).request("GET", "/api/v1/rooms", "");
    world.client(mute).appetite = Some(0);
    world
        .client(other)
        .command(publish("global", "x".repeat(1000)));
    world.settle();
    // It reads the Close and does not answer: dropped after two seconds, owed nothing.
    world.client(rude).answers_close = false;
    world.begin_drain(8 * SECOND);
    world.advance(8 * SECOND - TICK);
    assert_eq!((world.connections(), world.drain_cut()), (2, 0));
    world.advance(2 * TICK);
    assert_eq!((world.connections(), world.drain_cut()), (0, 2));
    assert_eq!(world.client(rude).close_code(), Some(1001));
}

#[test]
fn a_drained_shard_holds_nothing() {
    let mut world = World::new(Options {
        shards: 3,
        ..Options::default()
    });
    for number in 0..30 {
        let id = world.connect(&format!("/ws?room=r{}", number % 4));
        world
            .client(id)
            .command(json!({"type": "subscribe", "room": "all"}));
    }
    world.begin_drain(30 * SECOND);
    world.settle();
    assert_eq!(world.connections(), 0);
    for shard in 0..3 {
        assert_eq!(world.services.rooms.members_on(ShardId(shard)).len(), 0);
    }
    assert_eq!(
        (world.services.connections(), world.services.sessions()),
        (0, 0)
    );
}
