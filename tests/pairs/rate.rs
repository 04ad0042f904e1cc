//! Messages over a session's rate: reading pauses, and who never stops is closed.

use std::time::Duration;

use kinglet::metrics::names::Counter;
use serde_json::json;

use crate::{SECOND, assert_in_order, world};

#[test]
fn a_burst_is_answered_at_once_and_the_rest_at_the_rate() {
    let mut world = world("[limits]\nmessages_per_second = 10\nmessage_burst = 20\n");
    let id = world.connect("/ws");
    for number in 0..60 {
        world
            .client(id)
            .command(json!({"type": "ping", "id": number}));
    }
    world.settle();
    let mut replies = world.client(id).take_json();
    // The one that found no token is answered, too; reading pauses behind it.
    assert_eq!(replies.len(), 21);
    for second in 1..=3 {
        world.advance(SECOND);
        replies.extend(world.client(id).take_json());
        let most = 21 + 10 * second;
        assert!(
            (most - 2..=most).contains(&replies.len()),
            "{}",
            replies.len()
        );
    }
    world.advance(2 * SECOND);
    replies.extend(world.client(id).take_json());
    assert_eq!(replies.len(), 60);
    assert_in_order(&replies);
    assert_eq!(world.client(id).close_code(), None);
}

#[test]
fn commands_that_are_jobs_are_held_to_the_rate() {
    let mut world = world("[limits]\nmessages_per_second = 10\nmessage_burst = 5\n");
    let id = world.connect("/ws?room=a");
    for _ in 0..30 {
        world
            .client(id)
            .command(json!({"type": "history", "room": "a"}));
    }
    world.settle();
    assert_eq!(world.client(id).take_json().len(), 6);
    world.advance(SECOND);
    let more = world.client(id).take_json().len();
    assert!((8..=10).contains(&more), "{more}");
}

#[test]
fn one_who_is_paused_for_ten_seconds_of_a_minute_is_closed_with_4003() {
    let mut world = world("");
    let id = world.connect("/ws");
    let mut time = Duration::ZERO;
    while world.client(id).close_code().is_none() {
        for _ in 0..20 {
            world.client(id).command(json!({"type": "ping"}));
        }
        world.advance(SECOND / 10);
        time += SECOND / 10;
        assert!(time < 20 * SECOND, "it was paused nearly all the time");
    }
    // A burst of 100 lasts less than a second; ten seconds of pauses follow.
    assert!(time > 9 * SECOND, "{time:?}");
    assert_eq!(world.client(id).close_code(), Some(4003));
    assert_eq!(world.total(Counter::RateClosed), 1);
    assert_eq!(world.connections(), 0);
}

#[test]
fn one_who_is_seldom_over_its_rate_stays() {
    let mut world = world("");
    let id = world.connect("/ws");
    for _ in 0..60 {
        for _ in 0..150 {
            world.client(id).command(json!({"type": "ping"}));
        }
        world.advance(10 * SECOND);
        assert_eq!(world.client(id).take_json().len(), 150);
    }
    assert_eq!(world.client(id).close_code(), None);
    assert!(world.total(Counter::RatePaused) > 0);
}
