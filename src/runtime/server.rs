//! Puts a server together: listeners, mailboxes, services, workers, the reactor; and takes it
//! apart in reverse order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::{fmt, io};

use mio::net::TcpListener;
use mio::{Poll, Token, Waker};
use std::os::fd::AsFd;

use crate::app::services::Services;
use crate::base::clock::Clock;
use crate::base::ids::{PeerId, ShardId};
use crate::base::limits;
use crate::base::rng::{RandomUnavailable, Rng};
use crate::bus::mailbox::Mailbox;
use crate::config::Config;
use crate::os::{descriptor_limit, signals, socket};
use crate::runtime::logging::Logging;
use crate::runtime::reactor::{Parts, Reactor, WAKER};
use crate::runtime::workers::Workers;
use crate::shard::Shard;

/// A server that listens and is about to serve.
pub struct Server {
    reactor: Reactor,
    workers: Workers,
    services: Arc<Services>,
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
    /// Another part of the operating system refused.
    #[error("cannot start: {0}")]
    Io(#[from] io::Error),
    /// No randomness.
    #[error("cannot start: {0}")]
    Random(#[from] RandomUnavailable),
}

/// Descriptors that are not for connections: standard streams, listeners, polls, log, workers.
const RESERVED_DESCRIPTORS: u64 = 64;

/// Reactors for now; everything but the dealing of accepted sockets is built for several.
const SHARDS: usize = 1;

impl Server {
    /// Raises the descriptor limit, listens, takes over the signals and starts the workers.
    ///
    /// # Errors
    /// When an address is taken or the operating system refuses something.
    pub fn start(mut config: Config) -> Result<Self, StartFault> {
        clamp_connections(&mut config)?;
        let clock = Clock::start();
        let mut rng = Rng::from_os()?;
        let (listeners, listening) = listen(&config.server.listen)?;
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), Token(PeerId::shell_token(WAKER)))?;
        let wake = move || {
            if let Err(error) = waker.wake() {
                log::error!("wake_failed error=\"{error}\"");
            }
        };
        let mailbox = Arc::new(Mailbox::new(limits::MAILBOX_MAIL, Box::new(wake)));
        let mailboxes: Arc<[Arc<Mailbox>]> = Arc::new([Arc::clone(&mailbox)]);
        debug_assert_eq!(mailboxes.len(), SHARDS);
        let workers_wanted = config.server.workers;
        let services = Arc::new(Services::new(
            config,
            mailboxes,
            listening,
            rng.split(),
            clock.now(),
        ));
        let workers = Workers::start(workers_wanted, &services, clock)?;
        let id = ShardId(0);
        let counters = services.counters_of(id);
        let shard = Shard::new(id, Arc::clone(&services), rng);
        let reactor = Reactor::new(Parts {
            poll,
            shard,
            listeners,
            signals: Some(signals::install()?),
            clock,
            services: Arc::clone(&services),
            counters,
            mailbox,
            jobs: workers.jobs(),
        })?;
        Ok(Self {
            reactor,
            workers,
            services,
        })
    }

    /// The addresses it listens on, with the ports that the operating system chose.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.services.listening
    }

    /// Serves on this thread until a signal ends it.
    ///
    /// # Errors
    /// When the poll fails.
    pub fn run(self, logging: Option<&Logging>) -> io::Result<Outcome> {
        let Self {
            reactor,
            workers,
            services,
        } = self;
        let ended = reactor.run(logging);
        // Nobody reads the mail any more; a worker must not wait for room in it.
        for mailbox in services.mailboxes.iter() {
            mailbox.close();
        }
        workers.finish();
        let ended = ended?;
        log::info!(
            "shutdown_done complete={} sessions={} publications={} messages_sent={}",
            ended.is_complete,
            services.total(crate::metrics::names::Counter::SessionsOpened),
            services.total(crate::metrics::names::Counter::Publications),
            services.total(crate::metrics::names::Counter::MessagesSent),
        );
        Ok(if ended.is_complete {
            Outcome::Drained
        } else {
            Outcome::Cut
        })
    }
}

/// No more connections are promised than there are descriptors for.
fn clamp_connections(config: &mut Config) -> io::Result<()> {
    let descriptors = descriptor_limit::raise()?;
    let most = usize::try_from(descriptors.saturating_sub(RESERVED_DESCRIPTORS).max(1));
    let most = most.unwrap_or(usize::MAX);
    if config.limits.connections.is_none_or(|wanted| wanted > most) {
        log::warn!(
            "connections_clamped limit={most} descriptors={descriptors} \
             hint=\"raise the hard limit of open files (ulimit -Hn) for more\""
        );
        config.limits.connections = Some(most);
    }
    Ok(())
}

fn listen(addresses: &[SocketAddr]) -> Result<(Vec<TcpListener>, Vec<SocketAddr>), StartFault> {
    let mut listeners = Vec::with_capacity(addresses.len());
    let mut listening = Vec::with_capacity(addresses.len());
    for address in addresses {
        let fault = |error: io::Error| StartFault::Listen {
            address: *address,
            hint: match error.kind() {
                io::ErrorKind::AddrInUse => "; another program listens there: choose with --listen",
                io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
                _ => "",
            },
            error,
        };
        let listener = TcpListener::bind(*address).map_err(fault)?;
        socket::set_backlog(listener.as_fd(), limits::LISTEN_BACKLOG).map_err(fault)?;
        listening.push(listener.local_addr().map_err(fault)?);
        listeners.push(listener);
    }
    Ok((listeners, listening))
}
