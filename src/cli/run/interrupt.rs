//! Interrupts while a run is followed: the first asks, the second cancels the run, the third leaves.
//!
//! Invariant: nothing but the second interrupt ends a run.

use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::cli::http_client::exchange;
use crate::cli::server::Server;
use crate::cli::{Failure, output};
use crate::os::signals::{self, Signal};

/// Somebody who listens for interrupts, as long as this lives.
pub(super) struct Interrupts(Arc<AtomicBool>);

impl Interrupts {
    /// Listens for those that are meant for this run.
    pub(super) fn watch(server: &Server, run: &str) -> Result<Self, Failure> {
        let failed = |error| Failure::Failed(format!("cannot listen for interrupts: {error}"));
        let pipe = signals::install().map_err(failed)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let (server, run) = (server.clone(), run.to_owned());
        let ended = Arc::clone(&is_over);
        let listen = move || {
            let mut heard = 0;
            while pipe.wait() {
                for signal in pipe.drain() {
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    match signal {
                        Signal::Terminate => heard += 1,
                        // The terminal is gone, and with it whoever reads.
                        Signal::Reload => exit(LEFT),
                        Signal::ReopenLogs | Signal::DumpMetrics => continue,
                    }
                    obey(heard, &server, &run);
                }
            }
        };
        let thread = thread::Builder::new().name("interrupts".to_owned());
        thread.spawn(listen).map_err(failed)?;
        Ok(Self(is_over))
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The exit code of who leaves a run that goes on.
const LEFT: i32 = 130;

fn obey(heard: u32, server: &Server, run: &str) {
    match heard {
        1 => output::note(
            "the run goes on; interrupt again to cancel it, or three times to leave it alone",
        ),
        2 => {
            let path = format!("/api/v1/runs/{run}");
            match exchange(server, "DELETE", &path, b"") {
                Ok(answer) if answer.status == 202 => output::note("cancelling the run"),
                Ok(answer) => output::warning(&answer.refusal().to_string()),
                Err(fault) => output::warning(&fault.to_string()),
            }
        }
        _ => exit(LEFT),
    }
}
