//! The whole server core against clients without sockets: one behaviour a test, in virtual time.
//!
//! See `kinglet::testkit::world`. Nothing here sleeps; what chance decides comes from a seed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod closing;
mod drain;
mod handshake;
mod heartbeat;
mod http;
mod messages;
mod random;
mod rate;
mod recovery;
mod rooms;
mod slow;

use std::time::Duration;

use kinglet::testkit::world::{ClientId, Options, World};
use serde_json::{Value, json};

const SECOND: Duration = Duration::from_secs(1);
/// Timers fire up to a tick late.
const TICK: Duration = Duration::from_millis(64);
/// For tests that send more than a client may.
const NO_RATE: &str = "[limits]\nmessages_per_second = 0\n";

fn world(config: &str) -> World {
    World::new(Options {
        config,
        ..Options::default()
    })
}

/// What a command is answered with at once.
fn ask(world: &mut World, id: ClientId, command: Value) -> Vec<Value> {
    world.client(id).command(command);
    world.settle();
    world.client(id).take_json()
}

fn publish(room: &str, data: impl Into<Value>) -> Value {
    json!({"type": "publish", "room": room, "event": "said", "data": data.into()})
}

/// The members of a message that a test names, in its order.
fn pick(message: &Value, members: &[&str]) -> Vec<Value> {
    members.iter().map(|name| message[*name].clone()).collect()
}

/// The data of the publications among `messages`.
fn said(messages: &[Value]) -> Vec<Value> {
    let said = messages.iter().filter(|message| message["type"] == "said");
    said.map(|message| message["data"].clone()).collect()
}

/// Replies to commands whose ids count from 0: none is missing, none comes before its turn.
fn assert_in_order(replies: &[Value]) {
    for (number, reply) in replies.iter().enumerate() {
        assert_eq!(reply["id"], number);
    }
}

/// The types of `messages`.
fn types(messages: &[Value]) -> Vec<&str> {
    let types = messages.iter().map(|message| message["type"].as_str());
    types.map(|kind| kind.unwrap_or("?")).collect()
}
