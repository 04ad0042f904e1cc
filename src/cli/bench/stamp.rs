//! What a publication carries so that whoever gets it knows which it is and how old.
//!
//! ```text
//! kb 01234567 00000000002a 0000075bcd15 ......
//!    run      sequence     nanoseconds  filler
//! ```
//!
//! All digits are hexadecimal and nothing needs escapes, so a server may wrap it in JSON of its
//! own. Invariant: a stamp of another run is none.

use std::time::{Duration, Instant};

use memchr::memmem::Finder;

/// Bytes of a stamp.
pub(super) const STAMP_BYTES: usize = PREFIX_BYTES + 2 * NUMBER_BYTES;

/// `kb` and the run.
const PREFIX_BYTES: usize = 10;
/// 48 bits of nanoseconds are three days, longer than a run may be.
const NUMBER_BYTES: usize = 12;

/// The stamps of one run.
pub(super) struct Stamps {
    prefix: Finder<'static>,
    origin: Instant,
}

/// What a stamp says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// From 1.
    pub(super) sequence: u64,
    pub(super) sent: Instant,
}

impl Stamps {
    /// Stamps with the number `run`; times count from `now`.
    pub(super) fn new(run: u32, now: Instant) -> Self {
        Self {
            prefix: Finder::new(&format!("kb{run:08x}")).into_owned(),
            origin: now,
        }
    }

    /// `size` bytes that carry the stamp; at least [`STAMP_BYTES`].
    pub(super) fn write(&self, sequence: u64, size: usize, now: Instant) -> String {
        let nanos = now.saturating_duration_since(self.origin).as_nanos();
        let mut text = String::from_utf8_lossy(self.prefix.needle()).into_owned();
        text.push_str(&format!("{sequence:012x}{nanos:012x}"));
        text.extend(std::iter::repeat_n('.', size.saturating_sub(text.len())));
        text
    }

    /// The stamp in a message, wherever it is.
    pub(super) fn find(&self, message: &[u8]) -> Option<Stamp> {
        let start = self.prefix.find(message)? + PREFIX_BYTES;
        let digits = message.get(start..start + 2 * NUMBER_BYTES)?;
        let (sequence, nanos) = digits.split_at_checked(NUMBER_BYTES)?;
        Some(Stamp {
            sequence: number(sequence)?,
            sent: self.origin + Duration::from_nanos(number(nanos)?),
        })
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    // from_str_radix takes a sign, too.
    let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_hex)?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_found_in_whatever_a_server_makes_of_it() {
        let origin = Instant::now();
        let stamps = Stamps::new(7, origin);
        let sent = origin + Duration::from_micros(1500);
        for (sequence, size) in [(1, STAMP_BYTES), (0xffff_ffff, 128), (42, 10_000)] {
            let text = stamps.write(sequence, size, sent);
            assert_eq!(text.len(), size);
            let expected = Some(Stamp { sequence, sent });
            assert_eq!(stamps.find(text.as_bytes()), expected);
            let wrapped = format!("{{\"type\":\"kb\",\"data\":\"{text}\"}}");
            assert_eq!(stamps.find(wrapped.as_bytes()), expected);
        }
    }

    #[test]
    fn what_is_no_stamp_of_this_run_is_none() {
        let now = Instant::now();
        let stamps = Stamps::new(7, now);
        let check = |message: &str| assert_eq!(stamps.find(message.as_bytes()), None, "{message}");
        check("");
        check("hello");
        check("kb00000007");
        check("kb00000007xxxxxxxxxxxxxxxxxxxxxxxx");
        check("kb00000007+00000000001+00000000001é");
        let text = stamps.write(1, STAMP_BYTES, now);
        check(text.get(..STAMP_BYTES - 1).unwrap());
        check(&Stamps::new(8, now).write(1, STAMP_BYTES, now));
    }
}
