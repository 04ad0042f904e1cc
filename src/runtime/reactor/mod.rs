//! One reactor: a poll, the sockets of one shard, and the turn that drives both.
//!
//! ```text
//!   wait ─▶ clock ─▶ note events ─▶ read ─▶ mail ─▶ deadlines ─▶ jobs ─▶ write
//!        ─▶ close ─▶ depart ─▶ accept
//! ```
//!
//! Interest is registered once per socket, readable and writable, edge-triggered; remembered bits
//! decide from then on. Events are noted first and worked through in this order, each step within
//! its budget, so nobody's flood is another's delay. What a peer is answered on the spot is written
//! right after it was read, while all of it is still in the cache; what others send it waits for the
//! write step, so that all of a turn leaves in one call. Invariants: a socket is closed only in the
//! close step, and its slot used again only after that; WouldBlock and Interrupted do not leave
//! this folder.

mod accept;
pub(super) mod arrival;
pub(super) mod deal;
mod endpoint;
pub(super) mod fleet;
pub(super) mod lead;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError};
use mio::{Events, Poll};

use crate::app::services::Services;
use crate::base::clock::{Clock, Now};
use crate::base::ids::PeerId;
use crate::base::limits;
use crate::bus::job::Job;
use crate::bus::mailbox::Mailbox;
use crate::metrics::counters::Counters;
use crate::metrics::names::Counter;
use crate::runtime::logging::Logging;
use crate::runtime::manager::watchdog::Turns;
use crate::runtime::reactor::arrival::{Arrival, Inbox};
use crate::runtime::reactor::endpoint::{Endpoint, Endpoints, Read, Wrote};
use crate::runtime::reactor::lead::{Lead, LeadParts, SIGNALS};
use crate::shard::Shard;
use crate::shard::moves::Moving;

/// The waker's number among the shell's tokens.
pub(super) const WAKER: u32 = 0;
/// A shard with its sockets.
pub(super) struct Reactor {
    poll: Poll,
    shard: Shard,
    endpoints: Endpoints,
    /// Where connections come that are for this reactor.
    inbox: Arc<Inbox>,
    /// The inboxes of all reactors, in the order of their shards.
    neighbours: Arc<[Arc<Inbox>]>,
    /// What only the reactor has that leads the others.
    lead: Option<Lead>,
    clock: Clock,
    services: Arc<Services>,
    counters: Arc<Counters>,
    mailbox: Arc<Mailbox>,
    jobs: Sender<Job>,
    turns: Turns,
    /// Bytes are read here and worked on in place; what is left over is kept by the peer.
    scratch: Vec<u8>,
    lists: Lists,
    /// Work is left over: do not sleep.
    is_busy: bool,
}

/// What a reactor is made of.
pub(super) struct Parts {
    pub(super) poll: Poll,
    pub(super) shard: Shard,
    pub(super) inbox: Arc<Inbox>,
    /// In the order of the shards, its own included.
    pub(super) neighbours: Arc<[Arc<Inbox>]>,
    /// Only one reactor of a server has this.
    pub(super) lead: Option<LeadParts>,
    pub(super) clock: Clock,
    pub(super) services: Arc<Services>,
    pub(super) counters: Arc<Counters>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) jobs: Sender<Job>,
    /// Where the turns are counted, for the watchdog.
    pub(super) turns: Turns,
}

/// Peers by what is to be done with them; kept for their capacity.
#[derive(Debug, Default)]
struct Lists {
    read: Vec<PeerId>,
    write: Vec<PeerId>,
    dirty: Vec<PeerId>,
    resumed: Vec<PeerId>,
    ended: Vec<PeerId>,
    moving: Vec<Moving>,
    arrivals: Vec<Arrival>,
}

impl Lists {
    fn queue_read(&mut self, id: PeerId, endpoint: &mut Endpoint) {
        if endpoint.readable && !endpoint.queued {
            endpoint.queued = true;
            self.read.push(id);
        }
    }

    fn queue_write(&mut self, id: PeerId, endpoint: &mut Endpoint) {
        if !endpoint.write_queued {
            endpoint.write_queued = true;
            self.write.push(id);
        }
    }
}

/// How a reactor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Everybody got what was owed to them.
    pub(super) is_complete: bool,
}

impl Ended {
    pub(super) const COMPLETE: Self = Self { is_complete: true };
}

/// How long a job that found the workers' queue full waits before it is offered again, if no
/// worker's answer wakes the reactor before.
const JOB_RETRY: Duration = Duration::from_millis(1);

impl Reactor {
    /// A reactor that is ready to [`Reactor::run`].
    ///
    /// # Errors
    /// When the poll does not take a listener or the signal pipe.
    pub(super) fn new(parts: Parts) -> io::Result<Self> {
        let Parts {
            poll,
            shard,
            inbox,
            neighbours,
            lead,
            clock,
            services,
            counters,
            mailbox,
            jobs,
            turns,
        } = parts;
        let registry = poll.registry();
        let lead = lead.map(|parts| Lead::new(parts, registry)).transpose()?;
        Ok(Self {
            poll,
            shard,
            endpoints: Endpoints::default(),
            inbox,
            neighbours,
            lead,
            clock,
            services,
            counters,
            mailbox,
            jobs,
            turns,
            scratch: vec![0; limits::READ_BYTES_PER_TURN],
            lists: Lists::default(),
            is_busy: false,
        })
    }

    /// Runs until a signal has ended it and the last connection is gone.
    ///
    /// # Errors
    /// When the poll itself fails, which leaves nothing to go on with.
    pub(super) fn run(mut self, logging: Option<&Logging>) -> io::Result<Ended> {
        let mut events = Events::with_capacity(limits::EVENTS_PER_TURN);
        loop {
            self.wait(&mut events)?;
            let now = self.clock.now();
            self.turns.count();
            self.note(&events, logging);
            self.read(now);
            self.is_busy |= self.shard.take_mail(now);
            self.shard.fire(now);
            self.lead(now);
            self.send_jobs();
            self.write(now);
            self.close();
            self.depart(now);
            self.accept(now);
            self.resume(now);
            self.is_busy |= self.shard.has_left_over();
            if let Some(ended) = self.ended() {
                return Ok(ended);
            }
            if self
                .lead
                .as_ref()
                .is_some_and(|lead| lead.fleet.has_failed())
            {
                return Err(io::Error::other("a reactor failed; see the log"));
            }
        }
    }

    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let accepts = |lead: &Lead| lead.acceptor.has_more(&self.services);
        let busy = std::mem::take(&mut self.is_busy) || self.lead.as_ref().is_some_and(accepts);
        let sleeps = !busy && self.mailbox.prepare_sleep();
        let timeout = if sleeps {
            self.timeout()
        } else {
            Some(Duration::ZERO)
        };
        let polled = self.poll.poll(events, timeout);
        self.mailbox.awake();
        match polled {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            polled => polled,
        }
    }

    /// Until the next deadline; `None` if there is none.
    fn timeout(&self) -> Option<Duration> {
        let now = self.clock.now().mono;
        let lead = self.lead.as_ref();
        let sweep = lead.filter(|_| self.services.rooms.count() > 0);
        let retry = self.shard.has_waiting_job().then_some(now + JOB_RETRY);
        [
            self.shard.next_deadline(),
            lead.and_then(Lead::next_deadline),
            sweep.map(|lead| lead.next_sweep),
            retry,
        ]
        .into_iter()
        .flatten()
        .min()
        .map(|deadline| deadline.since(now))
    }

    /// Remembers what is ready; nothing is done yet.
    fn note(&mut self, events: &Events, logging: Option<&Logging>) {
        for event in events {
            let id = PeerId::from_token(event.token().0);
            match id.shell_number() {
                Some(WAKER) => {}
                Some(SIGNALS) => self.signals(logging),
                Some(listener) => {
                    if let Some(lead) = &mut self.lead {
                        lead.acceptor.note_ready(listener);
                    }
                }
                None => {
                    let Some(endpoint) = self.endpoints.find(id) else {
                        self.counters.increment(Counter::EventsStale);
                        continue;
                    };
                    if event.is_readable() || event.is_read_closed() || event.is_error() {
                        endpoint.readable = true;
                        endpoint.read_closed |= event.is_read_closed();
                        self.lists.queue_read(id, endpoint);
                    }
                    if event.is_writable() && !endpoint.writable {
                        endpoint.writable = true;
                        self.lists.queue_write(id, endpoint);
                    }
                }
            }
        }
    }

    fn signals(&mut self, logging: Option<&Logging>) {
        let Some(lead) = &mut self.lead else { return };
        lead.hear(&self.services, self.poll.registry(), logging);
    }

    /// Reads each ready peer once.
    fn read(&mut self, now: Now) {
        let mut ready = std::mem::take(&mut self.lists.read);
        for id in ready.drain(..) {
            let Some(endpoint) = self.endpoints.find(id) else {
                continue;
            };
            endpoint.queued = false;
            // A paused peer stays readable; it comes back through `resume`.
            if !self.shard.wants_input(id) {
                continue;
            }
            match endpoint.read(&mut self.scratch) {
                Read::Bytes(count) => {
                    self.lists.queue_read(id, endpoint);
                    let Some(input) = self.scratch.get_mut(..count) else {
                        continue;
                    };
                    self.shard.receive(id, input, now);
                    if self.shard.take_answered(id) {
                        self.write_for(id, now);
                    }
                }
                Read::Nothing => {}
                Read::End => self.shard.end_of_input(id),
                Read::Broken => self.shard.broken(id),
            }
        }
        // What was queued meanwhile is for the next turn.
        ready.append(&mut self.lists.read);
        self.is_busy |= !ready.is_empty();
        self.lists.read = ready;
    }

    /// What the leader does for all.
    fn lead(&mut self, now: Now) {
        let Some(lead) = &mut self.lead else { return };
        lead.watch(now.mono);
        if let Some(turn) = lead.sweep_due(now.mono) {
            let expired = self.services.rooms.sweep(turn, now.mono);
            self.counters.add(Counter::HistoryEvicted, expired as u64);
        }
    }

    fn send_jobs(&mut self) {
        while let Some(job) = self.shard.next_job() {
            match self.jobs.try_send(job) {
                Ok(()) => {}
                Err(TrySendError::Full(job)) => {
                    // The session that has it is paused already.
                    self.shard.return_job(job);
                    break;
                }
                Err(TrySendError::Disconnected(_)) => break,
            }
        }
    }

    /// Writes for each peer that has something to send.
    fn write(&mut self, now: Now) {
        let mut dirty = std::mem::take(&mut self.lists.dirty);
        self.shard.take_dirty(&mut dirty, now);
        for id in dirty.drain(..) {
            if let Some(endpoint) = self.endpoints.find(id) {
                self.lists.queue_write(id, endpoint);
            }
        }
        self.lists.dirty = dirty;
        let mut ready = std::mem::take(&mut self.lists.write);
        for id in ready.drain(..) {
            if let Some(endpoint) = self.endpoints.find(id) {
                endpoint.write_queued = false;
                self.write_for(id, now);
            }
        }
        ready.append(&mut self.lists.write);
        self.is_busy |= !ready.is_empty();
        self.lists.write = ready;
    }

    fn write_for(&mut self, id: PeerId, now: Now) {
        let Some(endpoint) = self.endpoints.find(id) else {
            return;
        };
        match endpoint.write(id, &mut self.shard, now) {
            Wrote::Done => {}
            Wrote::More => self.lists.queue_write(id, endpoint),
            Wrote::Broken => self.shard.broken(id),
        }
    }

    fn close(&mut self) {
        let mut ended = std::mem::take(&mut self.lists.ended);
        self.shard.take_ended(&mut ended);
        for id in ended.drain(..) {
            self.endpoints.close(id, self.poll.registry());
        }
        self.lists.ended = ended;
    }

    /// Takes in what was accepted here and what came from other reactors.
    fn accept(&mut self, now: Now) {
        let mut arrivals = std::mem::take(&mut self.lists.arrivals);
        self.inbox.take(&mut arrivals);
        if let Some(lead) = &mut self.lead {
            let live = self.services.live();
            let context = self.services.context(&live, &self.counters, now);
            lead.acceptor
                .accept(self.shard.refusals(), context, &mut arrivals);
        }
        for arrival in arrivals.drain(..) {
            self.arrive(arrival, now);
        }
        self.lists.arrivals = arrivals;
    }

    /// How it ended, once a drain has begun and nobody is left or on the way here; the leader waits
    /// for the others.
    fn ended(&self) -> Option<Ended> {
        let report = self.shard.drain_report()?;
        let fleet = self.lead.as_ref().map(|lead| &lead.fleet);
        let is_last = fleet.is_none_or(|fleet| fleet.is_alone());
        if !self.shard.is_empty() || !is_last || !self.inbox.close() {
            return None;
        }
        Some(Ended {
            is_complete: report.cut == 0 && !self.lead.as_ref().is_some_and(Lead::was_cut),
        })
    }

    /// Queues, for the next turn, peers that were paused and whose sockets have something.
    fn resume(&mut self, now: Now) {
        let mut resumed = std::mem::take(&mut self.lists.resumed);
        self.shard.take_resumed(&mut resumed, now);
        self.is_busy |= !resumed.is_empty();
        for id in resumed.drain(..) {
            let Some(endpoint) = self.endpoints.find(id) else {
                continue;
            };
            self.lists.queue_read(id, endpoint);
        }
        self.lists.resumed = resumed;
    }
}
