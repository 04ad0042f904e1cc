//! A session's part in a namespace of Socket.IO: in, what it says there, out.
//!
//! Each is a session like any other, of the user that its CONNECT shows, with a peer that has no
//! socket. Invariant: the answer to its CONNECT is the first that its client hears in a namespace,
//! DISCONNECT the last.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::app::commands::{self, Asker};
use crate::app::{chain, credentials};
use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::bus::job::Reply;
use crate::bus::order::Outcome;
use crate::dialect::Dialect;
use crate::dialect::frame::{Frame, Messages};
use crate::dialect::socket_io::decode::{Asked, decode};
use crate::dialect::socket_io::encode::{self as words, PacketForm};
use crate::dialect::socket_io::namespace::Namespace;
use crate::domain::access::Identity;
use crate::domain::command::Publish;
use crate::domain::fault::{Code, Fault};
use crate::domain::room::RoomName;
use crate::metrics::names::Counter;
use crate::shard::engine::recovery::Recovery;
use crate::shard::engine::{Desk, Happened, echo};
use crate::shard::outbox::Keep;
use crate::shard::peer::{Conversation, NamespacePeer, Pause, Peer, Session};
use crate::shard::rate::{charge_user, pay_owed_token, spend_token};
use crate::shard::{Hub, credentials as tokens, dispatch, membership};
use crate::wire::engine_io::packet::MESSAGE;
use crate::wire::socket_io::array::EventPayload;
use crate::wire::socket_io::auth::Auth;
use crate::wire::socket_io::encode::{self, EventText};

/// Codes from here on say that nobody is to come back by itself.
const FINAL_CODES: std::ops::Range<u16> = 4500..5000;

impl Desk<'_> {
    /// A client wants into a namespace.
    pub(super) fn connect(&mut self, name: &str, auth: Option<&str>) {
        let shown = Auth::parse(auth);
        let identity = match &shown.token {
            Some(token) => credentials::of_token(token, &self.hub.live, self.now.wall),
            None => self.engine.shown.clone(),
        };
        let namespace = Namespace::named(name);
        let entered = identity.and_then(|identity| match identity {
            Identity::Pending => Err(no_token()),
            Identity::Anonymous | Identity::User(_) | Identity::Key(_) => {
                match self.recover(name, &shown, &identity) {
                    Some(part) => Ok(part),
                    None => self.enter(namespace, identity),
                }
            }
        });
        let part = match entered {
            Ok(part) => part,
            Err(fault) => {
                self.hub.counters.increment(Counter::NamespacesRefused);
                if fault.code == Code::Unauthorized {
                    self.hub.counters.increment(Counter::TokensRefused);
                }
                self.engine.socket.refused(name);
                self.say(|out| words::connect_error(name, &fault, out));
                return;
            }
        };
        self.engine.socket.connected(name);
        self.engine.namespaces.push((namespace, part));
        self.welcome(part, auth);
    }

    /// Answers a CONNECT that was let in, before all that waits already.
    fn welcome(&mut self, part: PeerId, auth: Option<&str>) {
        let Some(peer) = self.peers.get_mut(part) else {
            return;
        };
        let Conversation::Namespace(namespace) = &peer.conversation else {
            return;
        };
        let (name, session) = (namespace.form.namespace, &namespace.session);
        let (id, user) = (session.id.to_string(), session.identity.user_id().cloned());
        let pid = namespace
            .recovery
            .as_ref()
            .map(|recovery| recovery.pid.to_string());
        let connected = message(|out| encode::connected(name.as_str(), &id, pid.as_deref(), out));
        let mut missed = std::mem::take(&mut peer.outbox);
        push(peer, part, connected, self.hub);
        while let Some(frame) = missed.take_frame() {
            push(peer, part, frame, self.hub);
        }
        if name.is_enveloped() {
            let mut json = Vec::new();
            words::hello(&id, user.as_ref(), self.now.wall, &mut json);
            tell(peer, part, words::HELLO, &json, self.hub);
        } else if pid.is_some() {
            // So that it has an offset to come back with, whatever happens next.
            tell(peer, part, RECOVERABLE, b"", self.hub);
        }
        if self.hub.live.config.debug_echo {
            let shown = auth.unwrap_or("{}");
            tell(peer, part, echo::GREETING, shown.as_bytes(), self.hub);
        }
    }

    /// Makes a client a session of this namespace, in its first rooms.
    fn enter(&mut self, namespace: Namespace, identity: Identity) -> Result<PeerId, Fault> {
        let (hub, now) = (&mut *self.hub, self.now);
        let dialect = match namespace.is_enveloped() {
            true => Dialect::SocketIoEnveloped,
            false => Dialect::SocketIo,
        };
        let session = Session::new(hub.rng.session_id(), dialect, identity, now.wall);
        let address = self.peers.get(self.id).map(|peer| peer.address);
        let address = address.unwrap_or(IpAddr::from([0, 0, 0, 0]));
        let kept = hub.live.config.socketio.recovery_in(namespace.as_str());
        let recovery = kept.map(|_| Box::new(Recovery::new(hub.rng.session_id())));
        let pid = recovery.as_ref().map(|recovery| recovery.pid);
        let form = PacketForm {
            namespace,
            has_offset: pid.is_some(),
        };
        let part = NamespacePeer {
            session,
            engine: self.id,
            form,
            is_open: true,
            awaits: None,
            recovery,
        };
        let peer = Peer::new(address, Conversation::Namespace(Box::new(part)));
        let part = self.peers.insert(peer);
        let part = part.map_err(|_| Fault::new(Code::ServerBusy, "the server is full"))?;
        hub.counters.increment(Counter::SessionsOpened);
        if let Some(pid) = pid {
            hub.engines.by_pid.insert(pid, part);
        }
        let Some(peer) = self.peers.get_mut(part) else {
            return Err(Fault::new(Code::InternalError, "the session is gone"));
        };
        let Some(session) = peer.session_mut() else {
            return Err(Fault::new(Code::InternalError, "the session is gone"));
        };
        let name = session.dialect.name();
        let global = RoomName::parse(FIRST_ROOM);
        let joined = global
            .map_err(Fault::from)
            .and_then(|global| membership::join_first(&[global], session, part, hub, now.mono));
        let (id, identity) = (session.id, session.identity.clone());
        match joined {
            Ok(_) => {
                log::debug!("session_opened session={id} dialect={name} address={address}");
                tokens::watch(&identity, &mut peer.timers, hub, now);
                hub.arm(peer, part);
                Ok(part)
            }
            Err(fault) => {
                self.end_part(part);
                Err(fault)
            }
        }
    }

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

/// The event that gives a plain session's client its first offset.
const RECOVERABLE: &str = "kinglet.recoverable";

/// The room that every session is in from its start.
const FIRST_ROOM: &str = "global";

fn no_token() -> Fault {
    Fault::new(
        Code::Unauthorized,
        "no token: show one as auth.token, in Authorization: Bearer, or in the query where that is \
         allowed",
    )
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
