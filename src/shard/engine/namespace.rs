//! A session's part in a namespace of Socket.IO: what it says there, and out.
//!
//! Each is a session like any other, of the user that its CONNECT shows, with a peer that has no
//! socket. Invariant: DISCONNECT is the last that its client hears in a namespace.

use std::sync::Arc;

use bytes::Bytes;

use crate::app::chain;
use crate::app::commands::{self, Asker};
use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::bus::job::Reply;
use crate::bus::order::Outcome;
use crate::dialect::frame::{Frame, Messages};
use crate::dialect::socket_io::decode::{Asked, decode};
use crate::dialect::socket_io::encode as words;
use crate::domain::command::Publish;
use crate::domain::fault::Fault;
use crate::domain::room::RoomName;
use crate::metrics::names::Counter;
use crate::shard::engine::{Desk, Happened, echo};
use crate::shard::outbox::Keep;
use crate::shard::peer::{Conversation, Pause, Peer};
use crate::shard::rate::{charge_user, pay_owed_token, spend_token};
use crate::shard::{Hub, dispatch, membership};
use crate::wire::engine_io::packet::MESSAGE;
use crate::wire::socket_io::array::EventPayload;
use crate::wire::socket_io::encode::{self, EventText};

/// Codes from here on say that nobody is to come back by itself.
const FINAL_CODES: std::ops::Range<u16> = 4500..5000;

impl Desk<'_> {
    /// A client that is in says something.
    pub(super) fn event(
        &mut self,
        name: &str,
        id: Option<u64>,
        payload: &EventPayload<'_>,
        attachments: &[Bytes],
    ) {
        let Some(part) = self.part(name) else { return };
        let (hub, now) = (&mut *self.hub, self.now);
        let Some(peer) = self.peers.get_mut(part) else {
            return;
        };
        if hub.live.config.debug_echo
            && echo::answer(peer, part, name, id, payload, attachments, hub)
        {
            return self.wait_for(part);
        }
        let live = Arc::clone(&hub.live);
        let asked = decode(payload, attachments, &live.config.socketio.join_events);
        let asked = match asked {
            // What keeps a session going is taken however often its user asks.
            Ok(Asked::Ping | Asked::Unknown) => asked,
            asked => charge_user(peer, hub, now).and(asked),
        };
        if let Some(reply) = carry_out(peer, part, id, asked, hub, now) {
            if reply.error.is_some() {
                hub.counters.increment(Counter::CommandErrors);
            }
            acknowledge_as(peer, part, id, &reply, hub);
        }
        spend_token(peer, hub, now);
        pay_owed_token(peer, part, hub, now);
        self.wait_for(part);
    }

    /// Nothing more is worked on while this namespace is paused, or does not read what it is told.
    fn wait_for(&mut self, part: PeerId) {
        let limits = self.hub.outbox_limits;
        let Some(peer) = self.peers.get_mut(part) else {
            return;
        };
        if peer.pause.is_none() && !peer.outbox.takes(0, &limits) {
            self.hub.counters.increment(Counter::OutboxPauses);
            peer.pause = Some(Pause::Outbox);
        }
        if peer.pause.is_some() {
            self.engine.waits_for = Some(part);
        }
        self.hub.arm(peer, part);
    }

    /// The client left a namespace.
    pub(super) fn left(&mut self, name: &str) {
        if let Some(part) = self.part(name) {
            self.forget(part);
            self.end_part(part);
        }
    }

    /// Tells a client that its part in a namespace is over, behind all that it was told there.
    pub(super) fn put_out(&mut self, part: PeerId) {
        let mut parts = self.engine.namespaces.iter();
        let Some((namespace, _)) = parts.find(|(_, known)| *known == part).copied() else {
            return;
        };
        let (name, rules) = (namespace.as_str(), &self.hub.engines.settings.rules);
        let is_told = self.engine.socket.disconnect(name, rules, self.now.mono);
        while let Some(frame) = self
            .peers
            .get_mut(part)
            .and_then(|peer| peer.outbox.take_frame())
        {
            if let Some(peer) = self.peers.get_mut(self.id) {
                peer.outbox.push_shared(frame, Keep::Always);
            }
        }
        if is_told {
            self.say(|out| encode::disconnect(name, out));
        }
        self.forget(part);
        self.end_part(part);
    }

    fn part(&self, name: &str) -> Option<PeerId> {
        let mut parts = self.engine.namespaces.iter();
        let found = parts.find(|(namespace, _)| namespace.as_str() == name);
        found.map(|(_, part)| *part)
    }

    fn forget(&mut self, part: PeerId) {
        self.engine.namespaces.retain(|(_, known)| *known != part);
        if self.engine.waits_for == Some(part) {
            self.engine.waits_for = None;
            self.hub.engines.note(Happened::Resumed(self.id));
        }
    }
}

/// Carries out what a client asks for; what it is told, unless the store does something first, or
/// nobody here knows the event.
fn carry_out(
    peer: &mut Peer,
    part: PeerId,
    id: Option<u64>,
    asked: Result<Asked, Fault>,
    hub: &mut Hub,
    now: Now,
) -> Option<Reply> {
    let session = peer.open_session()?;
    let mut json = Vec::new();
    let outcome = match asked {
        Err(fault) => Err(fault),
        Ok(Asked::Subscribe(room)) => {
            let joined = chain::guard("subscribe", session.id, || {
                membership::join(&room, None, session, part, hub, now.mono)
            });
            joined.map(|_| words::subscription(&room, &mut json))
        }
        Ok(Asked::Unsubscribe(room)) => {
            membership::leave(&room, session, hub);
            words::subscription(&room, &mut json);
            Ok(())
        }
        Ok(Asked::Ping) => {
            words::pong(&mut json);
            Ok(())
        }
        Ok(Asked::Rooms) if hub.live.config.debug_echo => {
            let rooms = session.memberships.iter();
            let rooms = rooms.filter_map(|membership| hub.rooms.room(*membership));
            words::rooms(rooms.map(|room| &room.name), &mut json);
            Ok(())
        }
        Ok(Asked::Publish(asked)) => return publish(peer, part, id, *asked, hub, now),
        // Applications have events of their own, which nobody here waits for.
        Ok(Asked::Rooms | Asked::Unknown) => {
            hub.counters.increment(Counter::EventsIgnored);
            return None;
        }
    };
    let outcome = outcome.map(|()| json);
    Some(commands::acknowledgement(outcome, hub.context(now)))
}

/// Publishes for a client; what the store does first is acknowledged later.
fn publish(
    peer: &mut Peer,
    part: PeerId,
    id: Option<u64>,
    asked: Publish,
    hub: &mut Hub,
    now: Now,
) -> Option<Reply> {
    let address = peer.address;
    let session = peer.open_session()?;
    let memberships = &session.memberships;
    let is_member = |room: &RoomName| {
        let memberships = memberships.iter().copied();
        hub.rooms.position(room, memberships).is_some()
    };
    let asker = Asker {
        session: session.id,
        identity: &session.identity,
        address,
        is_member: Some(&is_member),
    };
    match commands::acknowledge_publish(asked, &asker, hub.context(now)) {
        Outcome::Done(reply) => return Some(reply),
        Outcome::Order(order) => {
            if let Conversation::Namespace(namespace) = &mut peer.conversation {
                namespace.awaits = id;
            }
            dispatch::order(peer, part, order, hub, now);
        }
        Outcome::Request(..) => debug_assert!(false, "a publication is no run"),
    }
    None
}

/// The store has answered what a client awaits.
pub(in crate::shard) fn acknowledge(peer: &mut Peer, id: PeerId, reply: &Reply, hub: &mut Hub) {
    let Conversation::Namespace(part) = &mut peer.conversation else {
        return;
    };
    if reply.error.is_some() {
        hub.counters.increment(Counter::CommandErrors);
    }
    let awaits = part.awaits.take();
    acknowledge_as(peer, id, awaits, reply, hub);
}

/// Queues an acknowledgement, if one was asked for.
fn acknowledge_as(peer: &mut Peer, part: PeerId, id: Option<u64>, reply: &Reply, hub: &mut Hub) {
    let (Conversation::Namespace(namespace), Some(id)) = (&peer.conversation, id) else {
        return;
    };
    let name = namespace.form.namespace.as_str();
    let argument = str::from_utf8(&reply.json).unwrap_or_default();
    let frame = message(|out| encode::ack(name, id, argument, 0, out));
    push(peer, part, frame, hub);
}

/// Tells a client something that is no publication: the event `name` with `json` as its argument.
pub(in crate::shard) fn tell(peer: &mut Peer, id: PeerId, name: &str, json: &[u8], hub: &mut Hub) {
    let offset = own_offset(peer);
    let Conversation::Namespace(part) = &peer.conversation else {
        return;
    };
    let text = EventText {
        name,
        arguments: str::from_utf8(json).unwrap_or_default(),
        offset: offset.as_deref(),
        ..EventText::default()
    };
    let namespace = part.form.namespace.as_str();
    let frame = message(|out| encode::event(namespace, &text, out));
    push_event(peer, id, frame, hub);
}

/// The offset of an event that only this session is told, if it can be recovered.
pub(super) fn own_offset(peer: &mut Peer) -> Option<String> {
    match &mut peer.conversation {
        Conversation::Namespace(part) => {
            let recovery = part.recovery.as_deref_mut()?;
            Some(recovery.ring.own_offset())
        }
        _ => None,
    }
}

/// Queues an event, which is kept for the case that the connection is lost.
pub(super) fn push_event(peer: &mut Peer, id: PeerId, frame: Arc<Frame>, hub: &mut Hub) {
    if let Conversation::Namespace(part) = &mut peer.conversation
        && let Some(recovery) = &mut part.recovery
    {
        recovery.ring.push(&frame);
        if recovery.is_detached {
            return;
        }
    }
    push(peer, id, frame, hub);
}

/// Ends a session from our side, once; memberships end now. Whoever may come back is cut off, as
/// clients come back only to a connection that was lost.
pub(in crate::shard) fn close(peer: &mut Peer, id: PeerId, code: u16, reason: &str, hub: &mut Hub) {
    let Conversation::Namespace(part) = &mut peer.conversation else {
        return;
    };
    if !std::mem::take(&mut part.is_open) {
        return;
    }
    hub.leave_all(&mut part.session);
    if part
        .recovery
        .as_ref()
        .is_some_and(|recovery| recovery.is_detached)
    {
        return hub.end(peer, id);
    }
    log::debug!(
        "session_closing session={} code={code} reason={reason:?}",
        part.session.id
    );
    hub.engines.note(match FINAL_CODES.contains(&code) {
        true => Happened::PutOut(part.engine, id),
        false => Happened::Close(part.engine, code),
    });
}

/// Queues a frame.
pub(super) fn push(peer: &mut Peer, id: PeerId, frame: Arc<Frame>, hub: &mut Hub) {
    peer.outbox.push_shared(frame, Keep::Always);
    hub.touch(peer, id);
}

/// A message of Engine.IO with the packet that `write` appends.
pub(super) fn message(write: impl FnOnce(&mut Vec<u8>)) -> Arc<Frame> {
    with_attachments(write, &[])
}

/// The same with the attachments that belong to it.
pub(super) fn with_attachments(
    write: impl FnOnce(&mut Vec<u8>),
    attachments: &[Bytes],
) -> Arc<Frame> {
    let mut text = vec![MESSAGE];
    write(&mut text);
    let mut messages = Messages::default();
    messages.text(&text);
    for bytes in attachments {
        messages.binary(bytes);
    }
    messages.finish()
}
