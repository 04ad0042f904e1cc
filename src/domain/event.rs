//! Event names: which are valid, and which only the server may send.
//!
//! On every wire an event's name stands where the names of commands and replies stand (the native
//! `type`, Socket.IO's first argument), so a publisher who could choose those could forge the
//! server's own messages. Invariant: [`RESERVED`] and [`RESERVED_PREFIXES`] are the one list; a new
//! command, reply or server type of any dialect is added there.

/// The longest event name in bytes.
pub const EVENT_NAME_BYTES: usize = 255;

/// Names that publishers may not use, exactly as spelt.
pub const RESERVED: &[&str] = &[
    // Commands of the native dialect; the device and Socket.IO dialects share three of them.
    "subscribe",
    "unsubscribe",
    "publish",
    "history",
    "presence",
    "ping",
    "auth",
    "ack",
    // Its replies, and the hello.
    "subscribed",
    "unsubscribed",
    "published",
    "pong",
    "authenticated",
    "acknowledged",
    "connected",
    "error",
    // Commands of P1, which are also the names of their replies.
    "project_create",
    "project_list",
    "project_delete",
    "project_join",
    "project_leave",
    "execute",
    "agent_new_session",
    "agent_kill",
    "get_messages",
    "health_check",
    // What P1 sends by itself. `connection_health` falls under a prefix.
    "project_state",
    "project_update",
    "project_deleted",
    "session_reset",
    "process_killed",
    "agent_message",
    "server_stats",
    // Other names that clients of P1 know for the same things.
    "health",
    "health_status",
    "project_created",
    "project_creation_error",
    "project_joined",
    "project_left",
    "project_list_response",
    "messages_response",
    "message_history",
    "execution_killed",
    // The device dialect.
    "metrics",
    // Socket.IO: a command of P3, and what its libraries refuse or raise themselves.
    "debug:rooms",
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// Beginnings that publishers may not use.
pub const RESERVED_PREFIXES: &[&str] = &["run.", "permission.", "presence.", "connection"];

/// Checks that `name` is a valid event name, whoever sends it: 1 to 255 bytes without control
/// characters (Unicode category Cc).
///
/// # Errors
/// An [`EventFault`] that says what was wrong.
pub fn check(name: &str) -> Result<(), EventFault> {
    if name.is_empty() {
        return Err(EventFault::Empty);
    }
    if name.len() > EVENT_NAME_BYTES {
        return Err(EventFault::TooLong { bytes: name.len() });
    }
    match name.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, character)) => Err(EventFault::Control { character, at }),
        None => Ok(()),
    }
}

/// Checks that `name` is a valid event name that a publisher may use.
///
/// # Errors
/// As [`check`], or [`EventFault::Reserved`].
pub fn check_publishable(name: &str) -> Result<(), EventFault> {
    check(name)?;
    let is_reserved = RESERVED.contains(&name)
        || RESERVED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix));
    if is_reserved {
        return Err(EventFault::Reserved { name: name.into() });
    }
    Ok(())
}

/// Why an event name is refused; the sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventFault {
    /// The name has no bytes.
    #[error("an event name is empty; it needs 1 to 255 bytes")]
    Empty,
    /// The name has too many bytes.
    #[error("an event name has {bytes} bytes; it may have 1 to 255")]
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// The name holds a control character.
    #[error(
        "an event name has the control character U+{code:04X} at byte {at}; it may have none",
        code = u32::from(*character)
    )]
    Control {
        /// The first such character.
        character: char,
        /// The index of its first byte.
        at: usize,
    },
    /// Only the server sends events of this name.
    #[error("the event name \"{name}\" is reserved for the server; choose another one")]
    Reserved {
        /// The name.
        name: Box<str>,
    },
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::wire::socket_io::packet::RESERVED_EVENTS;

    #[test]
    fn accepts_names_of_1_to_255_bytes_without_control_characters() {
        let check = |name: &str, expected: Result<(), EventFault>| {
            assert_eq!(super::check(name), expected, "{name:?}");
            assert_eq!(check_publishable(name), expected, "{name:?}");
        };
        let control = |character, at| Err(EventFault::Control { character, at });
        check("e", Ok(()));
        check("Straße ✓, \"*\"", Ok(()));
        check(&"e".repeat(255), Ok(()));
        check(&"é".repeat(127), Ok(()));
        check(&"é".repeat(128), Err(EventFault::TooLong { bytes: 256 }));
        check(&"e".repeat(256), Err(EventFault::TooLong { bytes: 256 }));
        check("", Err(EventFault::Empty));
        check("a\0b", control('\0', 1));
        check("a\n", control('\n', 1));
        check("\u{7f}", control('\u{7f}', 0));
        check("é\u{85}", control('\u{85}', 2));
    }

    #[test]
    fn refuses_publishers_what_is_the_servers() {
        let check = |name: &str, is_reserved: bool| {
            let expected = match is_reserved {
                true => Err(EventFault::Reserved { name: name.into() }),
                false => Ok(()),
            };
            assert_eq!(check_publishable(name), expected, "{name:?}");
            assert_eq!(super::check(name), Ok(()), "{name:?}");
        };
        // A client of Socket.IO closes its connection when it is sent one of these.
        for name in RESERVED_EVENTS {
            check(name, true);
        }
        for name in RESERVED.iter().chain(RESERVED_PREFIXES) {
            check(name, true);
            check(&format!("x{name}"), false);
            check(&name.to_uppercase(), false);
        }
        for name in RESERVED_PREFIXES {
            check(&format!("{name}x"), true);
        }
        for name in ["connection.established", "connection_health", "run.started"] {
            check(name, true);
        }
        // Event types of P2 and P3, which producers send, and near misses.
        for name in [
            "task.created",
            "task.updated",
            "task.deleted",
            "project.created",
            "project.updated",
            "project.deleted",
            "board.updated",
            "agent.status_changed",
            "agent.connected",
            "agent.disconnected",
            "workflow.progress",
            "pr.created",
            "issue.updated",
            "ai.suggestion",
            "message",
            "run",
            "running",
            "permission",
            "connect ",
            "connected2",
        ] {
            check(name, false);
        }
    }

    #[test]
    fn names_each_reserved_name_once() {
        let distinct: HashSet<&str> = RESERVED.iter().copied().collect();
        assert_eq!(distinct.len(), RESERVED.len());
        for name in RESERVED {
            let covered = RESERVED_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix));
            assert!(!covered, "{name} is covered by a prefix");
        }
    }
}
