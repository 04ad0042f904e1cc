//! The one error of commands, and the one table of codes with their HTTP statuses.
//!
//! Dialects and the HTTP API spell a [`Fault`]; nobody else decides a code's status. Invariant: the
//! message is for the sender: it names what was wrong and what is right, and no path of the system.

use std::fmt;

use serde_json::Value;

use crate::domain::access::Denied;
use crate::domain::event::EventFault;
use crate::domain::idempotency::KeyFault;
use crate::domain::origin::OriginFault;
use crate::domain::room::RoomNameFault;
use crate::domain::token::TokenFault;
use crate::wire::json::raw::JsonFault;

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Fault {
    /// What kind of fault it is, for programs.
    pub code: Code,
    /// What went wrong, for people: one sentence without a full stop.
    pub message: String,
    /// Values that belong to it: the field, the limit, the current epoch.
    pub details: Option<Value>,
}

impl Fault {
    /// A fault without details.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: None,
        }
    }

    /// The same fault with details.
    #[must_use]
    pub fn with_details(self, details: Value) -> Self {
        Self {
            details: Some(details),
            ..self
        }
    }
}

/// The kinds of faults, by their names on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A frame or body that cannot be parsed at all.
    InvalidMessage,
    /// A command with a missing, wrong or refused field, or of an unknown type.
    ValidationFailed,
    /// No valid credential.
    Unauthorized,
    /// The credential does not allow it.
    PermissionDenied,
    /// The Host is not ours.
    MisdirectedRequest,
    /// No such route, room, session or run.
    NotFound,
    /// The route knows other methods.
    MethodNotAllowed,
    /// The stream of the given epoch is gone; the details hold the current epoch.
    StreamReset,
    /// An idempotency key came again with another request.
    IdempotencyMismatch,
    /// A message or body is too large.
    MessageSizeLimit,
    /// More requests in a time than allowed.
    RateLimited,
    /// More connections than allowed.
    ConnectionLimit,
    /// More of something (rooms, projects, runs, memory) than allowed.
    ResourceLimit,
    /// A queue inside the server is full; try again.
    ServerBusy,
    /// The queue of the store is full; try again.
    StoreBusy,
    /// The disk does not take what is published; it may later.
    StoreUnavailable,
    /// The upgrade to a WebSocket failed.
    WebsocketError,
    /// A project's path is malformed, missing or outside the roots.
    InvalidPath,
    /// A project's path contains, or lies in, another project's.
    ProjectNesting,
    /// A project with this path exists.
    ProjectExists,
    /// No such project.
    ProjectNotFound,
    /// The project has a run already.
    ProcessActive,
    /// The project has no run.
    ProcessNotFound,
    /// The run takes no input.
    NotInteractive,
    /// Somebody has decided already.
    AlreadyResolved,
    /// The run took longer than allowed.
    ExecutionTimeout,
    /// The run failed.
    ExecutionFailed,
    /// The run printed what cannot be read.
    JsonParsing,
    /// The Claude CLI is not installed.
    ClaudeNotFound,
    /// The program of another agent is not installed.
    AgentNotFound,
    /// A file could not be read or written.
    FileOperation,
    /// The disk is nearly full.
    DiskSpaceLow,
    /// Our own fault.
    InternalError,
}

impl Code {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 33] = [
        Self::InvalidMessage,
        Self::ValidationFailed,
        Self::Unauthorized,
        Self::PermissionDenied,
        Self::MisdirectedRequest,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::StreamReset,
        Self::IdempotencyMismatch,
        Self::MessageSizeLimit,
        Self::RateLimited,
        Self::ConnectionLimit,
        Self::ResourceLimit,
        Self::ServerBusy,
        Self::StoreBusy,
        Self::StoreUnavailable,
        Self::WebsocketError,
        Self::InvalidPath,
        Self::ProjectNesting,
        Self::ProjectExists,
        Self::ProjectNotFound,
        Self::ProcessActive,
        Self::ProcessNotFound,
        Self::NotInteractive,
        Self::AlreadyResolved,
        Self::ExecutionTimeout,
        Self::ExecutionFailed,
        Self::JsonParsing,
        Self::ClaudeNotFound,
        Self::AgentNotFound,
        Self::FileOperation,
        Self::DiskSpaceLow,
        Self::InternalError,
    ];

    /// The code's name on every wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.spelling().0
    }

    /// The status of an HTTP answer with this code.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        self.spelling().1
    }

    /// Whether whoever asked has to do something else. A limit that was reached, and what the server
    /// cannot do now, are nobody's mistake.
    #[must_use]
    pub const fn is_mistake(self) -> bool {
        !matches!(self.http_status(), 429 | 500..)
    }

    const fn spelling(self) -> (&'static str, u16) {
        match self {
            Self::InvalidMessage => ("INVALID_MESSAGE", 400),
            Self::ValidationFailed => ("VALIDATION_FAILED", 400),
            Self::Unauthorized => ("UNAUTHORIZED", 401),
            Self::PermissionDenied => ("PERMISSION_DENIED", 403),
            Self::MisdirectedRequest => ("MISDIRECTED_REQUEST", 421),
            Self::NotFound => ("NOT_FOUND", 404),
            Self::MethodNotAllowed => ("METHOD_NOT_ALLOWED", 405),
            Self::StreamReset => ("STREAM_RESET", 409),
            Self::IdempotencyMismatch => ("IDEMPOTENCY_MISMATCH", 422),
            Self::MessageSizeLimit => ("MESSAGE_SIZE_LIMIT", 413),
            Self::RateLimited => ("RATE_LIMITED", 429),
            Self::ConnectionLimit => ("CONNECTION_LIMIT", 429),
            // As google.rpc.Code maps RESOURCE_EXHAUSTED, and as P1 answers.
            Self::ResourceLimit => ("RESOURCE_LIMIT", 429),
            Self::ServerBusy => ("SERVER_BUSY", 503),
            Self::StoreBusy => ("STORE_BUSY", 503),
            Self::StoreUnavailable => ("STORE_UNAVAILABLE", 503),
            Self::WebsocketError => ("WEBSOCKET_ERROR", 400),
            Self::InvalidPath => ("INVALID_PATH", 400),
            Self::ProjectNesting => ("PROJECT_NESTING", 409),
            Self::ProjectExists => ("PROJECT_EXISTS", 409),
            Self::ProjectNotFound => ("PROJECT_NOT_FOUND", 404),
            Self::ProcessActive => ("PROCESS_ACTIVE", 409),
            Self::ProcessNotFound => ("PROCESS_NOT_FOUND", 404),
            Self::NotInteractive => ("NOT_INTERACTIVE", 409),
            Self::AlreadyResolved => ("ALREADY_RESOLVED", 409),
            Self::ExecutionTimeout => ("EXECUTION_TIMEOUT", 504),
            Self::ExecutionFailed => ("EXECUTION_FAILED", 500),
            Self::JsonParsing => ("JSON_PARSING", 500),
            Self::ClaudeNotFound => ("CLAUDE_NOT_FOUND", 503),
            Self::AgentNotFound => ("AGENT_NOT_FOUND", 503),
            Self::FileOperation => ("FILE_OPERATION", 500),
            Self::DiskSpaceLow => ("DISK_SPACE_LOW", 507),
            Self::InternalError => ("INTERNAL_ERROR", 500),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<RoomNameFault> for Fault {
    fn from(fault: RoomNameFault) -> Self {
        Self::new(Code::ValidationFailed, fault.to_string())
    }
}

impl From<EventFault> for Fault {
    fn from(fault: EventFault) -> Self {
        Self::new(Code::ValidationFailed, fault.to_string())
    }
}

impl From<KeyFault> for Fault {
    fn from(fault: KeyFault) -> Self {
        Self::new(Code::ValidationFailed, fault.to_string())
    }
}

impl From<JsonFault> for Fault {
    fn from(fault: JsonFault) -> Self {
        Self::new(Code::ValidationFailed, fault.to_string())
    }
}

impl From<Denied> for Fault {
    fn from(denied: Denied) -> Self {
        let code = match denied {
            Denied::Pending { .. } => Code::Unauthorized,
            Denied::NotMember { .. } | Denied::ServerOnly { .. } | Denied::NoGrant { .. } => {
                Code::PermissionDenied
            }
        };
        Self::new(code, denied.to_string())
    }
}

impl From<TokenFault> for Fault {
    fn from(fault: TokenFault) -> Self {
        Self::new(Code::Unauthorized, fault.to_string())
    }
}

impl From<OriginFault> for Fault {
    fn from(fault: OriginFault) -> Self {
        Self::new(Code::PermissionDenied, fault.to_string())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;
    use crate::domain::room::RoomName;

    #[test]
    fn every_code_has_its_own_name_and_an_error_status() {
        let names: HashSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            let is_upper_snake = |b: u8| b.is_ascii_uppercase() || b == b'_';
            assert!(code.as_str().bytes().all(is_upper_snake), "{code}");
            assert!((400..600).contains(&code.http_status()), "{code}");
        }
        // The last variant's number: a variant that is missing from the list shows here.
        assert_eq!(Code::InternalError as usize + 1, Code::ALL.len());
    }

    #[test]
    fn limits_and_a_server_that_cannot_are_nobodys_mistake() {
        let check = |code: Code, expected: bool| assert_eq!(code.is_mistake(), expected, "{code}");
        check(Code::ValidationFailed, true);
        check(Code::PermissionDenied, true);
        check(Code::NotFound, true);
        check(Code::MessageSizeLimit, true);
        check(Code::RateLimited, false);
        check(Code::ResourceLimit, false);
        check(Code::ServerBusy, false);
        check(Code::StoreBusy, false);
        check(Code::StoreUnavailable, false);
        check(Code::InternalError, false);
    }

    #[test]
    fn faults_of_values_become_faults_of_commands() {
        let check = |fault: Fault, code: Code, words: &str| {
            assert_eq!(fault.code, code, "{fault}");
            assert!(fault.message.contains(words), "{fault}");
            assert_eq!(fault.details, None);
        };
        let name = RoomNameFault::TooLong { bytes: 256 };
        check(name.into(), Code::ValidationFailed, "256 bytes");
        check(
            EventFault::Empty.into(),
            Code::ValidationFailed,
            "event name",
        );
        check(
            KeyFault::Empty.into(),
            Code::ValidationFailed,
            "idempotency key",
        );
        let deep = JsonFault::TooDeep { limit: 128 };
        check(deep.into(), Code::ValidationFailed, "128");
        check(
            OriginFault::Malformed.into(),
            Code::PermissionDenied,
            "Origin",
        );
        let room = RoomName::parse("metrics").unwrap();
        let denied = Denied::ServerOnly { room };
        check(denied.into(), Code::PermissionDenied, "metrics");
    }

    #[test]
    fn details_are_added_without_losing_the_rest() {
        let fault = Fault::new(Code::StreamReset, "gone").with_details(json!({"epoch": "b"}));
        assert_eq!(fault.to_string(), "STREAM_RESET: gone");
        assert_eq!(fault.details, Some(json!({"epoch": "b"})));
    }

    #[test]
    fn a_fault_stays_small_enough_to_return() {
        assert!(size_of::<Fault>() <= 64, "{}", size_of::<Fault>());
    }
}
