//! How long things take and how large they are: which of them, in which buckets.
//!
//! The numbers are kept in [`Counters`](crate::metrics::counters::Counters), so that whoever counts
//! can observe. Invariants: a value is whole, in the small unit of its row ([`Unit`]); the bounds of
//! a row are growing and at most [`BOUNDS_MAX`].

use std::sync::atomic::{AtomicU64, Ordering};

/// What is measured. The discriminant is the row in [`HISTOGRAMS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Histogram {
    /// How long runs took that ended by themselves, were cancelled or took too long.
    RunDurationSeconds,
    /// How long the store's transactions took.
    StoreCommitSeconds,
    /// How long jobs of the workers took.
    JobSeconds,
    /// How long looking at the host took.
    HostSampleSeconds,
    /// How large publications are.
    PublicationBytes,
}

/// In what a histogram is shown, and in what it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Kept in nanoseconds.
    Seconds,
    /// Kept in bytes.
    Bytes,
}

impl Unit {
    /// A value that is kept, in the unit that it is shown in.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // A sum past 2^53 ns, 104 days, may lose its last ones.
    pub const fn shown(self, kept: u64) -> f64 {
        match self {
            Self::Seconds => kept as f64 / 1e9,
            Self::Bytes => kept as f64,
        }
    }
}

/// What is known of a histogram.
#[derive(Debug)]
pub struct Row {
    /// Which.
    pub histogram: Histogram,
    /// The name that it is exported under.
    pub name: &'static str,
    /// What it measures, one sentence.
    pub meaning: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// The upper bounds of its buckets, inclusive, in the unit kept; what is larger has a bucket of
    /// its own.
    pub bounds: &'static [u64],
}

/// Bounds that a histogram has at most.
pub const BOUNDS_MAX: usize = 14;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000 * MICROSECOND;
const SECOND: u64 = 1_000 * MILLISECOND;

/// From what is in memory to a disk that is about to fail.
const SHORT: &[u64] = &[
    50 * MICROSECOND,
    100 * MICROSECOND,
    250 * MICROSECOND,
    500 * MICROSECOND,
    MILLISECOND,
    5 * MILLISECOND / 2,
    5 * MILLISECOND,
    10 * MILLISECOND,
    25 * MILLISECOND,
    50 * MILLISECOND,
    100 * MILLISECOND,
    250 * MILLISECOND,
    SECOND,
    5 * SECOND,
];

/// Every histogram, in the order of [`Histogram`].
pub const HISTOGRAMS: &[Row] = &[
    Row {
        histogram: Histogram::RunDurationSeconds,
        name: "kinglet_run_duration_seconds",
        meaning: "How long runs took, those that failed or were cancelled included; lost ones not.",
        unit: Unit::Seconds,
        // To 600 s as the first of the replaced systems had planned them.
        bounds: &[
            SECOND / 10,
            SECOND,
            5 * SECOND,
            10 * SECOND,
            30 * SECOND,
            60 * SECOND,
            120 * SECOND,
            300 * SECOND,
            600 * SECOND,
            1_800 * SECOND,
            3_600 * SECOND,
        ],
    },
    Row {
        histogram: Histogram::StoreCommitSeconds,
        name: "kinglet_store_commit_seconds",
        meaning: "How long transactions of the store took, until they were on disk.",
        unit: Unit::Seconds,
        bounds: SHORT,
    },
    Row {
        histogram: Histogram::JobSeconds,
        name: "kinglet_job_seconds",
        meaning: "How long jobs of the workers took, without the time they waited for one.",
        unit: Unit::Seconds,
        bounds: SHORT,
    },
    Row {
        histogram: Histogram::HostSampleSeconds,
        name: "kinglet_host_sample_seconds",
        meaning: "How long looking at the host took, each time.",
        unit: Unit::Seconds,
        bounds: SHORT,
    },
    Row {
        histogram: Histogram::PublicationBytes,
        name: "kinglet_publication_bytes",
        meaning: "How large publications are: event, data and source, once for all recipients.",
        unit: Unit::Bytes,
        bounds: &[
            64,
            256,
            1 << 10,
            4 << 10,
            16 << 10,
            64 << 10,
            256 << 10,
            1 << 20,
            4 << 20,
        ],
    },
];

impl Histogram {
    /// Its row.
    #[must_use]
    pub fn row(self) -> &'static Row {
        // In bounds: a test below holds that the table has a row for every variant, in order.
        &HISTOGRAMS[self as usize]
    }
}

/// The numbers of one histogram, all zero at first.
#[derive(Debug)]
pub(super) struct Buckets {
    sum: AtomicU64,
    /// The bucket behind the last bound is the one of what is larger.
    counts: [AtomicU64; BOUNDS_MAX + 1],
}

impl Buckets {
    pub(super) const fn new() -> Self {
        Self {
            sum: AtomicU64::new(0),
            counts: [const { AtomicU64::new(0) }; BOUNDS_MAX + 1],
        }
    }

    pub(super) fn observe(&self, bounds: &[u64], value: u64) {
        let bucket = bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
            self.sum.fetch_add(value, Ordering::Relaxed);
        }
    }
}

/// What was observed so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// How many in each bucket, not cumulated.
    pub counts: [u64; BOUNDS_MAX + 1],
    /// Their sum, in the unit kept; it wraps.
    pub sum: u64,
}

impl Distribution {
    /// How many in all.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their average, in the unit kept; 0 of none.
    #[must_use]
    pub fn average(&self) -> u64 {
        self.sum.checked_div(self.count()).unwrap_or(0)
    }

    pub(super) fn add(&mut self, buckets: &Buckets) {
        for (sum, count) in self.counts.iter_mut().zip(&buckets.counts) {
            *sum = sum.wrapping_add(count.load(Ordering::Relaxed));
        }
        let sum = buckets.sum.load(Ordering::Relaxed);
        self.sum = self.sum.wrapping_add(sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_variant_in_order_named_like_it() {
        for (index, row) in HISTOGRAMS.iter().enumerate() {
            assert_eq!(row.histogram as usize, index);
            let mut spelt = String::from("kinglet");
            for letter in format!("{:?}", row.histogram).chars() {
                if letter.is_ascii_uppercase() {
                    spelt.push('_');
                }
                spelt.push(letter.to_ascii_lowercase());
            }
            assert_eq!(row.name, spelt);
            let unit = match row.unit {
                Unit::Seconds => "_seconds",
                Unit::Bytes => "_bytes",
            };
            assert!(row.name.ends_with(unit), "{}", row.name);
            assert!(row.meaning.ends_with('.'), "{}", row.name);
            assert!(row.bounds.len() <= BOUNDS_MAX, "{}", row.name);
            assert!(row.bounds.is_sorted_by(|a, b| a < b), "{}", row.name);
        }
        assert_eq!(HISTOGRAMS.len(), Histogram::PublicationBytes as usize + 1);
    }

    #[test]
    fn a_value_is_in_the_first_bucket_that_holds_it() {
        let check = |value: u64, bucket: usize| {
            let buckets = Buckets::new();
            buckets.observe(&[10, 20], value);
            let mut found = Distribution::default();
            found.add(&buckets);
            assert_eq!(found.sum, value);
            assert_eq!(found.counts.iter().position(|n| *n == 1), Some(bucket));
            assert_eq!(found.count(), 1);
        };
        check(0, 0);
        check(10, 0);
        check(11, 1);
        check(20, 1);
        check(21, 2);
        check(u64::MAX, 2);
    }

    #[test]
    fn an_average_of_nothing_is_zero() {
        let mut found = Distribution::default();
        assert_eq!(found.average(), 0);
        let buckets = Buckets::new();
        buckets.observe(&[10], 4);
        buckets.observe(&[10], 11);
        found.add(&buckets);
        assert_eq!((found.count(), found.average()), (2, 7));
    }
}
