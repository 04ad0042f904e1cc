//! How long to wait before trying again: exponential, with full jitter, within bounds.
//!
//! May not touch: clocks and sleeping; the caller waits. Invariant: no delay reaches the cap, so
//! that however often something failed, it is tried again at least that often.

use std::time::Duration;

use crate::base::rng::Rng;

/// The delays of one thing that fails again and again.
///
/// Each is drawn from all of the range up to a ceiling that doubles ("full jitter" in AWS's
/// comparison, <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>): those
/// who failed together come back apart.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    /// A backoff whose first delay is below `first`, and every one below `cap`.
    #[must_use]
    pub const fn new(first: Duration, cap: Duration) -> Self {
        Self {
            first,
            cap,
            failures: 0,
        }
    }

    /// The delay after one more failure, in whole microseconds.
    pub fn next_delay(&mut self, rng: &mut Rng) -> Duration {
        let factor = 2u32.saturating_pow(self.failures);
        let ceiling = self.first.saturating_mul(factor).min(self.cap);
        self.failures = self.failures.saturating_add(1);
        Duration::from_micros(rng.below(u64::try_from(ceiling.as_micros()).unwrap_or(u64::MAX)))
    }

    /// Notes that it works again: the next delay is below the first ceiling.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(500);
    const CAP: Duration = Duration::from_secs(30);

    /// The longest of many delays after this many failures, and whether short ones came, too.
    fn longest(failures: u32) -> (Duration, bool) {
        let mut rng = Rng::from_seed(u64::from(failures));
        let delays: Vec<Duration> = (0..2000)
            .map(|_| {
                let mut backoff = Backoff {
                    failures,
                    ..Backoff::new(FIRST, CAP)
                };
                backoff.next_delay(&mut rng)
            })
            .collect();
        let longest = delays.iter().copied().max().unwrap_or_default();
        (longest, delays.iter().any(|delay| *delay < longest / 20))
    }

    #[test]
    fn delays_fill_a_range_that_doubles_up_to_the_cap() {
        let check = |failures, ceiling: u64| {
            let ceiling = Duration::from_millis(ceiling);
            let (longest, has_short) = longest(failures);
            assert!(longest < ceiling, "{failures}: {longest:?}");
            assert!(longest > ceiling.mul_f64(0.95), "{failures}: {longest:?}");
            assert!(has_short, "{failures}: no jitter");
        };
        check(0, 500);
        check(1, 1000);
        check(2, 2000);
        check(5, 16_000);
        check(6, 30_000);
        check(31, 30_000);
        check(32, 30_000);
        check(u32::MAX, 30_000);
    }

    #[test]
    fn starts_over_once_it_works() {
        let (mut rng, mut backoff) = (Rng::from_seed(1), Backoff::new(FIRST, CAP));
        let mut longest = Duration::ZERO;
        for _ in 0..50 {
            longest = longest.max(backoff.next_delay(&mut rng));
        }
        assert!(longest > FIRST * 30);
        for _ in 0..50 {
            backoff.reset();
            assert!(backoff.next_delay(&mut rng) < FIRST);
        }
    }

    #[test]
    fn a_backoff_of_nothing_waits_for_nothing() {
        let mut backoff = Backoff::new(Duration::ZERO, Duration::ZERO);
        assert_eq!(backoff.next_delay(&mut Rng::from_seed(1)), Duration::ZERO);
    }
}
