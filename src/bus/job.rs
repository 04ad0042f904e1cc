//! Work that may block or take long, on its way to the workers and back.
//!
//! A session or connection has at most one job in flight; what it sends meanwhile waits unread in
//! its own buffer, so its order is kept whichever worker is free. Invariant: a job owns all it
//! needs; it holds no reference into a shard.

use std::net::IpAddr;

use crate::base::ids::{PeerId, SessionId, ShardId};
use crate::bus::order::Sequel;
use crate::bus::room::Missed;
use crate::dialect::native::decode::Correlation;
use crate::domain::access::Identity;
use crate::domain::command::{Command, Since};
use crate::domain::durable::DurableName;
use crate::domain::fault::{Code, Fault};
use crate::domain::position::Position;
use crate::domain::room::RoomName;
use crate::wire::http::head::Head;
use crate::wire::http::response::Response;

/// Something to be done off the shard.
#[derive(Debug)]
pub struct Job {
    /// The shard that waits for the answer.
    pub shard: ShardId,
    /// The peer it is for.
    pub peer: PeerId,
    /// What to do.
    pub work: Work,
}

/// The kinds of jobs.
#[derive(Debug)]
pub enum Work {
    /// An HTTP request whose route may block.
    Http(Box<HttpCall>),
    /// Part of a durable room's stream that is not in memory any more.
    Read(Box<StreamRead>),
    /// A session's command that may block.
    Command {
        /// The command's type, for the log.
        name: &'static str,
        /// What the reply repeats.
        correlation: Correlation,
        /// What was asked.
        command: Box<Command>,
        /// Who asked.
        session: SessionId,
        /// On whose behalf.
        identity: Identity,
        /// From where.
        address: IpAddr,
    },
}

/// Part of a durable room's stream that a session waits for.
#[derive(Clone, Debug)]
pub struct StreamRead {
    /// Whose.
    pub room: RoomName,
    /// Up to where; the epoch is the one that it must have.
    pub position: Position,
    /// From where.
    pub since: u64,
    /// What it is for.
    pub purpose: ReadPurpose,
}

/// Why part of a stream is read.
#[derive(Clone, Debug)]
pub enum ReadPurpose {
    /// A session that came back; it gets all or nothing.
    Recovery(Recovery),
    /// A stream of events that is to begin with it; it gets all or nothing, too.
    Stream,
    /// A session that is behind; it gets the next few.
    Refill,
}

/// What the store says of a durable subscription.
#[derive(Clone, Debug)]
pub struct Kept {
    /// To which room.
    pub room: RoomName,
    /// What was acknowledged; `None` if nothing is kept any more.
    pub position: Option<Position>,
}

/// A room that a session is to be a member of, and what it is to recover.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Which.
    pub room: RoomName,
    /// From where it recovers, if it does.
    pub since: Option<Since>,
    /// Under which name its position is kept, and what was acknowledged.
    pub durable: Option<(DurableName, Position)>,
}

/// A subscribe that waits for what was missed.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// The command's type, for the log.
    pub name: &'static str,
    /// What its replies repeat.
    pub correlation: Correlation,
    /// Under which name its position is kept, and what was acknowledged.
    pub durable: Option<(DurableName, Position)>,
    /// A publication with a greater sequence is live for the member.
    pub sequence: u64,
    /// The rooms that are to be answered after this one.
    pub rest: Vec<Result<Wish, Fault>>,
}

/// An HTTP request that has been read whole.
#[derive(Debug)]
pub struct HttpCall {
    /// Request line and headers.
    pub head: Head,
    /// The body, empty if there was none.
    pub body: Vec<u8>,
    /// The route it matched, an index into the table of routes.
    pub route: usize,
    /// The parts of the path that the route leaves open, percent-decoded once.
    pub parameters: Vec<String>,
    /// The client's address.
    pub address: IpAddr,
    /// Who asks.
    pub identity: Identity,
}

/// What came of a job.
#[derive(Debug)]
pub enum Answer {
    /// The answer to an HTTP request.
    Http(Response),
    /// The reply to a session's command.
    Reply(Reply),
    /// Part of a stream; `None` if it is not there as it was asked for.
    Read(Box<StreamRead>, Missed),
    /// What the store says of the durable subscription to each room.
    Kept(Box<Sequel>, Vec<Result<Kept, Fault>>),
}

/// A message for one session, and which error it reports.
#[derive(Debug)]
pub struct Reply {
    /// The JSON text.
    pub json: Vec<u8>,
    /// The error, if it is one: a client's mistakes in a row close the session.
    pub error: Option<Code>,
}
