//! What every request handler needs: the config, the rooms, the counters, the state of the server.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::Duration;

use crate::app::admission::Admission;
use crate::app::durable::StoreAccess;
use crate::app::emitters::EmitterLink;
use crate::app::host::Host;
use crate::app::monitor::Resources;
use crate::app::projects::Projects;
use crate::app::publish::Receipt;
use crate::app::statistics::Statistics;
use crate::app::user_rates::UserRates;
use crate::base::clock::Now;
use crate::base::ids::ShardId;
use crate::base::locks::{lock, read, write};
use crate::base::rng::Rng;
use crate::bus::execution::ExecutorQueue;
use crate::bus::mail::Mail;
use crate::bus::mailbox::Mailbox;
use crate::bus::rooms::Rooms;
use crate::config::{AuthMode, Config, Faults};
use crate::domain::idempotency::IdempotencyTable;
use crate::domain::token::Authority;
use crate::host::platform::Platform;
use crate::metrics::counters::{Counters, total};
use crate::metrics::names::Counter;
use crate::metrics::recent::Recent;
use crate::protocol::tls::acceptor::TlsAcceptor;
use crate::store::database::Kept;

/// What the operator wants at the moment: all that a reload replaces, as one.
///
/// Whoever begins something takes one of these and goes by it to the end, so that nothing is ever
/// done half by an old and half by a new configuration.
#[derive(Debug)]
pub struct Live {
    /// The configuration in force.
    pub config: Config,
    /// What credentials are checked against; `None` in open mode, which asks for none.
    pub authority: Option<Authority>,
    /// What connections are received with; `None` without TLS.
    pub tls: Option<Arc<TlsAcceptor>>,
    /// The agents whose programs were not found when this came into force.
    pub missing_agents: Vec<String>,
}

impl Live {
    /// What `config` means, without TLS: that takes files.
    ///
    /// # Errors
    /// All that is wrong with its keys, roles and grants.
    pub fn of(config: Config) -> Result<Self, Faults> {
        let authority = match config.auth.mode {
            AuthMode::Open => None,
            AuthMode::Token => Some(Authority::new(&config.auth)?),
        };
        Ok(Self {
            config,
            authority,
            tls: None,
            missing_agents: Vec::new(),
        })
    }

    /// Promises no more connections than there can be; true if it had promised more.
    pub fn limit_connections(&mut self, most: usize) -> bool {
        let limit = &mut self.config.limits.connections;
        let promised_more = limit.is_none_or(|wanted| wanted > most);
        if promised_more {
            *limit = Some(most);
        }
        promised_more
    }
}

/// What every handler is given.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The server.
    pub services: &'a Services,
    /// The configuration that this one request or message goes by.
    pub live: &'a Live,
    /// Where the handler counts.
    pub counters: &'a Counters,
    /// When it was asked.
    pub now: Now,
}

/// Shared by all threads of the server.
#[derive(Debug)]
pub struct Services {
    live: RwLock<Arc<Live>>,
    /// Every room's stream.
    pub rooms: Rooms,
    /// The shards' mailboxes, in order.
    pub mailboxes: Arc<[Arc<Mailbox>]>,
    /// Where the server listens.
    pub listening: Vec<SocketAddr>,
    /// When the server started.
    pub started: Now,
    /// What kind of machine it runs on.
    pub platform: Platform,
    /// One set of counters per shard, then one for the workers, then those of others.
    counters: Vec<Arc<Counters>>,
    /// What durable rooms are kept in; `None` where no namespace is durable.
    pub store: Option<StoreAccess>,
    /// The projects, their active runs and what these ask permission for.
    pub projects: Projects,
    /// What is kept of what was measured.
    pub statistics: Statistics,
    /// Where runs are asked for; `None` where there are none.
    pub executor: Option<ExecutorQueue>,
    /// What the machine was last found to be.
    pub host: Host,
    /// How the server's resources stand, as last seen.
    pub resources: Resources,
    /// How the connection to the Redis of emitters stands.
    pub emitters: EmitterLink,
    /// The last warnings and errors of the log; empty where there is none.
    pub recent: Arc<Recent>,
    receipts: Mutex<IdempotencyTable<Arc<Receipt>>>,
    draining: AtomicBool,
    pub(super) admission: Admission,
    pub(super) user_rates: UserRates,
}

impl Services {
    /// The services of a server with one shard per mailbox, which goes by `live` at first.
    #[must_use]
    pub fn new(
        live: Live,
        mailboxes: Arc<[Arc<Mailbox>]>,
        listening: Vec<SocketAddr>,
        rng: Rng,
        now: Now,
    ) -> Self {
        let config = &live.config;
        let rooms = Rooms::new(
            config.rooms.clone(),
            config.limits.rooms,
            Arc::clone(&mailboxes),
            rng,
        );
        Self {
            rooms,
            counters: (0..=mailboxes.len()).map(|_| Arc::default()).collect(),
            receipts: Mutex::new(IdempotencyTable::new(config.limits.idempotency_keys)),
            store: None,
            projects: Projects::default(),
            statistics: Statistics::default(),
            executor: None,
            host: Host::default(),
            resources: Resources::default(),
            emitters: EmitterLink::default(),
            recent: Arc::default(),
            mailboxes,
            listening,
            started: now,
            platform: Platform::default(),
            draining: AtomicBool::new(false),
            admission: Admission::default(),
            user_rates: UserRates::default(),
            live: RwLock::new(Arc::new(live)),
        }
    }

    /// The same, with counters of what is no part of it in its sums.
    #[must_use]
    pub fn counting(mut self, others: Arc<Counters>) -> Self {
        self.counters.push(others);
        self
    }

    /// The same, on this machine.
    #[must_use]
    pub fn standing_on(mut self, platform: Platform) -> Self {
        self.platform = platform;
        self
    }

    /// The same, with what its log has said.
    #[must_use]
    pub fn remembering(mut self, recent: Arc<Recent>) -> Self {
        self.recent = recent;
        self
    }

    /// The same, with durable rooms.
    #[must_use]
    pub fn storing(mut self, store: StoreAccess) -> Self {
        self.store = Some(store);
        self
    }

    /// Takes over what was in the store: where streams stand, the projects, whose rooms are durable,
    /// and the runs that are not over.
    pub fn restore(&self, kept: Kept) {
        for room in kept.projects.iter().filter_map(|project| project.id.room()) {
            self.rooms.register(&room);
        }
        self.rooms.restore(kept.rooms, kept.epoch);
        self.projects.restore(kept.projects, kept.unfinished);
    }

    /// The same, with runs.
    #[must_use]
    pub fn executing(mut self, queue: ExecutorQueue) -> Self {
        self.executor = Some(queue);
        self
    }

    /// The configuration in force.
    #[must_use]
    pub fn live(&self) -> Arc<Live> {
        Arc::clone(&read(&self.live))
    }

    /// Goes by another configuration from now on: rooms at once, shards between two pieces of
    /// mail, what has begun to its end by the old one.
    pub fn replace(&self, live: Live) {
        let config = &live.config;
        self.rooms
            .reconfigure(config.rooms.clone(), config.limits.rooms);
        *write(&self.live) = Arc::new(live);
        self.tell_shards(|| Mail::Reconfigure);
        self.host.call();
        if let Some(executor) = &self.executor {
            executor.reconfigure();
        }
    }

    /// What a handler is given.
    #[must_use]
    pub fn context<'a>(&'a self, live: &'a Live, counters: &'a Counters, now: Now) -> Context<'a> {
        Context {
            services: self,
            live,
            counters,
            now,
        }
    }

    /// The counters of one shard.
    #[must_use]
    pub fn counters_of(&self, shard: ShardId) -> Arc<Counters> {
        self.counters
            .get(shard.index())
            .map_or_else(Arc::default, Arc::clone)
    }

    /// The counters of all that is not a shard.
    #[must_use]
    pub fn counters_of_workers(&self) -> Arc<Counters> {
        self.counters
            .get(self.mailboxes.len())
            .map_or_else(Arc::default, Arc::clone)
    }

    /// The sum of one counter over all threads.
    #[must_use]
    pub fn total(&self, counter: Counter) -> u64 {
        total(&self.counters, counter)
    }

    /// All counters, whoever counts.
    pub(super) fn counters(&self) -> &[Arc<Counters>] {
        &self.counters
    }

    /// Connections open now, WebSockets and HTTP alike; refused ones are not counted.
    #[must_use]
    pub fn connections(&self) -> u64 {
        let closed = self.total(Counter::ConnectionsClosed);
        self.total(Counter::ConnectionsAccepted)
            .saturating_sub(closed)
    }

    /// Sessions open now.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        let closed = self.total(Counter::SessionsClosed);
        self.total(Counter::SessionsOpened).saturating_sub(closed)
    }

    /// Time since the server started.
    #[must_use]
    pub fn uptime(&self, now: Now) -> Duration {
        now.mono.since(self.started.mono)
    }

    /// Puts a piece of mail into every shard's mailbox.
    pub fn tell_shards(&self, mail: impl Fn() -> Mail) {
        for mailbox in self.mailboxes.iter() {
            mailbox.push(mail());
        }
    }

    /// Whether the server is shutting down.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Notes that the server is shutting down: readiness says no from now on.
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        if let Some(executor) = &self.executor {
            executor.drain();
        }
    }

    /// Cuts what is left of a drain.
    pub fn cut_drain(&self) {
        self.tell_shards(|| Mail::Cut);
        if let Some(executor) = &self.executor {
            executor.cut();
        }
    }

    /// The answers given to publishes with an idempotency key.
    pub(super) fn receipts(&self) -> MutexGuard<'_, IdempotencyTable<Arc<Receipt>>> {
        lock(&self.receipts)
    }
}
