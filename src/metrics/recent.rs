//! The last warnings and errors of the log, for people who look at the server from elsewhere.
//!
//! May not touch: the log itself, clocks. Invariant: what is kept is bounded by count and by bytes,
//! whatever is logged; the oldest goes first.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::base::clock::Wall;
use crate::base::locks::lock;

/// Lines kept.
pub const LINES: usize = 200;

/// Bytes of their messages in all.
const BYTES: usize = 128 * 1024;

/// How bad it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The operator's to look at.
    Warning,
    /// Ours to mend.
    Error,
}

impl Severity {
    /// Its name on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Warning => "warn",
            Self::Error => "error",
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was logged.
    pub at: Wall,
    /// How bad it was.
    pub severity: Severity,
    /// What it said, without control characters.
    pub message: Box<str>,
}

/// The lines.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    newest_last: VecDeque<Line>,
    bytes: usize,
}

impl Recent {
    /// Keeps one more.
    pub fn push(&self, line: Line) {
        let mut lines = lock(&self.0);
        lines.bytes += line.message.len();
        lines.newest_last.push_back(line);
        while lines.newest_last.len() > LINES || lines.bytes > BYTES {
            let Some(oldest) = lines.newest_last.pop_front() else {
                return;
            };
            lines.bytes -= oldest.message.len();
        }
    }

    /// At most `limit` of them, newest first, and whether there are more.
    #[must_use]
    pub fn newest(&self, limit: usize) -> (Vec<Line>, bool) {
        let lines = lock(&self.0);
        let newest = lines.newest_last.iter().rev().take(limit).cloned();
        (newest.collect(), lines.newest_last.len() > limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize, bytes: usize) -> Line {
        Line {
            at: Wall::from_millis(number as u64),
            severity: Severity::Warning,
            message: "x".repeat(bytes).into(),
        }
    }

    #[test]
    fn keeps_the_newest_and_gives_them_newest_first() {
        let recent = Recent::default();
        assert_eq!(recent.newest(10), (vec![], false));
        for number in 0..LINES + 3 {
            recent.push(line(number, 1));
        }
        let (newest, more) = recent.newest(2);
        assert_eq!(
            (newest, more),
            (vec![line(LINES + 2, 1), line(LINES + 1, 1)], true)
        );
        let (all, more) = recent.newest(usize::MAX);
        assert_eq!((all.len(), more), (LINES, false));
        assert_eq!(all.last(), Some(&line(3, 1)));
    }

    #[test]
    fn long_lines_push_out_more_and_one_that_is_too_long_all() {
        let recent = Recent::default();
        for number in 0..10 {
            recent.push(line(number, BYTES / 4));
        }
        assert_eq!(recent.newest(LINES).0.len(), 4);
        recent.push(line(10, BYTES + 1));
        assert_eq!(recent.newest(LINES).0, []);
        recent.push(line(11, 1));
        assert_eq!(recent.newest(LINES).0, [line(11, 1)]);
    }
}
