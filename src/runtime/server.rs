//! Puts a server together: listeners, mailboxes, services, workers, the reactors; and takes it
//! apart in reverse order.

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::{fmt, io, thread};

use mio::{Poll, Token, Waker};

use crate::app::durable::{Clerk, StoreAccess};
use crate::app::services::{Live, Services};
use crate::base::clock::{Clock, Now};
use crate::base::ids::{PeerId, ShardId};
use crate::base::limits;
use crate::base::rng::{RandomUnavailable, Rng};
use crate::bus::mailbox::Mailbox;
use crate::bus::order::store_queue;
use crate::config::Config;
use crate::domain::position::Epoch;
use crate::executor::Executor;
use crate::host::platform::Platform;
use crate::metrics::counters::Counters;
use crate::metrics::names::Counter;
use crate::metrics::recent::Recent;
use crate::os::{boot, descriptor_limit, signals};
use crate::runtime::children::{Entrance, ExecutorThread};
use crate::runtime::emitters::EmitterThread;
use crate::runtime::host::HostThread;
use crate::runtime::keeper;
use crate::runtime::listening::listen;
use crate::runtime::logging::Logging;
use crate::runtime::manager::Given;
use crate::runtime::manager::notify::Notifier;
use crate::runtime::manager::watchdog::{Turns, Watchdog};
use crate::runtime::monitor::MonitorThread;
use crate::runtime::platform;
use crate::runtime::publisher::Publisher;
use crate::runtime::reactor::arrival::Inbox;
use crate::runtime::reactor::deal::{Dealer, Seat};
use crate::runtime::reactor::fleet::Fleet;
use crate::runtime::reactor::lead::LeadParts;
use crate::runtime::reactor::{Ended, Parts, Reactor, WAKER};
use crate::runtime::reload::{
    Reader, Reading, Reloads, limit_connections, look_for_agents, serving, tell_of_missing_agents,
};
use crate::runtime::store::StoreThread;
use crate::runtime::workers::Workers;
use crate::shard::Shard;
use crate::store::database::{Kept, Opening, Store};
use crate::store::fault::OpenFault;

/// A server that listens and is about to serve.
pub struct Server {
    /// The first leads the others.
    reactors: Vec<Reactor>,
    fleet: Arc<Fleet>,
    workers: Workers,
    executor: ExecutorThread,
    store: StoreThread,
    host: HostThread,
    emitters: EmitterThread,
    reloads: Reloads,
    publisher: Publisher,
    monitor: MonitorThread,
    services: Arc<Services>,
    notifier: Notifier,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("listening", &self.services.listening)
            .finish()
    }
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everybody was told goodbye and got what was owed to them.
    Drained,
    /// Something was cut: by a second signal, or at the end of the time for shutting down.
    Cut,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}{hint}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        error: io::Error,
        /// What to do, with a separator before it; empty if there is nothing to add.
        hint: &'static str,
    },
    /// What durable rooms, projects and runs are kept in cannot be opened.
    #[error("cannot start: {0}")]
    Store(#[from] OpenFault),
    /// Another part of the operating system refused.
    #[error("cannot start: {0}")]
    Io(#[from] io::Error),
    /// No randomness.
    #[error("cannot start: {0}")]
    Random(#[from] RandomUnavailable),
}

/// Descriptors of the server itself: standard streams, listeners, signals, log, workers.
const OWN_DESCRIPTORS: usize = 32;

/// Descriptors of one reactor: its poll and its waker.
const REACTOR_DESCRIPTORS: usize = 4;

impl Server {
    /// Raises the descriptor limit, listens, takes over the signals and starts the workers.
    /// `reader` reads the configuration again when SIGHUP asks for it; `log` is what the log counts
    /// and remembers ([`Logging::counters`], [`Logging::recent`]). Sockets in `given` are listened on
    /// instead of the addresses that the configuration names.
    ///
    /// # Errors
    /// When an address is taken or the operating system refuses something.
    pub fn start(
        mut live: Live,
        reader: Reader,
        log: (Arc<Counters>, Arc<Recent>),
        given: Given,
    ) -> Result<Self, StartFault> {
        let count = reactor_count(&live.config);
        let written = live.config.clone();
        let places = Places::of_descriptors(descriptor_limit::raise()?, count);
        limit_connections(&mut live, places.connections);
        look_for_agents(&mut live);
        let clock = Clock::start();
        let mut rng = Rng::from_os()?;
        let opened = open_store(&live.config, &mut rng)?;
        let (listeners, listening) = listen(&live.config.server.listen, given.sockets)?;
        let signals = signals::install()?;
        let polls: Vec<(Poll, Arc<Mailbox>)> = (0..count)
            .map(|_| poll_with_mailbox())
            .collect::<io::Result<_>>()?;
        let mailboxes = polls.iter().map(|(_, mailbox)| Arc::clone(mailbox));
        let workers_wanted = live.config.server.workers;
        let mailboxes = mailboxes.collect();
        let services = Services::new(live, mailboxes, listening, rng.split(), clock.now());
        let mut services = services
            .counting(log.0)
            .remembering(log.1)
            .standing_on(Platform::here());
        let (mut store, mut executor) = (None, None);
        if let Some((opened, kept)) = opened {
            let (queue, inbox) = store_queue(services.live().config.store.queue);
            let core = restored(&kept, &services, rng.split(), clock.now());
            services.restore(kept);
            services = services.storing(StoreAccess::new(queue, opened.readers()));
            let entrance = Entrance::new()?;
            services = services.executing(entrance.queue.clone());
            executor = Some((core, entrance));
            store = Some((Clerk::new(opened), inbox));
        }
        let services = Arc::new(services);
        let store = match store {
            Some((clerk, inbox)) => StoreThread::start(clerk, inbox, &services, clock)?,
            None => StoreThread::default(),
        };
        let workers = Workers::start(workers_wanted, &services, clock)?;
        let host = HostThread::start(&services, clock)?;
        let emitters = EmitterThread::start(&services, rng.split(), clock)?;
        let reading = Reading {
            reader,
            notifier: given.notifier.clone(),
        };
        let reloads = Reloads::start(reading, written, places.connections, &services, clock)?;
        let publisher = Publisher::start(&services, clock)?;
        let monitor = MonitorThread::start(&services, clock)?;
        let seats: Vec<Seat> = (0..)
            .zip(&polls)
            .map(|(id, (_, mailbox))| Seat::new(mailbox, services.counters_of(ShardId(id))))
            .collect();
        let inboxes: Arc<[Arc<Inbox>]> = seats.iter().map(|seat| Arc::clone(&seat.inbox)).collect();
        let fleet = Arc::new(Fleet::default());
        let executor = match executor {
            Some((core, entrance)) => {
                let running = fleet.join(services.mailboxes.first().map(Arc::clone));
                ExecutorThread::start(core, entrance, running, &services, clock)?
            }
            None => ExecutorThread::default(),
        };
        let turns: Vec<Turns> = polls.iter().map(|_| Turns::default()).collect();
        let watchdog = given.watchdog.map(|interval| {
            let others = turns.iter().zip(services.mailboxes.iter()).skip(1);
            Watchdog::new(given.notifier.clone(), interval, others)
        });
        let mut lead = Some(LeadParts {
            listeners,
            signals,
            dealer: Dealer { seats },
            refusals: places.refusals,
            reloader: reloads.reloader(),
            looker: monitor.looker(),
            fleet: Arc::clone(&fleet),
            notifier: given.notifier.clone(),
            watchdog,
        });
        let mut reactors = Vec::with_capacity(count);
        let own = polls.into_iter().zip(inboxes.iter()).zip(turns);
        for (id, (((poll, mailbox), inbox), turns)) in (0..).map(ShardId).zip(own) {
            reactors.push(Reactor::new(Parts {
                poll,
                shard: Shard::new(id, Arc::clone(&services), rng.split()),
                inbox: Arc::clone(inbox),
                neighbours: Arc::clone(&inboxes),
                lead: lead.take(),
                clock,
                services: Arc::clone(&services),
                counters: services.counters_of(id),
                mailbox,
                jobs: workers.jobs(),
                turns,
            })?);
        }
        Ok(Self {
            reactors,
            fleet,
            workers,
            executor,
            store,
            host,
            emitters,
            reloads,
            publisher,
            monitor,
            services,
            notifier: given.notifier,
        })
    }

    /// The addresses it listens on, with the ports that the operating system chose.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.services.listening
    }

    /// Serves until a signal ends it: the leading reactor on this thread, each other one on its
    /// own.
    ///
    /// # Errors
    /// When a poll fails, or a thread cannot be had or panics.
    pub fn run(self, logging: Option<&Logging>) -> io::Result<Outcome> {
        let Self {
            reactors,
            fleet,
            workers,
            executor,
            store,
            host,
            emitters,
            reloads,
            publisher,
            monitor,
            services,
            notifier,
        } = self;
        platform::tell(&services.platform);
        tell_of_missing_agents(&services.live());
        let mut reactors = reactors.into_iter();
        let leader = reactors.next();
        let others: Vec<_> = (1..)
            .zip(reactors)
            .map(|(number, reactor)| spawn(number, reactor, &fleet, &services))
            .collect::<io::Result<_>>()?;
        notifier.ready(&serving(&services));
        let led = leader.map_or(Ok(Ended::COMPLETE), |leader| leader.run(logging));
        // Nobody reads the mail any more; a worker must not wait for room in it.
        for mailbox in services.mailboxes.iter() {
            mailbox.close();
        }
        let mut ended = led?;
        for other in others {
            let other = other
                .join()
                .map_err(|_| io::Error::other("a reactor panicked"))??;
            ended.is_complete &= other.is_complete;
        }
        emitters.finish();
        host.finish(&services);
        workers.finish();
        executor.finish(!ended.is_complete, &services);
        store.finish(&services);
        reloads.finish();
        publisher.finish();
        monitor.finish();
        log::info!(
            "shutdown_done complete={} sessions={} publications={} messages_sent={}",
            ended.is_complete,
            services.total(Counter::SessionsOpened),
            services.total(Counter::Publications),
            services.total(Counter::MessagesSent),
        );
        Ok(if ended.is_complete {
            Outcome::Drained
        } else {
            Outcome::Cut
        })
    }
}

/// Opens what durable rooms, projects and runs are kept in. Where nothing can be written and no room
/// has to be, the server does without.
fn open_store(config: &Config, rng: &mut Rng) -> Result<Option<(Store, Kept)>, StartFault> {
    let boot = boot::id();
    let opened = Store::open(&Opening {
        directory: &config.server.data_dir,
        durability: config.store.durability,
        boot: boot.as_deref(),
        fresh: Epoch::random(rng),
    });
    let opened = match opened {
        Ok(opened) => opened,
        Err(fault) if fault.is_unwritable() && !config.rooms.any_durable() => {
            log::warn!(
                "store_absent fault=\"{fault}\" meaning=\"projects and runs are refused; \
                 everything else works\""
            );
            return Ok(None);
        }
        Err(fault) => return Err(fault.into()),
    };
    let is_empty = opened.kept.rooms.is_empty() && opened.kept.projects.is_empty();
    log::log!(
        // Most have nothing in it, and it is the listening that people look for.
        if is_empty {
            log::Level::Debug
        } else {
            log::Level::Info
        },
        "store_opened rooms={} projects={} began_anew={}",
        opened.kept.rooms.len(),
        opened.kept.projects.len(),
        opened.began_anew
    );
    if opened.began_anew {
        log::warn!(
            "store_began_anew meaning=\"the machine went down while the store was in use; what was \
             acknowledged last may be lost, so all streams have a new epoch\" \
             hint=\"store.durability = power\""
        );
    }
    Ok(Some((opened.store, opened.kept)))
}

/// The executor's core as the store left it. What is left of runs that were active is killed first,
/// so that those who are told of their end find nothing of them.
fn restored(kept: &Kept, services: &Services, rng: Rng, now: Now) -> Executor {
    let ids = kept.unfinished.iter().map(|run| run.id.to_string());
    let ids: Vec<String> = ids.collect();
    if !ids.is_empty() {
        let killed = keeper::sweep(|mark| ids.iter().any(|id| id.as_bytes() == mark));
        log::warn!("runs_lost runs={} processes_killed={killed}", ids.len());
    }
    let keys = services.live().config.limits.idempotency_keys;
    let mut core = Executor::new(keys, rng, services.counters_of_workers());
    core.restore(kept.projects.clone(), kept.unfinished.clone(), now);
    core
}

/// Runs a reactor on a thread of its own.
fn spawn(
    number: usize,
    reactor: Reactor,
    fleet: &Arc<Fleet>,
    services: &Services,
) -> io::Result<JoinHandle<io::Result<Ended>>> {
    let leader = services.mailboxes.first().map(Arc::clone);
    let running = fleet.join(leader);
    thread::Builder::new()
        .name(format!("reactor-{number}"))
        .spawn(move || {
            let ended = reactor.run(None)?;
            running.finish();
            Ok(ended)
        })
}

/// For how many connections `descriptors` are enough, beside what the server itself needs.
#[must_use]
pub fn connections_within(config: &Config, descriptors: u64) -> usize {
    Places::of_descriptors(descriptors, reactor_count(config)).connections
}

/// The reactors wanted, or one on up to four cores and half of more.
fn reactor_count(config: &Config) -> usize {
    config.server.reactors.unwrap_or_else(|| {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        if cores <= 4 { 1 } else { cores / 2 }
    })
}

/// A reactor's poll, and the mailbox that ends its sleep.
fn poll_with_mailbox() -> io::Result<(Poll, Arc<Mailbox>)> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), Token(PeerId::shell_token(WAKER)))?;
    let wake = move || {
        if let Err(error) = waker.wake() {
            log::error!("wake_failed error=\"{error}\"");
        }
    };
    let mailbox = Mailbox::new(limits::MAILBOX_MAIL, Box::new(wake));
    Ok((poll, Arc::new(mailbox)))
}

/// How many descriptors go where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Places {
    /// Connections at most.
    connections: usize,
    /// Refused ones that may be told so at a time.
    refusals: usize,
}

impl Places {
    /// No more connections are promised than there are descriptors for.
    fn of_descriptors(descriptors: u64, reactors: usize) -> Self {
        let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
        let refusals = (descriptors / 16).clamp(4, limits::REFUSALS);
        let reserved = OWN_DESCRIPTORS
            + REACTOR_DESCRIPTORS * reactors
            + limits::RESERVED_DESCRIPTORS
            + limits::RESERVED_CONNECTIONS
            + refusals;
        Self {
            connections: descriptors.saturating_sub(reserved).max(1),
            refusals,
        }
    }
}
