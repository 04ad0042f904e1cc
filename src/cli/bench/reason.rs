//! Why connections failed or ended, and how many for each reason.

use std::collections::BTreeMap;
use std::io;

use thiserror::Error;

/// Why one connection was not opened, or ended before we wanted it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub(super) enum Reason {
    #[error("not connected: {0}")]
    Connect(io::ErrorKind),
    #[error("the answer was {0}")]
    Status(u16),
    #[error("the answer is not HTTP")]
    NotHttp,
    #[error("the WebSocket key was not accepted")]
    NotAccepted,
    #[error("the server broke the WebSocket protocol: {0}")]
    Protocol(&'static str),
    #[error("no answer in time")]
    Silent,
    #[error("answered with an error")]
    Error,
    #[error("refused: {0}")]
    Refused(&'static str),
    #[error("not all that was missed came")]
    Incomplete,
    #[error("closed with {0}")]
    Closed(u16),
    #[error("closed without a code")]
    ClosedWithoutCode,
    #[error("ended without a close")]
    Ended,
    #[error("broken: {0}")]
    Broken(io::ErrorKind),
}

/// How often each reason was met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally(BTreeMap<Reason, u64>);

impl Tally {
    pub(super) fn add(&mut self, reason: Reason) {
        *self.0.entry(reason).or_default() += 1;
    }

    pub(super) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Reason, u64)> {
        self.0.iter().map(|(reason, count)| (*reason, *count))
    }
}
