//! A project: a directory that runs happen in, and its room.
//!
//! A plain value as it is kept; who may change it is said where it is kept. May not touch: files,
//! rooms' state, spellings on the wire.

use crate::base::clock::Wall;
use crate::base::rng::Rng;
use crate::base::uuid::Uuid;
use crate::domain::room::RoomName;
use crate::domain::run::RunId;

/// A project's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectId(pub Uuid);

impl ProjectId {
    /// A new id.
    #[must_use]
    pub fn random(rng: &mut Rng) -> Self {
        Self(Uuid::random(rng))
    }

    /// Reads a UUID; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::parse(text).map(Self)
    }

    /// The project of the room `project:<id>`, if that is what it is.
    #[must_use]
    pub fn of_room(room: &RoomName) -> Option<Self> {
        let id = Self::parse(room.as_str().strip_prefix("project:")?)?;
        // An id in upper case names another room.
        (id.room().as_ref() == Some(room)).then_some(id)
    }

    /// Its room; never `None`, because the name is short and plain.
    #[must_use]
    pub fn room(self) -> Option<RoomName> {
        RoomName::of("project", &self.to_string()).ok()
    }
}

impl std::fmt::Display for ProjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What a project does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProjectState {
    /// Nothing runs in it.
    Idle,
    /// A run is active in it.
    Executing,
    /// Nothing runs, and the last run failed. Starting another one is no error.
    Error,
}

impl ProjectState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Idle, Self::Executing, Self::Error];

    /// Its word on every wire and in the store.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Idle => "IDLE",
            Self::Executing => "EXECUTING",
            Self::Error => "ERROR",
        }
    }

    /// The state of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// A registered project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// The real path of its directory, absolute, without links in it.
    pub path: Box<str>,
    /// What people call it.
    pub name: Option<Box<str>>,
    /// What it does.
    pub state: ProjectState,
    /// Why the last run failed, while the state says so.
    pub error: Option<Box<str>>,
    /// The agent's session that the next run resumes: the newest one seen.
    pub session_id: Option<Box<str>>,
    /// When it was made.
    pub created_at: Wall,
    /// When something last changed.
    pub last_active: Wall,
    /// The run that is active in it: at most one is.
    pub run: Option<RunId>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_room_belongs_to_a_project_if_it_is_spelt_as_its_own() {
        let id = ProjectId::random(&mut Rng::from_seed(3));
        let room = |name: &str| RoomName::parse(name).unwrap();
        assert_eq!(ProjectId::of_room(&id.room().unwrap()), Some(id));
        let upper = format!("project:{}", id.to_string().to_uppercase());
        for other in ["project:1", "project", &format!("board:{id}"), &upper] {
            assert_eq!(ProjectId::of_room(&room(other)), None, "{other}");
        }
    }

    #[test]
    fn states_are_read_as_they_are_spelt() {
        for state in ProjectState::ALL {
            assert_eq!(ProjectState::parse(state.word()), Some(state));
        }
        assert_eq!(ProjectState::parse("idle"), None);
    }
}
