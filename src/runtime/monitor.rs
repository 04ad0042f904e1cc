//! The thread that looks at the server's resources: every 30 s, every 5 s while one is over its
//! limit, and at once when it is asked (SIGUSR2).
//!
//! It reads figures and gives freed memory back to the system; what follows from them is
//! [`crate::app::monitor`]'s. Reading files and asking a disk can block, so nobody waits for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::{io, thread};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::app::monitor::Figures;
use crate::app::services::Services;
use crate::base::clock::Clock;
use crate::base::limits;
use crate::domain::monitor::{Level, Monitor};
use crate::host::cgroup;
use crate::os::{descriptor_limit, disk, memory, process_usage};

/// The thread.
#[derive(Debug)]
pub(super) struct MonitorThread {
    asks: Sender<()>,
    thread: JoinHandle<()>,
}

/// Where a look is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Looker(Sender<()>);

impl Looker {
    /// Has the resources looked at soon; asking twice meanwhile is asking once.
    pub(crate) fn ask(&self) {
        let _ = self.0.try_send(());
    }
}

impl MonitorThread {
    /// Starts the thread, which looks for the first time at once.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(super) fn start(services: &Arc<Services>, clock: Clock) -> io::Result<Self> {
        let (asks, asked) = bounded(1);
        let services = Arc::clone(services);
        let thread = thread::Builder::new()
            .name("monitor".to_owned())
            .spawn(move || {
                // Without it nothing is refused for want of resources, and all else goes on.
                if catch_unwind(AssertUnwindSafe(|| watch(&asked, &services, clock))).is_err() {
                    log::error!("monitor_panic meaning=\"limits on resources do not count now\"");
                }
            })?;
        Ok(Self { asks, thread })
    }

    /// Where to ask.
    pub(super) fn looker(&self) -> Looker {
        Looker(self.asks.clone())
    }

    /// Ends when all who could ask are gone.
    pub(super) fn finish(self) {
        drop(self.asks);
        // One that panicked has said so.
        let _ = self.thread.join();
    }
}

fn watch(asked: &Receiver<()>, services: &Services, clock: Clock) {
    let counters = services.counters_of_workers();
    let mut monitor = Monitor::default();
    loop {
        let live = services.live();
        let figures = figures(&live.config.server.data_dir);
        let context = services.context(&live, &counters, clock.now());
        if services.observe(&mut monitor, &figures, context) {
            memory::release_unused();
        }
        drop(live);
        let (level, _) = monitor.status().worst();
        let interval = match level {
            Level::Normal | Level::Near => limits::MONITOR_INTERVAL,
            Level::Over => limits::MONITOR_RECHECK,
        };
        match asked.recv_timeout(interval) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn figures(data_dir: &Path) -> Figures {
    let own = process_usage::own();
    Figures {
        memory: own.usage.resident_bytes,
        threads: own.threads,
        descriptors: own.open_descriptors,
        descriptor_limit: descriptor_limit::soft().ok(),
        disk: disk::space(data_dir).ok(),
        group: cgroup::read(Path::new("/")),
    }
}
