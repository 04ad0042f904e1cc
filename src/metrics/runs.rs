//! How long the last runs took.
//!
//! May not touch: clocks, the store. Bounded: [`REMEMBERED`] durations.

use std::time::Duration;

/// Durations that are remembered, the last ones.
pub const REMEMBERED: usize = 1000;

/// The durations of the last runs.
#[derive(Debug, Default)]
pub struct RunDurations {
    /// In no order once it is full.
    last: Vec<Duration>,
    /// Where the next one goes when it is full: the place of the oldest.
    oldest: usize,
}

/// What there is to say of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunSummary {
    /// Of how many.
    pub count: usize,
    /// The shortest.
    pub min: Duration,
    /// Half took less.
    pub p50: Duration,
    /// Nine of ten took less.
    pub p90: Duration,
    /// All but one of a hundred took less.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
    /// The average.
    pub average: Duration,
}

impl RunDurations {
    /// Notes one more, and forgets the oldest if there are too many.
    pub fn note(&mut self, took: Duration) {
        if self.last.len() < REMEMBERED {
            return self.last.push(took);
        }
        if let Some(oldest) = self.last.get_mut(self.oldest) {
            *oldest = took;
        }
        self.oldest = (self.oldest + 1) % REMEMBERED;
    }

    /// What there is to say of them, all zero of none. The percentiles are at n/2, 9n/10 and 99n/100
    /// of the sorted n, as clients of the replaced system know them.
    #[must_use]
    pub fn summary(&self) -> RunSummary {
        let mut sorted = self.last.clone();
        sorted.sort_unstable();
        let count = sorted.len();
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        let sum: Duration = sorted
            .iter()
            .fold(Duration::ZERO, |sum, took| sum.saturating_add(*took));
        let divisor = u32::try_from(count).unwrap_or(u32::MAX);
        RunSummary {
            count,
            min: at(0),
            p50: at(count / 2),
            p90: at(count * 9 / 10),
            p99: at(count * 99 / 100),
            max: at(count.saturating_sub(1)),
            average: sum.checked_div(divisor).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(seconds: impl Iterator<Item = u64>) -> RunSummary {
        let mut durations = RunDurations::default();
        for seconds in seconds {
            durations.note(Duration::from_secs(seconds));
        }
        durations.summary()
    }

    #[test]
    fn percentiles_are_where_the_replaced_system_had_them() {
        let check = |found: RunSummary, expected: [u64; 5]| {
            let RunSummary {
                min,
                p50,
                p90,
                p99,
                max,
                ..
            } = found;
            let found = [min, p50, p90, p99, max].map(|took| took.as_secs());
            assert_eq!(found, expected);
        };
        check(summary(std::iter::empty()), [0; 5]);
        check(summary(std::iter::once(7)), [7; 5]);
        check(summary([2, 1].into_iter()), [1, 2, 2, 2, 2]);
        check(summary((0..10).rev()), [0, 5, 9, 9, 9]);
        check(summary(0..1000), [0, 500, 900, 990, 999]);
    }

    #[test]
    fn only_the_last_thousand_count() {
        let found = summary(0..2500);
        assert_eq!(found.count, REMEMBERED);
        assert_eq!(found.min, Duration::from_secs(1500));
        assert_eq!(found.max, Duration::from_secs(2499));
        assert_eq!(found.average, Duration::from_millis(1_999_500));
    }

    #[test]
    fn an_average_is_never_nothing_divided_by_nothing() {
        assert_eq!(summary(std::iter::empty()), RunSummary::default());
        let found = summary([1, 2].into_iter());
        assert_eq!(found.average, Duration::from_millis(1500));
    }
}
