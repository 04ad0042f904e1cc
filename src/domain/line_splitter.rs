//! What a child writes, in whatever pieces it comes, as lines of text.
//!
//! A line ends at `\n`; `\r` before it belongs to the end. Otherwise a `\r` takes back what stands
//! before it on its line, as a terminal shows a progress bar: only the last state is kept. Bytes
//! that are not UTF-8 become U+FFFD, and never because a character came in two pieces. Escape
//! sequences of terminals pass unchanged; whoever shows a line escapes them.
//!
//! May not touch: pipes, and what a line means. Invariants: nothing is allocated before its bytes
//! have come, and what was is given away with its line; a line holds at most the limit, the rest of
//! a longer one is skipped up to its end, and it says so.

use std::borrow::Cow;

use memchr::{memchr, memrchr};

/// Bytes of one line, 16 MiB: the Claude CLI writes whole files into one.
pub const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The text, at most as many bytes as the limit.
    pub text: Cow<'a, str>,
    /// Whether the end of a longer line is missing.
    pub truncated: bool,
}

/// The line of one stream that is not complete yet.
#[derive(Debug)]
pub struct LineSplitter {
    limit: usize,
    /// What stands after the last `\r` that was followed by something.
    held: Vec<u8>,
    /// Whether bytes of this state of the line were skipped.
    truncated: bool,
    /// Whether a `\r` came after `held`.
    returned: bool,
}

impl LineSplitter {
    /// A splitter whose lines have at most `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            held: Vec::new(),
            truncated: false,
            returned: false,
        }
    }

    /// Takes the next complete line from the front of `bytes`, or all of them if they complete
    /// none. Call it again until it returns `None`; it may be left off between two lines.
    pub fn next_line<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Line<'a>> {
        let Some(end) = memchr(b'\n', bytes) else {
            self.keep(bytes);
            *bytes = &[];
            return None;
        };
        let (line, rest) = bytes.split_at(end);
        *bytes = rest.strip_prefix(b"\n").unwrap_or(rest);
        if self.held.is_empty() && !self.truncated {
            self.returned = false;
            let line = standing(without_returns(line));
            let kept = line.get(..self.limit).unwrap_or(line);
            return Some(self.decode(Cow::Borrowed(kept), kept.len() < line.len()));
        }
        self.keep(line);
        Some(self.take())
    }

    /// Takes the last line when the stream has ended without completing it; `None` if it is empty.
    pub fn finish(&mut self) -> Option<Line<'static>> {
        let line = self.take();
        (!line.text.is_empty() || line.truncated).then_some(line)
    }

    /// Bytes that wait for the end of their line.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// Adds `piece`, which holds no `\n`, to the line.
    fn keep(&mut self, piece: &[u8]) {
        let visible = without_returns(piece);
        if !visible.is_empty() {
            let state = standing(visible);
            if self.returned || state.len() < visible.len() {
                self.held = Vec::new();
                self.truncated = false;
            }
            self.append(state);
            self.returned = false;
        }
        self.returned |= visible.len() < piece.len();
    }

    fn append(&mut self, state: &[u8]) {
        let room = self.limit - self.held.len();
        let kept = state.get(..room).unwrap_or(state);
        self.truncated |= kept.len() < state.len();
        let needed = self.held.len() + kept.len();
        if needed > self.held.capacity() {
            // Doubling, but never beyond what a line may have.
            let capacity = needed.max(self.held.capacity() * 2).min(self.limit);
            self.held.reserve_exact(capacity - self.held.len());
        }
        self.held.extend_from_slice(kept);
    }

    fn take(&mut self) -> Line<'static> {
        let held = std::mem::take(&mut self.held);
        let truncated = std::mem::take(&mut self.truncated);
        self.returned = false;
        self.decode(Cow::Owned(held), truncated)
    }

    fn decode<'a>(&self, mut bytes: Cow<'a, [u8]>, mut truncated: bool) -> Line<'a> {
        if truncated {
            let whole = bytes.len() - half_character(&bytes);
            match &mut bytes {
                Cow::Borrowed(bytes) => *bytes = bytes.get(..whole).unwrap_or(bytes),
                Cow::Owned(bytes) => bytes.truncate(whole),
            }
        }
        let mut text = match bytes {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            }),
        };
        // U+FFFD takes three bytes for one.
        if text.len() > self.limit {
            let end = (0..=self.limit)
                .rev()
                .find(|end| text.is_char_boundary(*end));
            text.to_mut().truncate(end.unwrap_or(0));
            truncated = true;
        }
        Line { text, truncated }
    }
}

/// `line` without the `\r` at its end; some programs write two.
fn without_returns(line: &[u8]) -> &[u8] {
    let last = line.iter().rposition(|byte| *byte != b'\r');
    let end = last.map_or(0, |last| last + 1);
    line.get(..end).unwrap_or(line)
}

/// What stands on the line in the end: all after its last `\r`.
fn standing(line: &[u8]) -> &[u8] {
    match memrchr(b'\r', line) {
        Some(at) => line.get(at + 1..).unwrap_or_default(),
        None => line,
    }
}

/// Bytes at the end that begin a UTF-8 character without completing it, 0 to 3.
fn half_character(bytes: &[u8]) -> usize {
    let tail = bytes.iter().rev().take(3).enumerate();
    for (after, byte) in tail {
        let length = match byte {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            0x80..=0xbf => continue,
            _ => return 0,
        };
        return if after + 1 < length { after + 1 } else { 0 };
    }
    0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    /// The lines of `input` that comes in pieces of the sizes that `size` gives.
    fn split(input: &[u8], limit: usize, mut size: impl FnMut() -> usize) -> Vec<(String, bool)> {
        let mut splitter = LineSplitter::new(limit);
        let mut lines = Vec::new();
        let mut rest = input;
        while !rest.is_empty() {
            let (mut piece, after) = rest.split_at(size().clamp(1, rest.len()));
            rest = after;
            while let Some(line) = splitter.next_line(&mut piece) {
                lines.push((line.text.into_owned(), line.truncated));
            }
            assert!(splitter.held_bytes() <= limit);
            assert!(splitter.held.capacity() <= limit, "never above the limit");
        }
        lines.extend(
            splitter
                .finish()
                .map(|line| (line.text.into_owned(), line.truncated)),
        );
        assert_eq!(splitter.held.capacity(), 0, "an idle stream holds nothing");
        lines
    }

    /// Whole, byte by byte and in random pieces.
    fn check_limited(input: &[u8], limit: usize, expected: &[(&str, bool)]) {
        let expected: Vec<(String, bool)> = expected
            .iter()
            .map(|(text, truncated)| ((*text).to_owned(), *truncated))
            .collect();
        let shown = String::from_utf8_lossy(input);
        assert_eq!(split(input, limit, || usize::MAX), expected, "{shown:?}");
        assert_eq!(split(input, limit, || 1), expected, "{shown:?} by byte");
        for seed in 0..8 {
            let mut rng = Rng::from_seed(seed);
            let size = || usize::try_from(rng.below(7)).unwrap();
            assert_eq!(split(input, limit, size), expected, "{shown:?} {seed}");
        }
    }

    fn check(input: &[u8], expected: &[&str]) {
        let expected: Vec<(&str, bool)> = expected.iter().map(|text| (*text, false)).collect();
        check_limited(input, 1000, &expected);
    }

    #[test]
    fn lines_end_at_line_feeds_and_at_the_end_of_the_stream() {
        check(b"", &[]);
        check(b"a\nbc\n", &["a", "bc"]);
        check(b"a\n\nb", &["a", "", "b"]);
        check(b"\n\n", &["", ""]);
        check(b"no end", &["no end"]);
    }

    #[test]
    fn a_carriage_return_before_the_end_belongs_to_it() {
        check(b"a\r\nb\r\r\n", &["a", "b"]);
        check(b"\r\n\r\n", &["", ""]);
        check(b"last\r", &["last"]);
        check(b"\r", &[]);
    }

    #[test]
    fn a_carriage_return_takes_back_what_stands_before_it() {
        check(b"10%\r20%\r100%\ndone\n", &["100%", "done"]);
        check(b"10%\r100%\r\nnext\r\n", &["100%", "next"]);
        check(b"\r10%\r\r100%", &["100%"]);
        check(b"a\r \n", &[" "]);
    }

    #[test]
    fn what_is_no_utf_8_is_replaced_and_escape_sequences_stay() {
        check("größer ✓ 😀\n".as_bytes(), &["größer ✓ 😀"]);
        check(b"a\xff\xe2\x82z\n\xc3", &["a\u{fffd}\u{fffd}z", "\u{fffd}"]);
        check(
            b"\x1b[31mred\x1b[0m \x1b]0;t\x07\0\n",
            &["\u{1b}[31mred\u{1b}[0m \u{1b}]0;t\u{7}\0"],
        );
    }

    #[test]
    fn a_longer_line_is_cut_and_says_so() {
        check_limited(b"1234\n", 4, &[("1234", false)]);
        check_limited(b"12345\nok\n", 4, &[("1234", true), ("ok", false)]);
        check_limited(b"123456789", 4, &[("1234", true)]);
        check_limited(b"1234\r\nok", 4, &[("1234", false), ("ok", false)]);
        check_limited(b"123456789\rok\n", 4, &[("ok", false)]);
    }

    #[test]
    fn a_cut_leaves_no_half_character_and_no_more_than_the_limit() {
        check_limited("ab✓\n".as_bytes(), 4, &[("ab", true)]);
        check_limited("ab✓\n".as_bytes(), 5, &[("ab✓", false)]);
        check_limited("a😀b\n".as_bytes(), 4, &[("a", true)]);
        check_limited("😀b\n".as_bytes(), 4, &[("😀", true)]);
        check_limited(b"\xff\xff\xff\n", 4, &[("\u{fffd}", true)]);
    }

    #[test]
    fn a_long_line_gives_its_memory_back() {
        let mut splitter = LineSplitter::new(LINE_BYTES_MAX);
        let megabytes = vec![b'x'; 1 << 20];
        for _ in 0..50 {
            assert_eq!(splitter.next_line(&mut megabytes.as_slice()), None);
            assert!(splitter.held.capacity() <= LINE_BYTES_MAX);
        }
        let line = splitter.next_line(&mut b"\n".as_slice()).unwrap();
        assert!(line.truncated);
        assert_eq!(line.text.len(), LINE_BYTES_MAX);
        assert_eq!(splitter.held.capacity(), 0);
    }

    #[test]
    fn a_whole_line_is_not_copied() {
        let mut bytes = b"whole\npart".as_slice();
        let line = LineSplitter::new(100).next_line(&mut bytes).unwrap();
        assert!(matches!(line.text, Cow::Borrowed("whole")));
        assert_eq!(bytes, b"part");
    }

    #[test]
    fn pieces_make_no_difference() {
        let alphabet = b"ab\r\r\n\n\xc3\xa4\xf0\x9f\x98\x80\xff";
        for seed in 0..500 {
            let mut rng = Rng::from_seed(seed);
            let length = rng.below(40);
            let below = |rng: &mut Rng, bound: usize| {
                usize::try_from(rng.below(u64::try_from(bound).unwrap())).unwrap()
            };
            let input: Vec<u8> = (0..length)
                .map(|_| alphabet[below(&mut rng, alphabet.len())])
                .collect();
            let limit = 1 + below(&mut rng, 12);
            let whole = split(&input, limit, || usize::MAX);
            assert_eq!(split(&input, limit, || 1), whole, "seed {seed} {input:?}");
            let pieces = split(&input, limit, || 1 + below(&mut rng, 5));
            assert_eq!(pieces, whole, "seed {seed} {input:?}");
        }
    }
}
