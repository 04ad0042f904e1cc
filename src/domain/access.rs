//! Who may do what in a room.
//!
//! A decision is made from its arguments each time and never remembered, so there is no key of a
//! cache to confuse. Invariant: every denial names the room and what is missing.

use crate::config::PublishPolicy;
use crate::domain::room::RoomName;

/// On whose behalf something is asked. Users with their grants get their variant here when tokens
/// are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Nobody in particular: every caller in open mode.
    Anonymous,
}

/// What is to be done in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Receive its publications.
    Subscribe,
    /// Publish into it.
    Publish,
    /// Read its retained publications.
    History,
    /// Read who is in it.
    Presence,
}

/// How the caller reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A session: a browser, an app, a device.
    Session {
        /// Whether it is a member of the room in question.
        is_member: bool,
    },
    /// The HTTP API: a backend, which counts as the server.
    Api,
}

/// Decides whether `identity`, having come as `caller`, may do `action` in `room`, whose namespace
/// has the policy `publish`.
///
/// # Errors
/// [`Denied`] with what is missing.
pub fn check(
    identity: Identity,
    caller: Caller,
    action: Action,
    room: &RoomName,
    publish: PublishPolicy,
) -> Result<(), Denied> {
    match identity {
        Identity::Anonymous => {}
    }
    match action {
        Action::Subscribe | Action::History | Action::Presence => return Ok(()),
        Action::Publish => {}
    }
    let is_member = match caller {
        Caller::Api => return Ok(()),
        Caller::Session { is_member } => is_member,
    };
    match publish {
        PublishPolicy::Members if !is_member => Err(Denied::NotMember { room: room.clone() }),
        PublishPolicy::Grant | PublishPolicy::Members => Ok(()),
        PublishPolicy::Server => Err(Denied::ServerOnly { room: room.clone() }),
    }
}

/// Why something is not allowed; the caller's fault, PERMISSION_DENIED on the wire.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A session published into a room that it is not in.
    #[error("only members may publish into the room \"{room}\"; subscribe to it first")]
    NotMember {
        /// The room.
        room: RoomName,
    },
    /// A session published into a room of the server.
    #[error("only the server may publish into the room \"{room}\"; use the HTTP API")]
    ServerOnly {
        /// The room.
        room: RoomName,
    },
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MEMBER: Caller = Caller::Session { is_member: true };
    const STRANGER: Caller = Caller::Session { is_member: false };

    #[test]
    fn open_mode_refuses_only_publishes_against_the_policy() {
        let room = RoomName::parse("project:a").unwrap();
        let not_member = || Err(Denied::NotMember { room: room.clone() });
        let server_only = || Err(Denied::ServerOnly { room: room.clone() });
        for (policy, caller, expected) in [
            (PublishPolicy::Grant, STRANGER, Ok(())),
            (PublishPolicy::Grant, MEMBER, Ok(())),
            (PublishPolicy::Grant, Caller::Api, Ok(())),
            (PublishPolicy::Members, STRANGER, not_member()),
            (PublishPolicy::Members, MEMBER, Ok(())),
            (PublishPolicy::Members, Caller::Api, Ok(())),
            (PublishPolicy::Server, STRANGER, server_only()),
            (PublishPolicy::Server, MEMBER, server_only()),
            (PublishPolicy::Server, Caller::Api, Ok(())),
        ] {
            let decide = |action| check(Identity::Anonymous, caller, action, &room, policy);
            assert_eq!(decide(Action::Publish), expected, "{policy:?} {caller:?}");
            for action in [Action::Subscribe, Action::History, Action::Presence] {
                assert_eq!(decide(action), Ok(()), "{action:?} {policy:?} {caller:?}");
            }
        }
    }

    #[test]
    fn a_denial_names_the_room() {
        let room = RoomName::parse("metrics").unwrap();
        let denied = check(
            Identity::Anonymous,
            MEMBER,
            Action::Publish,
            &room,
            PublishPolicy::Server,
        );
        assert!(denied.unwrap_err().to_string().contains("\"metrics\""));
    }
}
