//! Service managers: what systemd and launchd give a server, and what it tells them.
//!
//! ```text
//! LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES ── sockets ──▶ listening instead of server.listen
//! NOTIFY_SOCKET ◀── notify ── ready, reloading, stopping, status
//! WATCHDOG_USEC, WATCHDOG_PID ── watchdog ── a sign of life in the leading reactor's turn
//! ```
//!
//! The protocols are sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3), and
//! launch_activate_socket(3). Invariants: the variables are gone from the environment before there
//! is a second thread, so that nothing we start takes them for its own; a manager that does not
//! listen never makes us wait.

pub mod notify;
mod sockets;
pub(super) mod watchdog;

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use crate::os::environment;
use crate::runtime::manager::notify::Notifier;

/// What is wrong with what a manager passed on; one line that says what would be right.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ManagerFault(String);

/// What the manager gave us; nothing of it without one.
#[derive(Debug, Default)]
pub struct Given {
    /// Sockets that listen already.
    pub sockets: Vec<Passed>,
    /// Whom to tell how we are.
    pub notifier: Notifier,
    /// How long we may be silent before we are taken for stuck.
    pub watchdog: Option<Duration>,
    /// What it said that we do not understand, and do without.
    pub warnings: Vec<String>,
}

impl Given {
    /// Where its sockets listen.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|socket| socket.address).collect()
    }
}

/// A socket that listens already.
#[derive(Debug)]
pub struct Passed {
    /// The socket.
    pub listener: TcpListener,
    /// Where it listens.
    pub address: SocketAddr,
    /// How the manager calls it.
    pub name: String,
}

/// Takes what the manager gave us. To be called first thing, once: descriptors that others have
/// opened meanwhile would be taken for sockets that were passed on.
///
/// # Errors
/// When sockets were announced and are not there, or are no TCP sockets that listen.
pub fn take() -> Result<Given, ManagerFault> {
    let text = |name| environment::take(name).map(|value| value.to_string_lossy().into_owned());
    let own = std::process::id();
    let announced = sockets::Announced {
        pid: text("LISTEN_PID"),
        count: text("LISTEN_FDS"),
        names: text("LISTEN_FDNAMES"),
    };
    // Newer ones name the process in one more way; it is nobody else's either.
    let _ = environment::take("LISTEN_PIDFDID");
    let mut given = Given {
        sockets: sockets::take(&announced, own)?,
        ..Given::default()
    };
    if let Some(name) = environment::take("NOTIFY_SOCKET") {
        match Notifier::to(&name) {
            Ok(notifier) => given.notifier = notifier,
            Err(error) => given
                .warnings
                .push(format!("NOTIFY_SOCKET is {name:?}: {error}")),
        }
    }
    let (interval, watched) = (text("WATCHDOG_USEC"), text("WATCHDOG_PID"));
    match watchdog::interval(interval.as_deref(), watched.as_deref(), own) {
        Ok(interval) => given.watchdog = interval,
        Err(problem) => given.warnings.push(problem),
    }
    Ok(given)
}
