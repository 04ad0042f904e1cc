//! Why a message of an emitter is dropped.

use crate::backplane::emitter::document::VALUES;
use crate::base::limits;
use crate::domain::fault::Fault;

/// Why a message of an emitter is dropped; its sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmitterFault {
    /// It, or what it would publish, has too many bytes.
    #[error("it has more than {limit} bytes (limits.message_bytes)")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// It ends in the middle.
    #[error("it ends in the middle, at byte {at}")]
    Truncated {
        /// Where.
        at: usize,
    },
    /// It goes on after its end.
    #[error("it goes on after its end, at byte {at}")]
    Trailing {
        /// Where.
        at: usize,
    },
    /// It is a pickle with an instruction that builds more than plain data, or with one that makes
    /// no sense where it stands.
    #[error("byte {at} is the pickle instruction {instruction:#04x}, which is refused there")]
    Instruction {
        /// Where.
        at: usize,
        /// The instruction.
        instruction: u8,
    },
    /// It is msgpack with a value of a kind that no emitter writes.
    #[error("byte {at} begins a msgpack value {first:#04x}, which is refused")]
    Kind {
        /// Where.
        at: usize,
        /// The value's first byte.
        first: u8,
    },
    /// A text in it is not UTF-8.
    #[error("the text at byte {at} is not UTF-8")]
    NotText {
        /// Where.
        at: usize,
    },
    /// Its values nest too deeply, or in themselves.
    #[error("its values nest deeper than {}", limits::JSON_DEPTH)]
    TooDeep,
    /// It has too many values.
    #[error("it has more than {VALUES} values")]
    TooMany,
    /// It is no JSON, or its members are not those of an emitter.
    #[error("it is not JSON as emitters write it, from line {line} column {column} on")]
    Json {
        /// The line of what is wrong, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// It is not put together as emitters do it.
    #[error("{0}")]
    Shape(&'static str),
    /// It is for a namespace that is not configured.
    #[error("the namespace {0} is not among socketio.namespaces")]
    Namespace(Box<str>),
    /// What it wants published is refused, as it would be over HTTP.
    #[error("{0}")]
    Refused(String),
}

impl From<Fault> for EmitterFault {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault.message)
    }
}

impl From<serde_json::Error> for EmitterFault {
    fn from(error: serde_json::Error) -> Self {
        // Its own words may quote what was sent.
        Self::Json {
            line: error.line(),
            column: error.column(),
        }
    }
}
