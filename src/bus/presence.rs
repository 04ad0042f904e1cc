//! Who came into a room and who went, until it has lasted long enough to be told.
//!
//! ```text
//!   join, leave ──under the room's lock──▶ Roster, Flux ──▶ Changes of the shard
//!                                               ▲                   │ a second later
//!                                               └──── settle ───────┘──▶ publication
//! ```
//!
//! The first change of a party, or of a room's being occupied, puts one entry into the [`Changes`]
//! of the shard it happened on; those that follow are noted in the `Flux` it left, whichever shard
//! they happen on. Only who takes the entry out settles it, so everything is told once and in
//! order, over all shards. May not touch: clocks; who is in a room, which memberships say.
//!
//! Invariants: a party is in a roster exactly while it has sessions in the room or is in flux; an
//! entry stands for every flux, and one only.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::base::clock::Mono;
use crate::base::ids::{SessionId, ShardId};
use crate::base::limits;
use crate::bus::room::Room;
use crate::domain::access::{Identity, UserId};
use crate::domain::command::Payload;
use crate::wire::json::object::Object;

/// Whoever joins or leaves a room.
#[derive(Clone, Copy, Debug)]
pub struct Entrant<'a> {
    /// Where its session is.
    pub shard: ShardId,
    /// Its session.
    pub session: SessionId,
    /// On whose behalf that is.
    pub identity: &'a Identity,
}

/// Who counts as one: a user with all sessions, or a session that is nobody's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Party {
    User(UserId),
    Session(SessionId),
}

impl Party {
    fn of(who: Entrant<'_>) -> Self {
        match who.identity.user_id() {
            Some(user) => Self::User(user.clone()),
            None => Self::Session(who.session),
        }
    }
}

/// Something came or went, and is to be looked at again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flux {
    /// Whether it was there before, as far as was told.
    pub(super) was: bool,
    /// It has come or gone again since it was last looked at.
    pub(super) again: bool,
}

impl Flux {
    /// Notes that something came or went that `was` there before; true if that is the first time.
    pub(super) fn note(flux: &mut Option<Self>, was: bool) -> bool {
        match flux {
            Some(flux) => {
                flux.again = true;
                false
            }
            None => {
                *flux = Some(Self { was, again: false });
                true
            }
        }
    }
}

/// A room, or a party in one, that is in flux.
#[derive(Clone, Debug)]
pub struct Change {
    pub(super) room: Arc<Room>,
    /// `None`: whether anybody is there.
    pub(super) party: Option<Party>,
}

/// The changes that happened on one shard and are not settled, oldest first.
#[derive(Debug, Default)]
pub struct Changes {
    /// Of this turn.
    new: Vec<Change>,
    /// With the moment to look again.
    waiting: VecDeque<(Mono, Change)>,
}

/// A change that is to be settled.
#[derive(Debug)]
pub struct Due {
    /// The change.
    pub change: Change,
    /// It is before its time, because too many wait.
    pub is_early: bool,
}

impl Changes {
    pub(super) fn add(&mut self, change: Change) {
        self.new.push(change);
    }

    /// Lets `change` wait once more from `now` on.
    pub fn put_back(&mut self, change: Change, now: Mono) {
        self.waiting.push_back((now + limits::CHANGE_LASTS, change));
    }

    /// Lets what has happened in this turn wait from `now` on. Call it before
    /// [`Changes::take_due`].
    pub fn begin_waiting(&mut self, now: Mono) {
        let due = now + limits::CHANGE_LASTS;
        let new = self.new.drain(..).map(|change| (due, change));
        self.waiting.extend(new);
        if self.new.capacity() > limits::CHANGES_PER_TURN {
            self.new = Vec::new();
        }
    }

    /// A change to settle, with which its entry is gone.
    pub fn take_due(&mut self, now: Mono) -> Option<Due> {
        let (due, _) = self.waiting.front()?;
        let is_early = *due > now;
        if is_early && self.waiting.len() <= limits::CHANGES {
            return None;
        }
        let (_, change) = self.waiting.pop_front()?;
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        Some(Due { change, is_early })
    }

    /// When to look next; at once if something has happened that does not wait yet.
    #[must_use]
    pub fn next_due(&self) -> Option<Mono> {
        match self.new.is_empty() {
            false => Some(Mono::ZERO),
            true => self.waiting.front().map(|(due, _)| *due),
        }
    }

    /// How many there are.
    #[cfg(any(test, feature = "testkit"))]
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.new.len() + self.waiting.len()
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Who is in a room that tells of it.
#[derive(Debug, Default)]
pub(super) struct Roster {
    parties: HashMap<Party, Attendance>,
    /// How many are reading at the moment who is here, past the stream.
    readers: u32,
    /// How many have done so.
    readings: u64,
    /// How often somebody has begun while nobody else did.
    periods: u64,
}

/// One party in a room.
#[derive(Debug)]
struct Attendance {
    sessions: u32,
    /// As of its newest session.
    identity: Identity,
    flux: Option<Flux>,
    /// The room's readings when that began.
    readings: u64,
    /// The last period of reading in which a session of it came.
    came_in: u64,
    /// The last in which one went.
    went_in: u64,
}

impl Roster {
    /// Somebody begins to read who is here.
    pub(super) fn begin_reading(&mut self) {
        self.periods += u64::from(self.readers == 0);
        self.readers += 1;
    }

    /// Somebody who began to read has done so.
    pub(super) fn end_reading(&mut self) {
        self.readers = self.readers.saturating_sub(1);
        self.readings += 1;
    }

    /// The period of reading that goes on; 0 is none.
    fn period(&self) -> u64 {
        if self.readers > 0 { self.periods } else { 0 }
    }

    /// Notes one more session of a party; true if an entry is to be made.
    fn came(&mut self, party: Party, identity: &Identity) -> bool {
        let period = self.period();
        let attendance = self.parties.entry(party).or_insert_with(|| Attendance {
            sessions: 0,
            identity: Identity::default(),
            flux: None,
            readings: 0,
            came_in: 0,
            went_in: 0,
        });
        attendance.identity = identity.clone();
        attendance.sessions += 1;
        attendance.came_in = period;
        let is_first = attendance.sessions == 1;
        (is_first || attendance.moves_in(period)) && attendance.note(!is_first, self.readings)
    }

    /// Notes one session less; true if an entry is to be made.
    fn went(&mut self, party: &Party) -> bool {
        let period = self.period();
        let Some(attendance) = self.parties.get_mut(party) else {
            debug_assert!(false, "nobody leaves who did not join");
            return false;
        };
        attendance.sessions = attendance.sessions.saturating_sub(1);
        attendance.went_in = period;
        let is_last = attendance.sessions == 0;
        (is_last || attendance.moves_in(period)) && attendance.note(true, self.readings)
    }

    /// What is to be told of a party whose entry was taken out.
    pub(super) fn settle(&mut self, party: &Party) -> Outcome {
        let Some(attendance) = self.parties.get_mut(party) else {
            return Outcome::Over;
        };
        let Some(flux) = &mut attendance.flux else {
            return Outcome::Over;
        };
        if std::mem::take(&mut flux.again) {
            return Outcome::Again;
        }
        let is_here = attendance.sessions > 0;
        // Who reads while somebody comes or goes may be told either.
        let was_read = self.readers > 0 || self.readings != attendance.readings;
        if is_here == flux.was && !was_read {
            self.forget(party);
            return Outcome::Over;
        }
        Outcome::Tell {
            event: if is_here { JOINED } else { LEFT },
            payload: spell(party, attendance),
            is_here,
        }
    }

    /// Notes that a party's state was told; true if it is to be looked at again.
    pub(super) fn told(&mut self, party: &Party, is_here: bool) -> bool {
        let readings = self.readings;
        let attendance = self.parties.get_mut(party);
        let flux = attendance.and_then(|attendance| {
            attendance.readings = readings;
            attendance.flux.as_mut()
        });
        match flux {
            Some(flux) if flux.again => {
                flux.was = is_here;
                flux.again = false;
                true
            }
            Some(_) | None => {
                self.forget(party);
                false
            }
        }
    }

    /// Ends a party's flux, and the party if it is not here.
    fn forget(&mut self, party: &Party) {
        let Some(attendance) = self.parties.get_mut(party) else {
            return;
        };
        attendance.flux = None;
        if attendance.sessions == 0 {
            self.parties.remove(party);
            if self.parties.is_empty() {
                self.parties = HashMap::new();
            }
        }
    }

    /// Notes a session of `who` in `room`, or one less.
    pub(super) fn note(
        &mut self,
        room: &Arc<Room>,
        who: Entrant<'_>,
        is_here: bool,
        changes: &mut Changes,
    ) {
        let party = Party::of(who);
        let is_new = match is_here {
            true => self.came(party.clone(), who.identity),
            false => self.went(&party),
        };
        if is_new {
            changes.add(Change {
                room: Arc::clone(room),
                party: Some(party),
            });
        }
    }
}

impl Attendance {
    /// Whether sessions of it have both come and gone in this period of reading: who asks one shard
    /// after the other may have been told of neither.
    fn moves_in(&self, period: u64) -> bool {
        period > 0 && self.came_in == period && self.went_in == period
    }

    fn note(&mut self, was: bool, readings: u64) -> bool {
        let is_new = Flux::note(&mut self.flux, was);
        if is_new {
            self.readings = readings;
        }
        is_new
    }
}

/// What becomes of a change.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Nothing: it is as it was.
    Over,
    /// It came or went again meanwhile.
    Again,
    /// It is to be told.
    Tell {
        event: &'static str,
        payload: Payload,
        is_here: bool,
    },
}

/// A user is in the room, with the first of its sessions.
const JOINED: &str = "presence.joined";

/// A user is in the room no more, with none of its sessions.
const LEFT: &str = "presence.left";

fn spell(party: &Party, attendance: &Attendance) -> Payload {
    let mut out = Vec::new();
    let object = Object::begin(&mut out);
    let object = match party {
        Party::User(user) => object.string("user", user.as_str()),
        Party::Session(session) => object.string("session", &session.to_string()),
    };
    let object = object.number("sessions", u64::from(attendance.sessions));
    let object = match attendance.identity.info() {
        Some(info) if attendance.sessions > 0 => object.raw("info", info.as_str()),
        Some(_) | None => object,
    };
    object.end();
    json(out)
}

/// What was written by [`Object`], which writes UTF-8.
pub(super) fn json(out: Vec<u8>) -> Payload {
    Payload::Json(String::from_utf8(out).unwrap_or_default().into())
}

#[cfg(any(test, feature = "testkit"))]
impl Roster {
    /// How many sessions are noted, and how many parties are in flux.
    pub(super) fn census(&self) -> (u64, usize) {
        let sessions = self.parties.values().map(|each| u64::from(each.sessions));
        let flux = self.parties.values().filter(|each| each.flux.is_some());
        (sessions.sum(), flux.count())
    }
}

#[cfg(test)]
mod tests;
