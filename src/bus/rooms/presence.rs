//! What rooms tell of those who come and go; see [`crate::bus::presence`].
//!
//! A room with `join_leave` tells its members of its parties. The room `system` is told of all rooms
//! with `presence` that are occupied and vacated, while anybody listens there or it keeps what it
//! is told; otherwise nothing is even noted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::bus::presence::{Change, Changes, Entrant, Flux, Outcome, json};
use crate::bus::room::{Room, RoomState};
use crate::bus::rooms::{Rooms, Rules};
use crate::domain::command::Publish;
use crate::domain::position::Position;
use crate::domain::room::RoomName;
use crate::wire::json::object::Object;

/// The room that is told which rooms are occupied and vacated.
const SYSTEM: &str = "system";

/// What is to be done about a change.
#[derive(Debug)]
pub enum Settled {
    /// Nothing.
    Over,
    /// To let it wait once more: it has changed again.
    Again,
    /// To publish this, and to say so with [`Rooms::told`].
    Tell {
        /// What is published.
        publish: Publish,
        /// Whether it says that somebody is there.
        is_here: bool,
    },
}

/// Somebody asks who is in a room. What the room tells, if it tells at all, of who comes or goes until
/// this is dropped, or has just before, it tells after the position, and also if it is undone within
/// a second: so whoever has the answer, and hears what comes after the position, knows who is
/// there.
#[derive(Debug)]
pub struct Reading {
    room: Arc<Room>,
    /// Where the room's stream stood before anybody was counted.
    pub position: Position,
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(roster) = &mut self.room.state().roster {
            roster.end_reading();
        }
    }
}

impl Rooms {
    /// Begins to read who is in a room; `None` if there is no such room.
    #[must_use]
    pub fn read_presence(&self, name: &RoomName) -> Option<Reading> {
        let room = self.find(name)?;
        let mut state = room.state();
        let position = state.position();
        if let Some(roster) = &mut state.roster {
            roster.begin_reading();
        }
        drop(state);
        Some(Reading { room, position })
    }

    /// Notes that `who` has become a member, or is one no more.
    pub(super) fn note_presence(
        &self,
        room: &Arc<Room>,
        state: &mut RoomState,
        who: Entrant<'_>,
        is_here: bool,
        changes: &mut Changes,
    ) {
        let members = state.member_count();
        if members == 1 && is_here {
            let tells = room.options().join_leave;
            if tells != state.roster.is_some() {
                state.roster = tells.then(Box::default);
            }
            self.tell_watch(&room.name);
        }
        if let Some(roster) = &mut state.roster {
            roster.note(room, who, is_here, changes);
        }
        if room.name.as_str() == SYSTEM {
            match is_here {
                true => self.listeners.fetch_add(1, Ordering::Relaxed),
                false => self.listeners.fetch_sub(1, Ordering::Relaxed),
            };
        } else if members == u64::from(is_here)
            && (state.occupied.is_some() || self.is_system_told())
            && Flux::note(&mut state.occupied, !is_here)
        {
            changes.add(Change {
                room: Arc::clone(room),
                party: None,
            });
        }
    }

    /// Says what is to be done about a change that was taken out of [`Changes`].
    #[must_use]
    pub fn settle(&self, change: &Change) -> Settled {
        let mut state = change.room.state();
        let is_gone = state.dropped;
        let outcome = match (&change.party, &mut state.roster) {
            (None, _) => self.settle_room(&change.room, &mut state),
            (Some(party), Some(roster)) if !is_gone => roster.settle(party),
            // The room is no more, or has been told since to keep this to itself.
            (Some(_), _) => Outcome::Over,
        };
        let room = match &change.party {
            Some(_) => Ok(change.room.name.clone()),
            None => RoomName::parse(SYSTEM),
        };
        match (outcome, room) {
            (Outcome::Over, _) | (_, Err(_)) => Settled::Over,
            (Outcome::Again, _) => Settled::Again,
            (
                Outcome::Tell {
                    event,
                    payload,
                    is_here,
                },
                Ok(room),
            ) => Settled::Tell {
                publish: Publish {
                    rooms: vec![room],
                    event: event.into(),
                    payload,
                    source: None,
                    key: None,
                    except: Vec::new(),
                },
                is_here,
            },
        }
    }

    fn settle_room(&self, room: &Room, state: &mut RoomState) -> Outcome {
        let is_here = state.member_count() > 0;
        let Some(flux) = &mut state.occupied else {
            return Outcome::Over;
        };
        if std::mem::take(&mut flux.again) {
            return Outcome::Again;
        }
        if flux.was == is_here || !self.is_system_told() || !room.options().presence {
            state.occupied = None;
            return Outcome::Over;
        }
        let mut out = Vec::new();
        Object::begin(&mut out)
            .string("room", room.name.as_str())
            .end();
        Outcome::Tell {
            event: if is_here { "occupied" } else { "vacated" },
            payload: json(out),
            is_here,
        }
    }

    /// Notes that what [`Rooms::settle`] said was told, or cannot be; true if the change is to wait
    /// once more, because something has happened since.
    #[must_use]
    pub fn told(&self, change: &Change, is_here: bool) -> bool {
        let mut state = change.room.state();
        match (&change.party, &mut state.roster) {
            (Some(party), Some(roster)) => roster.told(party, is_here),
            (Some(_), None) => false,
            (None, _) => match &mut state.occupied {
                Some(flux) if flux.again => {
                    *flux = Flux {
                        was: is_here,
                        again: false,
                    };
                    true
                }
                Some(_) | None => {
                    state.occupied = None;
                    false
                }
            },
        }
    }

    fn is_system_told(&self) -> bool {
        self.listeners.load(Ordering::Relaxed) > 0 || self.system_keeps.load(Ordering::Relaxed)
    }

    /// Goes by what is configured of the room `system`.
    pub(super) fn configure_system(&self, rules: &Rules) {
        self.system_keeps
            .store(keeps_system(rules), Ordering::Relaxed);
    }
}

/// Whether the room `system` keeps what it is told.
pub(super) fn keeps_system(rules: &Rules) -> bool {
    let options = rules.namespaces.options_of_room(SYSTEM);
    options.is_some_and(|options| options.history_count > 0)
}
