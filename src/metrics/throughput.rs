//! How much came in the last minute, per second.
//!
//! It is told totals, now and then, and remembers by how much they grew in each of the last sixty
//! seconds; so what is counted costs nothing more. May not touch: clocks.

use crate::base::clock::Mono;

/// Seconds that are remembered, the one that is not over included.
const SECONDS: usize = 60;

/// A window of one minute over a number that grows.
#[derive(Debug)]
pub struct Throughput {
    /// By how much it grew, by the second modulo [`SECONDS`].
    grown: [u64; SECONDS],
    /// The newest second.
    second: u64,
    /// What was told last.
    total: u64,
}

impl Default for Throughput {
    fn default() -> Self {
        Self {
            grown: [0; SECONDS],
            second: 0,
            total: 0,
        }
    }
}

impl Throughput {
    /// Notes that the number is `total` now, and returns by how much it grew per second, over the
    /// whole minute. Best told every second; what grew in a longer time counts in its last second.
    pub fn note(&mut self, total: u64, now: Mono) -> f64 {
        let second = now.as_millis() / 1000;
        let passed = second.saturating_sub(self.second).min(SECONDS as u64);
        self.second = self.second.max(second);
        for back in 0..passed {
            *self.of(self.second - back) = 0;
        }
        *self.of(self.second) += total.saturating_sub(self.total);
        self.total = self.total.max(total);
        let sum: u64 = self.grown.iter().sum();
        #[allow(clippy::cast_precision_loss)] // Nothing is counted to 2^53 in a minute.
        let per_second = sum as f64 / SECONDS as f64;
        per_second
    }

    fn of(&mut self, second: u64) -> &mut u64 {
        let index = usize::try_from(second % SECONDS as u64).unwrap_or(0);
        // In bounds: it is a remainder.
        &mut self.grown[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told at these seconds, and the rate then.
    fn check(steps: &[(u64, u64, f64)]) {
        let mut window = Throughput::default();
        for &(second, total, expected) in steps {
            let now = Mono::from_nanos(second * 1_000_000_000);
            let found = window.note(total, now);
            assert!(
                (found - expected).abs() < 1e-9,
                "at {second}: {found}, not {expected}"
            );
        }
    }

    #[test]
    fn a_rate_is_that_of_the_last_minute() {
        check(&[(0, 0, 0.0), (1, 60, 1.0), (2, 180, 3.0), (59, 180, 3.0)]);
        check(&[(0, 60, 1.0), (1, 120, 2.0), (60, 120, 1.0), (61, 120, 0.0)]);
        check(&[(5, 600, 10.0), (1000, 600, 0.0), (1000, 660, 1.0)]);
    }

    #[test]
    fn a_steady_stream_has_its_rate_from_the_first_minute_on() {
        let steps: Vec<_> = (0..300u64)
            .map(|second| {
                #[allow(clippy::cast_precision_loss)]
                let known = (second + 1).min(60) as f64;
                (second, (second + 1) * 100, known * 100.0 / 60.0)
            })
            .collect();
        check(&steps);
    }

    #[test]
    fn neither_a_smaller_total_nor_an_earlier_time_confuses_it() {
        check(&[(10, 60, 1.0), (9, 50, 1.0), (10, 120, 2.0)]);
    }
}
