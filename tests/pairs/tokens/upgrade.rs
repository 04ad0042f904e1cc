//! Tokens that come with the upgrade, and the answers that say why one does not do.

use kinglet::metrics::names::Counter;
use kinglet::testkit::tokens::{Token, after};
use serde_json::{Value, json};

use super::{auth, enter, token, world, world_of};
use crate::{SECOND, ask, pick, types};

const QUERY: &str = "allow_query_token = true\n";

/// The `user` that the hello names.
fn greeted(target: &str, protocols: &[&str], headers: &[(&str, &str)], more: &str) -> Value {
    let mut world = world(more);
    let (id, answer) = world.ask_to_upgrade(target, protocols, headers);
    assert_eq!(answer.status, 101, "{target} {}", answer.body);
    assert_eq!(answer.subprotocol.as_deref(), Some("kinglet.v1"));
    let hello = world.client(id).take_json().remove(0);
    assert_eq!(hello["type"], "connected");
    hello["user"].clone()
}

#[test]
fn a_token_may_come_in_three_places() {
    let world = world("");
    let (ada, bob) = (token(&world, "ada"), token(&world, "bob").sign());
    let (value, signed) = (ada.bearer(), ada.sign());
    let offered = format!("bearer.{signed}");
    let query = format!("/ws?token={signed}");
    let header = [("Authorization", value.as_str())];
    let both = ["kinglet.v1", offered.as_str()];
    assert_eq!(greeted("/ws", &["kinglet.v1"], &header, ""), "ada");
    assert_eq!(greeted("/ws", &both, &[], ""), "ada");
    assert_eq!(greeted("/ws", &[both[1], both[0]], &[], ""), "ada");
    assert_eq!(greeted(&query, &["kinglet.v1"], &[], QUERY), "ada");
    let lower = [("authorization", &*value.replace("Bearer", "bearer"))];
    assert_eq!(greeted("/ws", &["kinglet.v1"], &lower, ""), "ada");
    // Of several the first place counts.
    let offers_bob = ["kinglet.v1", &*format!("bearer.{bob}")];
    assert_eq!(greeted("/ws", &offers_bob, &header, ""), "ada");
    assert_eq!(greeted(&query, &offers_bob, &[], QUERY), "bob");
}

#[test]
fn the_token_is_never_the_subprotocol_selected() {
    let mut world = world("");
    let offered = format!("bearer.{}", token(&world, "ada").sign());
    let (_, answer) = world.ask_to_upgrade("/ws", &["other", &offered], &[]);
    assert_eq!((answer.status, answer.subprotocol), (101, None));
    let (_, answer) = world.ask_to_upgrade("/ws", &[&offered], &[]);
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .body
            .contains("offer the subprotocol kinglet.v1 beside")
    );
    assert!(!answer.body.contains(&offered));
}

#[test]
fn a_bad_token_is_401_with_the_reason_and_never_the_token() {
    let mut world = world("");
    let now = world.now().wall;
    let good = token(&world, "ada");
    let signed = good.sign();
    let mut check = |header: &str, reason: &str| {
        let (_, answer) = world.ask_to_upgrade("/ws", &[], &[("Authorization", header)]);
        assert_eq!(answer.status, 401, "{header}");
        assert_eq!(answer.challenge.as_deref(), Some("Bearer"));
        assert!(
            answer.body.contains(reason),
            "{} has no {reason}",
            answer.body
        );
        for part in header.split(['.', ' ']).filter(|part| part.len() > 10) {
            assert!(!answer.body.contains(part), "{}", answer.body);
        }
    };
    let past = kinglet::base::clock::Wall::from_millis(now.as_millis() - 31_000);
    let bearer = |text: &str| format!("Bearer {text}");
    let other = "another secret of at least thirty-two bytes";
    let unknown = Token::new("ada", after(now, SECOND)).role("root");
    check(
        &Token::new("ada", past).bearer(),
        "the token expired at 2025-12-31T23:59:",
    );
    check(
        &bearer(&good.sign_with(other)),
        "signature is not by a key of this server",
    );
    check(&unknown.bearer(), "role is not known here");
    check(&bearer(signed.split_at(40).0), "not a signed JWT");
    check(&bearer("an-api-key-that-is-none"), "not a signed JWT");
    check(&bearer(""), "Authorization must be: Bearer");
    check(&bearer(&"e30.".repeat(2100)), "8");
    check("Basic YWRhOmxvdmVsYWNl", "Authorization must be: Bearer");
    check(&signed, "Authorization must be: Bearer");
    assert_eq!(world.total(Counter::HandshakeFailures), 9);
    assert_eq!(world.total(Counter::CredentialsRefused), 9);
    assert_eq!(world.total(Counter::SessionsOpened), 0);
}

#[test]
fn a_credential_that_is_there_twice_is_nobodys() {
    let mut world = world("");
    let bearer = token(&world, "ada").bearer();
    let twice = [("Authorization", &*bearer), ("Authorization", &*bearer)];
    let (_, answer) = world.ask_to_upgrade("/ws", &[], &twice);
    assert_eq!(answer.status, 401);
    assert!(
        answer.body.contains("authorization is there twice"),
        "{}",
        answer.body
    );
    let offered = [token(&world, "ada"), token(&world, "bob")].map(|it| it.sign());
    let offered = offered.map(|signed| format!("bearer.{signed}"));
    let protocols = ["kinglet.v1", &offered[0], &offered[1]];
    let (_, answer) = world.ask_to_upgrade("/ws", &protocols, &[]);
    assert_eq!(answer.status, 401);
    let query = format!("/ws?token={}&token=x", token(&world, "ada").sign());
    let mut world = super::world(QUERY);
    assert_eq!(world.ask_to_upgrade(&query, &[], &[]).1.status, 401);
}

#[test]
fn a_token_in_the_query_needs_leave() {
    let mut world = world("");
    let ada = token(&world, "ada");
    let target = format!("/ws?token={}", ada.sign());
    let header = [("Authorization", &*ada.bearer())];
    // Even beside a good one: it is in somebody's log by now, and its owner should hear of it.
    for headers in [&[][..], &header] {
        let (_, answer) = world.ask_to_upgrade(&target, &[], headers);
        assert_eq!(answer.status, 401);
        assert!(
            answer.body.contains("auth.allow_query_token"),
            "{}",
            answer.body
        );
    }
    let (_, answer) = world.ask_to_upgrade("/ws?token=", &[], &[]);
    assert_eq!(answer.status, 401);
    let mut world = super::world(QUERY);
    let (_, answer) = world.ask_to_upgrade("/ws?token=%ff", &[], &[]);
    assert_eq!(answer.status, 401);
}

#[test]
fn the_first_rooms_are_those_of_the_query_and_the_users_own() {
    let check = |query: &str, expected: &[&str]| {
        let mut world = world("");
        let bearer = token(&world, "ada").bearer();
        let headers = [("Authorization", bearer.as_str())];
        let target = format!("/ws{query}");
        let (id, _) = world.ask_to_upgrade(&target, &["kinglet.v1"], &headers);
        let hello = world.client(id).take_json().remove(0);
        let rooms = hello["rooms"].as_array().unwrap();
        let names: Vec<&str> = rooms
            .iter()
            .map(|room| room["room"].as_str().unwrap())
            .collect();
        assert_eq!(names, expected, "{query}");
    };
    check("", &["global", "user:ada"]);
    check("?room=project:1", &["project:1", "user:ada"]);
    check("?room=user:ada&room=board:1", &["user:ada", "board:1"]);
}

#[test]
fn the_own_room_takes_no_place_from_the_rooms_asked_for() {
    let mut world = world("[limits]\nrooms_per_session = 1\n");
    let ada = token(&world, "ada");
    let id = enter(&mut world, "/ws?room=project:1", &ada);
    let more = ask(
        &mut world,
        id,
        json!({"type": "subscribe", "room": "project:2"}),
    );
    assert_eq!(pick(&more[0]["data"], &["code"]), [json!("RESOURCE_LIMIT")]);
    let (id, _) = world.ask_to_upgrade("/ws?room=project:1", &[], &[]);
    let entered = ask(&mut world, id, auth(&ada));
    assert_eq!(types(&entered), ["authenticated"]);
    assert_eq!(world.client(id).close_code(), None);
}

#[test]
fn a_room_that_the_token_does_not_open_is_403_and_named() {
    for shards in [1, 2] {
        let mut world = world_of(shards, "");
        let ada = token(&world, "ada");
        let bearer = ada.bearer();
        let headers = [("Authorization", bearer.as_str())];
        for (query, room) in [
            ("?room=chat:1", "chat:1"),
            ("?room=global&room=user:bob", "user:bob"),
            ("?project_id=1&room=secret", "secret"),
        ] {
            let target = format!("/ws{query}");
            let (_, answer) = world.ask_to_upgrade(&target, &[], &headers);
            assert_eq!(answer.status, 403, "{query}");
            assert!(answer.body.contains("PERMISSION_DENIED"), "{}", answer.body);
            assert!(answer.body.contains(room), "{}", answer.body);
        }
        assert_eq!(world.total(Counter::CredentialsRefused), 3);
        // What was joined before the refusal was left again.
        let anew = enter(&mut world, "/ws?room=project:1", &ada);
        let (rooms, _) = world.services.rooms.list("", "", 10, |_| true);
        let members = rooms.iter().map(|room| (room.room.as_str(), room.members));
        let members: Vec<_> = members.filter(|(_, members)| *members > 0).collect();
        assert_eq!(members, [("project:1", 1), ("user:ada", 1)]);
        assert_eq!(world.client(anew).close_code(), None);
    }
}

#[test]
fn an_echo_needs_its_token_at_the_upgrade_and_ends_with_it() {
    let mut world = world("[debug]\necho = true\n");
    let (_, answer) = world.ask_to_upgrade("/ws/echo", &[], &[]);
    assert_eq!(answer.status, 401);
    let ada = token(&world, "ada");
    let id = enter(&mut world, "/ws/echo", &ada);
    let back = ask(&mut world, id, json!({"type": "auth", "token": "x"}));
    assert_eq!(back, [json!({"type": "auth", "token": "x"})]);
    world.advance(90 * SECOND);
    assert_eq!(world.client(id).close_code(), Some(4001));
}

#[test]
fn in_open_mode_tokens_are_not_looked_at() {
    let mut world = crate::world("");
    let headers = [("Authorization", "Bearer whatever")];
    let (id, answer) = world.ask_to_upgrade("/ws?token=x", &["kinglet.v1", "bearer.x"], &headers);
    assert_eq!(answer.status, 101);
    assert_eq!(world.client(id).take_json()[0]["user"], Value::Null);
    let reply = ask(
        &mut world,
        id,
        json!({"type": "auth", "token": "x", "id": 1}),
    );
    let members = pick(&reply[0], &["type", "id", "user", "expires"]);
    let expected = [json!("authenticated"), json!(1), Value::Null, Value::Null];
    assert_eq!(members, expected);
    let subscribed = ask(&mut world, id, json!({"type": "subscribe", "room": "any"}));
    assert_eq!(types(&subscribed), ["subscribed"]);
    world.advance(600 * SECOND);
    assert_eq!(world.client(id).close_code(), None);
}

#[test]
fn each_refusal_over_http_because_of_who_asked_is_counted_once() {
    let mut world = world("");
    let ada = token(&world, "ada").bearer();
    let id = world.open();
    let mut refused = 0;
    let mut check = |method: &str, target: &str, bearer: Option<&str>, status: u16| {
        let headers = bearer.map(|bearer| ("Authorization", bearer));
        world
            .client(id)
            .request_with(method, target, headers.as_slice());
        world.settle();
        let answer = world.client(id).answers.pop_front().unwrap();
        assert_eq!(answer.status, status, "{target}: {}", answer.body);
        refused += u64::from(matches!(status, 401 | 403));
        assert_eq!(
            world.total(Counter::CredentialsRefused),
            refused,
            "{target}"
        );
    };
    // By its route, by a room in the shard and in a worker, and by what it asks to be checked.
    check("GET", "/api/v1/ws/stats", None, 401);
    check("GET", "/api/v1/ws/stats", Some(&ada), 403);
    check("GET", "/api/v1/rooms/secret", Some(&ada), 403);
    check("GET", "/api/v1/rooms/secret/history", Some(&ada), 403);
    check("POST", "/api/v1/tokens/check", Some("Bearer x.y.z"), 401);
    check("POST", "/api/v1/tokens/check", None, 401);
    check("POST", "/api/v1/tokens/check", Some(&ada), 200);
    check("GET", "/nowhere", Some(&ada), 404);
}
