//! Token mode on sockets: how a token is shown, what a session may do with it, how it is replaced,
//! and what happens when it ends.

mod pending;
mod rate;
mod refresh;
mod rooms;
mod upgrade;

use std::time::Duration;

use kinglet::testkit::tokens::{self, Token, after};
use kinglet::testkit::world::{ClientId, Options, World};
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_secs(60);

/// A world in token mode; `more` follows in its configuration.
fn world(more: &str) -> World {
    world_of(1, more)
}

fn world_of(shards: u16, more: &str) -> World {
    World::new(Options {
        config: &format!("{}{more}", tokens::CONFIG),
        shards,
        ..Options::default()
    })
}

/// A token that is good for a minute.
fn token(world: &World, user: &str) -> Token {
    Token::new(user, after(world.now().wall, MINUTE))
}

fn auth(token: &Token) -> Value {
    json!({"type": "auth", "token": token.sign()})
}

/// A session that shows `token` at the upgrade; without `kinglet.v1`, so it hears no hello.
fn enter(world: &mut World, target: &str, token: &Token) -> ClientId {
    let (id, answer) =
        world.ask_to_upgrade(target, &[], &[("Authorization", token.bearer().as_str())]);
    assert_eq!(answer.status, 101, "{target}: {}", answer.body);
    id
}

/// The code of the one error among `replies`, or the type of the one reply.
fn outcome(replies: &[Value]) -> &str {
    let [reply] = replies else {
        panic!("one reply was expected: {replies:?}");
    };
    match reply["type"].as_str() {
        Some("error") => reply["data"]["code"].as_str().unwrap(),
        other => other.unwrap(),
    }
}
