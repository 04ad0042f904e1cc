//! Token mode: who may watch the machine, and what is said to others.

use std::time::Duration;

use kinglet::testkit::tokens::{self, Token, after};
use kinglet::testkit::world::{Answer, ClientId, World};
use serde_json::json;

use super::{PATH, metrics, sample, told};
use crate::{SECOND, ask, types, world};

const MINUTE: Duration = Duration::from_secs(60);

/// A world in token mode; `more` follows in its configuration.
fn world_in_token_mode(more: &str) -> World {
    world(&format!("{}{more}", tokens::CONFIG))
}

fn token(world: &World, user: &str) -> Token {
    Token::new(user, after(world.now().wall, MINUTE))
}

fn come(world: &mut World, token: &Token) -> (ClientId, Answer) {
    world.ask_to_upgrade(PATH, &[], &[("Authorization", token.bearer().as_str())])
}

/// A client of this user, who may what users may.
fn enter_as(world: &mut World, user: &str) -> ClientId {
    let token = token(world, user);
    let (id, answer) = come(world, &token);
    assert_eq!(answer.status, 101, "{}", answer.body);
    id
}

#[test]
fn a_token_may_come_in_three_places_and_in_no_message() {
    let mut world = world_in_token_mode("allow_query_token = true\n");
    metrics(&mut world, 1);
    let token = token(&world, "ada");
    let (bearer, signed) = (token.bearer(), token.sign());
    let offered = format!("bearer.{signed}");
    let in_query = format!("{PATH}?token={signed}");
    for (target, protocols, headers) in [
        (PATH, vec![], vec![("Authorization", bearer.as_str())]),
        (PATH, vec!["kinglet.v1", offered.as_str()], vec![]),
        (in_query.as_str(), vec![], vec![]),
    ] {
        let (id, answer) = world.ask_to_upgrade(target, &protocols, &headers);
        let selected = (!protocols.is_empty()).then_some("kinglet.v1");
        assert_eq!(
            (answer.status, answer.subprotocol.as_deref()),
            (101, selected)
        );
        assert_eq!(
            types(&world.client(id).take_json()),
            ["connected", "metrics"]
        );
    }
    let (_, answer) = world.ask_to_upgrade(PATH, &[], &[]);
    assert_eq!(answer.status, 401);
    let (_, answer) = world.ask_to_upgrade(PATH, &["kinglet.v1", "bearer.x.y.z"], &[]);
    assert_eq!(answer.status, 401);
}

#[test]
fn who_may_not_see_the_metrics_is_refused_at_the_upgrade() {
    let mut world = world_in_token_mode("roles = { guest = { rooms = [] } }\n");
    let guest = token(&world, "ada").role("guest");
    let (_, answer) = come(&mut world, &guest);
    assert_eq!(answer.status, 403);
    for part in ["PERMISSION_DENIED", "subscribe", "metrics"] {
        assert!(answer.body.contains(part), "{} has no {part}", answer.body);
    }
}

#[test]
fn who_may_not_see_a_channel_is_told_and_stays() {
    let mut world = world_in_token_mode(
        "roles = { few = { rooms = [{ pattern = \"metrics\", allow = [\"subscribe\"] }] } }\n",
    );
    metrics(&mut world, 1);
    let few = token(&world, "ada").role("few");
    let (id, answer) = come(&mut world, &few);
    assert_eq!(answer.status, 101);
    // What was published before it came is history.
    assert_eq!(types(&world.client(id).take_json()), ["connected"]);
    let command = json!({"type": "subscribe", "channel": "processes"});
    let refused = ask(&mut world, id, command);
    assert_eq!(types(&refused), ["error"]);
    let message = refused[0]["message"].as_str().unwrap();
    assert!(message.contains("metrics:processes"), "{message}");
    sample(&mut world, &["metrics:processes"], "processes", 1);
    assert!(told(&mut world, id).is_empty());
    metrics(&mut world, 2);
    assert_eq!(types(&world.client(id).take_json()), ["metrics"]);
}

#[test]
fn a_device_is_in_no_room_of_its_user_and_ends_with_its_token() {
    let mut world = world_in_token_mode("");
    let id = enter_as(&mut world, "ada");
    world.client(id).take_json();
    sample(&mut world, &["user:ada"], "said", 1);
    assert!(told(&mut world, id).is_empty());
    world.advance(MINUTE + 24 * SECOND);
    assert_eq!(world.client(id).close_code(), None);
    world.advance(2 * SECOND);
    assert_eq!(world.client(id).close_code(), Some(4001));
}
