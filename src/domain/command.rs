//! What clients ask for, whatever dialect they ask in.
//!
//! A dialect parses a message into a [`Command`] once; from then on its fields are trusted. May
//! not touch: wire spellings, sessions, rooms' state.

use bytes::Bytes;

use crate::base::ids::SessionId;
use crate::domain::durable::DurableName;
use crate::domain::fault::Fault;
use crate::domain::position::{Epoch, OFFSET_MAX};
use crate::domain::room::RoomName;
use crate::domain::run_command::RunCommand;

/// One checked request of a client.
#[derive(Debug)]
pub enum Command {
    /// Become a member of rooms; each is answered by itself.
    Subscribe {
        /// The rooms in the order asked for; a bad name is answered in its place.
        rooms: Vec<Result<RoomName, Fault>>,
        /// From where the client wants what it missed.
        since: Option<Since>,
        /// The server keeps under this name how far the client got.
        durable: Option<DurableName>,
    },
    /// Stop being a member of rooms; not being one is no error.
    Unsubscribe {
        /// The rooms in the order asked for.
        rooms: Vec<Result<RoomName, Fault>>,
        /// The durable subscription to them that is given up for good.
        forget: Option<DurableName>,
    },
    /// Say how far a durable subscription got.
    Acknowledge(Acknowledge),
    /// Show a token: the first message of a session that has shown none, or a newer one in time.
    Auth {
        /// The token; at most 8 KiB of it are looked at.
        token: Box<str>,
    },
    /// Put an event into one or several rooms.
    Publish(Publish),
    /// Read a page of a room's retained publications.
    History(HistoryQuery),
    /// Ask who is in a room.
    Presence(RoomName),
    /// Something about projects and runs.
    Run(RunCommand),
    /// Ask how the server is.
    Health,
    /// Ask whether the server is there.
    Ping,
    /// Show that the client is there; needs no reply.
    Pong,
}

/// An event on its way into rooms.
#[derive(Clone, Debug)]
pub struct Publish {
    /// Where it goes: at least one room, none twice, in the request's order.
    pub rooms: Vec<RoomName>,
    /// The event's name, checked and not reserved.
    pub event: Box<str>,
    /// What is published.
    pub payload: Payload,
    /// Free text that says who published.
    pub source: Option<Box<str>>,
    /// Idempotency key: a repeat within five minutes gets the first answer.
    pub key: Option<Box<str>>,
    /// Sessions that shall not receive it.
    pub except: Vec<SessionId>,
}

impl Publish {
    /// What it adds to the retained bytes of each of its rooms.
    #[must_use]
    pub fn retained_bytes(&self) -> usize {
        let source = self.source.as_ref().map_or(0, |text| text.len());
        self.payload.len() + self.event.len() + source + size_of_val(self.except.as_slice())
    }
}

/// The data of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Valid JSON on one line, as the publisher spelt it.
    Json(Box<str>),
    /// Bytes; JSON dialects spell them `{"base64":"…"}`.
    Bytes(Bytes),
}

impl Payload {
    /// What it adds to a room's retained bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Json(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where a client stopped hearing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    /// The stream it heard; `None` takes any.
    pub epoch: Option<Epoch>,
    /// The last offset it has; 0 from the beginning.
    pub offset: u64,
}

impl Since {
    /// Reads `OFFSET` or `EPOCH:OFFSET`; `None` if it is neither, or no offset gets so large.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, offset) = match text.split_once(':') {
            Some((epoch, offset)) => (Some(Epoch::parse(epoch)?), offset),
            None => (None, text),
        };
        // `u64::from_str` takes a sign, too.
        let is_number = offset.bytes().all(|byte| byte.is_ascii_digit());
        let offset: u64 = offset.parse().ok().filter(|_| is_number)?;
        (offset <= OFFSET_MAX).then_some(Self { epoch, offset })
    }
}

/// That everything up to an offset was dealt with.
#[derive(Clone, Debug)]
pub struct Acknowledge {
    /// In which room.
    pub room: RoomName,
    /// The last offset that is not new any more; 0 if all are.
    pub offset: u64,
    /// Which of the session's durable subscriptions to the room; `None` if it has one.
    pub durable: Option<DurableName>,
}

/// Which retained publications a client wants to read.
#[derive(Clone, Debug)]
pub struct HistoryQuery {
    /// Whose.
    pub room: RoomName,
    /// The stream the client knows; another one is an error that says which it is now.
    pub epoch: Option<Epoch>,
    /// Exclusive bound: after it, or before it if `reverse`.
    pub since: Option<u64>,
    /// At most so many, from 1 to [`crate::base::limits::PAGE`].
    pub limit: usize,
    /// Newest first.
    pub reverse: bool,
}
