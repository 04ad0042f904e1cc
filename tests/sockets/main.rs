//! The real binary over real sockets: one process per test, on a port of its own, one module per
//! subject. What can be shown without a process is tested beside the code; here is what only the
//! whole can show, and every incident that broke a server like this one on the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod admin;
mod caddy;
mod catalogue;
mod clients;
mod commands;
mod compression;
mod descriptors;
mod devices;
mod emitters;
mod events;
mod framing;
mod front;
mod handshake;
mod host;
mod http;
mod http_limits;
mod life;
mod monitor;
mod nginx;
mod origin;
mod policies;
mod presence;
mod pressure;
mod proxies;
mod publishing;
mod recovery;
#[path = "../following/relay.rs"]
mod relay;
mod reload;
mod rooms;
mod shards;
mod slowloris;
mod smuggling;
mod tls;
mod tokens;
mod webhooks;
mod websocket;

use kinglet::testkit::client::{Answer, Connection};
use kinglet::testkit::server::Server;
use kinglet::testkit::socket::Socket;
use serde_json::json;

/// Starts the binary with these settings, as in `("KINGLET_LIMITS__CONNECTIONS", "5")`.
fn start(settings: &[(&str, &str)]) -> Server {
    Server::start(env!("CARGO_BIN_EXE_kinglet"), settings)
}

/// Sends a request with these headers on a connection of its own.
fn request(
    server: &Server,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut connection = Connection::open(server.address());
    connection.request(method, target, headers, body.as_bytes())
}

/// Checks that the server still serves whoever comes next.
fn still_serves(server: &Server) {
    let mut fresh = Socket::open(server.address(), "/ws?room=still-serves");
    assert_eq!(fresh.ask(&json!({"type": "ping"}))["type"], "pong");
}
