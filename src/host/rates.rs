//! Counters of the kernel, as rates.

use std::collections::HashMap;
use std::time::Duration;

use crate::base::clock::Mono;

/// Pairs of counters by the name of what counts them, and when they were read.
#[derive(Debug, Default)]
pub(super) struct Meters {
    before: HashMap<String, [u64; 2]>,
    at: Option<Mono>,
}

impl Meters {
    /// Takes what is counted now, and returns the rates since the reading before, in the same
    /// order. What was not there then has none; what is not there now is forgotten.
    pub(super) fn rates<'a>(
        &mut self,
        counted: impl Iterator<Item = (&'a str, [u64; 2])>,
        now: Mono,
    ) -> Vec<Option<[u64; 2]>> {
        let elapsed = self.at.map_or(Duration::ZERO, |at| now.since(at));
        let mut after = HashMap::with_capacity(self.before.len());
        let rates = counted.map(|(name, counters)| {
            after.insert(name.to_owned(), counters);
            let before = self.before.get(name)?;
            let [first, second] = [0, 1].map(|index: usize| {
                let (before, now) = (before.get(index)?, counters.get(index)?);
                rate(*before, *now, elapsed)
            });
            Some([first?, second?])
        });
        let rates = rates.collect();
        self.before = after;
        self.at = Some(now);
        rates
    }
}

/// How fast a counter grew, per second; `None` if no time has passed, or it began anew. Kernels of
/// 32 bits count to 2^32.
fn rate(before: u64, after: u64, elapsed: Duration) -> Option<u64> {
    const WRAP: u64 = 1 << 32;
    let grown = match after.checked_sub(before) {
        Some(grown) => grown,
        None if (WRAP / 2..WRAP).contains(&before) && after < WRAP / 2 => WRAP - before + after,
        None => return None,
    };
    let millis = u64::try_from(elapsed.as_millis())
        .ok()
        .filter(|millis| *millis > 0)?;
    Some(grown.saturating_mul(1000) / millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_grows_wraps_or_begins_anew() {
        let second = Duration::from_secs(1);
        let check = |before: u64, after: u64, elapsed: Duration, expected: Option<u64>| {
            assert_eq!(rate(before, after, elapsed), expected, "{before} {after}");
        };
        check(100, 600, second, Some(500));
        check(100, 600, Duration::from_secs(5), Some(100));
        check(100, 100, second, Some(0));
        check(100, 600, Duration::ZERO, None);
        check(u64::from(u32::MAX) - 9, 10, second, Some(20));
        check(1 << 40, 10, second, None);
        check(5000, 10, second, None);
        check(0, u64::MAX, second, Some(u64::MAX / 1000));
    }

    #[test]
    fn what_is_new_has_no_rate_and_what_vanished_is_forgotten() {
        let mut meters = Meters::default();
        let mut read = |counted: &[(&'static str, u64)], seconds: u64| {
            let counted = counted.iter().map(|(name, count)| (*name, [*count, 0]));
            let rates = meters.rates(counted, Mono::ZERO + Duration::from_secs(seconds));
            let first = |rates: &Option<[u64; 2]>| rates.map(|rates| rates[0]);
            rates.iter().map(first).collect::<Vec<_>>()
        };
        assert_eq!(read(&[("a", 10), ("b", 10)], 1), [None, None]);
        assert_eq!(read(&[("b", 30), ("c", 7)], 3), [Some(10), None]);
        assert_eq!(read(&[("a", 99), ("b", 30)], 4), [None, Some(0)]);
        assert_eq!(read(&[], 5), []);
        assert_eq!(read(&[("b", 40)], 6), [None]);
    }
}
