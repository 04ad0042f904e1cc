//! Roles: grants under a name, shared by all who have it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::grant::{Action, Actions, Grant};
use super::identity::UserId;
use crate::domain::room::RoomName;

/// The role that may do everything.
pub const ADMIN: &str = "admin";

/// The role of a token that names none.
pub const DEFAULT_ROLE: &str = "user";

/// Rooms that the built-in roles read.
const READ: [&str; 5] = ["project:*", "board:*", "agent:*", "metrics", "metrics:*"];

/// Rooms that the role `agent` publishes and runs in.
const WORKED_IN: [&str; 2] = ["project:*", "agent:*"];

/// Grants under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    name: Box<str>,
    grants: Reach,
}

/// How far a role reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reach {
    Everything,
    Grants(Box<[Grant]>),
}

impl Role {
    /// The role that may do everything.
    #[must_use]
    pub fn admin() -> Self {
        Self {
            name: ADMIN.into(),
            grants: Reach::Everything,
        }
    }

    /// A role with these grants.
    #[must_use]
    pub fn new(name: &str, grants: Vec<Grant>) -> Self {
        Self {
            name: name.into(),
            grants: Reach::Grants(grants.into()),
        }
    }

    /// The roles that exist without being configured, by name.
    ///
    /// `admin` may do everything; `user` and `readonly` read projects, boards, agents and metrics;
    /// `agent` publishes and runs in projects and agents besides.
    #[must_use]
    pub fn built_in() -> BTreeMap<Box<str>, Arc<Self>> {
        let reading = || READ.map(|pattern| Grant::built_in(pattern, Actions::READING));
        let working = WORKED_IN.map(|pattern| {
            let allow = Actions::READING.union(Actions::WRITING);
            Grant::built_in(pattern, allow)
        });
        let agent = [&reading()[..], &working].concat();
        [
            Self::admin(),
            Self::new(DEFAULT_ROLE, reading().into()),
            Self::new("agent", agent),
            Self::new("readonly", reading().into()),
        ]
        .map(|role| (role.name.clone(), Arc::new(role)))
        .into()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it allows; admins are allowed everything by one grant.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        let grants = match &self.grants {
            Reach::Everything => std::slice::from_ref(Grant::everything()),
            Reach::Grants(grants) => grants,
        };
        grants.iter()
    }

    /// Whether it may do everything.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.grants == Reach::Everything
    }

    /// Whether it allows `action` in `room` to `user`; `None` is whoever has no id.
    pub(super) fn allows(&self, action: Action, room: &RoomName, user: Option<&UserId>) -> bool {
        match &self.grants {
            Reach::Everything => true,
            Reach::Grants(grants) => grants.iter().any(|grant| grant.allows(action, room, user)),
        }
    }
}
