//! What is done about resources that run short: who is told, what is refused, what is given back.
//!
//! ```text
//! figures ─▶ readings ─▶ Monitor ─▶ changes: log, counters
//!   limits, cgroup ─┘        └────▶ Status: admission, runs, health
//!                            over memory ─▶ rooms, receipts, store, shards give theirs back
//! ```
//!
//! May not touch: clocks, the thread that looks, where figures are read. Invariant: what was promised
//! is kept: no session, no history of a room with members and no answer that may still be asked for
//! again is given up.

use std::sync::{Arc, RwLock};

use crate::app::services::{Context, Services};
use crate::base::limits;
use crate::base::locks::{read, write};
use crate::bus::mail::Mail;
use crate::config::Limits;
use crate::domain::claude_cli::ClaudeCli;
use crate::domain::monitor::{Change, Excess, Level, Monitor, Reading, Readings, Status};
use crate::host::cgroup;
use crate::metrics::names::Counter;
use crate::os::disk::Space;

/// What was seen last, for all who ask.
#[derive(Debug, Default)]
pub struct Resources {
    seen: RwLock<Seen>,
    claude: RwLock<Option<Arc<ClaudeCli>>>,
}

/// What one look has shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How the resources stand.
    pub status: Status,
    /// The disk of the data directory; `None` if nobody can tell.
    pub disk: Option<Space>,
}

impl Resources {
    /// What was seen last.
    #[must_use]
    pub fn seen(&self) -> Seen {
        *read(&self.seen)
    }

    /// How the resources stand.
    #[must_use]
    pub fn status(&self) -> Status {
        read(&self.seen).status
    }

    /// What is known of the Claude CLI; `None` until it was looked for.
    #[must_use]
    pub fn claude(&self) -> Option<Arc<ClaudeCli>> {
        read(&self.claude).clone()
    }

    /// Takes what was found of the Claude CLI.
    pub fn found_claude(&self, found: ClaudeCli) {
        *write(&self.claude) = Some(Arc::new(found));
    }
}

/// What is in use, as the system tells.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Bytes of our memory that are in RAM.
    pub memory: u64,
    /// Our threads.
    pub threads: u64,
    /// Our open descriptors.
    pub descriptors: u64,
    /// How many of these there can be; `None` if unknown.
    pub descriptor_limit: Option<u64>,
    /// The disk of the data directory.
    pub disk: Option<Space>,
    /// The limits of the control group.
    pub group: cgroup::Limits,
}

impl Figures {
    /// These with the limits that they are held against: the configured ones, or the group's where
    /// they are smaller, against which all counts that is in the group.
    #[must_use]
    pub fn readings(&self, limits: &Limits) -> Readings {
        let megabytes = |count: usize| (count as u64).saturating_mul(1 << 20);
        let memory = limits.memory_mb.map(megabytes);
        let threads = limits.threads.map(|count| count as u64);
        let group = &self.group;
        // The last ones are for those who look after the server, unless it has hardly any.
        let descriptors = self.descriptor_limit.map(|limit| {
            let kept = (limits::RESERVED_DESCRIPTORS as u64).min(limit / DESCRIPTORS_PART);
            Reading::of(self.descriptors, limit - kept)
        });
        [
            tighter((self.memory, memory), (group.memory_used, group.memory())),
            tighter((self.threads, threads), (group.pids_used, group.pids_max)),
            descriptors,
            self.disk
                .map(|disk| Reading::of_disk(disk.available, disk.total)),
        ]
    }
}

/// What part of all descriptors is kept at most.
const DESCRIPTORS_PART: u64 = 16;

/// A reading against the smaller of two limits.
fn tighter(own: (u64, Option<u64>), group: (Option<u64>, Option<u64>)) -> Option<Reading> {
    match (own.1, group.1) {
        (Some(limit), Some(of_group)) if limit <= of_group => Some(Reading::of(own.0, limit)),
        (_, Some(limit)) => Some(Reading::of(own.0.max(group.0.unwrap_or(0)), limit)),
        (Some(limit), None) => Some(Reading::of(own.0, limit)),
        (None, None) => None,
    }
}

impl Services {
    /// Takes what was just read and does what follows from it. True if memory was freed that the
    /// allocator should give back to the system now.
    pub fn observe(&self, monitor: &mut Monitor, figures: &Figures, context: Context<'_>) -> bool {
        let readings = figures.readings(&context.live.config.limits);
        for change in monitor.observe(readings) {
            tell(change, context);
        }
        let status = monitor.status();
        *write(&self.resources.seen) = Seen {
            status,
            disk: figures.disk,
        };
        let Some(bytes) = status.memory_to_release() else {
            return false;
        };
        let publications = self.rooms.release(bytes);
        self.receipts().release(context.now.mono);
        if let Some(store) = &self.store {
            store.release();
        }
        self.tell_shards(|| Mail::Release);
        let counters = context.counters;
        counters.increment(Counter::CachesReleased);
        counters.add(Counter::HistoryReleased, publications as u64);
        if publications > 0 {
            log::warn!(
                "history_released publications={publications} meaning=\"rooms that nobody is in \
                 forgot what was said in them, because the server is over its limit on memory\""
            );
        }
        true
    }

    /// Why no new connection is taken at the moment, if none is.
    #[must_use]
    pub fn refuses_connections(&self) -> Option<Excess> {
        self.resources.status().refuses_connections()
    }
}

/// Says that a resource stands otherwise than before, once for each change.
fn tell(change: Change, context: Context<'_>) {
    let Change { resource, to, .. } = change;
    let (current, limit) = change
        .reading
        .map_or((0, 0), |reading| (reading.current, reading.limit));
    let (word, remedy) = (resource.word(), resource.remedy());
    match to {
        Level::Normal => {
            log::info!("resource_recovered resource={word} current={current} limit={limit}");
        }
        Level::Near => {
            context.counters.increment(Counter::ResourcesNear);
            log::warn!(
                "resource_near resource={word} current={current} limit={limit} hint=\"{remedy}\""
            );
        }
        Level::Over => {
            context.counters.increment(Counter::ResourcesOver);
            log::warn!(
                "resource_over resource={word} current={current} limit={limit} \
                 meaning=\"nothing new is taken until it is below\" hint=\"{remedy}\""
            );
        }
    }
}

#[cfg(test)]
#[path = "monitor_tests.rs"]
mod tests;
