//! The time, as rustls asks for it: what the caller said last.
//!
//! Invariant: nothing here reads a clock. The keys of tickets are the one exception: rustls renews
//! them every six hours of the system's clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

use crate::base::clock::Wall;

/// The time of the latest handshake, in milliseconds since 1970.
#[derive(Debug)]
pub(super) struct ToldTime(AtomicU64);

impl ToldTime {
    pub(super) fn new(now: Wall) -> Self {
        Self(AtomicU64::new(now.as_millis()))
    }

    pub(super) fn tell(&self, now: Wall) {
        self.0.store(now.as_millis(), Ordering::Relaxed);
    }
}

impl TimeProvider for ToldTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix(Wall::from_millis(self.0.load(Ordering::Relaxed))))
    }
}

/// The same moment as certificates count it.
pub(super) fn unix(at: Wall) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(at.as_millis()))
}

/// The same moment as the rest of the server counts it.
pub(super) fn wall(at: UnixTime) -> Wall {
    Wall::from_millis(at.as_secs().saturating_mul(1000))
}
