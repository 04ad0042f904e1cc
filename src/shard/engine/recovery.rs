//! Connection state recovery: a session whose connection is lost waits for its client.
//!
//! It keeps its memberships and goes on being told what is published there, into its [`Ring`]
//! alone. Its client comes back with the secret that it was given and the offset of what it heard
//! last, and is the same session again, with everything in between, or a new one with nothing.
//! Invariants: only whose session it was gets it back, and only while its rooms are open to them; a
//! session that is behind in a room is not kept, as its ring has a gap.

use std::sync::Arc;

use crate::base::ids::{PeerId, SessionId};
use crate::base::slab::GenerationalSlab;
use crate::config::PublishPolicy;
use crate::dialect::frame::Frame;
use crate::dialect::socket_io::ring::Ring;
use crate::domain::access::{self, Action, Caller, Identity};
use crate::metrics::names::Counter;
use crate::protocol::timers::Timer;
use crate::shard::engine::steps::end_part;
use crate::shard::engine::{Desk, Happened};
use crate::shard::outbox::{Keep, Outbox};
use crate::shard::peer::{Conversation, NamespacePeer, Peer, Session, Stage};
use crate::shard::{Hub, credentials};
use crate::wire::socket_io::auth::Auth;
use crate::wire::websocket::close as code;

/// What a session keeps for the case that its connection is lost.
#[derive(Debug)]
pub(in crate::shard) struct Recovery {
    /// The secret that its client comes back with.
    pub(super) pid: SessionId,
    pub(in crate::shard) ring: Ring,
    /// Its connection is lost.
    pub(in crate::shard) is_detached: bool,
    /// Another shard has the session now; here it only stays in its rooms until it is in them there.
    pub(super) is_given: bool,
}

impl Recovery {
    pub(super) fn new(pid: SessionId, ring: Ring) -> Self {
        Self {
            pid,
            ring,
            is_detached: false,
            is_given: false,
        }
    }
}

/// Who comes back, and to what.
pub(super) struct Back<'a> {
    pub(super) pid: SessionId,
    pub(super) namespace: &'a str,
    pub(super) offset: Option<&'a str>,
    pub(super) identity: &'a Identity,
}

/// What there is for somebody who comes back.
pub(super) enum Found {
    /// Nothing here.
    Nothing,
    /// A session that is not theirs.
    NotTheirs,
    /// One that cannot go on without a gap, or not in all of its rooms.
    Broken(PeerId),
    /// Theirs, and the frames that they have not heard.
    Session(PeerId, Vec<Arc<Frame>>),
}

/// Finds the session that somebody comes back to, and counts it if that is in vain.
pub(super) fn find(back: &Back<'_>, peers: &GenerationalSlab<Peer>, hub: &Hub) -> Found {
    let part = hub.engines.by_pid.get(&back.pid).copied();
    let peer = part.and_then(|part| Some((part, peers.get(part)?)));
    let Some((part, stage, Conversation::Namespace(namespace))) =
        peer.map(|(part, peer)| (part, peer.stage, &peer.conversation))
    else {
        return Found::Nothing;
    };
    let (session, name) = (&namespace.session, namespace.form.namespace.as_str());
    if name != back.namespace || !is_same(&session.identity, back.identity) {
        hub.counters.increment(Counter::SessionsNotRecovered);
        return Found::NotTheirs;
    }
    let is_whole = namespace.is_open && session.behind.is_empty() && stage == Stage::Serving;
    let recovery = namespace.recovery.as_ref();
    let recovery = recovery.filter(|_| is_whole && may_stay(session, back.identity, hub));
    match recovery.and_then(|recovery| recovery.ring.after(back.offset)) {
        Some(missed) => Found::Session(part, missed),
        None => {
            hub.counters.increment(Counter::SessionsNotRecovered);
            Found::Broken(part)
        }
    }
}

impl Desk<'_> {
    /// Gives a client its session back, which is told what it missed; `None` if it has none here
    /// that it can go on with.
    pub(super) fn recover(
        &mut self,
        name: &str,
        auth: &Auth<'_>,
        identity: &Identity,
    ) -> Option<PeerId> {
        let back = Back {
            pid: SessionId::parse(auth.recovery.as_deref()?)?,
            namespace: name,
            offset: auth.offset.as_deref(),
            identity,
        };
        let (part, missed) = match find(&back, self.peers, self.hub) {
            Found::Nothing | Found::NotTheirs => return None,
            Found::Broken(part) => {
                // Its client has given it up by coming back.
                give_up(part, Some(self.id), self.peers, self.hub);
                return None;
            }
            Found::Session(part, missed) => (part, missed),
        };
        let (hub, now) = (&mut *self.hub, self.now);
        let peer = self.peers.get_mut(part)?;
        let Conversation::Namespace(namespace) = &mut peer.conversation else {
            return None;
        };
        let is_attached = !namespace.recovery.as_ref()?.is_detached;
        let before = namespace.engine;
        namespace.engine = self.id;
        namespace.awaits = None;
        namespace.session.identity = identity.clone();
        if let Some(recovery) = &mut namespace.recovery {
            hub.engines.detached -= usize::from(recovery.is_detached);
            recovery.is_detached = false;
        }
        peer.outbox = Outbox::default();
        peer.pause = None;
        peer.timers.clear_all();
        credentials::watch(identity, &mut peer.timers, hub, now);
        for frame in missed {
            peer.outbox.push_shared(frame, Keep::Always);
        }
        hub.arm(peer, part);
        hub.counters.increment(Counter::SessionsRecovered);
        if is_attached && before != self.id {
            lose(before, part, self.peers, hub);
        }
        Some(part)
    }

    /// Keeps a session whose connection is lost, if it can be recovered; ends it otherwise.
    pub(super) fn detach(&mut self, part: PeerId) {
        let (hub, now) = (&mut *self.hub, self.now);
        let most = hub.live.config.socketio.recovery_sessions;
        let Some(peer) = self.peers.get_mut(part) else {
            return;
        };
        let Conversation::Namespace(namespace) = &mut peer.conversation else {
            return;
        };
        if namespace.engine != self.id {
            return; // Its client has come back already.
        }
        let kept = hub
            .live
            .config
            .socketio
            .recovery_in(namespace.form.namespace.as_str());
        let can_be = namespace.is_open && namespace.session.behind.is_empty() && !hub.draining;
        let (Some(recovery), Some(kept), true) = (&mut namespace.recovery, kept, can_be) else {
            return self.end_part(part);
        };
        if hub.engines.detached >= most {
            hub.counters.increment(Counter::SessionsNotKept);
            return self.end_part(part);
        }
        recovery.is_detached = true;
        hub.engines.detached += 1;
        hub.counters.increment(Counter::SessionsDetached);
        peer.outbox = Outbox::default();
        peer.pause = None;
        peer.timers.clear(Timer::Stall);
        peer.timers.clear(Timer::Resume);
        peer.timers.set(Timer::Linger, kept, now.mono);
        hub.arm(peer, part);
    }
}

/// Ends a session that nobody comes back to, with the connection that it may still have, unless that
/// is `this`.
pub(super) fn give_up(
    part: PeerId,
    this: Option<PeerId>,
    peers: &mut GenerationalSlab<Peer>,
    hub: &mut Hub,
) {
    let engine = match peers.get(part).map(|peer| &peer.conversation) {
        Some(Conversation::Namespace(namespace)) => Some(namespace.engine),
        _ => None,
    };
    end_part(part, peers, hub);
    if let Some(engine) = engine.filter(|engine| Some(*engine) != this) {
        hub.engines.note(Happened::Close(engine, code::NORMAL));
    }
}

/// Closes the connection that a session had before its client came back: it is lost, too, only
/// nobody has noticed yet. What waits here for the new one's poll must not go out there with the
/// good-bye.
pub(super) fn lose(
    engine: PeerId,
    part: PeerId,
    peers: &mut GenerationalSlab<Peer>,
    hub: &mut Hub,
) {
    let before = peers.get_mut(engine).map(|peer| &mut peer.conversation);
    if let Some(Conversation::Engine(Some(old))) = before {
        old.namespaces.retain(|(_, kept)| *kept != part);
    }
    hub.engines.note(Happened::Close(engine, code::NORMAL));
}

/// Whether both are the same user, key or nobody.
fn is_same(before: &Identity, now: &Identity) -> bool {
    match (before, now) {
        (Identity::Anonymous, Identity::Anonymous) => true,
        (Identity::User(before), Identity::User(now)) => before.id == now.id,
        (Identity::Key(before), Identity::Key(now)) => before.name == now.name,
        (_, _) => false,
    }
}

/// Whether all rooms of a session are open to whoever shows to be this.
fn may_stay(session: &Session, identity: &Identity, hub: &Hub) -> bool {
    let caller = Caller::Session { is_member: true };
    let policy = PublishPolicy::Grant;
    let mut rooms = session.memberships.iter();
    rooms.all(|membership| {
        let room = hub.rooms.room(*membership);
        room.is_some_and(|room| {
            credentials::is_placed(session, &room.name)
                || access::check(identity, caller, Action::Subscribe, &room.name, policy).is_ok()
        })
    })
}

/// Whether a session has been given to another shard.
pub(in crate::shard) fn is_given(peer: &Peer) -> bool {
    match &peer.conversation {
        Conversation::Namespace(part) => {
            let recovery = part.recovery.as_ref();
            recovery.is_some_and(|recovery| recovery.is_given)
        }
        _ => false,
    }
}

/// Forgets what is noted of a session that has ended here; true if it goes on in another shard.
pub(in crate::shard) fn forget(part: &NamespacePeer, hub: &mut Hub) -> bool {
    let Some(recovery) = &part.recovery else {
        return false;
    };
    if !recovery.is_given {
        hub.engines.by_pid.remove(&recovery.pid);
        hub.engines.detached -= usize::from(recovery.is_detached);
    }
    recovery.is_given
}
