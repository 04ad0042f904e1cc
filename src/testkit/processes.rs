//! Looking for processes from outside, in /proc: what lives, and what is left of a run.
//!
//! Linux alone has /proc; elsewhere nothing is found. May not touch: any of them.
#![allow(clippy::panic)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::runtime::keeper::MARK;

/// The processes, zombies excepted, that have this mark of a run in their environment.
#[must_use]
pub fn living(mark: &OsStr) -> Vec<i32> {
    let entry = [MARK.as_bytes(), b"=", mark.as_bytes()].concat();
    let has_mark = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut entries = environment.split(|byte| *byte == 0);
        entries.any(|found| found == entry)
    };
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let pids = names.filter_map(|name| name.parse().ok());
    pids.filter(has_mark).collect()
}

/// Whether a process is there; a zombie is.
#[must_use]
pub fn exists(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Whether a process is there and has not ended.
#[must_use]
pub fn lives(pid: i32) -> bool {
    let state = status(pid, "State:");
    state.is_some_and(|state| !state.contains('Z'))
}

/// The parent of a process.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn parent_of(pid: i32) -> i32 {
    let parent = status(pid, "PPid:").and_then(|parent| parent.parse().ok());
    parent.unwrap_or_else(|| panic!("process {pid} has no parent"))
}

/// The processes whose parent is this one, zombies among them.
#[must_use]
pub fn children_of(pid: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let pids = names.filter_map(|name| name.parse().ok());
    let is_child = |child: &i32| {
        let parent = status(*child, "PPid:").and_then(|parent| parent.parse().ok());
        parent == Some(pid)
    };
    pids.filter(is_child).collect()
}

/// Open descriptors of a process.
#[must_use]
pub fn descriptors_of(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Memory that a process has resident, in KiB.
#[must_use]
pub fn resident_kib(pid: i32) -> u64 {
    let resident = status(pid, "VmRSS:");
    let number = resident.and_then(|text| text.split(' ').next()?.parse().ok());
    number.unwrap_or(0)
}

/// Polls for two seconds, the time within which nothing of a run may be left.
///
/// # Panics
/// When it does not hold by then; `what` says what was waited for.
pub fn within_two_seconds(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(2);
    while !condition() {
        assert!(Instant::now() < deadline, "not within two seconds: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// What /proc/PID/status says behind `name`.
fn status(pid: i32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    value.map(|value| value.trim().to_owned())
}
