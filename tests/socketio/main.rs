//! Socket.IO over real sockets: a model of the public protocol suites of Engine.IO 4 and Socket.IO 5,
//! every incident that broke a server of theirs, and the clients that others wrote.
//!
//! What the protocol says is asked of npm's socket.io, too, where `make test` has installed it: so
//! these tests are of the protocol and not of us.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod attachments;
mod clients;
mod closing;
mod handshake;
mod heartbeat;
mod hostile;
mod packets;
mod polling;
mod reclaim;
mod recovery;
#[path = "../following/relay.rs"]
mod relay;
mod session;
mod states;
mod upgrading;

use std::path::Path;

use kinglet::testkit::client::note;
use kinglet::testkit::server::Server;

/// The application that the protocol suites expect of their server, in two namespaces.
const ECHO: [(&str, &str); 3] = [
    ("KINGLET_DEBUG__ECHO", "true"),
    ("KINGLET_SOCKETIO__NAMESPACES", "[\"/\", \"/custom\"]"),
    ("KINGLET_LIMITS__MESSAGES_PER_SECOND", "0"),
];

/// A server with the application [`ECHO`] and `more` settings.
fn echoing(more: &[(&str, &str)]) -> Server {
    start(&[&ECHO[..], more].concat())
}

fn start(settings: &[(&str, &str)]) -> Server {
    Server::start(env!("CARGO_BIN_EXE_kinglet"), settings)
}

/// Runs `test` against kinglet and, if it is there, against npm's socket.io, both with the
/// application [`ECHO`] and `more` settings.
fn on_both(more: &[(&str, &str)], test: impl Fn(&Server)) {
    if std::env::var_os("KINGLET_TEST_REFERENCE_ONLY").is_none() {
        note("against kinglet");
        test(&echoing(more));
    }
    if let Some(reference) = reference(more) {
        note("against npm's socket.io");
        test(&reference);
    }
}

/// npm's socket.io with the same application.
fn reference(settings: &[(&str, &str)]) -> Option<Server> {
    let folder = std::env::var("KINGLET_TEST_CLIENTS").ok()?;
    let program = Path::new(&folder).join("socketio/reference.mjs");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = [("PATH", path.as_str())];
    Some(Server::start(
        program.to_str().unwrap(),
        &[&path, settings].concat(),
    ))
}
