//! Who is in a room, as it is told to those who ask.
//!
//! Derived from memberships each time, never kept. Invariant: a session stands here once, whichever
//! shard it is on.

use std::collections::HashSet;

use crate::base::clock::Wall;
use crate::base::ids::SessionId;
use crate::base::limits;
use crate::domain::access::{Identity, UserId};
use crate::domain::position::Position;
use crate::domain::room::RoomName;

/// One session in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// Its id.
    pub session: SessionId,
    /// On whose behalf it is.
    pub identity: Identity,
    /// Since when it is in the room, to within [`limits::TICK`].
    pub since: Wall,
}

/// Who is in a room.
#[derive(Clone, Debug)]
pub struct Presence {
    /// The room.
    pub room: RoomName,
    /// Where its stream stood before anybody was counted: what the stream tells of comers and
    /// goers after it may be newer than what is here. `None` of a room that does not exist.
    pub position: Option<Position>,
    /// How many users; sessions that are nobody's are no users.
    pub users: usize,
    /// How many sessions.
    pub sessions: usize,
    /// The sessions, those that came first before the others; empty if there are more than
    /// [`limits::PRESENCE_MEMBERS`].
    pub members: Vec<Present>,
}

impl Presence {
    /// What is told of a room with these sessions in it.
    #[must_use]
    pub fn of(room: RoomName, position: Option<Position>, mut present: Vec<Present>) -> Self {
        let ids = present.iter().filter_map(|each| each.identity.user_id());
        let users = ids.collect::<HashSet<&UserId>>().len();
        let sessions = present.len();
        if sessions > limits::PRESENCE_MEMBERS {
            present = Vec::new();
        }
        present.sort_unstable_by_key(|each| (each.since, each.session));
        Self {
            room,
            position,
            users,
            sessions,
            members: present,
        }
    }

    /// Whether there are more sessions than are listed.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.members.len() < self.sessions
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn told(sessions: usize) -> Presence {
        let present = (1..=sessions).rev().map(|number| Present {
            session: SessionId(number as u128),
            identity: Identity::Anonymous,
            since: Wall::from_millis(number as u64 / 2),
        });
        let room = RoomName::parse("a").unwrap();
        Presence::of(room, None, present.collect())
    }

    #[test]
    fn those_who_came_first_are_listed_first() {
        let told = told(9);
        let ids: Vec<u128> = told.members.iter().map(|each| each.session.0).collect();
        assert_eq!(ids, (1..=9).collect::<Vec<_>>());
        assert_eq!((told.users, told.sessions), (0, 9), "nobody is no user");
    }

    #[test]
    fn of_more_than_a_thousand_only_the_counts_are_told() {
        for (sessions, listed) in [(0, 0), (1000, 1000), (1001, 0)] {
            let told = told(sessions);
            assert_eq!((told.sessions, told.members.len()), (sessions, listed));
            assert_eq!(told.is_truncated(), listed < sessions, "{sessions}");
        }
    }
}
