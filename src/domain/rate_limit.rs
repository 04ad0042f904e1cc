//! Token buckets: how often somebody may do something.
//!
//! A bucket keeps what was spent, in such fractions of a token that one nanosecond earns a whole
//! number of them: nothing is rounded and nothing drifts, and the default is a full bucket. May not
//! touch: the reaction to a refusal (pausing, 429), which is the caller's.

use std::hash::Hash;
use std::time::Duration;

use crate::base::clock::Mono;
use crate::domain::aged_map::AgedMap;

/// Buckets looked at to be forgotten per call: more than a call adds, so the table shrinks.
const FORGOTTEN_PER_CALL: usize = 2;

/// How often something may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens earned per period; 0 is no limit.
    tokens: u32,
    /// Nanoseconds of the period, which is what one token costs.
    period: u64,
    /// Tokens that a full bucket holds.
    burst: u32,
}

impl Rate {
    /// So many a second over time, and `burst` at once; 0 a second is no limit, as in the config.
    /// A burst of 0 counts as 1, since nothing could ever be done.
    #[must_use]
    pub fn per_second(tokens: usize, burst: usize) -> Self {
        Self::new(tokens, Duration::from_secs(1), burst)
    }

    /// So many a minute over time, and as many at once; 0 is no limit.
    #[must_use]
    pub fn per_minute(tokens: usize) -> Self {
        Self::new(tokens, Duration::from_secs(60), tokens)
    }

    fn new(tokens: usize, period: Duration, burst: usize) -> Self {
        let clamp = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            tokens: clamp(tokens),
            period: u64::try_from(period.as_nanos()).unwrap_or(u64::MAX),
            burst: clamp(burst).max(1),
        }
    }

    /// What a full bucket holds.
    fn full(self) -> u64 {
        u64::from(self.burst).saturating_mul(self.period)
    }
}

/// The tokens of one peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenBucket {
    /// What is missing to a full bucket as of `at`; a token is the nanoseconds of its period.
    spent: u64,
    at: Mono,
}

impl TokenBucket {
    /// Takes one token.
    ///
    /// # Errors
    /// When there is none: how long until there is one, rounded up to a nanosecond.
    pub fn take(&mut self, rate: Rate, now: Mono) -> Result<(), Duration> {
        if rate.tokens == 0 {
            return Ok(());
        }
        let full = rate.full();
        // After a reload to a smaller burst the bucket is empty, not in debt.
        let spent = self
            .spent_at(rate, now)
            .min(full)
            .saturating_add(rate.period);
        self.at = self.at.max(now);
        if spent <= full {
            self.spent = spent;
            return Ok(());
        }
        self.spent = spent - rate.period;
        let missing = (spent - full).div_ceil(u64::from(rate.tokens));
        Err(Duration::from_nanos(missing))
    }

    /// Whether nothing is missing, so that a new bucket would do as well.
    #[must_use]
    pub fn is_full(&self, rate: Rate, now: Mono) -> bool {
        rate.tokens == 0 || self.spent_at(rate, now) == 0
    }

    fn spent_at(&self, rate: Rate, now: Mono) -> u64 {
        let nanos = now.as_nanos().saturating_sub(self.at.as_nanos());
        self.spent
            .saturating_sub(nanos.saturating_mul(u64::from(rate.tokens)))
    }
}

/// The buckets of many peers, at most `capacity` of them.
///
/// Full buckets are forgotten in passing. A peer that is evicted because the table is full of
/// others starts again with a full bucket, which errs on the peer's side.
#[derive(Debug)]
pub struct RateTable<K> {
    buckets: AgedMap<K, TokenBucket>,
    capacity: usize,
    evicted: u64,
}

impl<K: Clone + Eq + Hash> RateTable<K> {
    /// An empty table for `capacity` peers; 0 is no limit, as in the config.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            buckets: AgedMap::default(),
            capacity,
            evicted: 0,
        }
    }

    /// Takes one token of `key`. All calls on one table pass the same rate, until a reload.
    ///
    /// # Errors
    /// As [`TokenBucket::take`].
    pub fn take(&mut self, key: &K, rate: Rate, now: Mono) -> Result<(), Duration> {
        self.forget_full(rate, now);
        let mut bucket = self.buckets.remove(key).unwrap_or_default();
        let taken = bucket.take(rate, now);
        self.buckets.insert(key, bucket);
        if self.capacity > 0 && self.buckets.len() > self.capacity {
            let oldest = self.buckets.pop_oldest();
            self.evicted += u64::from(oldest.is_some_and(|bucket| !bucket.is_full(rate, now)));
        }
        taken
    }

    /// How many buckets were dropped before they were full since this was last asked.
    pub fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    /// How many peers have a bucket.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether no peer has a bucket.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.len() == 0
    }

    fn forget_full(&mut self, rate: Rate, now: Mono) {
        // Buckets stand in order of their last use, and any is full soon after its last use, so
        // the oldest is the one to look at.
        for _ in 0..FORGOTTEN_PER_CALL {
            match self.buckets.oldest() {
                Some(bucket) if bucket.is_full(rate, now) => self.buckets.pop_oldest(),
                Some(_) | None => return,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    const NANOSECOND: Duration = Duration::from_nanos(1);
    const SECOND: Duration = Duration::from_secs(1);
    const START: Mono = Mono::from_nanos(123_456_789);

    fn rate(per_second: usize, burst: usize) -> Rate {
        Rate::per_second(per_second, burst)
    }

    #[test]
    fn starts_full_and_says_when_the_next_token_is_there() {
        let check = |per_second: usize, burst: usize, wait: Duration| {
            let rate = rate(per_second, burst);
            let mut bucket = TokenBucket::default();
            for n in 0..burst.max(1) {
                assert_eq!(bucket.take(rate, START), Ok(()), "{rate:?} {n}");
            }
            assert_eq!(bucket.take(rate, START), Err(wait), "{rate:?}");
            let early = START + wait - NANOSECOND;
            assert_eq!(bucket.take(rate, early), Err(NANOSECOND), "{rate:?}");
            assert_eq!(bucket.take(rate, START + wait), Ok(()), "{rate:?}");
        };
        check(50, 100, Duration::from_millis(20));
        check(1, 1, SECOND);
        check(1, 0, SECOND);
        check(3, 7, Duration::from_nanos(333_333_334));
        check(1_000_000_000, 5, NANOSECOND);
    }

    #[test]
    fn gives_exactly_burst_and_rate_over_any_time() {
        for seed in 0..64 {
            let mut rng = Rng::from_seed(seed);
            let per_second = 1 + usize::try_from(rng.below(200)).unwrap_or(0);
            let rate = rate(per_second, 1 + per_second / 2);
            let mut bucket = TokenBucket::default();
            let (mut now, mut taken) = (START, 0u64);
            // Greedy, but awake only now and then, so that refusals and waits mix.
            while now.since(START) < 100 * SECOND {
                match bucket.take(rate, now) {
                    Ok(()) => taken += 1,
                    Err(wait) if rng.below(2) == 0 => now = now + wait,
                    Err(wait) => now = now + wait / 3 + NANOSECOND,
                }
            }
            let elapsed = u128::from((now - START.since(Mono::ZERO)).as_nanos());
            let earned = elapsed * per_second as u128 / 1_000_000_000;
            while bucket.take(rate, now).is_ok() {
                taken += 1;
            }
            assert_eq!(
                u128::from(taken),
                u128::from(rate.burst) + earned,
                "seed {seed}"
            );
        }
    }

    #[test]
    fn a_rate_per_minute_is_exact_too() {
        let rate = Rate::per_minute(60);
        let mut bucket = TokenBucket::default();
        let taken = |bucket: &mut TokenBucket, now| {
            std::iter::repeat_with(|| bucket.take(rate, now).is_ok())
                .take_while(|taken| *taken)
                .count()
        };
        assert_eq!(taken(&mut bucket, START), 60);
        assert_eq!(bucket.take(rate, START), Err(SECOND));
        assert_eq!(taken(&mut bucket, START + SECOND * 7 / 2), 3);
        assert_eq!(taken(&mut bucket, START + SECOND * 4), 1);
        assert_eq!(taken(&mut bucket, START + SECOND * 1000), 60);
    }

    #[test]
    fn holds_no_more_than_the_burst_after_a_long_rest() {
        let rate = rate(usize::MAX, 3);
        let mut bucket = TokenBucket::default();
        for now in [START, Mono::from_nanos(u64::MAX)] {
            let taken = (0..10).filter(|_| bucket.take(rate, now).is_ok()).count();
            assert_eq!(taken, 3);
        }
    }

    #[test]
    fn a_clock_reading_from_before_earns_nothing() {
        let rate = rate(1, 1);
        let mut bucket = TokenBucket::default();
        assert_eq!(bucket.take(rate, START + SECOND), Ok(()));
        assert_eq!(bucket.take(rate, START), Err(SECOND));
        assert_eq!(bucket.take(rate, START + SECOND), Err(SECOND));
    }

    #[test]
    fn follows_a_reload() {
        let mut bucket = TokenBucket::default();
        while bucket.take(rate(10, 100), START).is_ok() {}
        assert_eq!(bucket.take(rate(10, 2), START), Err(SECOND / 10));
        assert_eq!(bucket.take(rate(0, 0), START), Ok(()));
    }

    #[test]
    fn a_bucket_stays_small() {
        assert_eq!(size_of::<TokenBucket>(), 16);
    }

    #[test]
    fn counts_each_peer_by_itself_and_forgets_the_rested() {
        let rate = rate(1, 2);
        let mut table = RateTable::new(0);
        for peer in 0..100 {
            assert_eq!(table.take(&peer, rate, START), Ok(()));
            assert_eq!(table.take(&peer, rate, START), Ok(()));
            assert_eq!(table.take(&peer, rate, START), Err(SECOND));
        }
        assert_eq!(table.len(), 100);
        let later = START + 2 * SECOND;
        for _ in 0..60 {
            let _ = table.take(&0, rate, later);
        }
        assert_eq!((table.len(), table.take_evicted()), (1, 0));
    }

    #[test]
    fn drops_and_counts_the_longest_unused_when_full() {
        let rate = rate(1, 2);
        let mut table = RateTable::new(2);
        for peer in ["a", "b", "a", "c"] {
            assert_eq!(table.take(&peer, rate, START), Ok(()));
        }
        assert_eq!((table.len(), table.take_evicted()), (2, 1));
        assert_eq!(table.take(&"a", rate, START), Err(SECOND));
        assert!(!table.is_empty());
    }
}
