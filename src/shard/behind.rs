//! The rooms that a session is behind in.
//!
//! A session that keeps up has an empty list, which is one null pointer. Invariant: each entry is
//! of one of the session's memberships, no two of the same one, and no mail of its room is live
//! for that membership.

use crate::domain::position::Position;
use crate::shard::rooms::Membership;

/// The rooms that one session is behind in.
#[derive(Debug, Default)]
pub struct BehindIn(Option<Box<List>>);

/// Behind a pointer of its own, because few sessions ever have one.
#[derive(Debug, Default)]
struct List {
    entries: Vec<Behind>,
    /// A worker reads what one of them wants.
    is_reading: bool,
}

/// A membership that is behind.
#[derive(Clone, Copy, Debug)]
pub struct Behind {
    /// Which.
    pub membership: Membership,
    /// What it is sent when its session has read on.
    pub wants: Wants,
}

/// What is still to be sent to a membership that is behind.
#[derive(Clone, Copy, Debug)]
pub enum Wants {
    /// The room's newest publication.
    Newest,
    /// Everything after this position.
    After(Position),
}

impl BehindIn {
    /// Whether the session keeps up in all of its rooms.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The entries, in no order that means anything.
    #[must_use]
    pub fn entries(&self) -> &[Behind] {
        self.0.as_ref().map_or(&[], |list| &list.entries)
    }

    /// The entries, to be changed.
    pub fn entries_mut(&mut self) -> &mut [Behind] {
        self.0.as_mut().map_or(&mut [], |list| &mut list.entries)
    }

    /// Whether a worker reads what an entry wants; one at a time.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        self.0.as_ref().is_some_and(|list| list.is_reading)
    }

    /// Notes that a worker begins to read, or that it is done.
    pub fn set_reading(&mut self, is_reading: bool) {
        if let Some(list) = &mut self.0 {
            list.is_reading = is_reading;
        }
    }

    /// Adds an entry for a membership that has none.
    pub fn add(&mut self, behind: Behind) {
        debug_assert!(!self.contains(behind.membership), "nobody is behind twice");
        self.0.get_or_insert_default().entries.push(behind);
    }

    /// Whether a membership is behind.
    #[must_use]
    pub fn contains(&self, membership: Membership) -> bool {
        let mut entries = self.entries().iter();
        entries.any(|behind| behind.membership == membership)
    }

    /// Takes the entry of a membership out, if it has one.
    pub fn remove(&mut self, membership: Membership) -> Option<Behind> {
        let list = self.0.as_mut()?;
        let place = list
            .entries
            .iter()
            .position(|behind| behind.membership == membership)?;
        let behind = list.entries.swap_remove(place);
        if list.entries.is_empty() {
            self.0 = None;
        }
        Some(behind)
    }
}
