//! The store's thread as a value: it writes at once, some turns later, or fails; and the directory
//! that it writes into, which can outlive a world.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, fs, process};

use crate::app::durable::{Clerk, Settled, StoreAccess};
use crate::app::services::Services;
use crate::base::clock::Now;
use crate::base::limits;
use crate::base::rng::Rng;
use crate::bus::order::{StoreInbox, store_queue};
use crate::config::Config;
use crate::domain::position::Epoch;
use crate::store::database::{Opening, Store};

/// A directory for a store, removed with the last who has it.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Directory>);

#[derive(Debug)]
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Default for Disk {
    fn default() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // In memory where that can be had: what is tested is what is done, not the disk.
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() {
            memory.to_owned()
        } else {
            env::temp_dir()
        };
        let name = format!("kinglet-world-{}-{number}", process::id());
        Self(Arc::new(Directory(base.join(name))))
    }
}

impl Disk {
    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.0
    }
}

/// What is written, and how it is treated.
#[derive(Debug, Default)]
pub struct Writing {
    /// A transaction takes up to so many turns, at random.
    pub delay_turns_max: u64,
    /// Of a hundred transactions, so many fail.
    pub failing_percent: u64,
    /// Nothing is written while this is set, however much time passes.
    pub hold: bool,
    parts: Option<Parts>,
}

#[derive(Debug)]
struct Parts {
    clerk: Clerk,
    inbox: StoreInbox,
    settled: VecDeque<Settled>,
    wait: u64,
}

impl Writing {
    /// Opens the store of a world, if its configuration has durable rooms or it has runs.
    pub(super) fn open(
        config: &Config,
        disk: &Disk,
        services: Services,
        rng: &mut Rng,
        has_runs: bool,
    ) -> (Self, Services) {
        if !config.rooms.any_durable() && !has_runs {
            return (Self::default(), services);
        }
        let opened = Store::open(&Opening {
            directory: disk.path(),
            durability: config.store.durability,
            boot: Some("the only boot"),
            fresh: Epoch::random(rng),
        });
        let opened = opened.expect("the store of a test can be opened");
        let (queue, inbox) = store_queue(config.store.queue);
        services.restore(opened.kept);
        let services = services.storing(StoreAccess::new(queue, opened.store.readers()));
        let parts = Parts {
            clerk: Clerk::new(opened.store),
            inbox,
            settled: VecDeque::new(),
            wait: 0,
        };
        let writing = Self {
            parts: Some(parts),
            ..Self::default()
        };
        (writing, services)
    }

    /// Writes what waits, or lets one thing enter its rooms that is written. True if there was any.
    pub(super) fn turn(&mut self, services: &Services, rng: &mut Rng, now: Now) -> bool {
        let Some(parts) = &mut self.parts else {
            return false;
        };
        let counters = services.counters_of_workers();
        let live = services.live();
        let context = services.context(&live, &counters, now);
        let mailboxes = &services.mailboxes;
        if !parts.settled.is_empty() {
            if mailboxes.iter().all(|mailbox| mailbox.has_room())
                && let Some(settled) = parts.settled.pop_front()
                && let Some((shard, mail)) = settled.apply(context)
                && let Some(mailbox) = mailboxes.get(shard.index())
            {
                mailbox.push(mail);
            }
            return true;
        }
        let waits = services
            .store
            .as_ref()
            .is_some_and(|store| !store.queue.is_empty());
        if self.hold || !waits {
            return false;
        }
        if parts.wait > 0 {
            parts.wait -= 1;
            return true;
        }
        parts.wait = rng.below(self.delay_turns_max + 1);
        let most = 1 + rng.below(limits::STORE_BATCH as u64);
        let errands = (0..most).map_while(|_| parts.inbox.take_waiting());
        let errands: Vec<_> = errands.collect();
        parts.clerk.is_broken = rng.below(100) < self.failing_percent;
        parts.settled.extend(parts.clerk.commit(errands, context));
        parts.clerk.is_broken = false;
        true
    }

    /// What the store's thread does when it has time.
    pub(super) fn rest(&mut self, services: &Services, now: Now) {
        let counters = services.counters_of_workers();
        let live = services.live();
        if let Some(parts) = self.parts.as_mut().filter(|parts| parts.settled.is_empty()) {
            parts.clerk.rest(services.context(&live, &counters, now));
        }
    }
}
