//! What a room with policy `latest` keeps on a shard: the newest publication for those who wait.
//!
//! Two reasons to wait, both only in such rooms: a member is behind and gets the newest when it has
//! read on, or the room's `min_interval` has not passed. A publication takes the place of the one
//! that waits, for everybody, also for those it is not sent to. Invariant: `newest` is there
//! exactly while a member is behind.

use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::Mono;
use crate::dialect::delivery::Delivery;

/// The publications of one room that wait.
#[derive(Debug, Default)]
pub struct Latest {
    /// Members that are behind and get `newest`.
    behind: u32,
    newest: Option<Arc<Delivery>>,
    /// When the members were offered a publication last.
    passed: Option<Mono>,
    held: Option<Held>,
}

/// The newest publication of a room whose interval has not passed.
#[derive(Debug)]
pub struct Held {
    /// What is to be delivered.
    pub delivery: Arc<Delivery>,
    /// When.
    pub due: Mono,
}

impl Latest {
    /// Takes the publication out that waits for the interval to pass.
    pub fn take_held(&mut self) -> Option<Held> {
        self.held.take()
    }

    /// Holds `delivery` back if `interval` has not passed; says until when.
    pub fn hold(
        &mut self,
        delivery: &Arc<Delivery>,
        interval: Duration,
        now: Mono,
    ) -> Option<Mono> {
        let due = self.passed? + interval;
        if now >= due {
            return None;
        }
        let delivery = Arc::clone(delivery);
        self.held = Some(Held { delivery, due });
        Some(due)
    }

    /// Notes that the members are offered `delivery` now; returns how many will not get the one
    /// before because of it.
    pub fn pass(&mut self, delivery: &Arc<Delivery>, now: Mono) -> u32 {
        self.passed = Some(now);
        if self.newest.is_some() {
            self.newest = Some(Arc::clone(delivery));
        }
        self.behind
    }

    /// Counts a member that is behind from `delivery` on.
    pub fn fall_behind(&mut self, delivery: &Arc<Delivery>) {
        self.behind += 1;
        self.newest = Some(Arc::clone(delivery));
    }

    /// Counts a member that is no longer behind.
    pub fn catch_up(&mut self) {
        debug_assert!(self.behind > 0, "nobody catches up who was not behind");
        self.behind = self.behind.saturating_sub(1);
        if self.behind == 0 {
            self.newest = None;
        }
    }

    /// What members that are behind get.
    #[must_use]
    pub fn newest(&self) -> Option<&Arc<Delivery>> {
        self.newest.as_ref()
    }
}

#[cfg(any(test, feature = "testkit"))]
impl Latest {
    /// When the publication that is held back is due.
    pub(super) fn due(&self) -> Option<Mono> {
        self.held.as_ref().map(|held| held.due)
    }

    /// Members that are behind.
    ///
    /// # Panics
    /// When there is a newest publication for nobody, or none for somebody.
    pub(super) fn check_behind(&self) -> u32 {
        assert_eq!(self.newest.is_some(), self.behind > 0);
        self.behind
    }
}
