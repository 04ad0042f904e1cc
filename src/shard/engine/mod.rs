//! Sessions of Engine.IO, and those of Socket.IO on them, in a shard.
//!
//! ```text
//!  GET, POST ──┐                            ┌─▶ namespace `/`    peers without a socket, each with
//!              ├─▶ engine ── packets ───────┤                    its session, rooms and outbox
//!  WebSocket ──┘   (a peer without a socket)└─▶ namespace `/ws`
//! ```
//! What happens to a connection is noted while that connection is worked on ([`Happened`]), and
//! carried out as soon as all peers are at hand ([`Shard::work_on_engines`]). What namespaces have
//! to say waits in their outboxes, under the rules of every outbox, until the session's WebSocket
//! has room or a poll comes ([`output`]). Invariants: a session is in the table of sids exactly while
//! its peer serves; nothing is worked on for a namespace that is paused, and so nothing behind it.

pub(super) mod carrier;
mod connect;
mod echo;
pub(super) mod namespace;
mod output;
mod packets;
#[cfg(test)]
mod random_tests;
mod reclaim;
#[cfg(test)]
mod reclaim_tests;
pub(super) mod recovery;
#[cfg(test)]
mod recovery_tests;
mod requests;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::Now;
use crate::base::ids::{PeerId, SessionId};
use crate::base::limits;
use crate::base::slab::GenerationalSlab;
use crate::bus::reclaim::{Asker, Claim, Given};
use crate::config::Config;
use crate::domain::access::Identity;
use crate::domain::fault::Fault;
use crate::metrics::names::Counter;
use crate::protocol::engine_session::Timing;
use crate::protocol::engine_session::step::Outlet;
use crate::protocol::socket_session::Rules;
use crate::protocol::timers::Timer;
use crate::shard::engine::reclaim::Asking;
pub(super) use crate::shard::engine::requests::request;
#[cfg(any(test, feature = "testkit"))]
use crate::shard::peer::Stage;
use crate::shard::peer::{Conversation, EnginePeer, Held, Peer};
use crate::shard::{Hub, Shard};
use crate::wire::engine_io::query::EngineRequest;

/// Something that happened to a session of Engine.IO, or that begins one.
#[derive(Debug)]
pub(super) enum Happened {
    /// A connection asks for something; for its session it is whose the request shows it to be.
    Asked(PeerId, EngineRequest, Result<Identity, Fault>),
    /// The body of a POST has come.
    Posted(PeerId, PeerId, Vec<u8>),
    /// A WebSocket brought a message.
    Said(PeerId, PeerId, Held),
    /// A connection is gone.
    Gone(PeerId, PeerId),
    /// Something is due.
    Due(PeerId),
    /// A namespace that was waited for goes on.
    Resumed(PeerId),
    /// There is something to send, or a place for it.
    Flush(PeerId),
    /// The session is to be closed, its WebSocket with this code.
    Close(PeerId, u16),
    /// The session's part in a namespace is over, from our side.
    PutOut(PeerId, PeerId),
    /// A client has come back to another shard.
    Claim(Box<Claim>),
    /// What came of a claim of a client that is here.
    Claimed(Asker, Option<Box<Given>>),
}

/// The sessions of one shard.
#[derive(Debug)]
pub(super) struct Engines {
    work: VecDeque<Happened>,
    by_sid: HashMap<SessionId, PeerId>,
    /// The namespaces' peers by the secrets with which their clients come back to them.
    by_pid: HashMap<SessionId, PeerId>,
    /// How many of these have lost their connection.
    detached: usize,
    /// The sessions that wait for another shard's answer, and what for.
    asking: HashMap<PeerId, Asking>,
    /// Questions so far.
    asked: u64,
    settings: Settings,
}

/// What holds for all sessions.
#[derive(Clone, Debug)]
struct Settings {
    timing: Timing,
    rules: Rules,
}

impl Settings {
    fn of(config: &Config) -> Self {
        let socketio = &config.socketio;
        Self {
            timing: Timing {
                ping_interval: socketio.ping_interval,
                ping_timeout: socketio.ping_timeout,
                upgrade_timeout: socketio.upgrade_timeout,
                close_timeout: limits::CLOSE_TIMEOUT,
            },
            rules: Rules {
                namespaces: Arc::clone(&socketio.namespaces),
                connect_timeout: socketio.connect_timeout,
                attachment_timeout: socketio.attachment_timeout,
                packet_bytes: socketio.max_payload,
            },
        }
    }
}

impl Engines {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            work: VecDeque::new(),
            by_sid: HashMap::new(),
            by_pid: HashMap::new(),
            detached: 0,
            asking: HashMap::new(),
            asked: 0,
            settings: Settings::of(config),
        }
    }

    /// Goes by another configuration, also for the sessions that are there.
    pub(super) fn reconfigure(&mut self, config: &Config) {
        self.settings = Settings::of(config);
    }

    pub(super) fn note(&mut self, happened: Happened) {
        self.work.push_back(happened);
    }

    /// Notes that there is something to send to whom this peer belongs.
    pub(super) fn note_dirty(&mut self, peer: &Peer, id: PeerId) {
        match &peer.conversation {
            Conversation::Engine(_) => self.note(Happened::Flush(id)),
            Conversation::Namespace(part) => self.note(Happened::Flush(part.engine)),
            _ => {}
        }
    }

    /// Notes the end of a connection that had to do with a session.
    pub(super) fn note_end(&mut self, peer: &mut Peer, id: PeerId) {
        let engine = match &mut peer.conversation {
            Conversation::Http(http) => http.engine.take(),
            Conversation::Carrier(carrier) => carrier.engine.take(),
            Conversation::Engine(_) => {
                self.asking.remove(&id);
                None
            }
            _ => None,
        };
        if let Some(engine) = engine {
            self.note(Happened::Gone(engine, id));
        }
    }

    pub(super) fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    /// Sessions here.
    pub(super) fn len(&self) -> usize {
        self.by_sid.len()
    }

    /// Compares the table with the peers.
    ///
    /// # Panics
    /// When a sid leads nowhere, or to a session that has ended.
    #[cfg(any(test, feature = "testkit"))]
    pub(super) fn check_invariants(&self, peers: &GenerationalSlab<Peer>) {
        for (sid, id) in &self.by_sid {
            let conversation = peers.get(*id).map(|peer| &peer.conversation);
            let Some(Conversation::Engine(Some(engine))) = conversation else {
                unreachable!("{sid} is of no session: {conversation:?}");
            };
            assert_eq!(engine.sid, *sid);
            assert!(engine.held.is_empty() || engine.waits_for.is_some());
        }
        let mut detached = 0;
        for (_, peer) in peers.iter() {
            if let Conversation::Namespace(part) = &peer.conversation
                && let Some(recovery) = &part.recovery
                && peer.stage != Stage::Ended
            {
                assert!(recovery.is_given || self.by_pid.contains_key(&recovery.pid));
                detached += usize::from(recovery.is_detached);
            }
        }
        let ended = peers.iter().filter(|(_, peer)| peer.stage == Stage::Ended);
        for id in self.asking.keys() {
            let peer = peers.get(*id);
            assert!(peer.is_some_and(|peer| peer.stage == Stage::Serving));
        }
        assert!(detached <= self.detached && self.detached <= detached + ended.count());
    }
}

impl Shard {
    /// Carries out what was noted. True if there was anything.
    pub(super) fn work_on_engines(&mut self, now: Now) -> bool {
        if self.hub.engines.work.is_empty() {
            return false;
        }
        while let Some(happened) = self.hub.engines.work.pop_front() {
            let of = happened.engine();
            let step = AssertUnwindSafe(|| carry_out(self, happened, now));
            if catch_unwind(step).is_err() {
                log::error!("engine_panic engine={of:?}");
                self.hub.counters.increment(Counter::HandlerPanics);
                if let Some(id) = of {
                    self.abandon(id);
                }
            }
        }
        true
    }

    /// Ends a session that a panic has left in pieces, with all that belonged to it.
    fn abandon(&mut self, engine: PeerId) {
        let belongs = |peer: &Peer| match &peer.conversation {
            Conversation::Http(http) => http.engine == Some(engine),
            Conversation::Carrier(carrier) => carrier.engine == Some(engine),
            Conversation::Namespace(part) => part.engine == engine,
            _ => false,
        };
        let those = self.peers.iter().filter(|(_, peer)| belongs(peer));
        let mut those: Vec<PeerId> = those.map(|(id, _)| id).collect();
        those.push(engine);
        for id in those {
            if let Some(peer) = self.peers.get_mut(id) {
                self.hub.end(peer, id);
            }
        }
        self.hub.engines.by_sid.retain(|_, id| *id != engine);
    }
}

impl Happened {
    /// The session that it is about.
    fn engine(&self) -> Option<PeerId> {
        match self {
            Self::Asked(..) | Self::Claim(_) => None,
            Self::Claimed(asker, _) => Some(asker.peer),
            Self::Posted(engine, ..)
            | Self::Said(engine, ..)
            | Self::Gone(engine, _)
            | Self::Due(engine)
            | Self::Resumed(engine)
            | Self::Flush(engine)
            | Self::Close(engine, _)
            | Self::PutOut(engine, _) => Some(*engine),
        }
    }
}

fn carry_out(shard: &mut Shard, happened: Happened, now: Now) {
    let happened = match happened {
        Happened::Asked(connection, asked, shown) => {
            return requests::answer(shard, connection, asked, shown, now);
        }
        Happened::Claim(claim) => return reclaim::consider(shard, claim, now),
        Happened::Claimed(asker, given) => return reclaim::conclude(shard, asker, given, now),
        happened => happened,
    };
    let Some(id) = happened.engine() else {
        return;
    };
    let Some(mut desk) = Desk::at(shard, id, now) else {
        return;
    };
    match happened {
        Happened::Asked(..) | Happened::Claim(_) | Happened::Claimed(..) | Happened::Flush(_) => {}
        Happened::Posted(_, connection, body) => desk.take_body(connection, &body),
        Happened::Said(_, connection, said) => desk.take(connection, said),
        Happened::Gone(_, connection) => {
            let steps = desk.engine.engine.gone(connection);
            desk.perform(steps);
        }
        Happened::Due(_) => desk.due(),
        Happened::Resumed(_) => desk.go_on(),
        Happened::Close(_, code) => desk.close(code),
        Happened::PutOut(_, part) => desk.put_out(part),
    }
    desk.leave();
}

/// One session being worked on, with everything around it.
struct Desk<'a> {
    peers: &'a mut GenerationalSlab<Peer>,
    hub: &'a mut Hub,
    now: Now,
    /// The session's own peer.
    id: PeerId,
    engine: Box<EnginePeer>,
    is_over: bool,
}

impl<'a> Desk<'a> {
    /// Takes a session to be worked on; `None` if it is over.
    fn at(shard: &'a mut Shard, id: PeerId, now: Now) -> Option<Self> {
        let peer = shard.peers.get_mut(id)?;
        let Conversation::Engine(engine) = &mut peer.conversation else {
            return None;
        };
        let engine = engine.take()?;
        Some(Self {
            peers: &mut shard.peers,
            hub: &mut shard.hub,
            now,
            id,
            engine,
            is_over: false,
        })
    }

    /// Sends what can be sent and puts the session back.
    fn leave(mut self) {
        if !self.is_over {
            self.flush();
        }
        let Self {
            peers,
            hub,
            now,
            id,
            engine,
            is_over,
        } = self;
        let Some(peer) = peers.get_mut(id) else {
            return;
        };
        if is_over {
            hub.engines.by_sid.remove(&engine.sid);
            peer.conversation = Conversation::Engine(Some(engine));
            hub.end(peer, id);
            return;
        }
        let of_client = engine.socket.deadline();
        let of_client = of_client.filter(|_| engine.close_code.is_none());
        let due = [engine.engine.deadline(), of_client];
        if let Some(due) = due.into_iter().flatten().min() {
            // Nothing would clear the timer.
            let after = due.since(now.mono).max(Duration::from_nanos(1));
            // What is overdue waits for its tick, however often the session is visited before.
            if due > now.mono || !peer.timers.is_set(Timer::Ping) {
                peer.timers.set(Timer::Ping, after, now.mono);
            }
        }
        peer.conversation = Conversation::Engine(Some(engine));
        hub.arm(peer, id);
    }

    /// Does what is due.
    fn due(&mut self) {
        let timing = self.hub.engines.settings.timing;
        let steps = self.engine.engine.timeout(&timing, self.now.mono);
        self.perform(steps);
        // One that waits for the poll that hears of its end has no other duties.
        if self.engine.close_code.is_none()
            && let Err(fault) = self.engine.socket.timeout(self.now.mono)
        {
            self.fail(&fault);
        }
    }

    /// Ends the session from our side; what is queued goes out before.
    fn close(&mut self, code: u16) {
        if matches!(self.engine.engine.outlet(), Outlet::Socket(_)) {
            self.flush();
        }
        self.engine.close_code = Some(code);
        let timing = self.hub.engines.settings.timing;
        let steps = self.engine.engine.close(&timing, self.now.mono);
        self.perform(steps);
    }
}
