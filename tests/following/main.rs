//! `kinglet subscribe` over connections that are cut, refused and closed, and over TLS.
//!
//! The client is the real binary. In front of a real server stands a relay that is cut and led
//! elsewhere, so that a server which restarts on a port of its own is the same to the client; what
//! a server cannot be made to say is said by a fake one that follows a script.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fake;
#[path = "../cli/process.rs"]
mod process;
mod reconnecting;
mod refusals;
mod relay;
mod secure;

use std::net::SocketAddr;

use kinglet::testkit::client::{get, post};
use kinglet::testkit::server::{Server, until};
use serde_json::{Value, json};

use process::Running;

/// Starts the binary with these settings, as in `("KINGLET_LIMITS__CONNECTIONS", "5")`.
fn serve(settings: &[(&str, &str)]) -> Server {
    Server::start(env!("CARGO_BIN_EXE_kinglet"), settings)
}

fn subscribe(url: &str, arguments: &[&str]) -> Running {
    Running::start(&[&["subscribe", "--url", url], arguments].concat())
}

/// Publishes `count` events whose data count on from `first`.
fn publish(server: SocketAddr, room: &str, first: u64, count: u64) {
    let mut next = first;
    while next < first + count {
        let end = (first + count).min(next + 100);
        let command = |n| json!({"publish": {"room": room, "event": "n", "data": n}});
        let commands: Vec<Value> = (next..end).map(command).collect();
        let answer = post(server, "/api/v1/batch", &json!({ "commands": commands }));
        assert_eq!(answer.status(), 200, "{answer:?}");
        next = end;
    }
}

fn wait_for_members(server: SocketAddr, room: &str, members: u64) {
    let path = format!("/api/v1/rooms/{room}");
    until("the members are there", || {
        get(server, &path).json()["members"] == json!(members)
    });
}

/// Checks that the next lines are the events of a room whose data and offsets both count on.
fn prints(reader: &Running, room: &str, first: u64, count: u64) {
    for expected in first..first + count {
        let event = reader.event();
        let place = (&event["room"], &event["data"], &event["offset"]);
        assert_eq!(place, (&json!(room), &json!(expected), &json!(expected)));
    }
}
