//! What the server, and what we ourselves, used between two moments.

use std::time::{Duration, Instant};

use crate::cli::Failure;
use crate::os::process_usage::{self, Usage};

/// Reads the clock and the processes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    server: Option<u32>,
}

/// One reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) at: Instant,
    /// Of the server, if its process was named and lives.
    pub(super) server: Option<Usage>,
    own: Usage,
}

/// What was used between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) wall: Duration,
    /// The server's processor time.
    pub(super) server: Option<ServerSpent>,
    /// Our own processor time.
    pub(super) own: Duration,
}

/// The server's share of [`Spent`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerSpent {
    pub(super) user: Duration,
    pub(super) system: Duration,
    /// At the end.
    pub(super) resident_bytes: u64,
}

impl Meter {
    /// A meter for the process `server`, which must be there.
    pub(super) fn new(server: Option<u32>) -> Result<Self, Failure> {
        if let Some(pid) = server {
            process_usage::read(pid).map_err(|error| {
                Failure::Misuse(format!("cannot see what process {pid} uses: {error}"))
            })?;
        }
        Ok(Self { server })
    }

    pub(super) fn read(&self) -> Reading {
        let usage = |pid| process_usage::read(pid).ok();
        Reading {
            at: Instant::now(),
            server: self.server.and_then(usage),
            // Without it the report says that we used nothing, which nobody will believe.
            own: usage(std::process::id()).unwrap_or_default(),
        }
    }
}

impl Reading {
    pub(super) fn until(&self, end: &Self) -> Spent {
        let server = self.server.zip(end.server).map(|(from, to)| ServerSpent {
            user: to.user.saturating_sub(from.user),
            system: to.system.saturating_sub(from.system),
            resident_bytes: to.resident_bytes,
        });
        Spent {
            wall: end.at.saturating_duration_since(self.at),
            server,
            own: end.own.cpu().saturating_sub(self.own.cpu()),
        }
    }
}
