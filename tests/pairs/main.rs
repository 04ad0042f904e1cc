//! The whole server core against clients without sockets: one behaviour a test, in virtual time.
//!
//! See `kinglet::testkit::world`. Nothing here sleeps; what chance decides comes from a seed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod admission;
mod closing;
mod devices;
mod drain;
mod drop_oldest;
mod durable;
mod events;
mod handshake;
mod heartbeat;
mod http;
mod lag;
mod latest;
mod messages;
mod policies;
mod presence;
mod projects;
mod random;
mod rate;
mod recovery;
mod rooms;
mod shards;
mod slow;
mod subscriptions;
mod tls;
mod tokens;

use std::time::Duration;

use kinglet::app::services::Live;
use kinglet::config::{Flags, Sources, load, no_files};
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

/// Has the server go by another configuration.
fn reload(world: &mut World, config: &str) {
    let sources = Sources {
        file: Some(("world.toml", config)),
        environment: &[],
        flags: &Flags::default(),
        files: no_files,
    };
    let (config, _) = load(&sources).unwrap();
    let mut live = Live::of(config).unwrap();
    live.tls.clone_from(&world.services.live().tls);
    world.services.replace(live);
    world.settle();
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

/// A namespace for each policy, called after it; outboxes are small, so that they are full soon.
const POLICIES: &str = "[limits]\nmessages_per_second = 0\noutbox_messages = 16\n\
    [rooms.drop]\nslow_consumer = \"drop_oldest\"\n\
    [rooms.latest]\nslow_consumer = \"latest\"\nhistory_count = 0\n\
    [rooms.lag]\nslow_consumer = \"lag\"\nhistory_count = 300\n";

/// A member of `rooms` whose socket holds little and who does not read, and its session's id.
fn connect_slow(world: &mut World, rooms: &[&str]) -> (ClientId, String) {
    let capacity = std::mem::replace(&mut world.conditions.capacity, 1000);
    let id = world.open();
    let rooms: Vec<String> = rooms.iter().map(|room| format!("room={room}")).collect();
    let target = format!("/ws?{}", rooms.join("&"));
    world.client(id).upgrade(&target, "kinglet.v1");
    world.settle();
    world.conditions.capacity = capacity;
    let hello = world.client(id).take_json().remove(0);
    world.client(id).appetite = Some(0);
    (id, hello["session"].as_str().unwrap().to_owned())
}

/// Lets a client read to the end; returns what it got.
fn read_on(world: &mut World, id: ClientId) -> Vec<Value> {
    world.client(id).appetite = Some(500);
    world.settle();
    world.client(id).take_json()
}

/// Publishes the numbers of `range` to a room, one by one.
fn publish_all(world: &mut World, publisher: ClientId, room: &str, range: std::ops::Range<u64>) {
    for number in range {
        ask(world, publisher, publish(room, number));
    }
}

/// The numbers of `range` as the data of publications.
fn numbers(range: std::ops::Range<u64>) -> Vec<Value> {
    range.map(Value::from).collect()
}
