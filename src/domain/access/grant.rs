//! Grants: which actions in which rooms.
//!
//! Invariants: a pattern is checked when it is read, so one that is held means something; `{sub}`
//! is compared as the user's id stands and never substituted into a pattern, so no id can hold
//! a wildcard or a boundary that widens one.

use std::fmt;
use std::sync::LazyLock;

use super::USER;
use super::identity::UserId;
use crate::domain::room::{ROOM_NAME_BYTES, RoomName};

/// Where the user's id goes in a pattern.
const SUB: &str = "{sub}";

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
    /// Start and steer runs in the project whose room it is.
    Run,
}

impl Action {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::Subscribe,
        Self::Publish,
        Self::History,
        Self::Presence,
        Self::Run,
    ];

    /// Its word in grants.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::History => "history",
            Self::Presence => "presence",
            Self::Run => "run",
        }
    }

    /// Whether it only reads.
    #[must_use]
    pub const fn is_reading(self) -> bool {
        match self {
            Self::Subscribe | Self::History | Self::Presence => true,
            Self::Publish | Self::Run => false,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A set of actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions(u8);

impl Actions {
    /// Subscribe, history and presence.
    pub(super) const READING: Self = Self(
        Self::bit(Action::Subscribe) | Self::bit(Action::History) | Self::bit(Action::Presence),
    );

    /// Publish and run.
    pub(super) const WRITING: Self = Self(Self::bit(Action::Publish) | Self::bit(Action::Run));

    const fn bit(action: Action) -> u8 {
        match action {
            Action::Subscribe => 1,
            Action::Publish => 2,
            Action::History => 4,
            Action::Presence => 8,
            Action::Run => 16,
        }
    }

    /// Whether `action` is one of them.
    #[must_use]
    pub const fn contains(self, action: Action) -> bool {
        self.0 & Self::bit(action) != 0
    }

    /// Adds `action`.
    const fn insert(&mut self, action: Action) {
        self.0 |= Self::bit(action);
    }

    /// The actions of one or the other.
    pub(super) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Actions allowed in the rooms that a pattern covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pattern: Pattern,
    allow: Actions,
}

impl Grant {
    /// Reads a grant as it is written in a token's claim `rooms` and in the configuration.
    ///
    /// A pattern is a room name, or the beginning of names followed by `*`. `{sub}` in it stands
    /// for the user's id; after it comes `:` or the end, so that it is the whole id.
    ///
    /// # Errors
    /// A [`GrantFault`] that says what was wrong and what is right.
    pub fn parse<'a>(
        pattern: &str,
        allow: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, GrantFault> {
        let pattern = Pattern::parse(pattern)?;
        let mut actions = Actions::default();
        for word in allow {
            let action = Action::ALL.into_iter().find(|action| action.word() == word);
            actions.insert(action.ok_or(GrantFault::Action)?);
        }
        if actions == Actions::default() {
            return Err(GrantFault::NoAction);
        }
        let allow = actions;
        Ok(Self { pattern, allow })
    }

    /// A grant of a built-in role.
    pub(super) fn built_in(pattern: &str, allow: Actions) -> Self {
        let pattern = Pattern(pattern.into());
        debug_assert!(Pattern::parse(&pattern.0).is_ok());
        Self { pattern, allow }
    }

    /// Everything everywhere, as a grant spells it.
    pub(super) fn everything() -> &'static Self {
        static EVERYTHING: LazyLock<Grant> = LazyLock::new(|| Grant {
            pattern: Pattern("*".into()),
            allow: Actions::READING.union(Actions::WRITING),
        });
        &EVERYTHING
    }

    /// The rooms it is about, as it was written.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern.0
    }

    /// What it allows there.
    pub fn actions(&self) -> impl Iterator<Item = Action> {
        let allowed = |action: &Action| self.allow.contains(*action);
        Action::ALL.into_iter().filter(allowed)
    }

    /// Whether it allows `action` in `room` to `user`; `None` is whoever has no id.
    pub(super) fn allows(&self, action: Action, room: &RoomName, user: Option<&UserId>) -> bool {
        self.allow.contains(action) && self.pattern.covers(room, user)
    }
}

/// The names of rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern(Box<str>);

impl Pattern {
    fn parse(text: &str) -> Result<Self, GrantFault> {
        if text.is_empty() || text.len() > ROOM_NAME_BYTES {
            return Err(GrantFault::Length);
        }
        let stem = text.strip_suffix('*').unwrap_or(text);
        if stem.contains('*') {
            return Err(GrantFault::Asterisk);
        }
        if !stem.is_empty() && RoomName::parse(stem).is_err() {
            return Err(GrantFault::Character);
        }
        let is_whole = |at: usize| matches!(text.as_bytes().get(at + SUB.len()), None | Some(b':'));
        if text.match_indices(SUB).any(|(at, _)| !is_whole(at)) {
            return Err(GrantFault::AfterSub);
        }
        Ok(Self(text.into()))
    }

    fn covers(&self, room: &RoomName, user: Option<&UserId>) -> bool {
        // Rooms of users are private: only a pattern that says `user:` is about them.
        if room.as_str().starts_with(USER) && !self.0.starts_with(USER) {
            return false;
        }
        let (stem, is_prefix) = match self.0.strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (&*self.0, false),
        };
        let rest = match stem.contains(SUB) {
            false => room.as_str().strip_prefix(stem),
            true => user.and_then(|user| strip_with(stem, user, room.as_str())),
        };
        rest.is_some_and(|rest| is_prefix || rest.is_empty())
    }
}

/// What of `name` comes after `stem`, whose every `{sub}` stands for `user`.
fn strip_with<'a>(stem: &str, user: &UserId, name: &'a str) -> Option<&'a str> {
    let id = user.as_str();
    // The id `a:b` would reach into what the same pattern gives the user `a`.
    if id.contains(':') {
        return None;
    }
    let mut pieces = stem.split(SUB);
    let mut rest = name.strip_prefix(pieces.next()?)?;
    for piece in pieces {
        rest = rest.strip_prefix(id)?.strip_prefix(piece)?;
    }
    Some(rest)
}

/// Why a text is no grant; whoever made the token or the configuration has to mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantFault {
    /// A pattern has no bytes or too many.
    #[error("a pattern has 1 to 255 bytes")]
    Length,
    /// A pattern holds an asterisk that is not its last byte.
    #[error("a pattern may have one *, at its end")]
    Asterisk,
    /// A pattern holds what no room name can.
    #[error(
        "a pattern is a room name or the beginning of one and *: printable ASCII without space, \
         comma, double quote and backslash"
    )]
    Character,
    /// `{sub}` would stand for a part of an id.
    #[error("{{sub}} in a pattern is followed by : or nothing, so that it is the whole id")]
    AfterSub,
    /// A word is no action.
    #[error("allow is a list of subscribe, publish, history, presence, run")]
    Action,
    /// Nothing is allowed.
    #[error("allow is empty; it is a list of subscribe, publish, history, presence, run")]
    NoAction,
}
