//! What a person must be told: replies to what it asked, and what operators wished.

use crate::testkit::simulation::rights::Token;

/// What an operator wished of somebody.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) verb: Verb,
    /// Nothing can have kept it from coming true.
    pub(super) is_certain: bool,
}

/// What somebody is told of an operator's wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Subscribed(String),
    Unsubscribed(String),
    Closed(u16),
}

impl Verb {
    /// Whether everybody is told whom it is done with.
    pub(super) fn is_told(&self) -> bool {
        match self {
            Self::Subscribed(_) | Self::Closed(_) => true,
            // One who is not in the room hears nothing.
            Self::Unsubscribed(_) => false,
        }
    }
}

/// A reply that must come.
#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) id: u64,
    pub(super) asked: Asked,
}

/// What was asked.
#[derive(Debug)]
pub(super) enum Asked {
    Subscribe {
        room: &'static str,
        /// From where it wants to recover.
        since: Option<u64>,
    },
    Unsubscribe(&'static str),
    Publish {
        number: u64,
        /// It leaves its own session out.
        is_quiet: bool,
        rooms: Vec<&'static str>,
    },
    History {
        room: &'static str,
        limit: u64,
        reverse: bool,
    },
    Ping,
    Auth(Token),
}
