//! What clients say, as values: commands on a socket, requests over HTTP, tokens.

use crate::testkit::choices::Choices;
use crate::testkit::operations::{Who, room, rooms};

/// A command on a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `subscribe` to these rooms.
    Subscribe(Vec<&'static str>, Since),
    /// `unsubscribe` from these rooms.
    Unsubscribe(Vec<&'static str>),
    /// So many `publish` into these rooms.
    Publish {
        /// The rooms.
        rooms: Vec<&'static str>,
        /// How often.
        times: usize,
        /// Bytes of filling in each.
        filling: u8,
        /// Whether it names an idempotency key, or leaves its own session out.
        manner: Manner,
    },
    /// The last `publish` with an idempotency key once more, by whoever may repeat it.
    PublishAgain,
    /// `history` of this room.
    History {
        /// The room.
        room: &'static str,
        /// The page's size.
        limit: u64,
        /// Newest first.
        reverse: bool,
    },
    /// `ping`.
    Ping,
}

/// What a publish says beside rooms, event and data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Nothing.
    Plain,
    /// An idempotency key of its own.
    Keyed,
    /// `except` with the publisher's session.
    Quiet,
}

/// From where a subscriber recovers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// It does not.
    Now,
    /// From where it left the room.
    Left,
    /// From the beginning of what is retained.
    Beginning,
}

/// How a message is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One text frame.
    Text,
    /// One binary frame.
    Binary,
    /// Two fragments.
    Fragments,
    /// One text frame, of which the second half waits until the client sends something else.
    Halted,
}

/// A request over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// POST a publication into these rooms.
    Publish(Vec<&'static str>),
    /// GET the history of this room.
    History(&'static str),
    /// DELETE the history of this room.
    Clear(&'static str),
    /// GET the history of a room without the credential that token mode asks for.
    Nameless,
    /// These bytes, whatever they are.
    Garbage(Vec<u8>),
}

/// What a token says, and what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Its role.
    pub rights: Rights,
    /// Seconds until it ends.
    pub seconds: u16,
    /// Why it must be refused, if it must.
    pub flaw: Option<Flaw>,
}

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Everything but the rooms of other users.
    Wide,
    /// Few rooms.
    Narrow,
    /// To subscribe, and nothing else.
    Reader,
    /// Everything, whatever the room's policy.
    Admin,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Its signature is another's.
    Forged,
    /// It ended long ago.
    Stale,
    /// It is another user's, which matters to a session that is somebody's.
    Stranger,
}

/// How somebody who connects shows a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Showing {
    /// As a subprotocol beside `kinglet.v1`.
    Subprotocol,
    /// In the query.
    Query,
    /// In the header `Authorization`.
    Header,
    /// In the first message.
    Later,
    /// Not at all.
    Never,
}

impl Command {
    pub(super) fn choose(choices: &mut Choices<'_>) -> Self {
        match choices.byte() {
            0..=39 => {
                let since = [Since::Now, Since::Now, Since::Left, Since::Beginning];
                Self::Subscribe(rooms(choices), choices.one_of(&since))
            }
            40..=59 => Self::Unsubscribe(rooms(choices)),
            60..=214 => Self::Publish {
                rooms: rooms(choices),
                times: 1 + choices.below(5),
                filling: choices.byte() % 160,
                manner: match choices.byte() {
                    0..=199 => Manner::Plain,
                    200..=229 => Manner::Keyed,
                    230..=255 => Manner::Quiet,
                },
            },
            215..=224 => Self::PublishAgain,
            225..=244 => Self::History {
                room: room(choices),
                limit: 1 + u64::from(choices.byte() % 25),
                reverse: choices.one_in(2),
            },
            245..=255 => Self::Ping,
        }
    }
}

impl Request {
    pub(super) fn choose(choices: &mut Choices<'_>) -> Self {
        match choices.byte() {
            0..=127 => Self::Publish(rooms(choices)),
            128..=159 => Self::History(room(choices)),
            160..=209 => Self::Clear(room(choices)),
            210..=219 => Self::Nameless,
            220..=255 => Self::Garbage(garbage(choices)),
        }
    }
}

impl Framing {
    pub(super) fn choose(choices: &mut Choices<'_>) -> Self {
        match choices.byte() {
            0..=199 => Self::Text,
            200..=219 => Self::Binary,
            220..=239 => Self::Fragments,
            240..=255 => Self::Halted,
        }
    }
}

impl Claims {
    /// A token that is good for as long as a simulation takes.
    pub const GOOD: Self = Self {
        rights: Rights::Wide,
        seconds: 3600,
        flaw: None,
    };

    pub(super) fn choose(choices: &mut Choices<'_>) -> Self {
        Self {
            rights: match choices.byte() {
                0..=139 => Rights::Wide,
                140..=199 => Rights::Narrow,
                200..=229 => Rights::Reader,
                230..=255 => Rights::Admin,
            },
            seconds: choices.one_of(&[3600, 20, 5]),
            flaw: match choices.byte() {
                0..=215 => None,
                216..=229 => Some(Flaw::Forged),
                230..=242 => Some(Flaw::Stale),
                243..=255 => Some(Flaw::Stranger),
            },
        }
    }
}

impl Showing {
    pub(super) fn choose(choices: &mut Choices<'_>) -> Self {
        match choices.byte() {
            0..=79 => Self::Subprotocol,
            80..=119 => Self::Query,
            120..=149 => Self::Header,
            150..=234 => Self::Later,
            235..=255 => Self::Never,
        }
    }
}

/// A few bytes, too few for the message that panics on purpose.
pub(super) fn garbage(choices: &mut Choices<'_>) -> Vec<u8> {
    let count = choices.below(20);
    choices.take(count).to_vec()
}

/// An operator's wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Close the sessions with this code.
    Disconnect(u16),
    /// Make them members of the room.
    Subscribe(&'static str),
    /// End their membership of the room.
    Unsubscribe(&'static str),
}

/// Whom an operator means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// One session.
    Session(Who),
    /// All sessions of one of the [`USERS`].
    User(u8),
}

/// How many users there are: `u0`, `u1` …
pub const USERS: u8 = 3;

impl Order {
    pub(super) fn choose(choices: &mut Choices<'_>) -> Self {
        match choices.byte() {
            0..=79 => Self::Disconnect(choices.one_of(&[4501, 4100, 1012])),
            80..=179 => Self::Subscribe(room(choices)),
            180..=255 => Self::Unsubscribe(room(choices)),
        }
    }
}
