//! L3: one reactor's share of the server: its connections, sessions, memberships, deadlines.
//!
//! A pure core. The shell calls it once per turn in the order of the turn (README) and performs
//! what it leaves: peers to write for, peers to read again, jobs, peers that ended.
//!
//! ```text
//!   bytes ──receive──▶ dispatch ──▶ http │ websocket ──▶ app (in the shard, or as a job)
//!   mail  ──take_mail─▶ deliver, answers           │
//!   time  ──fire──────▶ timeouts                   ▼
//!                                     outbox of each peer ──gather──▶ bytes
//! ```
//!
//! Invariants: nothing here reads a clock or a socket; no peer is removed before the end of the
//! turn; every peer with something to send stands in `dirty` once or waits for its socket.

mod arrival;
mod behind;
mod compression;
mod credentials;
mod deadlines;
mod deliver;
mod device;
mod dispatch;
mod drain;
mod durable;
mod engine;
mod event_stream;
mod heard;
mod http;
mod hub;
#[cfg(any(test, feature = "testkit"))]
mod invariants;
mod jobs;
mod joined;
mod latest;
mod manage;
mod membership;
pub mod moves;
mod outbox;
mod outlet;
mod peer;
mod presence;
mod projects;
mod rate;
mod refill;
mod rooms;
mod session;
mod slow;
mod timeouts;
mod tls;
mod websocket;

use std::collections::VecDeque;
use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::app::services::{Live, Services};
use crate::base::clock::{Mono, Now};
use crate::base::ids::{PeerId, ShardId};
use crate::base::limits;
use crate::base::rng::Rng;
use crate::base::slab::GenerationalSlab;
use crate::bus::job::{Answer, Job};
use crate::bus::mail::Mail;
use crate::bus::presence::Changes;
use crate::metrics::counters::Counters;
use crate::metrics::names::Counter;
use crate::protocol::timers::{Tick, Timer};
use crate::shard::compression::{Compressing, Inflating};
use crate::shard::deadlines::Deadlines;
use crate::shard::drain::Drain;
use crate::shard::engine::{Engines, Happened};
use crate::shard::jobs::Jobs;
use crate::shard::joined::Joined;
use crate::shard::outbox::OutboxLimits;
use crate::shard::peer::{Peer, Stage};
use crate::shard::refill::Refills;
use crate::shard::rooms::LocalRooms;
use crate::shard::tls::Shaking;

/// The state of one shard.
#[derive(Debug)]
pub struct Shard {
    peers: GenerationalSlab<Peer>,
    hub: Hub,
    drain: Option<Drain>,
    /// Mail taken and not yet worked on.
    mail: VecDeque<Mail>,
}

/// All of a shard but its peers, so that one peer can be worked on beside it.
#[derive(Debug)]
struct Hub {
    shard: ShardId,
    services: Arc<Services>,
    /// The configuration this shard goes by; replaced between two pieces of mail.
    live: Arc<Live>,
    counters: Arc<Counters>,
    rooms: LocalRooms,
    /// Who came and went here and is to be told of.
    changes: Changes,
    deadlines: Deadlines,
    rng: Rng,
    /// Peers that got something to send in this turn.
    dirty: Vec<PeerId>,
    /// Peers whose sockets are to be read again although no event says so.
    resumed: Vec<PeerId>,
    /// Peers that ended in this turn.
    ended: Vec<PeerId>,
    /// Peers that go to another shard, each once.
    moves: Vec<(PeerId, ShardId)>,
    jobs: Jobs,
    refusals: usize,
    draining: bool,
    outbox_limits: OutboxLimits,
    refills: Refills,
    joined: Joined,
    compressing: Compressing,
    inflating: Inflating,
    tls: Shaking,
    engines: Engines,
}

/// What the shell does after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterWrite {
    /// Something is left: write again when the socket is ready.
    More,
    /// Nothing is left.
    Done,
    /// Nothing is left, ever: shut the sending side down.
    ShutdownWrite,
}

impl Shard {
    /// An empty shard.
    #[must_use]
    pub fn new(id: ShardId, services: Arc<Services>, rng: Rng) -> Self {
        let counters = services.counters_of(id);
        let live = services.live();
        Self {
            peers: GenerationalSlab::default(),
            hub: Hub {
                shard: id,
                rooms: LocalRooms::new(Arc::clone(&counters)),
                compressing: Compressing::new(
                    live.config.compression.min_bytes,
                    Arc::clone(&counters),
                ),
                inflating: Inflating::new(Arc::clone(&counters)),
                counters,
                changes: Changes::default(),
                deadlines: Deadlines::default(),
                rng,
                dirty: Vec::new(),
                resumed: Vec::new(),
                ended: Vec::new(),
                moves: Vec::new(),
                jobs: Jobs::default(),
                refusals: 0,
                draining: false,
                outbox_limits: OutboxLimits::of(&live.config.limits),
                engines: Engines::new(&live.config),
                live,
                refills: Refills::default(),
                joined: Joined::default(),
                tls: Shaking::default(),
                services,
            },
            drain: None,
            mail: VecDeque::new(),
        }
    }

    /// Works on bytes that `id` sent; `input` is unmasked in place. What cannot be worked on yet
    /// is kept; ask [`Shard::wants_input`] before reading more.
    pub fn receive(&mut self, id: PeerId, input: &mut [u8], now: Now) {
        self.hub
            .counters
            .add(Counter::BytesReceived, input.len() as u64);
        self.on_peer(id, (), |peer, hub| match peer.tls {
            None => dispatch::receive(peer, id, input, hub, now),
            Some(_) => tls::receive(peer, id, input, hub, now),
        });
        self.work_on_engines(now);
    }

    /// Does one step of one peer's conversation; `otherwise` is the outcome if the peer is gone. A
    /// panic, which is a bug of ours, ends that peer and nobody else.
    fn on_peer<T>(
        &mut self,
        id: PeerId,
        otherwise: T,
        step: impl FnOnce(&mut Peer, &mut Hub) -> T,
    ) -> T {
        let (peers, hub) = (&mut self.peers, &mut self.hub);
        let Some(peer) = peers.get_mut(id) else {
            hub.counters.increment(Counter::EventsStale);
            return otherwise;
        };
        catch_unwind(AssertUnwindSafe(|| step(peer, hub))).unwrap_or_else(|_| {
            log::error!("conversation_panic peer={id}");
            self.hub.counters.increment(Counter::HandlerPanics);
            self.broken(id);
            otherwise
        })
    }

    /// Whether the socket of `id` shall be read now; ask before every read. A TLS handshake that
    /// is over the turn's budget comes back by [`Shard::take_resumed`].
    #[must_use]
    pub fn wants_input(&mut self, id: PeerId) -> bool {
        self.peers.get(id).is_some_and(|peer| {
            peer.wants_input() && (!peer.is_shaking() || self.hub.tls.take_turn(id))
        })
    }

    /// Notes that `id` will send nothing more.
    pub fn end_of_input(&mut self, id: PeerId) {
        self.on_peer(id, (), |peer, hub| match peer.tls {
            None => dispatch::end_of_input(peer, id, hub),
            Some(_) => tls::end_of_input(peer, id, hub),
        });
    }

    /// Notes that the connection of `id` is broken.
    pub fn broken(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(id) {
            self.hub.end(peer, id);
        }
    }

    /// Takes at most a turn's worth of mail in. True if there is more.
    ///
    /// Publications of one turn fill at most half an outbox, which is then written: a burst makes
    /// nobody a slow consumer who reads as fast as the socket goes.
    pub fn take_mail(&mut self, now: Now) -> bool {
        let mut left = false;
        if self.mail.is_empty()
            && let Some(mailbox) = self.hub.services.mailboxes.get(self.hub.shard.index())
        {
            left = mailbox.take(limits::MAIL_PER_TURN, &mut self.mail);
        }
        let limits = self.hub.outbox_limits;
        let (mut messages, mut bytes) = (limits.messages / 2, limits.bytes / 2);
        while let Some(piece) = self.mail.pop_front() {
            match piece {
                Mail::Deliver(delivery) => {
                    messages = messages.saturating_sub(1);
                    bytes = bytes.saturating_sub(delivery.publication().retained_bytes());
                    deliver::deliver(&delivery, &mut self.peers, &mut self.hub, now);
                    if messages == 0 || bytes == 0 {
                        break;
                    }
                }
                Mail::Answer { peer, answer } => self.answer(peer, answer, now),
                Mail::Claim(claim) => self.hub.engines.note(Happened::Claim(claim)),
                Mail::Claimed(asker, given) => {
                    self.hub.engines.note(Happened::Claimed(asker, given));
                }
                Mail::LetGo(id) => self.broken(id),
                Mail::Reconfigure => self.reconfigure(now),
                Mail::Release => self.hub.release(),
                Mail::Drain(timeout) => self.begin_drain(timeout, now),
                Mail::Cut => self.cut(),
                Mail::ListSessions { page, reply } => {
                    // Whoever asked may have given up.
                    let _ = reply.try_send(self.sessions(&page));
                }
                Mail::ListPresent { room, reply } => {
                    let _ = reply.try_send(self.present(&room, now));
                }
                Mail::Manage { who, what, reply } => {
                    let _ = reply.try_send(self.manage(&who, &what, now));
                }
            }
        }
        self.work_on_engines(now);
        left || !self.mail.is_empty()
    }

    /// Goes by the configuration that is in force now.
    fn reconfigure(&mut self, now: Now) {
        self.hub.live = self.hub.services.live();
        self.hub.outbox_limits = OutboxLimits::of(&self.hub.live.config.limits);
        self.hub.compressing.min_bytes = self.hub.live.config.compression.min_bytes;
        self.hub.engines.reconfigure(&self.hub.live.config);
        let Some(idle) = self.hub.live.config.heartbeat.idle_timeout else {
            return;
        };
        // Sessions that have rested since there was no such timeout are looked at by nobody.
        let ids: Vec<PeerId> = self.peers.iter().map(|(id, _)| id).collect();
        for id in ids {
            if let Some(peer) = self.peers.get_mut(id)
                && peer.open_session().is_some()
                && !peer.timers.is_set(Timer::Idle)
            {
                peer.timers.set(Timer::Idle, idle, now.mono);
                self.hub.arm(peer, id);
            }
        }
    }

    fn answer(&mut self, id: PeerId, answer: Answer, now: Now) {
        self.on_peer(id, (), |peer, hub| {
            dispatch::answer(peer, id, answer, hub, now);
        });
    }

    /// Does what is due at `now`: timeouts, publications that were held back, the telling of who came
    /// and went, closes of a drain.
    pub fn fire(&mut self, now: Now) {
        let tick = Tick::reached(now.mono);
        while let Some((due, peers)) = self.hub.deadlines.take_due(tick) {
            for id in peers {
                let Some(peer) = self.peers.get_mut(id) else {
                    continue;
                };
                if peer.armed.take(due) && peer.stage != Stage::Ended {
                    self.on_peer(id, (), |peer, hub| timeouts::fire(peer, id, hub, now));
                }
            }
        }
        while let Some(delivery) = self.hub.rooms.take_due(now.mono) {
            deliver::deliver(&delivery, &mut self.peers, &mut self.hub, now);
        }
        self.hub.tell_changes(now);
        drain::step(self, now);
        self.work_on_engines(now);
    }

    /// When [`Shard::fire`] should be called next; a call before is harmless.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        let timers = self.hub.deadlines.next().map(Tick::begins);
        let drain = self.drain.as_ref().and_then(Drain::next);
        let held = self.hub.rooms.next_due();
        let change = self.hub.next_change();
        [timers, drain, held, change].into_iter().flatten().min()
    }

    /// The next job for the workers.
    pub fn next_job(&mut self) -> Option<Job> {
        self.hub.jobs.take()
    }

    /// Takes a job back that found the workers' queue full; it is offered again in a later turn.
    pub fn return_job(&mut self, job: Job) {
        if self.hub.jobs.give_back(job) {
            self.hub.counters.increment(Counter::JobsWaited);
        }
    }

    /// Whether a job waits for a place in the workers' queue.
    #[must_use]
    pub fn has_waiting_job(&self) -> bool {
        self.hub.jobs.is_waiting()
    }

    /// The peers that got something to send since the last call, each once.
    pub fn take_dirty(&mut self, into: &mut Vec<PeerId>, now: Now) {
        self.work_on_engines(now);
        loop {
            let first = into.len();
            into.append(&mut self.hub.dirty);
            for id in into.iter().skip(first) {
                if let Some(peer) = self.peers.get_mut(*id) {
                    peer.dirty = false;
                    self.hub.engines.note_dirty(peer, *id);
                }
            }
            if !self.work_on_engines(now) {
                return;
            }
        }
    }

    /// Whether `id`, which was worked on last, was answered on the spot. It is to be written for at
    /// once then, and is not among those of [`Shard::take_dirty`].
    #[must_use]
    pub fn take_answered(&mut self, id: PeerId) -> bool {
        let is_answered = self.hub.dirty.last() == Some(&id);
        if is_answered {
            self.hub.dirty.pop();
            if let Some(peer) = self.peers.get_mut(id) {
                peer.dirty = false;
            }
        }
        is_answered
    }

    /// The peers whose sockets are to be read without a new event. What they had sent before they
    /// were paused is worked on here; if there are any, the turn left something to do.
    pub fn take_resumed(&mut self, into: &mut Vec<PeerId>, now: Now) {
        into.append(&mut self.hub.resumed);
        for id in into.iter() {
            self.on_peer(*id, (), |peer, hub| {
                dispatch::receive(peer, *id, &mut [], hub, now);
                tls::hear_end(peer, *id, hub);
            });
        }
        self.work_on_engines(now);
        let delayed = self.hub.tls.next_turn(into);
        self.hub
            .counters
            .add(Counter::TlsHandshakesDelayed, delayed);
    }

    /// Whether something came up after it was asked for: peers to write for, ended and moving peers,
    /// jobs.
    #[must_use]
    pub fn has_left_over(&self) -> bool {
        let hub = &self.hub;
        let lists = [&hub.dirty, &hub.ended];
        hub.engines.has_work()
            || lists.iter().any(|list| !list.is_empty())
            || !hub.moves.is_empty()
            || hub.jobs.has_new()
    }

    /// What is to be written for `id`: how many slices were filled, and bytes in all. The socket
    /// is offered it at once, and [`Shard::wrote`] is told what it took.
    #[must_use]
    pub fn gather<'a>(&'a mut self, id: PeerId, slices: &mut [IoSlice<'a>]) -> (usize, usize) {
        if self.peers.get(id).is_some_and(|peer| peer.tls.is_some()) {
            self.on_peer(id, (), |peer, hub| tls::seal(peer, id, hub));
        }
        match self.peers.get(id) {
            Some(Peer { tls: Some(tls), .. }) => tls::gather(tls, slices),
            Some(peer) => match (self.hub.joined.of(&peer.outbox), slices.first_mut()) {
                (Some(bytes), Some(slot)) => {
                    *slot = IoSlice::new(bytes);
                    (1, bytes.len())
                }
                _ => peer.outbox.gather(slices, limits::WRITE_BYTES_PER_TURN),
            },
            None => (0, 0),
        }
    }

    /// Notes that the socket of `id` took `taken` bytes (0 if it was not ready).
    pub fn wrote(&mut self, id: PeerId, taken: usize, now: Now) -> AfterWrite {
        let after = self.on_peer(id, AfterWrite::Done, |peer, hub| {
            dispatch::wrote(peer, id, taken, hub, now)
        });
        self.work_on_engines(now);
        after
    }

    /// Removes the peers that ended and tells which; their sockets are to be closed. Nothing is
    /// written in this turn after that.
    pub fn take_ended(&mut self, into: &mut Vec<PeerId>) {
        self.hub.refills.clear();
        self.hub.joined.clear();
        let mut ended = std::mem::take(&mut self.hub.ended);
        for id in ended.drain(..) {
            if let Some(mut peer) = self.peers.remove(id) {
                self.hub.retire(&mut peer, id);
                if peer.has_socket() {
                    into.push(id);
                }
            }
        }
        self.hub.ended = ended;
    }

    /// Refused connections that are still being told so.
    #[must_use]
    pub fn refusals(&self) -> usize {
        self.hub.refusals
    }

    /// Connections of any kind.
    #[must_use]
    pub fn len(&self) -> usize {
        let connections = self.peers.iter().filter(|(_, peer)| peer.has_socket());
        connections.count()
    }

    /// Whether no connection is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }
}

#[cfg(test)]
mod tests;
