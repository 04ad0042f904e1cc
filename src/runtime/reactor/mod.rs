//! One reactor: a poll, the sockets of one shard, and the turn that drives both.
//!
//! ```text
//!   wait ─▶ clock ─▶ note events ─▶ read ─▶ mail ─▶ deadlines ─▶ jobs ─▶ write ─▶ close ─▶ accept
//! ```
//!
//! Interest is registered once per socket, readable and writable, edge-triggered; remembered bits
//! decide from then on. Events are noted first and worked through in this order, each step within
//! its budget, so nobody's flood is another's delay. Invariants: a socket is closed only in the
//! close step, and its slot used again only after that; WouldBlock and Interrupted do not leave
//! this folder.

mod accept;
mod endpoint;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError};
use mio::net::TcpListener;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::app::services::Services;
use crate::base::clock::{Clock, Mono, Now};
use crate::base::ids::PeerId;
use crate::base::limits;
use crate::bus::job::Job;
use crate::bus::mailbox::Mailbox;
use crate::metrics::counters::Counters;
use crate::metrics::names::Counter;
use crate::os::signals::{Signal, SignalPipe};
use crate::runtime::logging::Logging;
use crate::runtime::reactor::accept::Acceptor;
use crate::runtime::reactor::endpoint::{Endpoint, Endpoints, Read, Wrote};
use crate::shard::Shard;

/// The waker's number among the shell's tokens.
pub(super) const WAKER: u32 = 0;
/// The signal pipe's number.
const SIGNALS: u32 = 1;
/// The first listener's number; the others follow.
const LISTENERS: u32 = 2;

/// A shard with its sockets.
pub(super) struct Reactor {
    poll: Poll,
    shard: Shard,
    endpoints: Endpoints,
    acceptor: Acceptor,
    signals: Option<SignalPipe>,
    clock: Clock,
    services: Arc<Services>,
    counters: Arc<Counters>,
    mailbox: Arc<Mailbox>,
    jobs: Sender<Job>,
    /// Bytes are read here and worked on in place; what is left over is kept by the peer.
    scratch: Vec<u8>,
    lists: Lists,
    next_sweep: Mono,
    sweeps: usize,
    /// Work is left over: do not sleep.
    is_busy: bool,
    drain: Draining,
}

/// What a reactor is made of.
pub(super) struct Parts {
    pub(super) poll: Poll,
    pub(super) shard: Shard,
    /// Only one reactor of a server has any.
    pub(super) listeners: Vec<TcpListener>,
    /// The same one has the signals.
    pub(super) signals: Option<SignalPipe>,
    pub(super) clock: Clock,
    pub(super) services: Arc<Services>,
    pub(super) counters: Arc<Counters>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) jobs: Sender<Job>,
}

/// Peers by what is to be done with them; kept for their capacity.
#[derive(Debug, Default)]
struct Lists {
    read: Vec<PeerId>,
    write: Vec<PeerId>,
    dirty: Vec<PeerId>,
    resumed: Vec<PeerId>,
    ended: Vec<PeerId>,
}

impl Lists {
    fn queue_write(&mut self, id: PeerId, endpoint: &mut Endpoint) {
        if !endpoint.write_queued {
            endpoint.write_queued = true;
            self.write.push(id);
        }
    }
}

/// How far shutting down has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Draining {
    No,
    Asked,
    /// A second signal came: everything was cut.
    Cut,
}

/// How a reactor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Everybody got what was owed to them.
    pub(super) is_complete: bool,
}

/// How long a job that found the workers' queue full waits before it is offered again, if no
/// worker's answer wakes the reactor before.
const JOB_RETRY: Duration = Duration::from_millis(1);

/// The seconds between two looks at unused rooms; each looks at a 64th of them.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

impl Reactor {
    /// A reactor that is ready to [`Reactor::run`].
    ///
    /// # Errors
    /// When the poll does not take a listener or the signal pipe.
    pub(super) fn new(parts: Parts) -> io::Result<Self> {
        let Parts {
            poll,
            shard,
            listeners,
            signals,
            clock,
            services,
            counters,
            mailbox,
            jobs,
        } = parts;
        let registry = poll.registry();
        let acceptor = Acceptor::new(listeners, LISTENERS, registry)?;
        if let Some(pipe) = &signals {
            let token = Token(PeerId::shell_token(SIGNALS));
            registry.register(&mut SourceFd(&pipe.fd()), token, Interest::READABLE)?;
        }
        Ok(Self {
            poll,
            shard,
            endpoints: Endpoints::default(),
            acceptor,
            signals,
            clock,
            services,
            counters,
            mailbox,
            jobs,
            scratch: vec![0; limits::READ_BYTES_PER_TURN],
            lists: Lists::default(),
            next_sweep: Mono::ZERO,
            sweeps: 0,
            is_busy: false,
            drain: Draining::No,
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
            self.note(&events, logging, now);
            self.read(now);
            self.is_busy |= self.shard.take_mail(now);
            self.shard.fire(now);
            self.sweep(now);
            self.send_jobs();
            self.write(now);
            self.close();
            self.acceptor.accept(
                &mut self.shard,
                &mut self.endpoints,
                self.poll.registry(),
                &self.services,
                &self.counters,
                now,
            );
            self.resume(now);
            self.is_busy |= self.shard.has_left_over();
            if self.drain != Draining::No && self.shard.is_empty() {
                let cut = self
                    .shard
                    .drain_report()
                    .is_some_and(|report| report.cut > 0);
                return Ok(Ended {
                    is_complete: self.drain == Draining::Asked && !cut,
                });
            }
        }
    }

    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let busy = std::mem::take(&mut self.is_busy) || self.acceptor.has_more(&self.shard);
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
        let sweep = (self.services.rooms.count() > 0).then_some(self.next_sweep);
        let retry = self.shard.has_waiting_job().then_some(now + JOB_RETRY);
        [
            self.shard.next_deadline(),
            self.acceptor.next_deadline(),
            sweep,
            retry,
        ]
        .into_iter()
        .flatten()
        .min()
        .map(|deadline| deadline.since(now))
    }

    /// Remembers what is ready; nothing is done yet.
    fn note(&mut self, events: &Events, logging: Option<&Logging>, now: Now) {
        for event in events {
            let id = PeerId::from_token(event.token().0);
            match id.shell_number() {
                Some(WAKER) => {}
                Some(SIGNALS) => self.signals(logging, now),
                Some(listener) => self.acceptor.note_ready(listener),
                None => {
                    let Some(endpoint) = self.endpoints.find(id) else {
                        self.counters.increment(Counter::EventsStale);
                        continue;
                    };
                    if event.is_readable() || event.is_read_closed() || event.is_error() {
                        endpoint.readable = true;
                        endpoint.read_closed |= event.is_read_closed();
                        if !endpoint.queued {
                            endpoint.queued = true;
                            self.lists.read.push(id);
                        }
                    }
                    if event.is_writable() && !endpoint.writable {
                        endpoint.writable = true;
                        self.lists.queue_write(id, endpoint);
                    }
                }
            }
        }
    }

    fn signals(&mut self, logging: Option<&Logging>, now: Now) {
        let Some(pipe) = &self.signals else { return };
        for signal in pipe.drain() {
            match signal {
                Signal::Terminate if self.drain == Draining::No => {
                    log::info!("shutdown_begun connections={}", self.shard.len());
                    self.drain = Draining::Asked;
                    self.services.begin_drain();
                    self.acceptor.close(self.poll.registry());
                    let timeout = self.services.live().config.server.shutdown_timeout;
                    self.shard.begin_drain(timeout, now);
                }
                Signal::Terminate => {
                    log::warn!("shutdown_cut connections={}", self.shard.len());
                    self.drain = Draining::Cut;
                    self.shard.cut();
                }
                Signal::Reload => log::warn!(
                    "reload_ignored reason=\"this version reads its config at start only\""
                ),
                Signal::ReopenLogs => {
                    if let Some(logging) = logging {
                        logging.reopen();
                    }
                }
                Signal::DumpMetrics => self.dump_metrics(),
            }
        }
    }

    fn dump_metrics(&self) {
        for (counter, name, _) in crate::metrics::names::COUNTERS {
            log::info!("metric name={name} value={}", self.services.total(*counter));
        }
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
                    if endpoint.readable {
                        endpoint.queued = true;
                        self.lists.read.push(id);
                    }
                    let Some(input) = self.scratch.get_mut(..count) else {
                        continue;
                    };
                    self.shard.receive(id, input, now);
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

    fn sweep(&mut self, now: Now) {
        if now.mono < self.next_sweep {
            return;
        }
        self.next_sweep = now.mono + SWEEP_INTERVAL;
        self.sweeps = self.sweeps.wrapping_add(1);
        let expired = self.services.rooms.sweep(self.sweeps, now.mono);
        self.counters.add(Counter::HistoryEvicted, expired as u64);
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
        self.shard.take_dirty(&mut dirty);
        for id in dirty.drain(..) {
            if let Some(endpoint) = self.endpoints.find(id) {
                self.lists.queue_write(id, endpoint);
            }
        }
        self.lists.dirty = dirty;
        let mut ready = std::mem::take(&mut self.lists.write);
        for id in ready.drain(..) {
            let Some(endpoint) = self.endpoints.find(id) else {
                continue;
            };
            endpoint.write_queued = false;
            match endpoint.write(id, &mut self.shard, now) {
                Wrote::Done => {}
                Wrote::More => self.lists.queue_write(id, endpoint),
                Wrote::Broken => self.shard.broken(id),
            }
        }
        ready.append(&mut self.lists.write);
        self.is_busy |= !ready.is_empty();
        self.lists.write = ready;
    }

    fn close(&mut self) {
        let mut ended = std::mem::take(&mut self.lists.ended);
        self.shard.take_ended(&mut ended);
        for id in ended.drain(..) {
            self.endpoints.close(id, self.poll.registry());
        }
        self.lists.ended = ended;
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
            if endpoint.readable && !endpoint.queued {
                endpoint.queued = true;
                self.lists.read.push(id);
            }
        }
        self.lists.resumed = resumed;
    }
}
