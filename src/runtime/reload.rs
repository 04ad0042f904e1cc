//! Reloading: on a thread of its own, because reading files can block.
//!
//! A reload is asked for by SIGHUP. The new configuration is read and checked whole before anything
//! of it is used; if anything is wrong with it, the old one stays and every fault is in the log.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::{io, thread};

use crossbeam_channel::{Sender, bounded};

use crate::app::runs::launch;
use crate::app::services::{Live, Services};
use crate::base::clock::{Clock, Wall};
use crate::config::{Config, Faults, Reload};
use crate::metrics::names::Counter;
use crate::runtime::manager::notify::Notifier;
use crate::runtime::{claude, tls};

/// Reads the configuration again, for a server that goes by the one given.
pub type Reader = Box<dyn Fn(&Config) -> Result<Reload, Faults> + Send>;

/// How a server reads its configuration again, and who is told of it.
pub(super) struct Reading {
    pub(super) reader: Reader,
    pub(super) notifier: Notifier,
}

/// The thread that reloads.
#[derive(Debug)]
pub(super) struct Reloads {
    asks: Sender<()>,
    thread: JoinHandle<()>,
    notifier: Notifier,
}

/// Where a reload is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Reloader(Sender<()>, Notifier);

impl Reloader {
    /// Has the configuration read again soon; asking twice meanwhile is asking once.
    pub(crate) fn ask(&self) {
        self.1.reloading();
        // It is full when a reload waits already, which will see all that is written by now.
        let _ = self.0.try_send(());
    }
}

impl Reloads {
    /// Starts the thread. `written` is the configuration as it was written, which the server goes
    /// by but for at most `connections_max` connections.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(super) fn start(
        reading: Reading,
        written: Config,
        connections_max: usize,
        services: &Arc<Services>,
        clock: Clock,
    ) -> io::Result<Self> {
        let (asks, asked) = bounded(1);
        let services = Arc::clone(services);
        let Reading { reader, notifier } = reading;
        let told = notifier.clone();
        let thread = thread::Builder::new()
            .name("reload".to_owned())
            .spawn(move || {
                let mut written = written;
                look_for_claude(&services);
                while asked.recv().is_ok() {
                    let now = clock.now().wall;
                    let serving = serving(&services);
                    match reload(&reader, &written, connections_max, &services, now) {
                        Some(config) => {
                            written = config;
                            told.ready(&serving);
                            look_for_claude(&services);
                        }
                        None => told.ready(&format!(
                            "{serving}; the last reload was refused, see the log"
                        )),
                    }
                }
            })?;
        Ok(Self {
            asks,
            thread,
            notifier,
        })
    }

    /// Where to ask.
    pub(super) fn reloader(&self) -> Reloader {
        Reloader(self.asks.clone(), self.notifier.clone())
    }

    /// Ends when all who could ask are gone.
    pub(super) fn finish(self) {
        drop(self.asks);
        // A reload that panicked has nothing left to say.
        let _ = self.thread.join();
    }
}

/// What the manager shows of a server that serves.
pub(super) fn serving(services: &Services) -> String {
    let addresses = services.listening.iter().map(ToString::to_string);
    let addresses: Vec<String> = addresses.collect();
    format!("listening on {}", addresses.join(", "))
}

/// Promises no more connections than there are descriptors for, and says so if that is fewer.
pub(super) fn limit_connections(live: &mut Live, most: usize) {
    if live.limit_connections(most) {
        log::warn!(
            "connections_clamped limit={most} hint=\"raise the hard limit of open files (ulimit \
             -Hn) for more\""
        );
    }
}

/// Looks for the programs of the agents.
pub(super) fn look_for_agents(live: &mut Live) {
    live.missing_agents = launch::missing(&live.config);
}

/// Looks for the Claude CLI and its version, which takes a while.
fn look_for_claude(services: &Services) {
    if let Some(found) = claude::look_up(&services.live().config) {
        services.resources.found_claude(found);
    }
}

/// Says which agents have no program; runs of them are refused.
pub(super) fn tell_of_missing_agents(live: &Live) {
    for name in &live.missing_agents {
        log::warn!(
            "agent_missing agent={name} hint=\"install its program, or write its path as \
             agents.{name}.command\""
        );
    }
}

/// Reloads once; returns with the configuration as written if it is in force now.
pub(crate) fn reload(
    reader: &Reader,
    written: &Config,
    connections_max: usize,
    services: &Services,
    now: Wall,
) -> Option<Config> {
    let counters = services.counters_of_workers();
    let read = reader(written).and_then(|reload| {
        let mut live = Live::of(reload.config.clone())?;
        let before = services.live();
        live.tls = tls::acceptor(&reload.config, before.tls.as_ref(), now)?;
        Ok((reload, live))
    });
    let (reload, mut live) = match read {
        Ok(read) => read,
        Err(faults) => {
            counters.increment(Counter::ReloadsFailed);
            for fault in &faults.0 {
                log::error!("reload_fault fault=\"{fault}\"");
            }
            log::error!(
                "reload_refused faults={} meaning=\"nothing has changed\"",
                faults.0.len()
            );
            return None;
        }
    };
    limit_connections(&mut live, connections_max);
    look_for_agents(&mut live);
    tell_of_missing_agents(&live);
    log::set_max_level(live.config.log.level);
    services.replace(live);
    counters.increment(Counter::Reloads);
    for warning in &reload.warnings {
        log::warn!("config_warning problem=\"{warning}\"");
    }
    for key in &reload.needs_restart {
        log::warn!("reload_waits key={key} hint=\"restart the server to apply it\"");
    }
    log::info!(
        "reload_done applied=\"{}\" needs_restart=\"{}\"",
        reload.applied.join(" "),
        reload.needs_restart.join(" ")
    );
    Some(reload.config)
}
