//! What requests to a path of Engine.IO lead to: a session, its poll, its POST, its WebSocket.
//!
//! Invariant: a connection that asks is paused until it is answered here.

use std::collections::VecDeque;

use crate::app::engine_io;
use crate::app::http::error_response;
use crate::app::{credentials, opening};
use crate::base::clock::Now;
use crate::base::ids::{PeerId, SessionId};
use crate::dialect::frame::Frame;
use crate::domain::access::Identity;
use crate::domain::fault::{Code, Fault};
use crate::domain::rate_limit::TokenBucket;
use crate::metrics::names::Counter;
use crate::protocol::engine_session::EngineSession;
use crate::protocol::http_exchange::Step;
use crate::protocol::socket_session::SocketSession;
use crate::protocol::timers::Timer;
use crate::protocol::websocket::WebSocket;
use crate::shard::engine::{Desk, Happened};
use crate::shard::outbox::Keep;
use crate::shard::peer::{CarrierPeer, Conversation, EnginePeer, Pause, Peer, Stage};
use crate::shard::{Hub, Shard, dispatch, http};
use crate::wire::engine_io::fault::RequestFault;
use crate::wire::engine_io::handshake::{Terms, Transport, write_open};
use crate::wire::engine_io::query::EngineRequest;
use crate::wire::http::fields::BodyFraming;
use crate::wire::http::response::{Response, Status, continue_100};
use crate::wire::websocket::close as code;
use crate::wire::websocket::handshake::switching_protocols;

/// Takes a request in: it is answered when its session is at hand. A WebSocket is one from here on.
///
/// # Errors
/// The answer that says why not; the connection stays HTTP then.
pub(in crate::shard) fn request(
    peer: &mut Peer,
    id: PeerId,
    asked: EngineRequest,
    hub: &mut Hub,
    now: Now,
) -> Result<(), Box<Response>> {
    let head = http::head(peer)?;
    let is_begun = matches!(asked, EngineRequest::Handshake(_));
    let shown = match is_begun {
        true => credentials::of_upgrade(head, &[], &hub.live, now.wall),
        false => Ok(Identity::Pending),
    };
    if is_begun && hub.services.is_draining() {
        return Err(Box::new(opening::shutting_down()));
    }
    if is_begun && !has_place(hub) {
        hub.counters.increment(Counter::EngineSessionsRefused);
        let message = "the server has as many sessions as it may (socketio.sessions)";
        let (status, code) = (Status::SERVICE_UNAVAILABLE, Code::ResourceLimit);
        let response = error_response(status, code, message).header("Retry-After", "5");
        return Err(Box::new(response));
    }
    if is_begun && peer.http().is_none_or(|http| !http.is_reserved) {
        // A poll that begins a session costs no connection, so it is charged as a request.
        let charged = hub.services.charge_request(peer.address, hub.context(now));
        charged.map_err(|wait| Box::new(http::too_many_requests_here(wait)))?;
    }
    let is_websocket = match asked {
        EngineRequest::Handshake(transport) => transport == Transport::WebSocket,
        EngineRequest::Attach(_) => true,
        EngineRequest::Poll(_) | EngineRequest::Post(_) => false,
    };
    if is_websocket {
        let accept = opening::accept(head)?;
        http::end_handshake(peer, hub);
        peer.outbox
            .push_own(|out| switching_protocols(&accept, None, None, out));
        peer.timers.clear_all();
        let timeout = hub.live.config.limits.handshake_timeout;
        peer.timers.set(Timer::Handshake, timeout, now.mono);
        peer.conversation = Conversation::Carrier(CarrierPeer {
            socket: WebSocket::server(),
            engine: None,
            is_behind: false,
        });
    } else if !matches!(asked, EngineRequest::Post(_))
        && !matches!(
            head.body_framing(),
            BodyFraming::None | BodyFraming::Length(0)
        )
    {
        let message = "a GET has no body here";
        let (status, code) = (Status::BAD_REQUEST, Code::ValidationFailed);
        return Err(Box::new(error_response(status, code, message)));
    }
    peer.pause = Some(Pause::Engine);
    hub.engines.note(Happened::Asked(id, asked, shown));
    Ok(())
}

/// Whether another session may begin: the server's are shared out evenly among its shards.
fn has_place(hub: &Hub) -> bool {
    let shards = hub.services.mailboxes.len().max(1);
    let most = hub.live.config.socketio.sessions;
    most.is_none_or(|most| hub.engines.len() < most.div_ceil(shards))
}

/// Answers a request, now that all peers are at hand.
pub(super) fn answer(
    shard: &mut Shard,
    connection: PeerId,
    asked: EngineRequest,
    shown: Result<Identity, Fault>,
    now: Now,
) {
    // It may have ended since it asked.
    let peer = shard.peers.get(connection);
    if peer.is_none_or(|peer| peer.stage != Stage::Serving) {
        return;
    }
    let known = |shard: &Shard, sid: SessionId| shard.hub.engines.by_sid.get(&sid).copied();
    let (EngineRequest::Poll(sid) | EngineRequest::Post(sid) | EngineRequest::Attach(sid)) = asked
    else {
        if let EngineRequest::Handshake(transport) = asked {
            begin(shard, connection, transport, shown, now);
        }
        return;
    };
    let found = known(shard, sid);
    let Some(mut desk) = found.and_then(|engine| Desk::at(shard, engine, now)) else {
        return unknown(shard, connection, now);
    };
    match asked {
        EngineRequest::Poll(_) => desk.poll(connection),
        EngineRequest::Post(_) => desk.post(connection),
        EngineRequest::Attach(_) => desk.attach(connection),
        EngineRequest::Handshake(_) => {}
    }
    desk.leave();
}

/// Refuses a request for a session that is not here.
fn unknown(shard: &mut Shard, connection: PeerId, now: Now) {
    let Some(peer) = shard.peers.get_mut(connection) else {
        return;
    };
    match &mut peer.conversation {
        Conversation::Carrier(_) => {
            super::carrier::close(peer, connection, code::NORMAL, &mut shard.hub, now);
            dispatch::resume(peer, connection, Pause::Engine, &mut shard.hub, now);
        }
        _ => {
            let refusal = engine_io::refusal(RequestFault::SessionUnknown);
            super::steps::answer(peer, connection, refusal, &mut shard.hub, now);
        }
    }
}

/// Begins a session.
fn begin(
    shard: &mut Shard,
    connection: PeerId,
    transport: Transport,
    shown: Result<Identity, Fault>,
    now: Now,
) {
    let hub = &mut shard.hub;
    let Some(address) = shard.peers.get(connection).map(|peer| peer.address) else {
        return;
    };
    let (timing, rules) = (hub.engines.settings.timing, &hub.engines.settings.rules);
    let sid = SessionId::in_shard(hub.rng.next_u128(), hub.shard);
    let terms = Terms {
        ping_interval: timing.ping_interval,
        ping_timeout: timing.ping_timeout,
        max_payload: rules.packet_bytes,
    };
    let engine = match transport {
        Transport::Polling => EngineSession::polling(&timing, now.mono),
        Transport::WebSocket => EngineSession::websocket(connection, &timing, now.mono),
    };
    let engine = Box::new(EnginePeer {
        sid,
        engine,
        socket: SocketSession::new(rules, now.mono),
        shown,
        namespaces: Vec::new(),
        held: VecDeque::new(),
        waits_for: None,
        unread: Vec::new(),
        close_code: None,
        bucket: TokenBucket::default(),
    });
    let mut peer = Peer::new(address, Conversation::Engine(Some(engine)));
    let mut open = Vec::new();
    write_open(sid, transport, &terms, &mut open);
    peer.outbox.push_shared(Frame::text(&open), Keep::Always);
    let Ok(id) = shard.peers.insert(peer) else {
        if let Some(peer) = shard.peers.get_mut(connection) {
            hub.end(peer, connection);
        }
        return;
    };
    hub.engines.by_sid.insert(sid, id);
    hub.counters.increment(Counter::EngineSessionsOpened);
    log::debug!(
        "engine_opened sid={sid} transport={} address={address}",
        transport.name()
    );
    let Some(mut desk) = Desk::at(shard, id, now) else {
        return;
    };
    match transport {
        Transport::Polling => desk.poll(connection),
        Transport::WebSocket => desk.carry(connection),
    }
    desk.leave();
}

impl Desk<'_> {
    /// A poll: it hangs unless there is something to say.
    fn poll(&mut self, connection: PeerId) {
        let Some(peer) = self.peers.get_mut(connection) else {
            return;
        };
        peer.timers.clear(Timer::Handshake);
        http::end_handshake(peer, self.hub);
        let Some(http) = peer.http_mut() else { return };
        http.engine = Some(self.id);
        let Step::Request(head, _) = http.exchange.admit(0) else {
            debug_assert!(false, "it has no body");
            return;
        };
        http.accepts = engine_io::accepts(&head);
        let steps = self.engine.engine.poll(connection);
        self.perform(steps);
    }

    /// The head of a POST: its body is read now, or never.
    fn post(&mut self, connection: PeerId) {
        let steps = self.engine.engine.post(connection);
        if !steps.is_empty() {
            return self.perform(steps);
        }
        let most = self.hub.engines.settings.rules.packet_bytes;
        let (hub, now) = (&mut *self.hub, self.now);
        let Some(peer) = self.peers.get_mut(connection) else {
            return;
        };
        let Some(http) = peer.http_mut() else { return };
        http.engine = Some(self.id);
        match http.exchange.admit(most) {
            Step::Request(_, body) => {
                peer.timers.clear(Timer::Handshake);
                http::end_handshake(peer, hub);
                return hub
                    .engines
                    .note(Happened::Posted(self.id, connection, body));
            }
            Step::Continue => peer
                .outbox
                .push_own(|out| out.extend_from_slice(continue_100())),
            Step::Fault(fault) => http::fault(peer, fault, hub, now),
            Step::More | Step::Head => {}
        }
        dispatch::resume(peer, connection, Pause::Engine, hub, now);
    }

    /// A WebSocket that the session may go over to.
    fn attach(&mut self, connection: PeerId) {
        self.carry(connection);
        let timing = self.hub.engines.settings.timing;
        let steps = self
            .engine
            .engine
            .attach(connection, &timing, self.now.mono);
        self.perform(steps);
    }

    /// Reads a WebSocket for the session.
    fn carry(&mut self, connection: PeerId) {
        let Some(peer) = self.peers.get_mut(connection) else {
            return;
        };
        if let Conversation::Carrier(carrier) = &mut peer.conversation {
            carrier.engine = Some(self.id);
        }
        peer.timers.clear(Timer::Handshake);
        dispatch::resume(peer, connection, Pause::Engine, self.hub, self.now);
    }
}
