//! A client that comes back to another shard than the one that keeps its session.
//!
//! Its CONNECT waits, and all that comes behind it, until the session has changed the shard; see
//! [`crate::bus::reclaim`] for the letters. What is published while these are on their way is in
//! the histories of the session's rooms: each room is entered from where the session has heard it,
//! and what all of them together say was missed follows what the ring says. Invariants: it is told
//! everything or is a new one, which it also is when nobody answers within [`ANSWER`]; a session
//! that comes too late for its client has ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::Now;
use crate::base::ids::{PeerId, SessionId};
use crate::base::slab::GenerationalSlab;
use crate::bus::mail::Mail;
use crate::bus::reclaim::{Asker, Claim, Given, Stay};
use crate::dialect::frame::Frame;
use crate::dialect::publication::Publication;
use crate::dialect::socket_io::namespace::Namespace;
use crate::domain::access::Identity;
use crate::domain::command::Since;
use crate::domain::position::Position;
use crate::metrics::names::Counter;
use crate::protocol::timers::Timer;
use crate::shard::engine::Desk;
use crate::shard::engine::recovery::{Back, Found, Recovery, find, give_up, lose};
use crate::shard::outbox::{Keep, Outbox};
use crate::shard::peer::{Conversation, Pause, Peer, Session};
use crate::shard::rooms::Membership;
use crate::shard::{Hub, Shard, credentials, membership};
use crate::wire::socket_io::auth::Auth;

/// How long a client waits for the answer.
const ANSWER: Duration = Duration::from_secs(1);

/// How long what was given stays in its rooms if the other shard never says that it is in them.
const STAY: Duration = Duration::from_secs(10);

/// How often the rooms are asked together before they are found too busy.
const TRIES: usize = 3;

/// Publications by their number among all.
type BySequence = BTreeMap<u64, Arc<Publication>>;

/// A CONNECT that waits for another shard.
#[derive(Debug)]
pub(super) struct Asking {
    /// Which question it is.
    number: u64,
    namespace: Namespace,
    identity: Identity,
    auth: Option<Box<str>>,
}

/// Looks for the session that a client of another shard comes back to, and gives it away.
pub(super) fn consider(shard: &mut Shard, claim: Box<Claim>, now: Now) {
    let (peers, hub) = (&mut shard.peers, &mut shard.hub);
    let asker = claim.asker;
    let back = Back {
        pid: claim.pid,
        namespace: claim.namespace.as_str(),
        offset: claim.offset.as_deref(),
        identity: &claim.identity,
    };
    let given = match find(&back, peers, hub) {
        Found::Nothing if pass_on(claim, hub) => return,
        // While the server shuts down everybody comes back to another.
        Found::Session(part, missed) if !hub.draining => give(part, missed, peers, hub, now),
        Found::Nothing | Found::NotTheirs | Found::Session(..) => None,
        Found::Broken(part) => {
            give_up(part, None, peers, hub);
            None
        }
    };
    let mailbox = hub.services.mailboxes.get(asker.shard.index());
    if let Some(mailbox) = mailbox {
        mailbox.push(Mail::Claimed(asker, given));
    }
}

/// Asks the next shard, first the one that the secret names; false if none is left, or it has more
/// mail than it can hold.
fn pass_on(mut claim: Box<Claim>, hub: &Hub) -> bool {
    let mailboxes = &hub.services.mailboxes;
    let first = claim.pid.shard().index();
    while claim.asked < mailboxes.len() {
        let next = (first + claim.asked) % mailboxes.len();
        claim.asked += 1;
        if next == claim.asker.shard.index() {
            continue;
        }
        let mailbox = mailboxes.get(next).filter(|mailbox| mailbox.has_room());
        if let Some(mailbox) = mailbox {
            mailbox.push(Mail::Claim(claim));
        }
        return mailbox.is_some();
    }
    false
}

/// Takes a session apart for another shard. What is left of it hears nothing, and is in its rooms
/// until it is let go.
fn give(
    part: PeerId,
    missed: Vec<Arc<Frame>>,
    peers: &mut GenerationalSlab<Peer>,
    hub: &mut Hub,
    now: Now,
) -> Option<Box<Given>> {
    let peer = peers.get_mut(part)?;
    let Conversation::Namespace(namespace) = &mut peer.conversation else {
        return None;
    };
    let session = &namespace.session;
    let memberships = session.memberships.iter();
    let stays = memberships.map(|membership| stay(session, *membership, hub));
    let stays: Option<Vec<Stay>> = stays.collect();
    let stays = stays?;
    let recovery = namespace.recovery.as_mut()?;
    recovery.is_given = true;
    hub.engines.by_pid.remove(&recovery.pid);
    let is_detached = std::mem::take(&mut recovery.is_detached);
    hub.engines.detached -= usize::from(is_detached);
    let given = Given {
        owner: (hub.shard, part),
        session: session.id,
        pid: recovery.pid,
        connected_at: session.connected_at,
        ring: std::mem::take(&mut recovery.ring),
        missed,
        stays,
    };
    namespace.is_open = false;
    let engine = namespace.engine;
    peer.outbox = Outbox::default();
    peer.pause = None;
    peer.timers.clear_all();
    peer.timers.set(Timer::Linger, STAY, now.mono);
    hub.arm(peer, part);
    if !is_detached {
        lose(engine, part, peers, hub);
    }
    Some(Box::new(given))
}

/// Where a session stands in one of its rooms. Mail comes in the order in which it was sent: what
/// was published before the claim has been heard here.
fn stay(session: &Session, membership: Membership, hub: &Hub) -> Option<Stay> {
    let room = hub.rooms.room(membership)?;
    Some(Stay {
        room: room.name.clone(),
        joined: hub.rooms.joined(membership)?,
        heard: Position {
            epoch: room.position().epoch,
            offset: hub.rooms.heard(membership).offset,
        },
        is_placed: credentials::is_placed(session, &room.name),
    })
}

/// Goes on with a CONNECT that has waited for this.
pub(super) fn conclude(shard: &mut Shard, asker: Asker, given: Option<Box<Given>>, now: Now) {
    let asking = shard.hub.engines.asking.get(&asker.peer);
    let is_awaited = asking.is_some_and(|asking| asking.number == asker.number);
    let desk = is_awaited.then(|| Desk::at(shard, asker.peer, now));
    match (desk.flatten(), given) {
        (Some(mut desk), given) => {
            desk.take_answer(given);
            desk.leave();
        }
        (None, Some(given)) => decline(&given, &shard.hub),
        (None, None) => {}
    }
}

/// Ends a session that has come for nobody.
fn decline(given: &Given, hub: &Hub) {
    hub.counters.increment(Counter::SessionsNotRecovered);
    hub.counters.increment(Counter::SessionsClosed);
    log::debug!("session_ended session={}", given.session);
    let_go(given, hub);
}

/// Lets what is left of a session where it was leave its rooms.
fn let_go(given: &Given, hub: &Hub) {
    let (shard, peer) = given.owner;
    if let Some(mailbox) = hub.services.mailboxes.get(shard.index()) {
        mailbox.push(Mail::LetGo(peer));
    }
}

impl Desk<'_> {
    /// Asks the other shards for the session that a client comes back to; false if there is nothing
    /// to ask for, or nobody to be asked. The CONNECT waits for the answer.
    pub(super) fn claim(
        &mut self,
        namespace: Namespace,
        shown: &Auth<'_>,
        auth: Option<&str>,
        identity: &Identity,
    ) -> bool {
        let hub = &mut *self.hub;
        let Some(pid) = shown.recovery.as_deref().and_then(SessionId::parse) else {
            return false;
        };
        let kept = hub.live.config.socketio.recovery_in(namespace.as_str());
        if kept.is_none() || hub.draining || hub.engines.by_pid.contains_key(&pid) {
            return false;
        }
        hub.engines.asked += 1;
        let number = hub.engines.asked;
        let claim = Claim {
            asker: Asker {
                shard: hub.shard,
                peer: self.id,
                number,
            },
            pid,
            namespace,
            offset: shown.offset.as_deref().map(Box::from),
            identity: identity.clone(),
            asked: 0,
        };
        let Some(peer) = self.peers.get_mut(self.id) else {
            return false;
        };
        if !pass_on(Box::new(claim), hub) {
            return false;
        }
        let asking = Asking {
            number,
            namespace,
            identity: identity.clone(),
            auth: auth.map(Box::from),
        };
        hub.engines.asking.insert(self.id, asking);
        peer.pause = Some(Pause::Job);
        peer.timers.set(Timer::Resume, ANSWER, self.now.mono);
        self.engine.waits_for = Some(self.id);
        true
    }

    /// Goes on without the answer that was waited for, if one was.
    pub(super) fn miss_answer(&mut self) {
        if let Some(asking) = self.hub.engines.asking.remove(&self.id) {
            self.come_in(asking, None);
        }
    }

    fn take_answer(&mut self, given: Option<Box<Given>>) {
        let Some(asking) = self.hub.engines.asking.remove(&self.id) else {
            return;
        };
        if let Some(peer) = self.peers.get_mut(self.id) {
            peer.pause = None;
            peer.timers.clear(Timer::Resume);
        }
        self.come_in(asking, given);
        self.go_on();
    }

    fn come_in(&mut self, asking: Asking, given: Option<Box<Given>>) {
        let Asking {
            namespace,
            identity,
            auth,
            ..
        } = asking;
        let part = given.and_then(|given| self.take_over(*given, namespace, &identity));
        let entered = match part {
            Some(part) => Ok(part),
            None => self.enter(namespace, identity),
        };
        self.answer_connect(namespace, entered, auth.as_deref());
    }

    /// Goes on with a session of another shard; `None` if it cannot be told everything, or there is
    /// no place for it: it has ended then.
    fn take_over(
        &mut self,
        mut given: Given,
        namespace: Namespace,
        identity: &Identity,
    ) -> Option<PeerId> {
        let (id, since) = (given.session, given.connected_at);
        let mut session = Session::new(id, namespace.dialect(), identity.clone(), since);
        let placed = given.stays.iter().filter(|stay| stay.is_placed);
        let placed: Vec<_> = placed.map(|stay| stay.room.clone()).collect();
        if !placed.is_empty() {
            session.asides.get_or_insert_default().placed = placed;
        }
        let recovery = Recovery::new(given.pid, std::mem::take(&mut given.ring));
        let Ok(part) = self.seat(namespace, session, Some(recovery)) else {
            decline(&given, self.hub);
            return None;
        };
        let (hub, now) = (&mut *self.hub, self.now);
        let peer = self.peers.get_mut(part)?;
        let session = peer.session_mut()?;
        let missed = enter_all(&given.stays, session, part, hub, now);
        let_go(&given, hub);
        let Some(missed) = missed else {
            hub.counters.increment(Counter::SessionsNotRecovered);
            self.end_part(part);
            return None;
        };
        for frame in given.missed {
            peer.outbox.push_shared(frame, Keep::Always);
        }
        for publication in missed.values() {
            // How it is spelt here does not depend on the room.
            if let Some(placement) = publication.placements.first() {
                hub.send_live(peer, part, publication, &placement.room);
            }
        }
        credentials::watch(identity, &mut peer.timers, hub, now);
        hub.arm(peer, part);
        hub.counters.increment(Counter::SessionsRecovered);
        hub.counters.increment(Counter::SessionsReclaimed);
        Some(part)
    }
}

/// Makes a session a member of all its rooms again; what it has not heard yet of them together, if
/// all of that is still in memory.
fn enter_all(
    stays: &[Stay],
    session: &mut Session,
    part: PeerId,
    hub: &mut Hub,
    now: Now,
) -> Option<BySequence> {
    for _ in 0..TRIES {
        let (mut missed, mut live) = (BySequence::new(), Vec::with_capacity(stays.len()));
        for stay in stays {
            let since = Since {
                epoch: Some(stay.heard.epoch),
                offset: stay.heard.offset,
            };
            let entered = membership::enter(&stay.room, Some(&since), session, part, hub, now.mono);
            let entered = entered.ok()?;
            let later = entered.position.offset.checked_sub(since.offset)?;
            // A room with a state says less than that.
            let all = entered.missed.filter(|all| all.len() as u64 == later)?;
            let all = all.into_iter().map(|(_, it)| (it.sequence, it));
            missed.extend(all.filter(|(sequence, _)| *sequence > stay.joined));
            live.push((&stay.room, entered.sequence));
        }
        // What came into two rooms while one was entered and the other was not comes by mail, too.
        let is_told_twice = |publication: &Arc<Publication>| {
            let mut placements = publication.placements.iter();
            placements.any(|placement| {
                let mut live = live.iter();
                live.any(|(room, after)| **room == placement.room && publication.sequence > *after)
            })
        };
        if !missed.values().any(is_told_twice) {
            return Some(missed);
        }
    }
    None
}
