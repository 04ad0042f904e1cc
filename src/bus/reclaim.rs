//! What shards write to each other when a client of Socket.IO comes back to one of them, and another
//! keeps its session.
//!
//! ```text
//!   asker ──Claim──▶ shard ──Claim──▶ owner ──Claimed──▶ asker ──LetGo──▶ owner
//! ```
//! One claim goes from shard to shard until it finds the session, or nobody has it. Whoever has it
//! gives it away, and stays in its rooms, deaf, until the asker is in them: so no room is without
//! members meanwhile, and nobody is told of a going. Invariant: a session that was given is counted
//! by the asker, who goes on with it or ends it.

use std::sync::Arc;

use crate::base::clock::Wall;
use crate::base::ids::{PeerId, SessionId, ShardId};
use crate::dialect::frame::Frame;
use crate::dialect::socket_io::namespace::Namespace;
use crate::dialect::socket_io::ring::Ring;
use crate::domain::access::Identity;
use crate::domain::position::Position;
use crate::domain::room::RoomName;

/// Who waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Where it is.
    pub shard: ShardId,
    /// The session of Engine.IO on which the client came back.
    pub peer: PeerId,
    /// Which of the shard's questions it is: an answer that comes too late is none to the next.
    pub number: u64,
}

/// Somebody comes back to a session.
#[derive(Debug)]
pub struct Claim {
    /// Who asks.
    pub asker: Asker,
    /// The secret that the session's client was given.
    pub pid: SessionId,
    /// The namespace that it came to.
    pub namespace: Namespace,
    /// The offset of what it heard last; none if it heard nothing.
    pub offset: Option<Box<str>>,
    /// Whoever comes.
    pub identity: Identity,
    /// How many shards have been asked, or need not be.
    pub asked: usize,
}

/// A session that changes the shard.
#[derive(Debug)]
pub struct Given {
    /// Where it was, and as which peer it still stands there in its rooms.
    pub owner: (ShardId, PeerId),
    /// Its id on the wire.
    pub session: SessionId,
    /// The secret of its client.
    pub pid: SessionId,
    /// When it opened.
    pub connected_at: Wall,
    /// What it was told last.
    pub ring: Ring,
    /// What of that its client has not heard.
    pub missed: Vec<Arc<Frame>>,
    /// The rooms that it is in.
    pub stays: Vec<Stay>,
}

/// A room that a session is in which changes the shard.
#[derive(Debug)]
pub struct Stay {
    /// The room.
    pub room: RoomName,
    /// Only publications with a greater sequence are for the session: it came after the others.
    pub joined: u64,
    /// Up to here it has heard everything that is for it.
    pub heard: Position,
    /// An operator put it in, whatever its own rights.
    pub is_placed: bool,
}
