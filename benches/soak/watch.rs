//! What the server's process has: memory and descriptors, looked at from outside.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kinglet::os::process_usage;

const INTERVAL: Duration = Duration::from_millis(100);

/// One look.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Resident memory.
    pub megabytes: f64,
    /// Open descriptors; 0 where there is no /proc.
    pub descriptors: usize,
}

/// Looks until it is told to finish.
pub struct Watch {
    is_over: Arc<AtomicBool>,
    looking: JoinHandle<Vec<Sample>>,
}

impl Watch {
    /// Looks once.
    pub fn sample(pid: u32) -> Sample {
        let usage = process_usage::read(pid).expect("the server lives");
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
        Sample {
            megabytes: usage.resident_bytes as f64 / 1e6,
            descriptors: descriptors.map_or(0, Iterator::count),
        }
    }

    /// Begins to look.
    pub fn start(pid: u32) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let looking = thread::spawn(move || {
            let mut seen = Vec::new();
            while !over.load(Ordering::Relaxed) {
                seen.push(Self::sample(pid));
                thread::sleep(INTERVAL);
            }
            seen
        });
        Self { is_over, looking }
    }

    /// What was seen.
    pub fn finish(self) -> Vec<Sample> {
        self.is_over.store(true, Ordering::Relaxed);
        self.looking.join().expect("the server lived all the time")
    }
}
