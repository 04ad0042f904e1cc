//! Latencies: counted in a histogram of fixed size, summed up as percentiles.
//!
//! Invariant: no reading is further from the truth than one part in a thousand, or a nanosecond.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::cli::Failure;

/// The longest that is told apart; longer ones count as this.
const LONGEST: Duration = Duration::from_secs(120);

/// Significant decimal digits: 300 KB of counters, and an error of at most 0.1 %.
const DIGITS: u8 = 3;

/// Counted latencies.
#[derive(Debug)]
pub(super) struct Latencies(Histogram<u64>);

/// What is told of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) p50: Duration,
    pub(super) p90: Duration,
    pub(super) p99: Duration,
    pub(super) max: Duration,
}

impl Latencies {
    pub(super) fn new() -> Result<Self, Failure> {
        let histogram = Histogram::new_with_max(nanos(LONGEST), DIGITS);
        histogram
            .map(Self)
            .map_err(|error| Failure::Failed(format!("no histogram: {error}")))
    }

    pub(super) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(nanos(latency));
    }

    /// The percentiles, if anything was recorded.
    pub(super) fn summary(&self) -> Option<Summary> {
        let at = |quantile| Duration::from_nanos(self.0.value_at_quantile(quantile));
        (!self.0.is_empty()).then(|| Summary {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: at(1.0),
        })
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(recorded: impl Iterator<Item = Duration>, expected: [Duration; 4]) {
        let mut latencies = Latencies::new().unwrap();
        recorded.for_each(|latency| latencies.record(latency));
        let found = latencies.summary().unwrap();
        for (found, expected) in [found.p50, found.p90, found.p99, found.max]
            .into_iter()
            .zip(expected)
        {
            let error = found.abs_diff(expected);
            assert!(
                error <= expected / 1000 + Duration::from_nanos(1),
                "{found:?} {expected:?}"
            );
        }
    }

    #[test]
    fn percentiles_are_true_to_a_thousandth_at_every_magnitude() {
        for unit in [1, 1_000, 1_000_000, 10_000_000] {
            let time = |count: u64| Duration::from_nanos(count * unit);
            let expected = [time(5_000), time(9_000), time(9_900), time(10_000)];
            check((1..=10_000).rev().map(time), expected);
        }
    }

    #[test]
    fn what_is_too_long_counts_as_the_longest_and_nothing_has_no_percentiles() {
        check([Duration::MAX].into_iter(), [LONGEST; 4]);
        check([Duration::ZERO].into_iter(), [Duration::ZERO; 4]);
        assert_eq!(Latencies::new().unwrap().summary(), None);
    }
}
