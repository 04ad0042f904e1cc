//! Where a head ends, found in a buffer that grows.
//!
//! May not touch: what the lines mean; that is `head.rs`. Invariant: each byte is looked at once
//! however the bytes arrive (RUSTSEC-2023-0065 parsed a dribbled head again for every byte), and
//! the verdict is the same for every split of the same bytes.

use memchr::memchr;

use crate::wire::http::fault::HttpFault;

/// Empty lines skipped before a request line: some clients send one after a body (RFC 9112
/// section 2.2); a few more are harmless, an endless row of them is not.
const LEADING_LINES_MAX: usize = 4;

/// Bounds of a head. Both are exact; a caller for whom 0 means no limit gives `usize::MAX`.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes from the first byte to the end of the empty line.
    pub bytes: usize,
    /// Header lines after the first line.
    pub headers: usize,
}

/// Finds the end of a head in input that grows, looking at each byte once.
#[derive(Clone, Debug, Default)]
pub struct HeadScanner {
    /// Where to look on: everything before it has been seen.
    looked: usize,
    /// Start of the line that is being read.
    line: usize,
    /// Lines that had content: the request line and the header lines.
    lines: usize,
    /// Empty lines before the request line.
    leading: usize,
}

impl HeadScanner {
    /// Looks for the end of the head. `input` is everything since the head began and may only grow
    /// between calls; `Some(n)` says that the head, with its empty line and up to four empty lines
    /// before it, is `input[..n]`. Call again with a new scanner for the next head.
    ///
    /// # Errors
    /// [`HttpFault::BareLineFeed`] at the first line feed without carriage return,
    /// [`HttpFault::TooManyHeaders`] at the end of the first line too many,
    /// [`HttpFault::HeadTooLarge`] as soon as the head cannot end within the limit,
    /// [`HttpFault::LeadingLines`].
    pub fn scan(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Option<usize>, HttpFault> {
        // What lies beyond the limit is not looked at, so that the verdict is the same for any
        // split of the same bytes.
        let window = input.get(..limits.bytes).unwrap_or(input);
        while let Some(found) = memchr(b'\n', window.get(self.looked..).unwrap_or_default()) {
            let feed = self.looked + found;
            if feed == self.line || window.get(feed - 1) != Some(&b'\r') {
                return Err(HttpFault::BareLineFeed);
            }
            let empty = feed - 1 == self.line;
            self.line = feed + 1;
            self.looked = feed + 1;
            match (empty, self.lines) {
                (true, 0) => self.leading += 1,
                (true, _) => return Ok(Some(self.line)),
                (false, _) => self.lines += 1,
            }
            if self.leading > LEADING_LINES_MAX {
                return Err(HttpFault::LeadingLines);
            }
            if self.lines.saturating_sub(1) > limits.headers {
                return Err(HttpFault::TooManyHeaders {
                    limit: limits.headers,
                });
            }
        }
        self.looked = window.len();
        if window.len() >= limits.bytes {
            return Err(HttpFault::HeadTooLarge {
                limit: limits.bytes,
            });
        }
        Ok(None)
    }

    /// Whether the first line with content has not ended yet.
    #[must_use]
    pub const fn is_in_first_line(&self) -> bool {
        self.lines == 0
    }

    /// Header lines seen so far.
    pub(super) const fn headers(&self) -> usize {
        self.lines.saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(bytes: usize) -> HeadLimits {
        HeadLimits {
            bytes,
            headers: 100,
        }
    }

    /// The verdict on `input` byte by byte, and how many bytes it took.
    fn dribble(input: &[u8], limits: &HeadLimits) -> (Result<Option<usize>, HttpFault>, usize) {
        let mut scanner = HeadScanner::default();
        for end in 1..=input.len() {
            match scanner.scan(&input[..end], limits) {
                Ok(None) => assert_eq!(scanner.looked, end, "no byte is looked at again"),
                verdict => return (verdict, end),
            }
        }
        (Ok(None), input.len())
    }

    #[test]
    fn cuts_a_dribbled_megabyte_at_the_limit() {
        let mut input = b"GET / HTTP/1.1\r\nX: ".to_vec();
        input.resize(1024 * 1024, b'a');
        let limit = 16 * 1024;
        let fault = Err(HttpFault::HeadTooLarge { limit });
        assert_eq!(dribble(&input, &limits(limit)), (fault, limit));
        assert_eq!(HeadScanner::default().scan(&input, &limits(limit)), fault);
        let larger = limits(2 * 1024 * 1024);
        assert_eq!(dribble(&input, &larger), (Ok(None), input.len()));
    }

    #[test]
    fn takes_a_head_of_exactly_the_limit() {
        let input = b"GET / HTTP/1.1\r\nHost: h\r\n\r\nrest";
        let head = input.len() - 4;
        assert_eq!(dribble(input, &limits(head)), (Ok(Some(head)), head));
        let fault = Err(HttpFault::HeadTooLarge { limit: head - 1 });
        assert_eq!(dribble(input, &limits(head - 1)), (fault, head - 1));
        assert_eq!(HeadScanner::default().scan(input, &limits(head - 1)), fault);
    }

    #[test]
    fn refuses_a_bare_line_feed_when_it_is_seen() {
        let check = |input: &[u8], at: usize| {
            let found = dribble(input, &limits(1000));
            assert_eq!(found, (Err(HttpFault::BareLineFeed), at));
        };
        check(b"\n", 1);
        check(b"\r\n\nGET", 3);
        check(b"GET / HTTP/1.1\nHost", 15);
        check(b"GET / HTTP/1.1\r\n\n", 17);
        check(b"GET / HTTP/1.1\r\nX: y\r\n\n", 23);
    }
}
