//! What the configuration says of how a server watches its machine and tells of itself.

use std::net::SocketAddr;
use std::time::Duration;

/// How the machine is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Time between samples while somebody watches, 100 ms to an hour.
    pub interval: Duration,
    /// Processes in a sample, 0 to 100.
    pub top_processes: usize,
    /// Whether processes are shown with their arguments.
    pub command_lines: bool,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            top_processes: 10,
            command_lines: false,
        }
    }
}

/// How the server tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Where StatsD listens; `None` sends nothing.
    pub statsd: Option<SocketAddr>,
    /// Time between statistics in their room and to StatsD.
    pub publish_interval: Duration,
    /// Whether `/metrics` needs an admin in token mode.
    pub require_auth: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            statsd: None,
            publish_interval: Duration::from_secs(10),
            require_auth: false,
        }
    }
}
