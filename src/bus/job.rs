//! Work that may block or take long, on its way to the workers and back.
//!
//! A session or connection has at most one job in flight; what it sends meanwhile waits unread in
//! its own buffer, so its order is kept whichever worker is free. Invariant: a job owns all it
//! needs; it holds no reference into a shard.

use std::net::IpAddr;

use crate::base::ids::{PeerId, SessionId, ShardId};
use crate::dialect::native::decode::Correlation;
use crate::domain::access::Identity;
use crate::domain::command::Command;
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
}

/// A message for one session, and whether it reports an error.
#[derive(Debug)]
pub struct Reply {
    /// The JSON text.
    pub json: Vec<u8>,
    /// Errors in a row close the session.
    pub is_error: bool,
}
