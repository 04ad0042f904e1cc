//! The clock that service managers compare with: CLOCK_MONOTONIC (clock_gettime(2)).
//!
//! Not for measuring: `base::clock` is.

/// Microseconds of CLOCK_MONOTONIC; 0 if there is no such clock.
#[must_use]
pub fn microseconds() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a live timespec, which the call fills.
    if unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) } != 0 {
        return 0;
    }
    // The widths differ between systems.
    #[allow(clippy::useless_conversion)]
    let (seconds, nanos) = (i64::from(time.tv_sec), i64::from(time.tv_nsec));
    let micros = seconds
        .saturating_mul(1_000_000)
        .saturating_add(nanos / 1000);
    u64::try_from(micros).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_does_not_go_back() {
        let first = microseconds();
        assert!(first > 0 && first <= microseconds());
    }
}
