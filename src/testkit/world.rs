//! A whole server without sockets or threads: shards, rooms, jobs, clients, one clock, one seed.
//!
//! ```text
//!   Client ──Link── Reactor(Shard) ──Mailbox── Rooms, Jobs      all driven by World::turn
//! ```
//!
//! Time moves only in [`World::advance`]. The same seed and the same calls give the same bytes at
//! the same times ([`World::trace`]). After every turn of every shard its invariants are checked.

#![allow(clippy::expect_used, clippy::panic)]

mod client;
mod jobs;
mod presence;
mod reactor;
mod store;

pub use client::{Answer, Client, End, HOST, KEY, Message};
pub use jobs::Jobs;
pub use presence::Asking;
pub use store::{Disk, Writing};

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use crate::app::admission::Refusal;
use crate::app::services::{Live, Services};
use crate::base::clock::{Mono, Now, Wall};
use crate::base::ids::ShardId;
use crate::base::limits;
use crate::base::rng::Rng;
use crate::bus::execution::{ExecutorInbox, executor_queue};
use crate::bus::mailbox::Mailbox;
use crate::config::{Flags, Sources, load, no_files};
use crate::metrics::names::Counter;
use crate::protocol::tls::acceptor::REFUSAL;
use crate::shard::Shard;
use crate::testkit::link::{Conditions, Link};
use crate::testkit::tls::{self, TlsClient, TlsClientConfig, Version};
use crate::testkit::world::reactor::{Around, Arrival, Reactor};

/// A client of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(usize);

/// The server with its clients.
pub struct World {
    /// What all shards share.
    pub services: Arc<Services>,
    /// How jobs are treated.
    pub jobs: Jobs,
    /// How the store's thread behaves, if there are durable rooms.
    pub writing: Writing,
    /// What is asked of the executor, whose part the test plays.
    pub requests: ExecutorInbox,
    /// What it writes into.
    pub disk: Disk,
    /// How the links of clients behave that are opened from now on.
    pub conditions: Conditions,
    /// Whether sockets become ready in any order, as no kernel promises one; otherwise in that of
    /// the connections.
    pub is_unordered: bool,
    /// Chance, for the links and for tests.
    pub rng: Rng,
    /// What the TLS of clients is made from, that are opened from now on.
    pub tls_clients: TlsClientConfig,
    reactors: Vec<Reactor>,
    clients: Vec<Client>,
    now: Now,
    /// When time began, by the wall clock as it is set now.
    wall_began_ms: u64,
    next_sweep: Mono,
    trace: DefaultHasher,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "World({} clients, {:?})", self.clients.len(), self.now)
    }
}

/// What a world is made with; `Options::default()` is one shard with the default config.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The config file's text.
    pub config: &'a str,
    /// How many shards.
    pub shards: u16,
    /// Pieces of mail that a mailbox holds.
    pub mailbox: usize,
    /// What chance follows.
    pub seed: u64,
    /// Whether all speak TLS. The keys are the system's chance, so a seed does not replay bytes.
    pub tls: bool,
    /// Whether there are projects and runs.
    pub has_runs: bool,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            config: "",
            shards: 1,
            mailbox: limits::MAILBOX_MAIL,
            seed: 1,
            tls: std::env::var_os(TLS).is_some(),
            has_runs: false,
        }
    }
}

/// The variable that has all worlds speak TLS that do not say, so that the same tests can be run
/// with and without.
pub const TLS: &str = "KINGLET_TEST_TLS";

/// Turns without an end in sight mean that something spins.
const TURNS_MAX: usize = 200_000;

/// The beginning of 2026, when every world begins.
const EPOCH_MS: u64 = 1_767_225_600_000;

/// Turns of [`crate::bus::rooms::Rooms::sweep`] that look at every room once.
const STRIPES: usize = 64;

impl World {
    /// A server with nobody connected.
    #[must_use]
    pub fn new(options: Options<'_>) -> Self {
        Self::on(options, Disk::default())
    }

    /// A server with nobody connected, with what an earlier one has left on its disk. Its time goes
    /// on where worlds begin.
    #[must_use]
    pub fn on(options: Options<'_>, disk: Disk) -> Self {
        let flags = Flags::default();
        let sources = Sources {
            file: Some(("world.toml", options.config)),
            environment: &[],
            flags: &flags,
            files: no_files,
        };
        let (mut config, _) = load(&sources).expect("the config of a test is valid");
        let mut rng = Rng::from_seed(options.seed);
        let now = Now {
            mono: Mono::from_nanos(1_000_000_000),
            wall: Wall::from_millis(EPOCH_MS),
        };
        let mailboxes: Arc<[Arc<Mailbox>]> = (0..options.shards)
            .map(|_| Arc::new(Mailbox::new(options.mailbox, Box::new(|| {}))))
            .collect();
        let listening = config.server.listen.clone();
        let pair = options.tls.then(|| tls::self_signed_pair(now.wall));
        config.server.tls.files = pair.as_ref().map(tls::files);
        let mut live = Live::of(config).expect("the config of a test is valid");
        live.tls = pair.map(|pair| tls::acceptor(&pair, now.wall));
        let services = Services::new(live, Arc::clone(&mailboxes), listening, rng.split(), now);
        let config = &services.live().config.clone();
        let has_runs = options.has_runs;
        let (writing, services) = Writing::open(config, &disk, services, &mut rng, has_runs);
        let (queue, requests) = executor_queue(limits::EXECUTOR_REQUESTS, Box::new(|| {}));
        let services = Arc::new(match has_runs {
            true => services.executing(queue),
            false => services,
        });
        let reactors = (0..options.shards)
            .zip(mailboxes.iter())
            .map(|(id, mailbox)| {
                let shard = Shard::new(ShardId(id), Arc::clone(&services), rng.split());
                Reactor::new(shard, Arc::clone(mailbox))
            })
            .collect();
        Self {
            services,
            jobs: Jobs::default(),
            writing,
            requests,
            disk,
            conditions: Conditions::default(),
            is_unordered: false,
            rng,
            tls_clients: TlsClientConfig::new(Version::Tls13, &["http/1.1"]),
            reactors,
            clients: Vec::new(),
            now,
            wall_began_ms: EPOCH_MS - now.mono.as_millis(),
            next_sweep: Mono::ZERO,
            trace: DefaultHasher::new(),
        }
    }

    /// A client connects; the shards take turns.
    pub fn open(&mut self) -> ClientId {
        self.open_from(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// A client connects from an address; it may be refused.
    pub fn open_from(&mut self, address: IpAddr) -> ClientId {
        // As the shell does when it accepts.
        let address = address.to_canonical();
        let counters = self.services.counters_of(ShardId(0));
        let live = self.services.live();
        let context = self.services.context(&live, &counters, self.now);
        let admitted = self.services.accept(address, context);
        let client = self.clients.len();
        let link = Link {
            conditions: self.conditions,
            ..Link::default()
        };
        let speaks_tls = live.tls.is_some();
        let tls = speaks_tls.then(|| TlsClient::new(&self.tls_clients));
        self.clients.push(Client::new(link, tls));
        let shard = client % self.reactors.len();
        self.reactors[shard].arrive(Arrival::Accepted {
            client,
            address,
            admitted: admitted.map_err(|refusal| match live.tls {
                Some(_) => REFUSAL.to_vec(),
                None => Refusal::bytes(refusal),
            }),
        });
        ClientId(client)
    }

    /// A client connects and gets a WebSocket at `target`.
    pub fn connect(&mut self, target: &str) -> ClientId {
        let (id, answer) = self.ask_to_upgrade(target, &[], &[]);
        assert_eq!(answer.status, 101, "{target}: {}", answer.body);
        id
    }

    /// A client connects and asks for a WebSocket, with these subprotocols and further headers.
    pub fn ask_to_upgrade(
        &mut self,
        target: &str,
        protocols: &[&str],
        headers: &[(&str, &str)],
    ) -> (ClientId, Answer) {
        let id = self.open();
        self.client(id).upgrade_offering(target, protocols, headers);
        self.settle();
        while self.client(id).answers.is_empty() && self.next_arrival().is_some() {
            self.advance(Duration::from_millis(1));
        }
        let answer = self.client(id).answers.pop_front();
        (id, answer.expect("a handshake is answered"))
    }

    /// A client, to send with and to look at.
    pub fn client(&mut self, id: ClientId) -> &mut Client {
        &mut self.clients[id.0]
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Now {
        self.now
    }

    /// One turn of every client, of every shard that has a reason to be awake, of the workers.
    /// True if anything happened, so that more may follow without time passing.
    pub fn turn(&mut self) -> bool {
        let mut active = false;
        for client in &mut self.clients {
            active |= client.turn(&mut self.rng, self.now.mono);
        }
        for index in 0..self.reactors.len() {
            let due = self.now.mono >= self.next_sweep && self.services.rooms.count() > 0;
            let sweeps = index == 0 && due;
            if sweeps {
                self.writing.rest(&self.services, self.now);
                self.next_sweep = self.now.mono + Duration::from_secs(1);
            }
            let mut around = Around {
                clients: &mut self.clients,
                jobs: &mut self.jobs,
                rng: &mut self.rng,
                is_unordered: self.is_unordered,
                trace: &mut self.trace,
                now: self.now,
            };
            let (rooms, now) = (&self.services.rooms, self.now.mono);
            let reactor = &mut self.reactors[index];
            if !sweeps && !reactor.is_awake(around.clients, self.now) {
                continue;
            }
            active = true;
            reactor.turn(&mut around, || {
                // All stripes at once: which one a room is in is chance without a seed.
                for stripe in 0..if sweeps { STRIPES } else { 0 } {
                    rooms.sweep(stripe, now);
                }
            });
            for (shard, arrival) in std::mem::take(&mut reactor.leaving) {
                self.reactors[shard.index()].arrive(arrival);
            }
        }
        active |= self.jobs.turn(&self.services, self.now);
        active |= self.writing.turn(&self.services, &mut self.rng, self.now);
        active
    }

    /// Turns until everything rests that does not wait for time to pass.
    pub fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            if !self.turn() {
                self.check_admission();
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    /// What is counted of connections is what the shards have.
    fn check_admission(&self) {
        let handshakes: usize = self.shards().map(Shard::handshakes).sum();
        assert_eq!(self.services.handshakes(), handshakes);
        let mut counted: HashMap<IpAddr, usize> = HashMap::new();
        for (client, count) in self.shards().flat_map(Shard::counted_clients) {
            *counted.entry(client).or_default() += count;
        }
        assert_eq!(self.services.counted_clients(), counted);
        let refusals: usize = self.shards().map(Shard::refusals).sum();
        assert_eq!(
            self.services.connections(),
            (self.connections() - refusals) as u64
        );
        if !self.services.is_draining() {
            let unsettled: usize = self.shards().map(Shard::unsettled).sum();
            let of_rooms = self.services.rooms.unsettled();
            assert!(of_rooms <= unsettled, "a change of presence is lost");
        }
        let live = self.services.live();
        let is_over = |shard: &Shard| shard.drain_report().is_some() && shard.is_empty();
        let is_current = |shard: &Shard| is_over(shard) || shard.goes_by(&live);
        assert!(self.shards().all(is_current), "a reload is lost");
    }

    /// Lets time pass, with a turn whenever something is due.
    pub fn advance(&mut self, time: Duration) {
        let target = self.now.mono + time;
        self.settle();
        while self.now.mono < target {
            let next = self.next_moment().map_or(target, |next| next.min(target));
            self.pass(next.since(self.now.mono).max(Duration::from_nanos(1)));
            self.settle();
        }
    }

    /// Lets time pass without a turn, for clients that are slower than the server: whoever
    /// settles lets them read to the end.
    pub fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
        let millis = self.now.mono.as_millis();
        self.now.wall = Wall::from_millis(self.wall_began_ms + millis);
    }

    /// Sets the wall clock, which time itself does not notice.
    pub fn set_wall(&mut self, wall: Wall) {
        self.wall_began_ms = wall.as_millis() - self.now.mono.as_millis();
        self.now.wall = wall;
    }

    fn next_moment(&self) -> Option<Mono> {
        let deadlines = self.reactors.iter().map(|each| each.shard.next_deadline());
        let sweep = (self.services.rooms.count() > 0).then_some(self.next_sweep);
        deadlines
            .chain([sweep, self.next_arrival()])
            .flatten()
            .filter(|moment| *moment > self.now.mono)
            .min()
    }

    /// When the next bytes arrive that are on their way.
    fn next_arrival(&self) -> Option<Mono> {
        let now = self.now.mono;
        let arrivals = self.clients.iter().flat_map(|client| {
            let link = &client.link;
            [link.up.next_arrival(now), link.down.next_arrival(now)]
        });
        arrivals.flatten().min()
    }

    /// Begins to shut down; see [`Shard::begin_drain`].
    pub fn begin_drain(&mut self, timeout: Duration) {
        self.services.begin_drain();
        for reactor in &mut self.reactors {
            reactor.shard.begin_drain(timeout, self.now);
            reactor.wake();
        }
    }

    /// Connections that the drain has cut so far.
    #[must_use]
    pub fn drain_cut(&self) -> usize {
        let reports = self.reactors.iter().map(|each| each.shard.drain_report());
        reports.flatten().map(|report| report.cut).sum()
    }

    /// Connections on all shards.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.reactors.iter().map(|each| each.shard.len()).sum()
    }

    /// What was counted.
    #[must_use]
    pub fn total(&self, counter: Counter) -> u64 {
        self.services.total(counter)
    }

    /// The shards, to look at.
    pub fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.reactors.iter().map(|each| &each.shard)
    }

    /// A digest of every byte written so far, to whom and in which order.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.trace.finish()
    }
}
