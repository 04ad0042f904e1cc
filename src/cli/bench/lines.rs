//! `lines`: prints lines that say when they were printed, for agents that are measured; and how old
//! such a line is.
//!
//! ```text
//! kinglet 18b9f3a0c4e2d1f7 ......
//!         wall clock, ns    filler
//! ```
//!
//! Invariant: nothing in a line needs escapes, so it is found in whatever it is wrapped in.

use std::io::{self, BufWriter, Write};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use memchr::memmem;

use crate::cli::bench::arguments::LinesArguments;
use crate::cli::{Exit, Failure};

const MARK: &[u8] = b"kinglet ";

/// Hexadecimal digits of the time.
const DIGITS: usize = 16;

/// Prints all of them, or until nobody reads.
pub(super) fn run(asked: &LinesArguments) -> Result<Exit, Failure> {
    let out = io::stdout().lock();
    let printed = match asked.rate {
        Some(rate) => print(out, asked, Some(rate)),
        None => print(BufWriter::new(out), asked, None),
    };
    match printed {
        Ok(()) => Ok(Exit::Done),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::OutputClosed),
        Err(error) => Err(Failure::Failed(format!("cannot print: {error}"))),
    }
}

fn print(mut out: impl Write, asked: &LinesArguments, rate: Option<u32>) -> io::Result<()> {
    let began = Instant::now();
    for number in 0..asked.count {
        if let Some(rate) = rate {
            let due = began + Duration::from_secs_f64(number as f64 / f64::from(rate));
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        writeln!(out, "{}", line(asked.size, SystemTime::now()))?;
    }
    out.flush()
}

/// A line of `size` bytes, or as many as the time takes.
fn line(size: usize, now: SystemTime) -> String {
    let mut line = String::from_utf8_lossy(MARK).into_owned();
    line.push_str(&format!("{:016x} ", nanos(now)));
    line.extend(std::iter::repeat_n('.', size.saturating_sub(line.len())));
    line
}

/// How old the line in `message` is, if there is one.
pub(super) fn age(message: &[u8], now: SystemTime) -> Option<Duration> {
    let start = memmem::find(message, MARK)? + MARK.len();
    let digits = std::str::from_utf8(message.get(start..start + DIGITS)?).ok()?;
    let printed = u64::from_str_radix(digits, 16).ok()?;
    Some(Duration::from_nanos(nanos(now).saturating_sub(printed)))
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_old_it_is_in_whatever_it_is_wrapped_in() {
        let printed = UNIX_EPOCH + Duration::from_nanos(1_800_000_000_123_456_789);
        let later = printed + Duration::from_micros(250);
        for size in [0, 25, 60, 10_000] {
            let line = line(size, printed);
            assert_eq!(line.len(), size.max(25));
            let wrapped = format!(r#"{{"type":"run.output","data":{{"line":"{line}"}}}}"#);
            let age = age(wrapped.as_bytes(), later);
            assert_eq!(age, Some(Duration::from_micros(250)), "{line}");
        }
    }

    #[test]
    fn what_is_no_such_line_has_no_age() {
        let now = SystemTime::now();
        let whole = line(60, now);
        for text in [
            "",
            "kinglet ",
            "kinglet 18b9f3a0c4e2d1f",
            "kinglet 18b9f3a0c4e2d1fg .",
        ] {
            assert_eq!(age(text.as_bytes(), now), None, "{text:?}");
        }
        assert_eq!(age(whole.as_bytes(), UNIX_EPOCH), Some(Duration::ZERO));
    }

    #[test]
    fn all_lines_are_printed_in_time() {
        for rate in [None, Some(1000)] {
            let asked = LinesArguments {
                count: 20,
                rate,
                size: 30,
            };
            let (mut out, began) = (Vec::new(), Instant::now());
            print(&mut out, &asked, rate).unwrap();
            assert_eq!(out.len(), 20 * 31);
            let least = rate.map_or(Duration::ZERO, |_| Duration::from_millis(19));
            assert!(began.elapsed() >= least, "{rate:?}");
        }
    }
}
