//! A client comes into a namespace of Socket.IO.
//!
//! It is the user that its CONNECT shows, or whom the request showed that its session of Engine.IO
//! began with. Invariant: the answer to its CONNECT is the first that it hears in a namespace.

use std::net::IpAddr;

use crate::app::credentials;
use crate::base::ids::{PeerId, SessionId};
use crate::dialect::socket_io::encode::{self as words, PacketForm};
use crate::dialect::socket_io::namespace::Namespace;
use crate::dialect::socket_io::ring::Ring;
use crate::domain::access::Identity;
use crate::domain::fault::{Code, Fault};
use crate::domain::room::RoomName;
use crate::metrics::names::Counter;
use crate::shard::engine::namespace::{message, push, tell};
use crate::shard::engine::recovery::Recovery;
use crate::shard::engine::{Desk, echo};
use crate::shard::peer::{Conversation, NamespacePeer, Peer, Session};
use crate::shard::{credentials as tokens, membership};
use crate::wire::socket_io::auth::Auth;
use crate::wire::socket_io::encode;

impl Desk<'_> {
    /// A client wants into a namespace.
    pub(super) fn connect(&mut self, name: &str, auth: Option<&str>) {
        let shown = Auth::parse(auth);
        let identity = match &shown.token {
            Some(token) => credentials::of_token(token, &self.hub.live, self.now.wall),
            None => self.engine.shown.clone(),
        };
        let namespace = Namespace::named(name);
        let identity = identity.and_then(|identity| match identity {
            Identity::Pending => Err(no_token()),
            Identity::Anonymous | Identity::User(_) | Identity::Key(_) => Ok(identity),
        });
        let entered = match identity {
            Err(fault) => Err(fault),
            Ok(identity) => match self.recover(name, &shown, &identity) {
                Some(part) => Ok(part),
                None if self.claim(namespace, &shown, auth, &identity) => return,
                None => self.enter(namespace, identity),
            },
        };
        self.answer_connect(namespace, entered, auth);
    }

    /// Answers a CONNECT, whose sender has paid for it then.
    pub(super) fn answer_connect(
        &mut self,
        namespace: Namespace,
        entered: Result<PeerId, Fault>,
        auth: Option<&str>,
    ) {
        let name = namespace.as_str();
        match entered {
            Ok(part) => {
                self.engine.socket.connected(name);
                self.engine.namespaces.push((namespace, part));
                self.welcome(part, auth);
            }
            Err(fault) => {
                self.hub.counters.increment(Counter::NamespacesRefused);
                if fault.code == Code::Unauthorized {
                    self.hub.counters.increment(Counter::TokensRefused);
                }
                self.engine.socket.refused(name);
                self.say(|out| words::connect_error(name, &fault, out));
            }
        }
        self.spend();
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

    /// Makes the peer that stands for a session in a namespace.
    pub(super) fn seat(
        &mut self,
        namespace: Namespace,
        session: Session,
        recovery: Option<Recovery>,
    ) -> Result<PeerId, Fault> {
        let address = self.peers.get(self.id).map(|peer| peer.address);
        let address = address.unwrap_or(IpAddr::from([0, 0, 0, 0]));
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
            recovery: recovery.map(Box::new),
        };
        let peer = Peer::new(address, Conversation::Namespace(Box::new(part)));
        let part = self.peers.insert(peer);
        let part = part.map_err(|_| Fault::new(Code::ServerBusy, "the server is full"))?;
        if let Some(pid) = pid {
            self.hub.engines.by_pid.insert(pid, part);
        }
        Ok(part)
    }

    /// Makes a client a session of this namespace, in its first rooms.
    pub(super) fn enter(
        &mut self,
        namespace: Namespace,
        identity: Identity,
    ) -> Result<PeerId, Fault> {
        let (hub, now) = (&mut *self.hub, self.now);
        let id = hub.rng.session_id();
        let session = Session::new(id, namespace.dialect(), identity, now.wall);
        let kept = hub.live.config.socketio.recovery_in(namespace.as_str());
        let recovery = kept.map(|_| {
            let pid = SessionId::in_shard(hub.rng.next_u128(), hub.shard);
            Recovery::new(pid, Ring::default())
        });
        let part = self.seat(namespace, session, recovery)?;
        let hub = &mut *self.hub;
        hub.counters.increment(Counter::SessionsOpened);
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
                let address = peer.address;
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
