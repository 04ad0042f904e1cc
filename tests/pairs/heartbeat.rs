//! Pings, missing pongs, and sessions that nobody needs.

use kinglet::base::clock::Wall;
use kinglet::metrics::names::Counter;
use kinglet::testkit::world::Message;
use serde_json::json;

use crate::{SECOND, TICK, ask, publish, reload, types, world};

#[test]
fn a_session_that_answers_pings_stays() {
    let mut world = world("");
    let id = world.connect("/ws");
    world.advance(60 * SECOND);
    let pings = world
        .client(id)
        .inbox
        .iter()
        .filter(|m| **m == Message::Ping);
    assert!((2..=4).contains(&pings.count()));
    world.advance(600 * SECOND);
    assert_eq!(world.client(id).close_code(), None);
}

#[test]
fn first_pings_are_spread_over_half_an_interval() {
    let mut world = world("");
    let ids: Vec<_> = (0..50).map(|_| world.connect("/ws")).collect();
    world.advance(12 * SECOND);
    let pinged = |world: &mut crate::World| {
        ids.iter()
            .filter(|id| world.client(**id).inbox.contains(&Message::Ping))
            .count()
    };
    assert_eq!(pinged(&mut world), 0);
    world.advance(7 * SECOND);
    let half = pinged(&mut world);
    assert!((10..40).contains(&half), "{half} of 50");
    world.advance(7 * SECOND);
    assert_eq!(pinged(&mut world), 50);
}

#[test]
fn one_who_answers_no_ping_is_closed_with_1001() {
    let mut world = world("");
    let id = world.connect("/ws");
    world.client(id).answers_pings = false;
    while !world.client(id).inbox.contains(&Message::Ping) {
        world.advance(TICK);
    }
    world.advance(20 * SECOND - 2 * TICK);
    assert_eq!(world.client(id).close_code(), None);
    world.advance(4 * TICK);
    assert_eq!(world.client(id).close_code(), Some(1001));
    assert_eq!(world.total(Counter::PongTimeouts), 1);
    assert_eq!(world.connections(), 0);
}

/// A machine without a clock of its own begins in 1970 and is set years ahead by NTP.
#[test]
fn a_wall_clock_that_jumps_ends_nobody_and_ages_nothing() {
    let mut world = world("");
    let id = world.connect("/ws?room=a");
    let year = 365 * 24 * 60 * 60 * 1000;
    for years in [0, 50, 0] {
        let wall = world.now().mono.as_millis() + years * year;
        world.set_wall(Wall::from_millis(wall));
        let said = ask(&mut world, id, publish("a", wall));
        assert_eq!(types(&said), ["published", "said"]);
        world.advance(60 * SECOND);
        assert_eq!(world.client(id).end, None, "{wall}");
        assert_eq!(world.client(id).close_code(), None, "{wall}");
    }
    let history = ask(&mut world, id, json!({"type": "history", "room": "a"}));
    let kept = history[0]["publications"].as_array().unwrap();
    assert_eq!(kept.len(), 3, "none is older than three minutes");
}

#[test]
fn anything_heard_counts_as_a_pong() {
    let mut world = world("");
    let id = world.connect("/ws");
    world.client(id).answers_pings = false;
    for _ in 0..20 {
        world.advance(10 * SECOND);
        ask(&mut world, id, json!({"type": "ping"}));
    }
    assert_eq!(world.client(id).close_code(), None);
}

#[test]
fn only_sessions_in_no_room_are_closed_for_being_idle() {
    let mut world = world("");
    let (member, nobody) = (world.connect("/ws"), world.connect("/ws?room=a"));
    world.advance(100 * SECOND);
    ask(
        &mut world,
        nobody,
        json!({"type": "unsubscribe", "room": "a"}),
    );
    world.advance(300 * SECOND - TICK);
    assert_eq!(world.client(nobody).close_code(), None);
    world.advance(2 * TICK);
    assert_eq!(world.client(nobody).close_code(), Some(1001));
    assert_eq!(world.client(member).close_code(), None);
    assert_eq!(world.total(Counter::IdleCloses), 1);
}

#[test]
fn a_slow_reader_is_not_taken_for_dead() {
    let mut world = world("[limits]\nmessages_per_second = 0\n");
    world.conditions.capacity = 2000;
    let slow = world.connect("/ws?room=a");
    let fast = world.connect("/ws?room=b");
    world.client(fast).link.conditions.capacity = 256 * 1024;
    world.client(slow).appetite = Some(0);
    for _ in 0..200 {
        ask(&mut world, fast, publish("a", "x".repeat(900)));
    }
    // 2.5 KB a second: a minute until its queue is empty.
    world.client(slow).appetite = Some(50);
    for _ in 0..550 {
        for _ in 0..5 {
            world.turn();
        }
        world.pass(SECOND / 10);
    }
    assert_eq!(world.client(slow).close_code(), None);
    assert_eq!(world.total(Counter::PongTimeouts), 0);
}

#[test]
fn a_session_whose_job_takes_long_is_not_taken_for_dead() {
    let mut world = world("");
    let id = world.connect("/ws");
    // The job never comes back while the clock runs; its Pong lies unread meanwhile.
    world.jobs.delay_turns_max = 0;
    world.jobs.hold = true;
    world
        .client(id)
        .command(json!({"type": "history", "room": "global"}));
    world.advance(60 * SECOND);
    assert_eq!(world.client(id).close_code(), None);
    world.jobs.hold = false;
    world.settle();
    assert_eq!(world.client(id).take_json()[0]["type"], "history");
    world.advance(60 * SECOND);
    assert_eq!(world.client(id).close_code(), None);
}

#[test]
fn a_reload_that_brings_an_idle_timeout_is_for_those_who_are_here_too() {
    let mut world = world("[heartbeat]\nidle_timeout = \"0\"\n");
    let id = world.connect("/ws");
    ask(
        &mut world,
        id,
        json!({"type": "unsubscribe", "room": "global"}),
    );
    world.advance(1000 * SECOND);
    assert_eq!(world.client(id).end, None);
    reload(&mut world, "[heartbeat]\nidle_timeout = \"10s\"\n");
    world.advance(9 * SECOND);
    assert_eq!(world.client(id).end, None);
    world.advance(2 * SECOND);
    let last = world.client(id).inbox.pop_back();
    assert_eq!(last, Some(Message::Close(1001, "idle timeout".to_owned())));
}
