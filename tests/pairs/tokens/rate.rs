//! The rate of a user: one for all that it has open, and over it nothing breaks.

use std::time::Duration;

use kinglet::metrics::names::Counter;
use kinglet::testkit::tokens::Token;
use kinglet::testkit::world::{ClientId, World};
use serde_json::{Value, json};

use super::{MINUTE, auth, enter, outcome, token, world, world_of};
use crate::SECOND;

const LIMITS: &str = "[limits]\nuser_requests_per_second = 10\nuser_request_burst = 4\n";

fn ask(world: &mut World, id: ClientId, command: Value) -> Vec<Value> {
    world.client(id).command(command);
    world.settle();
    world.client(id).take_json()
}

fn subscribe() -> Value {
    json!({"type": "subscribe", "room": "global"})
}

/// What `id` is answered when it subscribes.
fn subscribed(world: &mut World, id: ClientId) -> String {
    outcome(&ask(world, id, subscribe())).to_owned()
}

/// The status of an HTTP request with `token`, and after how many seconds it may be repeated.
fn rooms(world: &mut World, token: &Token) -> (u16, Option<String>) {
    let id = world.open();
    let bearer = token.bearer();
    let headers = [("Authorization", bearer.as_str())];
    world
        .client(id)
        .request_with("GET", "/api/v1/rooms", &headers);
    world.settle();
    let answer = world.client(id).answers.pop_front().unwrap();
    let is_limited = answer.status == 429;
    assert_eq!(is_limited, answer.body.contains("RATE_LIMITED"));
    assert_eq!(is_limited, answer.body.contains("\"retry_after\":0.1"));
    (answer.status, answer.retry_after)
}

#[test]
fn all_sessions_and_requests_of_a_user_share_one_rate() {
    // Sessions on two shards, and another token of the same user.
    let mut world = world_of(2, LIMITS);
    let (ada, bob) = (token(&world, "ada"), token(&world, "bob"));
    let admin = ada.clone().role("admin");
    let phone = enter(&mut world, "/ws", &ada);
    let laptop = enter(&mut world, "/ws", &ada);
    let other = enter(&mut world, "/ws", &bob);
    for id in [phone, laptop, phone] {
        assert_eq!(subscribed(&mut world, id), "subscribed");
    }
    assert_eq!(rooms(&mut world, &admin).0, 200);
    for id in [phone, laptop] {
        let refused = ask(&mut world, id, subscribe()).remove(0);
        assert_eq!(refused["data"]["code"], "RATE_LIMITED");
        assert_eq!(refused["data"]["details"], json!({"retry_after": 0.1}));
    }
    assert_eq!(rooms(&mut world, &ada), (429, Some("1".to_owned())));
    assert_eq!(subscribed(&mut world, other), "subscribed");
    assert_eq!(world.total(Counter::RateLimitedUsers), 3);
    assert_eq!(world.total(Counter::RateLimitedRequests), 0);
    assert_eq!(world.total(Counter::CredentialsRefused), 0);
    world.advance(SECOND / 10);
    assert_eq!(subscribed(&mut world, laptop), "subscribed");
    assert_eq!(subscribed(&mut world, phone), "RATE_LIMITED");
}

#[test]
fn being_over_the_rate_is_no_mistake_and_upkeep_is_free() {
    let mut world = world(LIMITS);
    let ada = token(&world, "ada");
    let id = enter(&mut world, "/ws", &ada);
    for _ in 0..4 {
        // What cannot be read costs as much.
        let answer = ask(&mut world, id, json!({"type": "subscribe"}));
        assert_eq!(outcome(&answer), "VALIDATION_FAILED");
    }
    for number in 0..30 {
        let command = json!({"type": "subscribe", "room": "global", "id": number});
        let answer = ask(&mut world, id, command);
        assert_eq!(outcome(&answer), "RATE_LIMITED");
        assert_eq!(answer[0]["id"], number);
    }
    assert_eq!(
        outcome(&ask(&mut world, id, json!({"type": "ping"}))),
        "pong"
    );
    let silence = ask(&mut world, id, json!({"type": "pong"}));
    assert_eq!(silence, [Value::Null; 0]);
    let renewed = Token::new(
        "ada",
        kinglet::testkit::tokens::after(world.now().wall, MINUTE),
    );
    let answer = ask(&mut world, id, auth(&renewed));
    assert_eq!(outcome(&answer), "authenticated");
    assert_eq!(subscribed(&mut world, id), "RATE_LIMITED");
    assert_eq!(world.client(id).close_code(), None);
    assert_eq!(world.total(Counter::RateLimitedUsers), 31);
}

#[test]
fn devices_are_held_to_the_rate_of_their_user() {
    let mut world = world(LIMITS);
    let ada = token(&world, "ada");
    let id = enter(&mut world, "/ws/metrics", &ada);
    world.client(id).take_json();
    let subscribe = json!({"type": "subscribe", "channel": "alerts"});
    for _ in 0..4 {
        assert_eq!(
            ask(&mut world, id, subscribe.clone()),
            [Value::Null; 0],
            "it was taken"
        );
    }
    let refused = ask(&mut world, id, subscribe.clone()).remove(0);
    assert_eq!(refused["type"], "error");
    assert!(refused.to_string().contains("user_requests_per_second"));
    // Which is how devices are told that their ping came.
    let pong = ask(&mut world, id, json!({"type": "ping"})).remove(0);
    assert_eq!(pong["type"], "connected");
    world.advance(Duration::from_millis(100));
    assert_eq!(ask(&mut world, id, subscribe), [Value::Null; 0]);
    assert_eq!(world.total(Counter::RateLimitedUsers), 1);
}
