//! What the emitters of Socket.IO put into Redis, as messages of ours.
//!
//! ```text
//!   python-socketio from 5.14 ── JSON ─────────────────────┐
//!   python-socketio to 5.13 ─── pickle ── Document ── python ┼── Message ── publication ── Publish
//!   Node's redis-emitters ───── msgpack ─ Document ── node ──┘
//! ```
//!
//! May not touch: Redis, rooms, sessions. Invariants: nothing that arrives is executed; memory is
//! taken by what has arrived, never by what a length declares; no input makes anything here panic
//! or recurse deeper than a published value may nest.

pub mod document;
mod fault;
mod json;
mod message;
mod msgpack;
mod node;
pub mod pickle;
pub mod publication;
mod python;
#[cfg(test)]
mod tests;

pub use fault::EmitterFault;
pub use message::{Emit, Message};

/// Whose way of writing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// python-socketio's: what it publishes in a channel of its own, as JSON or as a pickle.
    Python,
    /// Node's: what it publishes in channels with a prefix, as msgpack.
    Node,
}

/// Reads one message that came in `channel`; it and what it publishes have at most `limit` bytes.
///
/// # Errors
/// What is wrong with it, [`EmitterFault`]; the message is to be dropped then.
pub fn read(
    writer: Writer,
    channel: &str,
    message: &[u8],
    limit: usize,
) -> Result<Message, EmitterFault> {
    if message.len() > limit {
        return Err(EmitterFault::TooLarge { limit });
    }
    match writer {
        Writer::Python if message.first() == Some(&pickle::PROTO) => {
            python::from_pickle(&pickle::read(message)?, limit)
        }
        Writer::Python => json::read(message, limit),
        Writer::Node => node::message(&msgpack::read(message)?, channel, limit),
    }
}
