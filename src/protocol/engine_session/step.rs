//! What a session of Engine.IO says to its caller: where output may go, what to do, why it ended.

use std::borrow::Cow;

use crate::base::ids::PeerId;
use crate::wire::engine_io::fault::RequestFault;

/// Where what is queued may go now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlet {
    /// Nowhere: no poll hangs.
    Nowhere,
    /// Into the answer of this poll; say [`EngineSession::take_poll`](super::EngineSession::take_poll) and answer it.
    Poll(PeerId),
    /// Onto this WebSocket.
    Socket(PeerId),
}

/// One thing for the caller to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Queue a ping behind all that is queued.
    QueuePing,
    /// Answer this poll.
    AnswerPoll(PeerId, PollAnswer),
    /// Answer this POST with `ok`.
    AnswerPost(PeerId),
    /// Answer this request, read to its end or not, with the fault's status and body.
    Refuse(PeerId, RequestFault),
    /// Send `3probe` on this WebSocket, at once.
    AnswerProbe(PeerId),
    /// Close this WebSocket; finish its handshake before, if that is still to be done.
    CloseSocket(PeerId),
    /// All that is queued, and all that will be, goes onto this WebSocket.
    MoveTo(PeerId),
    /// The session is over; forget it.
    End(EndReason),
}

/// What a poll is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollAnswer {
    /// All that is queued, or a noop if nothing is.
    QueuedOrNoop,
    /// A noop, whatever is queued.
    Noop,
    /// All that is queued, and a close packet behind it.
    QueuedThenClose,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The client said so.
    ClientClosed,
    /// We said so.
    ServerClosed,
    /// A connection that carried something is gone.
    ConnectionLost,
    /// The client was silent after a ping.
    PingTimeout,
    /// The client broke the protocol.
    Fault(RequestFault),
}

impl EndReason {
    /// Its name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::ServerClosed => "server_closed",
            Self::ConnectionLost => "connection_lost",
            Self::PingTimeout => "ping_timeout",
            Self::Fault(_) => "protocol_fault",
        }
    }
}

/// What a packet led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A message of text for whoever the session is of.
    Text(&'a str),
    /// A message of bytes.
    Binary(Cow<'a, [u8]>),
    /// Things to do, or none.
    Steps(Vec<Step>),
}
