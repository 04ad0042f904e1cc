//! Who may do what in a room.
//!
//! ```text
//! token ── Role, Grant ── User ─┐
//! API key ─ Role, Grant ─ ApiKey ┴─ Identity ── check(room, policy) ── allowed or Denied
//! ```
//!
//! A decision is made from its arguments each time and never remembered, so there is no key of a
//! cache to confuse. Invariants: rooms are compared as their names stand, never joined, split or
//! folded; every denial names the room and what is missing.

mod grant;
mod identity;
mod role;
#[cfg(test)]
mod tests;

pub use grant::{Action, Actions, Grant, GrantFault};
pub use identity::{ApiKey, Identity, Info, InfoFault, User, UserId, UserIdFault};
pub use role::{ADMIN, DEFAULT_ROLE, Role};

use crate::config::PublishPolicy;
use crate::domain::room::RoomName;

/// The room that every user may read.
const GLOBAL: &str = "global";

/// What the rooms of users begin with.
const USER: &str = "user:";

/// How the caller reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A session: a browser, an app, a device.
    Session {
        /// Whether it is a member of the room in question.
        is_member: bool,
    },
    /// The HTTP API, which has no memberships.
    Api,
}

/// Decides whether `identity`, having come as `caller`, may do `action` in `room`, whose namespace
/// has the policy `publish`.
///
/// In open mode everything is allowed but what the policy forbids, and the HTTP API counts as the
/// server. In token mode:
///
/// - Admins may do everything, whatever the policy.
/// - Users read (subscribe, history, presence) `global`, their own room and what their grants
///   cover. Publishing needs a grant, whoever asks over HTTP; in a session the policy `members`
///   needs membership instead (who may come in may speak), and `server` forbids it.
/// - API keys count as the server: the policy does not bind them, their grants do.
///
/// # Errors
/// [`Denied`] with what is missing.
pub fn check(
    identity: &Identity,
    caller: Caller,
    action: Action,
    room: &RoomName,
    publish: PublishPolicy,
) -> Result<(), Denied> {
    let no_grant = |is_allowed: bool| match is_allowed {
        true => Ok(()),
        false => Err(Denied::NoGrant {
            action,
            room: room.clone(),
        }),
    };
    match identity {
        Identity::Pending => Err(Denied::Pending { room: room.clone() }),
        Identity::Anonymous => match (action, caller) {
            (Action::Publish, Caller::Session { is_member }) => {
                by_policy(publish, is_member, room).map(|_| ())
            }
            (Action::Publish, Caller::Api)
            | (Action::Subscribe | Action::History | Action::Presence | Action::Run, _) => Ok(()),
        },
        Identity::Key(key) => no_grant(key.may(action, room)),
        Identity::User(user) if user.role.is_admin() => Ok(()),
        Identity::User(user) => match (action, caller) {
            (Action::Publish, Caller::Session { is_member }) => {
                match by_policy(publish, is_member, room)? {
                    Needs::Grant => no_grant(user.may(action, room)),
                    Needs::Nothing => Ok(()),
                }
            }
            (Action::Publish, Caller::Api) if publish == PublishPolicy::Server => {
                Err(Denied::ServerOnly { room: room.clone() })
            }
            (Action::Publish, Caller::Api)
            | (Action::Subscribe | Action::History | Action::Presence | Action::Run, _) => {
                no_grant(user.may(action, room))
            }
        },
    }
}

/// What a policy that lets a session publish asks of it besides.
enum Needs {
    Grant,
    Nothing,
}

/// What `policy` says of a session that publishes into `room`.
fn by_policy(policy: PublishPolicy, is_member: bool, room: &RoomName) -> Result<Needs, Denied> {
    match policy {
        PublishPolicy::Grant => Ok(Needs::Grant),
        PublishPolicy::Members if is_member => Ok(Needs::Nothing),
        PublishPolicy::Members => Err(Denied::NotMember { room: room.clone() }),
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
    /// No grant covers it.
    #[error(
        "this credential has no grant to {action} in the room \"{room}\"; its role or its claim \
         rooms must cover it"
    )]
    NoGrant {
        /// What was to be done.
        action: Action,
        /// The room.
        room: RoomName,
    },
    /// The session has not shown a token yet; UNAUTHORIZED on the wire.
    #[error("the room \"{room}\" needs a token; send auth with one first")]
    Pending {
        /// The room.
        room: RoomName,
    },
}
