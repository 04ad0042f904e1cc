//! Streams of Server-Sent Events: how one begins, what keeps it alive, how it ends.
//!
//! Its body has no length and ends with the connection, so one spelling serves every version of
//! HTTP. The client sends nothing more, and what it sends all the same is dropped. A client that is
//! told the end comes back by itself, with the id of the last event that it has read whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::app::event_stream::{EventStream, response};
use crate::app::http::fault_response;
use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::base::limits;
use crate::dialect::Dialect;
use crate::dialect::events::{self, COMMENT, Track};
use crate::dialect::publication::{Publication, RoomSet};
use crate::domain::command::Since;
use crate::domain::fault::Fault;
use crate::domain::position::Position;
use crate::domain::room::RoomName;
use crate::metrics::names::Counter;
use crate::protocol::timers::Timer;
use crate::shard::membership::{self, size};
use crate::shard::peer::{Conversation, EventsPeer, Peer, Session, Stage};
use crate::shard::{Hub, credentials, http, timeouts};
use crate::wire::http::response::{Response, date};

/// Turns an HTTP connection into a stream with a session: joins its rooms, answers, tells the rooms
/// and what was missed in them.
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
    let identity = asked.identity;
    let session_id = hub.rng.session_id();
    let mut session = Session::new(session_id, Dialect::Events, identity, now.wall);
    let space = peer.outbox.space(&hub.outbox_limits);
    let begun = match begin(&asked.rooms, &mut session, space, id, hub, now) {
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
            track.subscribed(name, position, *recovered, now.wall, out);
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
    missed: Vec<(u64, Arc<Publication>)>,
}

/// Joins the rooms, in the order asked for. What was missed in all of them has about `space` bytes
/// at most; the first may have any number if nothing waits yet.
fn begin(
    rooms: &[(RoomName, Option<Since>)],
    session: &mut Session,
    mut space: usize,
    id: PeerId,
    hub: &mut Hub,
    now: Now,
) -> Result<Vec<Begun>, Fault> {
    let mut begun = Vec::with_capacity(rooms.len());
    for (name, since) in rooms {
        let (position, missed) =
            membership::join(name, since.as_ref(), session, id, hub, now.mono)?;
        let missed = missed.filter(|missed| size(missed) <= space);
        let recovered = since.as_ref().map(|_| missed.is_some());
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
            name: name.clone(),
            start: Position { offset, ..position },
            position,
            recovered,
            missed,
        });
    }
    Ok(begun)
}

/// Writes what was missed, in the order in which it was published; what went to several of the
/// rooms once.
fn write_missed(begun: Vec<Begun>, track: &mut Track, out: &mut Vec<u8>) {
    let mut merged: BTreeMap<u64, (Arc<Publication>, RoomSet)> = BTreeMap::new();
    for Begun { name, missed, .. } in begun {
        for (_, publication) in missed {
            let mut placements = publication.placements.iter();
            let Some(index) = placements.position(|it| it.room == name) else {
                continue;
            };
            let entry = merged.entry(publication.sequence);
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
