//! The numbers themselves: one atomic per counter, some per histogram.
//!
//! Each shard has a [`Counters`] of its own, so that counting never contends, and the process has
//! one more for what belongs to no shard; a reader adds them up with [`total`]. All accesses are
//! relaxed: a counter orders nothing, and two of them read together need not agree.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::metrics::histograms::{Buckets, Distribution, HISTOGRAMS, Histogram};
use crate::metrics::names::Counter;
use crate::metrics::table::COUNTERS;

/// One value per [`Counter`] and the buckets of each [`Histogram`], all zero at first; only ever
/// growing.
#[derive(Debug)]
pub struct Counters {
    values: [AtomicU64; COUNTERS.len()],
    histograms: [Buckets; HISTOGRAMS.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            values: [const { AtomicU64::new(0) }; COUNTERS.len()],
            histograms: [const { Buckets::new() }; HISTOGRAMS.len()],
        }
    }
}

impl Counters {
    /// Counts `amount` more.
    pub fn add(&self, counter: Counter, amount: u64) {
        self.value(counter).fetch_add(amount, Ordering::Relaxed);
    }

    /// Counts one more.
    pub fn increment(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Notes one value, in the unit that the histogram keeps.
    pub fn observe(&self, histogram: Histogram, value: u64) {
        let row = histogram.row();
        // In bounds: as in `value`, by a test in `histograms`.
        self.histograms[histogram as usize].observe(row.bounds, value);
    }

    /// Notes how long something took.
    pub fn observe_time(&self, histogram: Histogram, took: Duration) {
        self.observe(
            histogram,
            u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
        );
    }

    /// What was counted so far.
    #[must_use]
    pub fn read(&self, counter: Counter) -> u64 {
        self.value(counter).load(Ordering::Relaxed)
    }

    /// Every counter with its value, in the order of [`COUNTERS`].
    pub fn snapshot(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        COUNTERS
            .iter()
            .map(|&(counter, _, _)| (counter, self.read(counter)))
    }

    fn value(&self, counter: Counter) -> &AtomicU64 {
        // In bounds: a test in `names` holds that the table has a row for every variant, in order.
        &self.values[counter as usize]
    }
}

/// What was counted by all of `counters` together.
#[must_use]
pub fn total(counters: &[Arc<Counters>], counter: Counter) -> u64 {
    counters.iter().map(|each| each.read(counter)).sum()
}

/// What was observed by all of `counters` together.
#[must_use]
pub fn distribution(counters: &[Arc<Counters>], histogram: Histogram) -> Distribution {
    let mut sum = Distribution::default();
    for each in counters {
        sum.add(&each.histograms[histogram as usize]);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_counter_apart() {
        let counters = Counters::default();
        counters.increment(Counter::HttpRequests);
        counters.add(Counter::BytesSent, 10);
        counters.add(Counter::BytesSent, 5);
        assert_eq!(
            counters
                .snapshot()
                .filter(|(_, value)| *value > 0)
                .collect::<Vec<_>>(),
            [(Counter::HttpRequests, 1), (Counter::BytesSent, 15)]
        );
        assert_eq!(counters.snapshot().count(), COUNTERS.len());
    }

    #[test]
    fn totals_add_up_all_shards() {
        let shards = [Arc::new(Counters::default()), Arc::new(Counters::default())];
        shards[0].add(Counter::MessagesSent, 2);
        shards[1].add(Counter::MessagesSent, 3);
        assert_eq!(total(&shards, Counter::MessagesSent), 5);
        assert_eq!(total(&shards, Counter::MessagesReceived), 0);
        assert_eq!(total(&[], Counter::MessagesSent), 0);
    }

    #[test]
    fn distributions_add_up_all_shards() {
        let shards = [Arc::new(Counters::default()), Arc::new(Counters::default())];
        shards[0].observe_time(Histogram::JobSeconds, Duration::from_millis(2));
        shards[1].observe_time(Histogram::JobSeconds, Duration::from_mins(1));
        let found = distribution(&shards, Histogram::JobSeconds);
        assert_eq!((found.count(), found.sum), (2, 60_002_000_000));
        let other = distribution(&shards, Histogram::StoreCommitSeconds);
        assert_eq!(other.count(), 0);
    }
}
