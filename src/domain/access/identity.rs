//! On whose behalf something is asked.
//!
//! A session holds an [`Identity`] only, two words; the user behind it is shared. Invariant: what
//! is held here was proven by a signature or a key, or is nobody.

use std::fmt;
use std::sync::Arc;

use super::grant::{Action, Grant};
use super::role::Role;
use super::{GLOBAL, USER};
use crate::base::clock::Wall;
use crate::base::limits;
use crate::domain::room::RoomName;
use crate::wire::json::raw::compact;

/// On whose behalf something is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// Nobody in particular: every caller in open mode.
    Anonymous,
    /// A session in token mode that has not shown its token; it may do nothing.
    // The default, so that what is forgotten is refused.
    #[default]
    Pending,
    /// A user with a token.
    User(Arc<User>),
    /// A backend with an API key; over HTTP only.
    Key(Arc<ApiKey>),
}

impl Identity {
    /// Whether it may do everything and administer the server. True for everybody in open mode,
    /// which asks nobody who they are.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        match self {
            Self::Anonymous => true,
            Self::Pending => false,
            Self::User(user) => user.role.is_admin(),
            Self::Key(key) => key.role.is_admin(),
        }
    }

    /// The user's id; `None` for all that are not users.
    #[must_use]
    pub fn user_id(&self) -> Option<&UserId> {
        match self {
            Self::User(user) => Some(&user.id),
            Self::Anonymous | Self::Pending | Self::Key(_) => None,
        }
    }

    /// What its token says of it to those who may know who is present.
    #[must_use]
    pub fn info(&self) -> Option<&Info> {
        match self {
            Self::User(user) => user.info.as_deref(),
            Self::Anonymous | Self::Pending | Self::Key(_) => None,
        }
    }

    /// When it ends: the token's `exp`, without the leeway that it was accepted with. `None` if
    /// it does not end by itself.
    #[must_use]
    pub fn expires(&self) -> Option<Wall> {
        match self {
            Self::User(user) => Some(user.expires),
            Self::Anonymous | Self::Pending | Self::Key(_) => None,
        }
    }
}

/// A user, as a token describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Who it is.
    pub id: UserId,
    /// Its role.
    pub role: Arc<Role>,
    /// What the token grants besides.
    pub grants: Box<[Grant]>,
    /// When the token ends: its `exp`.
    pub expires: Wall,
    /// What the token says of the user to those who may know who is present.
    // One word, which the allocator has to spare at the end of a user.
    pub info: Option<Box<Info>>,
}

/// How deep `info` may nest, itself included: far less than what any reader of JSON takes.
const INFO_DEPTH: usize = 16;

/// A JSON object about a user, as its token spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info(Box<str>);

impl Info {
    /// Takes the `text` of a JSON value: an object of at most [`limits::INFO_BYTES`] bytes, nested
    /// at most 16 deep.
    ///
    /// # Errors
    /// [`InfoFault`].
    pub fn parse(text: &str) -> Result<Self, InfoFault> {
        let text = text.trim_ascii();
        if !text.starts_with('{') || text.len() > limits::INFO_BYTES {
            return Err(InfoFault);
        }
        let line = compact(text, INFO_DEPTH).map_err(|_| InfoFault)?;
        Ok(Self(line.into()))
    }

    /// The object as JSON on one line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that says nothing usable of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is a JSON object of at most {} bytes, nested at most {INFO_DEPTH} deep",
    limits::INFO_BYTES
)]
pub struct InfoFault;

impl User {
    /// Whether it may do `action` in `room` as far as its grants go.
    pub(super) fn may(&self, action: Action, room: &RoomName) -> bool {
        let is_open_to_it = room.as_str() == GLOBAL || room == self.id.room();
        let id = Some(&self.id);
        (action.is_reading() && is_open_to_it)
            || self.role.allows(action, room, id)
            || self
                .grants
                .iter()
                .any(|grant| grant.allows(action, room, id))
    }
}

/// An API key, as the configuration describes it. The key itself stays with the `Authority`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its name, for the log.
    pub name: Box<str>,
    /// Its grants; a key has no others.
    pub role: Arc<Role>,
}

impl ApiKey {
    /// Whether it may do `action` in `room`.
    pub(super) fn may(&self, action: Action, room: &RoomName) -> bool {
        self.role.allows(action, room, None)
    }
}

/// A user's id: the claim `sub`, a number being its decimal text.
// Kept as the name of the user's own room, so an id is always fit for one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserId(RoomName);

impl UserId {
    /// Takes `id`, which has 1 to 250 bytes of printable ASCII without space, `*`, `,`, `"`, `\`.
    ///
    /// # Errors
    /// [`UserIdFault`].
    pub fn parse(id: &str) -> Result<Self, UserIdFault> {
        if id.is_empty() {
            return Err(UserIdFault);
        }
        let room = RoomName::parse(&format!("{USER}{id}")).map_err(|_| UserIdFault)?;
        Ok(Self(room))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let room = self.0.as_str();
        room.strip_prefix(USER).unwrap_or(room)
    }

    /// The user's own room, `user:<id>`.
    #[must_use]
    pub const fn room(&self) -> &RoomName {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that cannot be a user's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a user's id has 1 to 250 bytes of printable ASCII without space, asterisk, comma, double \
     quote and backslash, because it names the room user:ID"
)]
pub struct UserIdFault;
