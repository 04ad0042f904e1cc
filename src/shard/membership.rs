//! Joining and leaving rooms.
//!
//! A room's stream is told first (there the position is taken), then the shard's own list. What
//! the member missed is in the reply, everything after its position is live; the shard puts both
//! into the same outbox, so the reply comes first.

use std::sync::Arc;

use crate::app::chain;
use crate::app::commands::finish;
use crate::app::publish::{options, room_fault};
use crate::base::clock::{Mono, Now};
use crate::base::ids::PeerId;
use crate::bus::room::{Missed, Wanted};
use crate::config::PublishPolicy;
use crate::dialect::Dialect;
use crate::dialect::native::decode::Correlation;
use crate::dialect::native::encode::{self, Recovery};
use crate::dialect::publication::Publication;
use crate::domain::access::{self, Action, Caller};
use crate::domain::command::Since;
use crate::domain::fault::{Code, Fault};
use crate::domain::position::Position;
use crate::domain::room::RoomName;
use crate::metrics::names::Counter;
use crate::protocol::timers::Timer;
use crate::shard::peer::{Peer, Session};
use crate::shard::rooms::Membership;
use crate::shard::{Hub, session, slow, websocket};

/// Joins the rooms that a session is in from its start, a user's own among them.
///
/// # Errors
/// The first room that cannot be joined; those before it have been.
pub(super) fn join_first(
    rooms: &[RoomName],
    session: &mut Session,
    id: PeerId,
    hub: &mut Hub,
    now: Mono,
) -> Result<Vec<(RoomName, Position)>, Fault> {
    let own = session.identity.user_id().map(|user| user.room().clone());
    let own = own.filter(|own| session.dialect != Dialect::Echo && !rooms.contains(own));
    let mut joined = Vec::with_capacity(rooms.len() + 1);
    for room in rooms.iter().chain(&own) {
        let (position, _) = join(room, None, session, id, hub, now)?;
        joined.push((room.clone(), position));
    }
    Ok(joined)
}

/// A command about memberships.
pub(super) struct Asked<'a> {
    /// The type of the message.
    pub(super) name: &'static str,
    /// What its replies repeat.
    pub(super) to: &'a Correlation,
    /// The rooms in the order asked for, each answered by itself.
    pub(super) rooms: Vec<Result<RoomName, Fault>>,
}

pub(super) fn subscribe(
    peer: &mut Peer,
    id: PeerId,
    asked: Asked<'_>,
    since: Option<&Since>,
    hub: &mut Hub,
    now: Now,
) {
    let Asked { name, to, rooms } = asked;
    for room in rooms {
        let space = peer.outbox.space(&hub.outbox_limits);
        let Some(session) = peer.open_session() else {
            return;
        };
        let outcome = chain::guard(name, session.id, || {
            let room = room?;
            let (position, missed) = join(&room, since, session, id, hub, now.mono)?;
            let recovery = match (since, missed) {
                (None, _) => Recovery::NotAsked,
                (Some(_), Some(missed)) if size(&missed) <= space => Recovery::Complete(missed),
                // Whoever recovers many rooms at once pages through the rest of their histories.
                (Some(_), _) => {
                    hub.counters.increment(Counter::RecoveriesRefused);
                    Recovery::Lost
                }
            };
            let mut json = Vec::new();
            encode::subscribed(to, &room, &position, &recovery, now.wall, &mut json);
            Ok(json)
        });
        let reply = finish(to, outcome, hub.context(now));
        websocket::reply(peer, id, &reply, hub, now);
    }
}

/// About how many bytes the publications have when they are encoded.
pub(super) fn size(missed: &[(u64, Arc<Publication>)]) -> usize {
    /// The names of an entry's members, its timestamp and offset.
    const AROUND: usize = 96;
    let sizes = missed
        .iter()
        .map(|(_, entry)| entry.retained_bytes() + AROUND);
    sizes.sum()
}

pub(super) fn unsubscribe(peer: &mut Peer, id: PeerId, asked: Asked<'_>, hub: &mut Hub, now: Now) {
    let Asked { name, to, rooms } = asked;
    for room in rooms {
        let Some(session) = peer.open_session() else {
            return;
        };
        let outcome = chain::guard(name, session.id, || {
            let room = room?;
            leave(&room, session, hub);
            let mut json = Vec::new();
            encode::unsubscribed(to, &room, now.wall, &mut json);
            Ok(json)
        });
        let reply = finish(to, outcome, hub.context(now));
        websocket::reply(peer, id, &reply, hub, now);
    }
}

/// Ends one membership, if there is one.
fn leave(room: &RoomName, session: &mut Session, hub: &mut Hub) -> bool {
    let memberships = session.memberships.iter().copied();
    let Some(index) = hub.rooms.position(room, memberships) else {
        return false;
    };
    let membership = change(session, |memberships| memberships.swap_remove(index));
    hub.stop_waiting(session, membership);
    hub.end_membership(session, membership);
    if let Some(asides) = &mut session.asides {
        asides.placed.retain(|placed| placed != room);
    }
    true
}

/// Takes a session out of a room that it did not ask to leave, and tells it. False if it was not
/// in there.
pub(super) fn take_out(
    peer: &mut Peer,
    id: PeerId,
    room: &RoomName,
    hub: &mut Hub,
    now: Now,
) -> bool {
    let left = peer
        .open_session()
        .is_some_and(|session| leave(room, session, hub));
    if left {
        tell(peer, id, "unsubscribed", hub, now, |out| {
            encode::unsubscribed(&Correlation::default(), room, now.wall, out);
        });
    }
    left
}

/// Puts a session into a room on an operator's behalf, and tells it. False if it is full of rooms,
/// knows no rooms, or has those that its address names.
pub(super) fn put_in(
    peer: &mut Peer,
    id: PeerId,
    room: &RoomName,
    hub: &mut Hub,
    now: Now,
) -> bool {
    let session = peer.open_session();
    let Some(session) = session.filter(|session| match session.dialect {
        Dialect::Native | Dialect::NativeV1 => true,
        Dialect::Echo | Dialect::Events => false,
    }) else {
        return false;
    };
    let Ok((position, _)) = enter(room, None, session, id, hub, now.mono) else {
        return false;
    };
    let asides = session.asides.get_or_insert_default();
    if !asides.placed.contains(room) {
        asides.placed.push(room.clone());
    }
    tell(peer, id, "subscribed", hub, now, |out| {
        let to = Correlation::default();
        encode::subscribed(&to, room, &position, &Recovery::NotAsked, now.wall, out);
    });
    true
}

/// Tells a session what it did not ask for. It is closed if it does not read what it is told.
fn tell(
    peer: &mut Peer,
    id: PeerId,
    name: &str,
    hub: &mut Hub,
    now: Now,
    write: impl FnOnce(&mut Vec<u8>),
) {
    let has_left_over = peer.timers.is_set(Timer::Stall);
    if has_left_over && !peer.outbox.takes(0, &hub.outbox_limits) {
        slow::give_up(peer, id, hub, now);
    } else {
        let mut json = Vec::new();
        write(&mut json);
        session::tell(peer, id, name, &json, hub);
    }
}

/// Makes a session a member of a room. Being one already is no error: its position is told again.
pub(super) fn join(
    name: &RoomName,
    since: Option<&Since>,
    session: &mut Session,
    id: PeerId,
    hub: &mut Hub,
    now: Mono,
) -> Result<(Position, Missed), Fault> {
    let caller = Caller::Session { is_member: false };
    let policy = PublishPolicy::Grant;
    access::check(&session.identity, caller, Action::Subscribe, name, policy)?;
    let (position, missed) = enter(name, since, session, id, hub, now)?;
    // What was missed is history: who may only listen recovers nothing.
    let may_recover = || {
        let action = Action::History;
        access::check(&session.identity, caller, action, name, policy).is_ok()
    };
    Ok((position, missed.filter(|_| may_recover())))
}

/// The same for whoever may: an operator puts sessions into rooms, whatever their own rights.
fn enter(
    name: &RoomName,
    since: Option<&Since>,
    session: &mut Session,
    id: PeerId,
    hub: &mut Hub,
    now: Mono,
) -> Result<(Position, Missed), Fault> {
    options(name, &hub.live, &hub.counters)?;
    let most = hub.live.config.limits.recovery_max;
    let most = most.unwrap_or(usize::MAX);
    let wanted = since.map(|since| Wanted { since, most });
    let known = hub
        .rooms
        .position(name, session.memberships.iter().copied())
        .and_then(|index| session.memberships.get(index).copied());
    if let Some((membership, room)) = known.and_then(|known| Some((known, hub.rooms.room(known)?)))
    {
        let looked = hub.services.rooms.look(room, wanted, now);
        if wanted.is_some() {
            // The reply tells a position, with everything up to it or with nothing; what of that
            // still waits in the mailbox must not come behind it, nor what it was behind with.
            hub.stop_waiting(session, membership);
            hub.rooms.rejoin(membership, looked.sequence);
        }
        return Ok((looked.position, looked.missed));
    }
    let most = hub.live.config.limits.rooms_per_session;
    // A user's own room comes by itself and takes no place from those asked for.
    let own = usize::from(session.identity.user_id().is_some());
    if let Some(most) = most.filter(|most| session.memberships.len() >= most.saturating_add(own)) {
        hub.counters.increment(Counter::SessionRoomsRefused);
        return Err(Fault::new(
            Code::ResourceLimit,
            format!("a session may be in {most} rooms (limits.rooms_per_session)"),
        ));
    }
    let who = hub.entrant(session);
    let joined = hub
        .services
        .rooms
        .join(name, who, wanted, &mut hub.changes, now)
        .map_err(|fault| room_fault(&fault, &hub.counters))?;
    let membership = hub.rooms.add(&joined.room, id, joined.sequence, now);
    change(session, |memberships| memberships.push(membership));
    Ok((joined.position, joined.missed))
}

fn change<T>(session: &mut Session, change: impl FnOnce(&mut Vec<Membership>) -> T) -> T {
    let mut memberships = std::mem::take(&mut session.memberships).into_vec();
    let outcome = change(&mut memberships);
    session.memberships = memberships.into_boxed_slice();
    outcome
}

impl Hub {
    /// Forgets what a membership is behind with, if it is.
    fn stop_waiting(&mut self, session: &mut Session, membership: Membership) {
        if let Some(behind) = session.behind.remove(membership) {
            self.rooms.catch_up(&behind);
        }
    }

    /// Ends all memberships of a session.
    pub(super) fn leave_all(&mut self, session: &mut Session) {
        for membership in std::mem::take(&mut session.memberships) {
            self.stop_waiting(session, membership);
            self.end_membership(session, membership);
        }
    }

    /// Takes a session out of the room of a membership that it has given up.
    fn end_membership(&mut self, session: &Session, membership: Membership) {
        if let Some(room) = self.rooms.remove(membership) {
            let who = self.entrant(session);
            self.services.rooms.leave(&room, who, &mut self.changes);
        }
    }
}
