//! TLS inside the whole core: its turns, its timeouts, its ends.

use std::time::Duration;

use kinglet::app::services::Live;
use kinglet::base::limits;
use kinglet::metrics::names::Counter;
use kinglet::testkit::tls::{TlsClient, TlsClientConfig, Version, acceptor, self_signed_pair};
use kinglet::testkit::world::{ClientId, End, Options, World};
use serde_json::json;

use crate::{NO_RATE, SECOND, TICK, ask, publish, said};

fn secure(config: &str) -> World {
    World::new(Options {
        config,
        tls: true,
        ..Options::default()
    })
}

fn shakes_hands(world: &mut World, id: ClientId) -> bool {
    !world.client(id).tls.as_ref().unwrap().is_open()
}

#[test]
fn handshakes_beyond_a_turns_share_wait_and_nobody_else_does() {
    let mut world = secure(NO_RATE);
    let (good, other) = (world.connect("/ws?room=a"), world.connect("/ws?room=b"));
    let storm: Vec<ClientId> = (0..100).map(|_| world.open()).collect();
    let mut turns = 0;
    while storm.iter().any(|id| shakes_hands(&mut world, *id)) {
        // Whoever is there is served in every turn.
        world.client(other).command(publish("a", turns));
        world.turn();
        world.turn();
        let heard = world.client(good).take_json();
        assert!(turns == 0 || !heard.is_empty(), "turn {turns}: {heard:?}");
        turns += 1;
        assert!(turns < 100, "they are never done");
    }
    // A client is done when its hello was answered, of which there are at most 8 in a turn, and two
    // turns for each publication.
    assert!(
        turns * 2 * limits::TLS_HANDSHAKES_PER_TURN >= 100,
        "{turns}"
    );
    assert!(world.total(Counter::TlsHandshakesDelayed) > 100);
    world.settle();
    let full = world.total(Counter::TlsHandshakesFull);
    assert_eq!(full + world.total(Counter::TlsHandshakesResumed), 102);
}

#[test]
fn a_handshake_that_does_not_go_on_is_cut_when_its_time_is_over() {
    let mut world = secure("");
    for most in [0, 50, usize::MAX] {
        let id = world.open();
        let hello = TlsClient::new(&world.tls_clients).outgoing();
        let begun = &hello[..most.min(hello.len())];
        world.client(id).tls = None;
        world.client(id).appetite = Some(0);
        world.client(id).send_raw(begun);
        world.advance(10 * SECOND - TICK);
        assert_eq!(world.connections(), 1);
        world.advance(3 * TICK);
        assert_eq!(world.connections(), 0);
    }
    assert_eq!(world.total(Counter::HandshakeTimeouts), 3);
}

#[test]
fn a_head_that_does_not_come_after_the_handshake_is_answered_with_408() {
    let mut world = secure("");
    let id = world.open();
    world.client(id).send(b"GET / HT");
    world.advance(11 * SECOND);
    let answer = world.client(id).answers.pop_front().unwrap();
    assert_eq!(answer.status, 408);
    let tls = world.client(id).tls.as_ref().unwrap();
    assert!(tls.has_ended, "close_notify comes before the end");
}

#[test]
fn half_a_record_is_no_sign_of_life() {
    let mut world = secure("");
    let id = world.connect("/ws");
    world.client(id).answers_pings = false;
    world.client(id).send_raw(&[23, 3, 3, 0x3f, 0xff, 1, 2, 3]);
    for _ in 0..60 {
        world.client(id).send_raw(&[0]);
        world.advance(SECOND);
    }
    assert_eq!(world.total(Counter::PongTimeouts), 1);
}

#[test]
fn a_request_without_tls_is_told_what_the_port_speaks() {
    let mut world = secure("");
    let id = world.open();
    world.client(id).tls = None;
    world.client(id).request("GET", "/health", "");
    world.settle();
    let answer = world.client(id).answers.pop_front().unwrap();
    assert_eq!(answer.status, 400);
    assert!(
        answer.body.contains("this port speaks https"),
        "{}",
        answer.body
    );
    assert_eq!(world.client(id).end, Some(End::Finished));
    assert_eq!(world.total(Counter::TlsFailedHttp), 1);
}

#[test]
fn tls_without_a_server_that_speaks_it_is_answered_and_counted() {
    let mut world = World::new(Options {
        tls: false,
        ..Options::default()
    });
    let id = world.open();
    let config = TlsClientConfig::new(Version::Tls13, &[]);
    let hello = TlsClient::new(&config).outgoing();
    world.client(id).send(&hello);
    world.settle();
    let answer = world.client(id).answers.pop_front().unwrap();
    assert_eq!(answer.status, 400);
    assert!(
        answer.body.contains("this port speaks http,"),
        "{}",
        answer.body
    );
    assert_eq!(world.total(Counter::TlsOnPlainPort), 1);
}

#[test]
fn what_goes_wrong_is_counted_by_its_reason() {
    let check = |prepare: fn(&mut World, ClientId), counter: Counter| {
        let mut world = secure("");
        let id = world.open();
        world.client(id).keep_raw();
        prepare(&mut world, id);
        world.settle();
        assert_eq!(world.total(counter), 1, "{counter:?}");
        world.advance(3 * SECOND);
        assert_eq!(world.connections(), 0, "{counter:?}");
    };
    check(
        |world, id| {
            world.client(id).tls = None;
            world.client(id).send_raw(&[0; 20]);
        },
        Counter::TlsFailedGarbage,
    );
    check(
        |world, id| {
            world.client(id).tls = None;
            world.client(id).send_raw(&[22, 3, 1]);
            world.client(id).finish();
        },
        Counter::TlsFailedGone,
    );
    check(
        |world, id| {
            let config = TlsClientConfig::new(Version::Tls13, &["h2"]);
            world.client(id).tls = Some(TlsClient::new(&config));
        },
        Counter::TlsFailedProtocol,
    );
    check(
        |world, id| {
            world.settle();
            world
                .client(id)
                .send_raw(&[23, 3, 3, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            world.client(id).send_raw(&[0; 8]);
        },
        Counter::TlsRecordsBroken,
    );
    check(
        |world, id| {
            world.settle();
            world.client(id).tls = None;
            world.client(id).finish();
        },
        Counter::TlsTruncated,
    );
}

#[test]
fn a_peer_that_says_it_has_ended_is_told_the_same() {
    for target in [None, Some("/ws")] {
        let mut world = secure("");
        let id = match target {
            Some(target) => world.connect(target),
            None => world.open(),
        };
        world.settle();
        world.client(id).tls.as_mut().unwrap().close();
        world.settle();
        assert_eq!(world.connections(), 0);
        let tls = world.client(id).tls.as_ref().unwrap();
        assert!(tls.has_ended, "{target:?}");
        assert_eq!(world.total(Counter::TlsTruncated), 0);
    }
}

#[test]
fn an_answer_comes_even_if_the_peer_has_ended_its_side() {
    let mut world = secure("");
    let id = world.open();
    world.client(id).request("GET", "/api/v1/rooms", "");
    world.client(id).finish();
    world.settle();
    assert_eq!(world.client(id).answers.pop_front().unwrap().status, 200);
    assert!(world.client(id).tls.as_ref().unwrap().has_ended);
}

#[test]
fn a_drain_says_1001_and_then_that_this_was_all() {
    let mut world = secure("");
    let socket = world.connect("/ws");
    let resting = world.open();
    world.client(resting).request("GET", "/health", "");
    world.settle();
    world.begin_drain(30 * SECOND);
    world.settle();
    assert_eq!(world.client(socket).close_code(), Some(1001));
    for id in [socket, resting] {
        assert!(world.client(id).tls.as_ref().unwrap().has_ended);
    }
    assert_eq!((world.connections(), world.drain_cut()), (0, 0));
}

#[test]
fn a_slow_reader_has_its_outbox_and_two_records() {
    let mut world = secure(NO_RATE);
    world.conditions.capacity = 8_000;
    let (slow, other) = (world.connect("/ws?room=a"), world.connect("/ws?room=b"));
    world.client(slow).appetite = Some(0);
    let payload = "x".repeat(1000);
    for _ in 0..400 {
        ask(&mut world, other, publish("a", payload.clone()));
    }
    assert_eq!(world.total(Counter::SlowConsumersClosed), 1);
    // 256 in the outbox, those that were encrypted, those on the way.
    let dropped = world.total(Counter::MessagesDropped);
    assert!((200..=256).contains(&dropped), "{dropped}");
    world.client(slow).appetite = None;
    world.settle();
    assert_eq!(world.client(slow).close_code(), Some(4000));
    assert!(world.client(slow).tls.as_ref().unwrap().has_ended);
    world.advance(Duration::from_secs(3));
    assert_eq!(world.connections(), 1);
}

#[test]
fn another_certificate_is_for_those_who_come_after() {
    let mut world = secure("");
    let (old, listener) = (world.connect("/ws?room=a"), world.connect("/ws?room=a"));
    let shown = world.client(old).tls.as_ref().unwrap().certificate();
    let now = world.now().wall;
    let live = world.services.live();
    let mut new = Live::of(live.config.clone()).unwrap();
    new.tls = Some(acceptor(&self_signed_pair(now), now));
    world.services.replace(new);
    world.settle();
    let fresh = world.connect("/ws?room=a");
    let tls = world.client(fresh).tls.as_ref().unwrap();
    assert!(!tls.is_resumed());
    assert_ne!(tls.certificate(), shown);
    ask(&mut world, old, publish("a", 1));
    for id in [listener, fresh] {
        assert_eq!(said(&world.client(id).take_json()), [json!(1)]);
    }
}
