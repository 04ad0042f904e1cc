//! permessage-deflate (RFC 7692) between the whole core and clients without sockets, in virtual time.
//!
//! `cases` holds the counterparts of sections 12 and 13 of the Autobahn test suite, `rules` what
//! breaks the protocol and what it costs, `sharing` how often a publication is compressed and who
//! gets which form. Clients inflate with exactly the window that was agreed on.

mod cases;
mod rules;
mod sharing;

use kinglet::testkit::world::{ClientId, Message, Options, World};

pub use cases::{ROWS, render};

/// What every answer begins with while contexts are not configured.
const ALONE: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

fn world(config: &str) -> World {
    World::new(Options {
        config,
        ..Options::default()
    })
}

/// A client at `target` that offers `offers`, a header line each, and compresses with a window of
/// `window` bits; and what it was answered, empty if that was declined.
fn connect(world: &mut World, target: &str, offers: &[&str], window: u8) -> (ClientId, String) {
    let id = world.open();
    let client = world.client(id);
    client.window = window;
    let lines: Vec<(&str, &str)> = offers
        .iter()
        .map(|offer| ("Sec-WebSocket-Extensions", *offer))
        .collect();
    client.upgrade_offering(target, &[], &lines);
    world.settle();
    let answer = world.client(id).answers.pop_front().unwrap();
    assert_eq!(answer.status, 101, "{}", answer.body);
    (id, answer.extensions.unwrap_or_default())
}

/// The messages that a client has received since the last time.
fn received(world: &mut World, id: ClientId) -> Vec<Message> {
    world.settle();
    world.client(id).inbox.drain(..).collect()
}
