//! Streams of Server-Sent Events: how one begins, what keeps it alive, how it ends.
//!
//! Its body has no length and ends with the connection, so one spelling serves every version of
//! HTTP. The client sends nothing more, and what it sends all the same is dropped. A client that is
//! told the end comes back by itself, with the id of the last event that it has read whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::app::event_stream::{EventStream, response};
use crate::app::http::fault_response;
use crate::app::opening::shutting_down;
use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::base::limits;
use crate::bus::job::{ReadPurpose, StreamRead};
use crate::bus::room::Missed;
use crate::config::PublishPolicy;
use crate::dialect::Dialect;
use crate::dialect::events::{self, COMMENT, Track};
use crate::dialect::publication::{FROM_STORE, Publication, RoomSet};
use crate::domain::access::{self, Action, Caller};
use crate::domain::command::Since;
use crate::domain::fault::Fault;
use crate::domain::position::Position;
use crate::domain::room::RoomName;
use crate::metrics::names::Counter;
use crate::protocol::timers::Timer;
use crate::shard::membership::{self, size};
use crate::shard::peer::{Conversation, EventsPeer, Pause, Peer, Session, Stage};
use crate::shard::{Hub, credentials, http, projects, timeouts};
use crate::wire::http::response::{Response, date};

/// What was missed in one room, with the offsets there.
type Missing = Vec<(u64, Arc<Publication>)>;

/// A stream that was asked for, while workers read what was missed in its rooms and is no longer in
/// memory: one room after the other. It is in none of them yet.
#[derive(Debug)]
pub(super) struct Pending {
    asked: EventStream,
    /// What is known so far, of each of the rooms.
    parts: Vec<Part>,
    /// The room that is looked at, or read for, now.
    next: usize,
    /// Something was read since all rooms were looked at, so they may have moved on.
    has_read: bool,
    /// Times that all rooms may still be looked at again.
    rounds_left: u8,
}

/// What was found on disk of what was missed in a room.
#[derive(Debug)]
enum Part {
    /// It is not needed: what was missed is in memory, or nothing is wanted.
    Unneeded,
    /// Everything that was missed up to this position.
    UpTo(Position, Missing),
    /// Not everything that was missed.
    Lost,
}

/// Looks at rooms that were read for, before what came meanwhile and is out of memory again, too,
/// is given up.
const ROUNDS: u8 = 3;

/// Turns an HTTP connection into a stream with a session, at once or when workers have read what it
/// is to begin with.
///
/// # Errors
/// The answer that says why a room cannot be joined; the connection stays HTTP then.
pub(super) fn open(
    peer: &mut Peer,
    id: PeerId,
    asked: EventStream,
    hub: &mut Hub,
    now: Now,
) -> Result<(), Box<Response>> {
    let pending = Pending {
        parts: asked.rooms.iter().map(|_| Part::Unneeded).collect(),
        asked,
        next: 0,
        has_read: false,
        rounds_left: ROUNDS,
    };
    go_on(peer, id, pending, hub, now)
}

/// Goes on with a stream for which a worker has read.
pub(super) fn take(
    peer: &mut Peer,
    id: PeerId,
    read: &StreamRead,
    missed: Missed,
    hub: &mut Hub,
    now: Now,
) {
    let pending = peer.http_mut().and_then(|http| http.pending.take());
    let Some(mut pending) = pending else {
        return;
    };
    // All that waits is sent as one message: the first part may have any size, as anywhere.
    let waiting: usize = pending.parts.iter().map(Part::size).sum();
    let most = hub.outbox_limits.bytes;
    let is_taken = |missed: &Missing| waiting == 0 || waiting + size(missed) <= most;
    if let Some(part) = pending.parts.get_mut(pending.next) {
        *part = match (std::mem::replace(part, Part::Lost), missed.filter(is_taken)) {
            (_, None) | (Part::Lost, Some(_)) => Part::Lost,
            (Part::Unneeded, Some(missed)) => Part::UpTo(read.position, missed),
            (Part::UpTo(_, before), Some(missed)) => {
                Part::UpTo(read.position, joined(before, missed))
            }
        };
    }
    pending.has_read = true;
    pending.next += 1;
    let begun = if hub.services.is_draining() {
        Err(Box::new(shutting_down()))
    } else {
        go_on(peer, id, *pending, hub, now)
    };
    if let Err(refusal) = begun {
        http::refuse_session(peer, *refusal, hub, now);
    }
}

/// Has the next room's part read that is on disk alone; when there is none, begins.
fn go_on(
    peer: &mut Peer,
    id: PeerId,
    mut pending: Pending,
    hub: &mut Hub,
    now: Now,
) -> Result<(), Box<Response>> {
    loop {
        while let Some((name, since)) = pending.asked.rooms.get(pending.next) {
            let since = pending
                .parts
                .get(pending.next)
                .and_then(|part| part.after(since));
            let read = since.and_then(|since| on_disk(name, &since, &pending.asked, hub, now));
            let Some(read) = read else {
                pending.next += 1;
                continue;
            };
            // As for any request that a worker has.
            peer.timers.clear(Timer::Handshake);
            http::end_handshake(peer, hub);
            if let Conversation::Http(http) = &mut peer.conversation {
                http.pending = Some(Box::new(pending));
                peer.pause = Some(Pause::Job);
                hub.read(id, read);
            }
            return Ok(());
        }
        if !pending.has_read || pending.rounds_left == 0 {
            return start(peer, id, pending, hub, now);
        }
        (pending.next, pending.has_read) = (0, false);
        pending.rounds_left -= 1;
    }
}

/// What a worker is to read of a room, if what was missed there is on disk alone.
fn on_disk(
    name: &RoomName,
    since: &Since,
    asked: &EventStream,
    hub: &Hub,
    now: Now,
) -> Option<StreamRead> {
    for action in [Action::Subscribe, Action::History] {
        let (caller, policy) = (Caller::Session { is_member: false }, PublishPolicy::Grant);
        access::check(&asked.identity, caller, action, name, policy).ok()?;
    }
    let projects = &hub.services.projects;
    let closed = projects.check_room(name, &asked.identity, &hub.live.config);
    closed.ok()?;
    let rooms = &hub.services.rooms;
    let room = rooms.existing(name)?;
    let looked = rooms.look(&room, Some(membership::wanted(since, hub)), now.mono);
    Some(StreamRead {
        room: name.clone(),
        position: looked.position,
        since: looked.stored_after?,
        purpose: ReadPurpose::Stream,
    })
}

impl Part {
    /// From where more is wanted, if it was asked for from `since`.
    fn after(&self, since: &Option<Since>) -> Option<Since> {
        match self {
            Self::Unneeded => since.clone(),
            Self::UpTo(position, _) => Some(since_of(position)),
            Self::Lost => None,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::UpTo(_, missed) => size(missed),
            Self::Unneeded | Self::Lost => 0,
        }
    }
}

fn since_of(position: &Position) -> Since {
    Since {
        epoch: Some(position.epoch),
        offset: position.offset,
    }
}

/// Joins the rooms, answers, tells the rooms and what was missed in them.
fn start(
    peer: &mut Peer,
    id: PeerId,
    pending: Pending,
    hub: &mut Hub,
    now: Now,
) -> Result<(), Box<Response>> {
    let Pending { asked, parts, .. } = pending;
    let identity = asked.identity;
    let session_id = hub.rng.session_id();
    let mut session = Session::new(session_id, Dialect::Events, identity, now.wall);
    let space = peer.outbox.space(&hub.outbox_limits);
    let begun = match begin(asked.rooms, parts, &mut session, space, id, hub, now) {
        Ok(begun) => begun,
        Err(fault) => {
            hub.leave_all(&mut session);
            return Err(Box::new(fault_response(&fault)));
        }
    };
    let starts = begun.iter().map(|room| (room.name.clone(), room.start));
    let mut track = Track::new(asked.is_named, starts.collect());
    let response = http::with_cors(response(), peer);
    http::end_handshake(peer, hub);
    // A thousand clients that are cut off at once come back over some time.
    let retry = RETRY_MS.0 + hub.rng.below(RETRY_MS.1 - RETRY_MS.0);
    // One message, as the answer with all that was missed is on a WebSocket: it goes whole.
    peer.outbox.push_own(|out| {
        response.encode_endless(&date(now.wall), out);
        events::retry(retry, out);
        for Begun {
            name,
            position,
            recovered,
            ..
        } in &begun
        {
            let pending = projects::pending(name, hub);
            track.subscribed(name, position, *recovered, &pending, now.wall, out);
        }
        write_missed(begun, &mut track, out);
    });
    peer.timers.clear_all();
    let first = timeouts::first_ping(limits::COMMENT_INTERVAL, hub.rng.next_u64());
    peer.timers.set(Timer::Ping, first, now.mono);
    let idle = hub.live.config.heartbeat.idle_timeout.unwrap_or_default();
    peer.timers.set(Timer::Idle, idle, now.mono);
    credentials::watch(&session.identity, &mut peer.timers, hub, now);
    hub.counters.increment(Counter::SessionsOpened);
    hub.counters.increment(Counter::EventStreamsOpened);
    log::debug!(
        "session_opened session={} dialect={} address={}",
        session.id,
        session.dialect.name(),
        peer.address
    );
    peer.conversation = Conversation::Events(Box::new(EventsPeer { session, track }));
    Ok(())
}

/// The least and the most that a client is asked to wait before it comes back.
const RETRY_MS: (u64, u64) = (1000, 5000);

/// A room of a stream that begins.
struct Begun {
    name: RoomName,
    /// Where the client is.
    start: Position,
    /// Where the room's stream is.
    position: Position,
    /// Whether `missed` is everything between the two, if the client said where it is.
    recovered: Option<bool>,
    missed: Missing,
}

/// Joins the rooms, in the order asked for. What was missed in all of them has about `space` bytes
/// at most; the first may have any number if nothing waits yet.
fn begin(
    rooms: Vec<(RoomName, Option<Since>)>,
    parts: Vec<Part>,
    session: &mut Session,
    mut space: usize,
    id: PeerId,
    hub: &mut Hub,
    now: Now,
) -> Result<Vec<Begun>, Fault> {
    let mut begun = Vec::with_capacity(rooms.len());
    for ((name, since), part) in rooms.into_iter().zip(parts) {
        let wants = since.is_some();
        let since = part.after(&since);
        let read = match part {
            Part::UpTo(_, missed) => missed,
            Part::Unneeded | Part::Lost => Vec::new(),
        };
        let entered = membership::join(&name, since.as_ref(), session, id, hub, now.mono)?;
        let position = entered.position;
        let missed = entered.missed.map(|later| joined(read, later));
        let most = hub.live.config.limits.recovery_max.unwrap_or(usize::MAX);
        let missed = missed.filter(|missed| missed.len() <= most && size(missed) <= space);
        let recovered = wants.then_some(missed.is_some());
        if recovered == Some(false) {
            hub.counters.increment(Counter::RecoveriesRefused);
        }
        let missed = missed.unwrap_or_default();
        if !missed.is_empty() {
            space = space
                .min(hub.outbox_limits.bytes)
                .saturating_sub(size(&missed));
        }
        // Until it has read them, the client is where the first of them is the next.
        let offset = missed
            .first()
            .map_or(position.offset, |(first, _)| first - 1);
        begun.push(Begun {
            name,
            start: Position { offset, ..position },
            position,
            recovered,
            missed,
        });
    }
    Ok(begun)
}

/// What was read from the disk with what came later; not with a gap between the two, which only
/// rooms have whose newest publication says all.
fn joined(mut read: Missing, later: Missing) -> Missing {
    let follows = match (read.last(), later.first()) {
        (Some((last, _)), Some((first, _))) => *first == last + 1,
        (None, _) | (_, None) => true,
    };
    if !follows {
        read.clear();
    }
    read.extend(later);
    read
}

/// Writes what was missed: first what was read from the disk, which is not known to have been in
/// several rooms, room by room; then the rest in the order in which it was published, what went to
/// several of the rooms once.
fn write_missed(begun: Vec<Begun>, track: &mut Track, out: &mut Vec<u8>) {
    let mut merged: BTreeMap<_, (Arc<Publication>, RoomSet)> = BTreeMap::new();
    for (room, Begun { name, missed, .. }) in begun.into_iter().enumerate() {
        for (offset, publication) in missed {
            let mut placements = publication.placements.iter();
            let Some(index) = placements.position(|it| it.room == name) else {
                continue;
            };
            let entry = merged.entry(match publication.sequence {
                FROM_STORE => (FROM_STORE, room, offset),
                sequence => (sequence, 0, 0),
            });
            let (_, set) = entry.or_insert_with(|| (publication, RoomSet::default()));
            *set = set.with(index);
        }
    }
    for (publication, set) in merged.into_values() {
        if let Some(mark) = track.advance(&publication, set) {
            out.extend_from_slice(&mark);
        }
        let lines = events::publication(&publication, set.first(), track.form());
        out.extend_from_slice(&lines);
    }
}

/// Queues an event that is no publication.
pub(super) fn push_event(peer: &mut Peer, name: &str, json: &[u8]) {
    let Conversation::Events(events) = &peer.conversation else {
        return;
    };
    peer.outbox.push_own(|out| {
        events
            .track
            .event(name, out, |out| out.extend_from_slice(json));
    });
}

/// Shows the client, and every proxy between, that the stream is alive; and the kernel, which gives
/// a connection up that acknowledges nothing, that the client is.
pub(super) fn push_comment(peer: &mut Peer, now: Now) {
    if !peer.has_output() {
        peer.outbox.push_own(|out| out.extend_from_slice(COMMENT));
    }
    peer.timers
        .set(Timer::Ping, limits::COMMENT_INTERVAL, now.mono);
}

/// Ends the stream with a comment that says why.
pub(super) fn close(peer: &mut Peer, code: u16, reason: &str, hub: &mut Hub, now: Now) {
    if !peer.has_open_session() {
        return;
    }
    let Some(session) = peer.session_mut() else {
        return;
    };
    hub.leave_all(session);
    log::debug!(
        "session_closing session={} code={code} reason={reason:?}",
        session.id
    );
    peer.outbox
        .push_own(|out| events::ending(code, reason, out));
    peer.timers.clear_all();
    let timeout = hub.live.config.limits.write_timeout;
    peer.timers.set(Timer::Stall, timeout, now.mono);
    peer.stage = Stage::FlushingThenLingering;
}
