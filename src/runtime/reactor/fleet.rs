//! How many reactors beside the leader still run, and whether one of them failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::bus::mailbox::Mailbox;

/// The reactors beside the leader.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    running: AtomicUsize,
    failed: AtomicBool,
}

/// Held by a reactor's thread while it runs; whatever ends the thread, the leader learns of it.
#[derive(Debug)]
pub(crate) struct Running {
    fleet: Arc<Fleet>,
    leader: Option<Arc<Mailbox>>,
    is_well: bool,
}

impl Fleet {
    /// Notes that one more reactor is about to run; its end is told by a nudge to `leader`.
    pub(crate) fn join(self: &Arc<Self>, leader: Option<Arc<Mailbox>>) -> Running {
        self.running.fetch_add(1, Ordering::SeqCst);
        Running {
            fleet: Arc::clone(self),
            leader,
            is_well: false,
        }
    }

    /// Whether all but the leader have ended.
    pub(super) fn is_alone(&self) -> bool {
        self.running.load(Ordering::SeqCst) == 0
    }

    /// Whether a reactor ended that should not have.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }
}

impl Running {
    /// Says that the reactor ended because it was to.
    pub(crate) fn finish(mut self) {
        self.is_well = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_well {
            self.fleet.failed.store(true, Ordering::SeqCst);
        }
        self.fleet.running.fetch_sub(1, Ordering::SeqCst);
        if let Some(leader) = &self.leader {
            leader.nudge();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leader_learns_of_every_end_and_of_failures() {
        let nudges = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&nudges);
        let wake = move || {
            count.fetch_add(1, Ordering::SeqCst);
        };
        let leader = Arc::new(Mailbox::new(1, Box::new(wake)));
        let fleet = Arc::new(Fleet::default());
        let join = || fleet.join(Some(Arc::clone(&leader)));
        let (one, other) = (join(), join());
        assert!(leader.prepare_sleep());
        assert!(!fleet.is_alone());
        one.finish();
        assert!(!fleet.is_alone() && !fleet.has_failed());
        assert!(!leader.prepare_sleep(), "it is to look first");
        assert!(leader.prepare_sleep());
        drop(other);
        assert!(fleet.is_alone() && fleet.has_failed());
        assert_eq!(nudges.load(Ordering::SeqCst), 2);
    }
}
