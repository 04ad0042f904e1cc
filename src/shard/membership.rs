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
use crate::base::limits;
use crate::bus::job::{self, ReadPurpose, StreamRead, Wish};
use crate::bus::room::{Missed, Wanted};
use crate::bus::rooms::Joined;
use crate::config::PublishPolicy;
use crate::dialect::Dialect;
use crate::dialect::native::decode::Correlation;
use crate::dialect::native::encode::{self, Recovery};
use crate::dialect::publication::Publication;
use crate::dialect::socket_io::encode as socket_io;
use crate::domain::access::{self, Action, Caller};
use crate::domain::command::Since;
use crate::domain::fault::{Code, Fault};
use crate::domain::position::Position;
use crate::domain::room::RoomName;
use crate::metrics::names::Counter;
use crate::protocol::timers::Timer;
use crate::shard::peer::{Pause, Peer, Session};
use crate::shard::rooms::Membership;
use crate::shard::{Hub, device, durable, projects, session, slow, websocket};

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
    let own = own.filter(|own| session.dialect.joins_own_room() && !rooms.contains(own));
    let mut joined = Vec::with_capacity(rooms.len() + 1);
    for room in rooms.iter().chain(&own) {
        let Entered { position, .. } = join(room, None, session, id, hub, now)?;
        joined.push((room.clone(), position));
    }
    Ok(joined)
}

/// A command about memberships.
pub(super) struct Asked<'a, Room> {
    /// The type of the message.
    pub(super) name: &'static str,
    /// What its replies repeat.
    pub(super) to: &'a Correlation,
    /// The rooms in the order asked for, each answered by itself.
    pub(super) rooms: Vec<Result<Room, Fault>>,
}

/// What a session wants that says itself from where.
pub(super) fn wishes(
    rooms: Vec<Result<RoomName, Fault>>,
    since: Option<&Since>,
) -> Vec<Result<Wish, Fault>> {
    let wish = |room| Wish {
        room,
        since: since.cloned(),
        durable: None,
    };
    rooms.into_iter().map(|room| room.map(wish)).collect()
}

pub(super) fn subscribe(
    peer: &mut Peer,
    id: PeerId,
    asked: Asked<'_, Wish>,
    hub: &mut Hub,
    now: Now,
) {
    let Asked { name, to, rooms } = asked;
    let mut rooms = rooms.into_iter();
    while let Some(wish) = rooms.next() {
        let space = peer.outbox.space(&hub.outbox_limits);
        let mut waits = None;
        let Some(session) = peer.open_session() else {
            return;
        };
        let outcome = chain::guard(name, session.id, || {
            let Wish {
                room,
                since,
                durable,
            } = wish?;
            let joined = join(&room, since.as_ref(), session, id, hub, now.mono)?;
            durable::note(session, &room, durable.as_ref());
            let (position, missed) = (joined.position, joined.missed);
            let recovery = match (&since, missed) {
                (None, _) => Recovery::NotAsked,
                (Some(_), Some(missed)) if size(&missed) <= space => Recovery::Complete(missed),
                // Whoever recovers many rooms at once pages through the rest of their histories.
                (Some(_), _) => match joined.stored_after {
                    Some(after) => {
                        // Nothing is live for it until it has what it missed.
                        hub.rooms.wait(joined.membership);
                        waits = Some((room, position, after, durable, joined.sequence));
                        return Ok(Vec::new());
                    }
                    None => {
                        hub.counters.increment(Counter::RecoveriesRefused);
                        Recovery::Lost
                    }
                },
            };
            let kept = durable::acknowledged(durable.as_ref(), &position);
            let pending = projects::pending(&room, hub);
            let mut json = Vec::new();
            encode::subscribed(
                to, &room, &position, &recovery, kept, &pending, now.wall, &mut json,
            );
            Ok(json)
        });
        if let Some((room, position, after, durable, sequence)) = waits {
            let read = StreamRead {
                room,
                position,
                since: after,
                purpose: ReadPurpose::Recovery(job::Recovery {
                    name,
                    correlation: to.clone(),
                    durable,
                    sequence,
                    rest: rooms.collect(),
                }),
            };
            peer.pause = Some(Pause::Job);
            hub.read(id, read);
            return;
        }
        let reply = finish(to, outcome, hub.context(now));
        websocket::reply(peer, id, &reply, hub, now);
    }
}

/// Goes on with a subscribe when what was missed has been read: what came meanwhile follows the
/// reply, if both fit; if not, nothing was recovered.
pub(super) fn recovered(
    peer: &mut Peer,
    id: PeerId,
    read: StreamRead,
    missed: Missed,
    hub: &mut Hub,
    now: Now,
) {
    let ReadPurpose::Recovery(waiting) = read.purpose else {
        return;
    };
    let job::Recovery {
        name,
        correlation,
        durable,
        sequence,
        rest,
    } = waiting;
    let (to, room) = (&correlation, &read.room);
    let space = peer.outbox.space(&hub.outbox_limits);
    let Some(session) = peer.open_session() else {
        return;
    };
    let memberships = session.memberships.iter().copied();
    let place = hub.rooms.position(room, memberships);
    let membership = place.and_then(|place| session.memberships.get(place).copied());
    let membership = membership.filter(|membership| hub.rooms.is_waiting(*membership));
    let mut position = read.position;
    let (mut recovery, mut behind) = (Recovery::Lost, Vec::new());
    if let Some(membership) = membership {
        let later = later(membership, &position, hub, now.mono);
        match (missed, later) {
            (Some(missed), Some(later)) if size(&missed) + size(&later) <= space => {
                // What it was offered since and did not hear is in neither mailbox nor outbox.
                hub.rooms.rejoin(membership, sequence);
                (recovery, behind) = (Recovery::Complete(missed), later);
            }
            (_, _) => {
                if let Some(room) = hub.rooms.room(membership) {
                    let looked = hub.services.rooms.look(room, None, now.mono);
                    position = looked.position;
                    hub.rooms.rejoin(membership, looked.sequence);
                }
            }
        }
    }
    if matches!(recovery, Recovery::Lost) {
        hub.counters.increment(Counter::RecoveriesRefused);
    }
    let kept = durable::acknowledged(durable.as_ref(), &position);
    let pending = projects::pending(room, hub);
    let mut json = Vec::new();
    encode::subscribed(
        to, room, &position, &recovery, kept, &pending, now.wall, &mut json,
    );
    let reply = finish(to, Ok(json), hub.context(now));
    websocket::reply(peer, id, &reply, hub, now);
    for (_, publication) in behind {
        hub.send_live(peer, id, &publication, room);
    }
    let rooms = rest;
    subscribe(peer, id, Asked { name, to, rooms }, hub, now);
}

/// What the members here have been offered after a position; `None` if it is not all in memory.
fn later(membership: Membership, position: &Position, hub: &Hub, now: Mono) -> Missed {
    let heard = hub.rooms.heard(membership);
    if heard.offset <= position.offset {
        return Some(Vec::new());
    }
    let room = hub.rooms.room(membership)?;
    let rooms = &hub.services.rooms;
    let page = rooms.missed(room, position, heard.offset, limits::PAGE, now);
    let page = page.ok().filter(|page| !page.more)?;
    Some(page.items)
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

pub(super) fn unsubscribe(
    peer: &mut Peer,
    id: PeerId,
    asked: Asked<'_, RoomName>,
    hub: &mut Hub,
    now: Now,
) {
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
pub(super) fn leave(room: &RoomName, session: &mut Session, hub: &mut Hub) -> bool {
    let memberships = session.memberships.iter().copied();
    let Some(index) = hub.rooms.position(room, memberships) else {
        return false;
    };
    let membership = change(session, |memberships| memberships.swap_remove(index));
    hub.stop_waiting(session, membership);
    hub.end_membership(session, membership);
    if let Some(asides) = &mut session.asides {
        asides.placed.retain(|placed| placed != room);
        asides.durable.retain(|(durable, _)| durable != room);
    }
    projects::note_left(session, room);
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
    let Some(session) = peer.open_session() else {
        return false;
    };
    let (left, dialect) = (leave(room, session, hub), session.dialect);
    if left {
        tell(peer, id, "unsubscribed", hub, now, |out| match dialect {
            Dialect::Device => device::taken_out(room, now.wall, out),
            Dialect::SocketIo | Dialect::SocketIoEnveloped => {
                socket_io::placed("unsubscribed", room, dialect, now.wall, out);
            }
            Dialect::Native | Dialect::NativeV1 | Dialect::Echo | Dialect::Events => {
                encode::unsubscribed(&Correlation::default(), room, now.wall, out);
            }
        });
    }
    left
}

/// Puts a session into a room on an operator's behalf, and tells it. False if it is full of rooms,
/// knows no rooms, or has those that its address or its channels name.
pub(super) fn put_in(
    peer: &mut Peer,
    id: PeerId,
    room: &RoomName,
    hub: &mut Hub,
    now: Now,
) -> bool {
    let session = peer.open_session();
    let Some(session) = session.filter(|session| match session.dialect {
        Dialect::Native | Dialect::NativeV1 | Dialect::SocketIo | Dialect::SocketIoEnveloped => {
            true
        }
        Dialect::Echo | Dialect::Device | Dialect::Events => false,
    }) else {
        return false;
    };
    let Ok(Entered { position, .. }) = enter(room, None, session, id, hub, now.mono) else {
        return false;
    };
    let dialect = session.dialect;
    let asides = session.asides.get_or_insert_default();
    if !asides.placed.contains(room) {
        asides.placed.push(room.clone());
    }
    let pending = projects::pending(room, hub);
    let (to, wall) = (Correlation::default(), now.wall);
    tell(peer, id, "subscribed", hub, now, |out| match dialect {
        Dialect::SocketIo | Dialect::SocketIoEnveloped => {
            socket_io::placed("subscribed", room, dialect, wall, out);
        }
        Dialect::Native | Dialect::NativeV1 | Dialect::Echo | Dialect::Device | Dialect::Events => {
            let recovery = Recovery::NotAsked;
            encode::subscribed(&to, room, &position, &recovery, None, &pending, wall, out);
        }
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
) -> Result<Entered, Fault> {
    let caller = Caller::Session { is_member: false };
    let policy = PublishPolicy::Grant;
    access::check(&session.identity, caller, Action::Subscribe, name, policy)?;
    let projects = &hub.services.projects;
    projects.check_room(name, &session.identity, &hub.live.config)?;
    let mut entered = enter(name, since, session, id, hub, now)?;
    // What was missed is history: who may only listen recovers nothing.
    if entered.missed.is_some() || entered.stored_after.is_some() {
        let action = Action::History;
        if access::check(&session.identity, caller, action, name, policy).is_err() {
            (entered.missed, entered.stored_after) = (None, None);
        }
    }
    Ok(entered)
}

/// A membership, and where its room's stream stood when it began or was asked about.
pub(super) struct Entered {
    membership: Membership,
    pub(super) position: Position,
    /// A publication with a greater sequence is live for the member.
    pub(super) sequence: u64,
    pub(super) missed: Missed,
    /// What was missed may be in the store, after this offset.
    stored_after: Option<u64>,
}

impl Entered {
    fn new(membership: Membership, joined: Joined) -> Self {
        Self {
            membership,
            position: joined.position,
            sequence: joined.sequence,
            missed: joined.missed,
            stored_after: joined.stored_after,
        }
    }
}

/// What one who comes back wants, as far as it may.
pub(super) fn wanted<'a>(since: &'a Since, hub: &Hub) -> Wanted<'a> {
    let most = hub.live.config.limits.recovery_max;
    let most = most.unwrap_or(usize::MAX);
    Wanted { since, most }
}

/// The same for whoever may: an operator puts sessions into rooms, whatever their own rights.
pub(super) fn enter(
    name: &RoomName,
    since: Option<&Since>,
    session: &mut Session,
    id: PeerId,
    hub: &mut Hub,
    now: Mono,
) -> Result<Entered, Fault> {
    options(name, &hub.services, &hub.live, &hub.counters)?;
    let wanted = since.map(|since| wanted(since, hub));
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
        return Ok(Entered::new(membership, looked));
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
    let membership = hub.rooms.add(&joined, id, now);
    change(session, |memberships| memberships.push(membership));
    Ok(Entered::new(membership, joined))
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
