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

    /// Reads RFC 3339 with any offset, `Z` or `+02:00`, and any fraction of a second, of which the
    /// milliseconds count. `None` if it is something else, or before 1970.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        const OFFSET_CHARACTERS: usize = 6;
        let text = text.to_ascii_uppercase();
        let (local, offset) = match text.strip_suffix('Z') {
            Some(local) => (local, 0),
            None => {
                let at = text.len().checked_sub(OFFSET_CHARACTERS)?;
                let (local, offset) = text.split_at_checked(at)?;
                (local, offset_millis(offset)?)
            }
        };
        let local = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
        let millis = local.duration_since(UNIX_EPOCH).ok()?.as_millis();
        let millis = i64::try_from(millis).ok()?.checked_sub(offset)?;
        u64::try_from(millis).ok().map(Self)
    }
}

/// How far `+HH:MM` or `-HH:MM` is ahead of UTC.
fn offset_millis(spelt: &str) -> Option<i64> {
    const MINUTE: i64 = 60_000;
    let (sign, digits) = match spelt.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_once(':')?;
    let number = |digits: &str, below: i64| {
        let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: i64 = digits.parse().ok().filter(|_| is_number)?;
        (number < below).then_some(number)
    };
    Some(sign * (number(hours, 24)? * 60 + number(minutes, 60)?) * MINUTE)
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
    fn reads_rfc3339_with_any_offset() {
        let check = |text: &str, expected: Option<&str>| {
            let found = Wall::parse_rfc3339(text).map(Wall::to_rfc3339);
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        let utc = Some("2025-10-23T20:04:05.007Z");
        check("2025-10-23T20:04:05.007Z", utc);
        check("2025-10-23t20:04:05.007z", utc);
        check("2025-10-23T20:04:05.007999999Z", utc);
        check("2025-10-23T22:04:05.007123+02:00", utc);
        check("2025-10-23T14:34:05.007-05:30", utc);
        check("2025-10-23T20:04:05Z", Some("2025-10-23T20:04:05.000Z"));
        check(
            "1970-01-01T00:00:00+00:00",
            Some("1970-01-01T00:00:00.000Z"),
        );
        for wrong in [
            "",
            "Z",
            "now",
            "2025-10-23",
            "2025-10-23T20:04:05",
            "2025-10-23 20:04:05Z",
            "2025-13-23T20:04:05Z",
            "2025-10-23T20:04:05+2:00",
            "2025-10-23T20:04:05+24:00",
            "2025-10-23T20:04:05+02:60",
            "2025-10-23T20:04:05*02:00",
            "2025-10-23T20:04:05+02:00Z",
            "2025-10-23T20:04:05\u{20ac}2:00",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn monotonic_arithmetic_saturates() {
        let at = Mono::from_nanos(5);
        assert_eq!(at - Duration::from_secs(1), Mono::ZERO);
        assert_eq!(at + Duration::MAX, Mono::from_nanos(u64::MAX));
        assert_eq!(at.since(Mono::from_nanos(9)), Duration::ZERO);
    }
}
