//! What one reactor does for all of them: it accepts, hears the signals, has the rooms swept, tells
//! the service manager how we are, and stays until the others have ended.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpListener;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::app::services::Services;
use crate::base::clock::Mono;
use crate::base::ids::PeerId;
use crate::bus::mail::Mail;
use crate::metrics::table::COUNTERS;
use crate::os::signals::{Signal, SignalPipe};
use crate::runtime::logging::Logging;
use crate::runtime::manager::notify::Notifier;
use crate::runtime::manager::watchdog::Watchdog;
use crate::runtime::monitor::Looker;
use crate::runtime::reactor::accept::Acceptor;
use crate::runtime::reactor::deal::Dealer;
use crate::runtime::reactor::fleet::Fleet;
use crate::runtime::reload::Reloader;

/// The signal pipe's number.
pub(super) const SIGNALS: u32 = 1;
/// The first listener's number; the others follow.
const LISTENERS: u32 = 2;

/// The leader's part of a reactor.
pub(super) struct Lead {
    pub(super) acceptor: Acceptor,
    signals: SignalPipe,
    reloader: Reloader,
    looker: Looker,
    pub(super) fleet: Arc<Fleet>,
    drain: Draining,
    notifier: Notifier,
    watchdog: Option<Watchdog>,
    /// When rooms are looked at next.
    pub(super) next_sweep: Mono,
    sweeps: usize,
}

/// What the leading reactor is made of beside the rest.
pub(crate) struct LeadParts {
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) signals: SignalPipe,
    pub(crate) dealer: Dealer,
    /// Refused connections that may be told so at a time.
    pub(crate) refusals: usize,
    pub(crate) reloader: Reloader,
    pub(crate) looker: Looker,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) notifier: Notifier,
    pub(crate) watchdog: Option<Watchdog>,
}

/// How far shutting down has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Draining {
    No,
    Asked,
    /// A second signal came: everything was cut.
    Cut,
}

/// The seconds between two looks at unused rooms; each looks at a 64th of them.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

impl Lead {
    /// Registers listeners and signals.
    ///
    /// # Errors
    /// When the poll does not take one.
    pub(super) fn new(parts: LeadParts, registry: &Registry) -> io::Result<Self> {
        let LeadParts {
            listeners,
            signals,
            dealer,
            refusals,
            reloader,
            looker,
            fleet,
            notifier,
            watchdog,
        } = parts;
        let acceptor = Acceptor::new(listeners, LISTENERS, dealer, refusals, registry)?;
        let token = Token(PeerId::shell_token(SIGNALS));
        registry.register(&mut SourceFd(&signals.fd()), token, Interest::READABLE)?;
        Ok(Self {
            acceptor,
            signals,
            reloader,
            looker,
            fleet,
            drain: Draining::No,
            notifier,
            watchdog,
            next_sweep: Mono::ZERO,
            sweeps: 0,
        })
    }

    /// Does what the signals that have come ask for.
    pub(super) fn hear(
        &mut self,
        services: &Services,
        registry: &Registry,
        logging: Option<&Logging>,
    ) {
        for signal in self.signals.drain() {
            match signal {
                Signal::Terminate => self.terminate(services, registry),
                Signal::Reload => self.reloader.ask(),
                Signal::ReopenLogs => {
                    if let Some(logging) = logging {
                        logging.reopen();
                    }
                }
                Signal::DumpMetrics => {
                    dump_metrics(services);
                    self.looker.ask();
                }
            }
        }
    }

    /// Whether a second signal cut what was left.
    pub(super) fn was_cut(&self) -> bool {
        self.drain == Draining::Cut
    }

    /// A first signal drains every shard, a second one cuts what is left.
    fn terminate(&mut self, services: &Services, registry: &Registry) {
        let connections = services.connections();
        match self.drain {
            Draining::No => {
                log::info!("shutdown_begun connections={connections}");
                self.notifier
                    .stopping(&format!("saying goodbye to {connections} connections"));
                self.drain = Draining::Asked;
                services.begin_drain();
                self.acceptor.close(registry);
                let timeout = services.live().config.server.shutdown_timeout;
                services.tell_shards(|| Mail::Drain(timeout));
            }
            Draining::Asked | Draining::Cut => {
                log::warn!("shutdown_cut connections={connections}");
                self.drain = Draining::Cut;
                services.cut_drain();
            }
        }
    }

    /// Lets the manager know that no reactor is stuck.
    pub(super) fn watch(&mut self, now: Mono) {
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.watch(now);
        }
    }

    /// When accepting goes on, or the manager is to hear of us.
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        let watchdog = self.watchdog.as_ref().map(Watchdog::next);
        self.acceptor
            .next_deadline()
            .into_iter()
            .chain(watchdog)
            .min()
    }

    /// Which part of the rooms is to be swept now, if any is.
    pub(super) fn sweep_due(&mut self, now: Mono) -> Option<usize> {
        if now < self.next_sweep {
            return None;
        }
        self.next_sweep = now + SWEEP_INTERVAL;
        self.sweeps = self.sweeps.wrapping_add(1);
        Some(self.sweeps)
    }
}

fn dump_metrics(services: &Services) {
    for (counter, name, _) in COUNTERS {
        log::info!("metric name={name} value={}", services.total(*counter));
    }
}
