//! Time as a value: every core takes `now` and none asks for it.
//!
//! The shell reads both clocks once per turn through [`Clock`] and hands [`Now`] down; tests build
//! [`Now`] by hand. Invariant: this is the only file of the library that reads a clock.

use std::ops::{Add, Sub};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time: nanoseconds since the [`Clock`] was made. For deadlines and durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(u64);

impl Mono {
    /// The moment the clock was made.
    pub const ZERO: Self = Self(0);

    /// The moment `nanos` nanoseconds after the clock was made (585 years at most).
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock was made.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the clock was made, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Time passed since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl Sub<Duration> for Mono {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanos))
    }
}

/// Wall-clock time: milliseconds since 1970-01-01 UTC. For timestamps on the wire, never for
/// deadlines, because it can jump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(u64);

impl Wall {
    /// The moment `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The same moment as a `SystemTime`.
    #[must_use]
    pub fn to_system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0)
    }

    /// RFC 3339 in UTC with milliseconds and `Z`, the one time format of every dialect:
    /// `2026-01-02T03:04:05.678Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        // Past the year 9999 the format has no spelling; the clock is nonsense then anyway.
        const YEAR_9999: u64 = 253_402_300_799_000;
        let millis = Self(self.0.min(YEAR_9999));
        humantime::format_rfc3339_millis(millis.to_system_time()).to_string()
    }
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time.
    pub mono: Mono,
    /// Wall-clock time.
    pub wall: Wall,
}

/// The source of [`Now`]; one per process, shared by all threads so that their times compare.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose monotonic time starts at zero.
    #[must_use]
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Reads both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        let nanos = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // A clock before 1970 (a Pi without a battery) reads as the epoch.
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            mono: Mono(nanos),
            wall: Wall(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_rfc3339_with_milliseconds_and_z() {
        assert_eq!(
            Wall::from_millis(0).to_rfc3339(),
            "1970-01-01T00:00:00.000Z"
        );
        assert_eq!(
            Wall::from_millis(1_761_249_845_007).to_rfc3339(),
            "2025-10-23T20:04:05.007Z"
        );
        assert_eq!(
            Wall::from_millis(u64::MAX).to_rfc3339(),
            "9999-12-31T23:59:59.000Z"
        );
    }

    #[test]
    fn monotonic_arithmetic_saturates() {
        let at = Mono::from_nanos(5);
        assert_eq!(at - Duration::from_secs(1), Mono::ZERO);
        assert_eq!(at + Duration::MAX, Mono::from_nanos(u64::MAX));
        assert_eq!(at.since(Mono::from_nanos(9)), Duration::ZERO);
    }
}
