//! Connection state recovery: a session whose connection is lost waits for its client.
//!
//! It keeps its memberships and goes on being told what is published there, into its [`Ring`]
//! alone. Its client comes back with the secret that it was given and the offset of what it heard
//! last, and is the same session again, with everything in between, or a new one with nothing.
//! Invariants: only whose session it was gets it back, and only while its rooms are open to them; a
//! session that is behind in a room is not kept, as its ring has a gap.

use crate::base::ids::{PeerId, SessionId};
use crate::config::PublishPolicy;
use crate::domain::access::{self, Action, Caller, Identity};
use crate::metrics::names::Counter;
use crate::protocol::timers::Timer;
use crate::shard::engine::ring::Ring;
use crate::shard::engine::{Desk, Happened};
use crate::shard::outbox::{Keep, Outbox};
use crate::shard::peer::{Conversation, NamespacePeer, Session};
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
}

impl Recovery {
    pub(super) fn new(pid: SessionId) -> Self {
        Self {
            pid,
            ring: Ring::default(),
            is_detached: false,
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
        let pid = SessionId::parse(auth.recovery.as_deref()?)?;
        let part = self.hub.engines.by_pid.get(&pid).copied()?;
        let (hub, now) = (&mut *self.hub, self.now);
        let peer = self.peers.get_mut(part)?;
        let Conversation::Namespace(namespace) = &mut peer.conversation else {
            return None;
        };
        let is_theirs = namespace.form.namespace.as_str() == name
            && is_same(&namespace.session.identity, identity);
        if !is_theirs {
            hub.counters.increment(Counter::SessionsNotRecovered);
            return None;
        }
        let recovery = namespace.recovery.as_ref()?;
        let is_open =
            namespace.session.behind.is_empty() && may_stay(&namespace.session, identity, hub);
        let missed = recovery.ring.after(auth.offset.as_deref());
        let missed = missed.filter(|_| is_open && namespace.is_open);
        let Some(missed) = missed else {
            // Its client has given it up by coming back.
            hub.counters.increment(Counter::SessionsNotRecovered);
            self.give_up(part);
            return None;
        };
        let before = namespace.engine;
        let is_attached = !recovery.is_detached;
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
            // Its old connection is lost, too, only nobody has noticed yet. What waits here for the
            // new one's poll must not go out there with the good-bye.
            if let Some(Conversation::Engine(Some(old))) = self
                .peers
                .get_mut(before)
                .map(|peer| &mut peer.conversation)
            {
                old.namespaces.retain(|(_, kept)| *kept != part);
            }
            hub.engines.note(Happened::Close(before, code::NORMAL));
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

    /// Ends a session that nobody comes back to.
    fn give_up(&mut self, part: PeerId) {
        let engine = self
            .peers
            .get(part)
            .and_then(|peer| match &peer.conversation {
                Conversation::Namespace(namespace) => Some(namespace.engine),
                _ => None,
            });
        self.end_part(part);
        if let Some(engine) = engine.filter(|engine| *engine != self.id) {
            self.hub.engines.note(Happened::Close(engine, code::NORMAL));
        }
    }
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

/// Forgets what is noted of a session that has ended.
pub(in crate::shard) fn forget(part: &NamespacePeer, hub: &mut Hub) {
    if let Some(recovery) = &part.recovery {
        hub.engines.by_pid.remove(&recovery.pid);
        hub.engines.detached -= usize::from(recovery.is_detached);
    }
}
