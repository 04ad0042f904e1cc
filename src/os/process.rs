//! Processes of ours: fork, wait, signal, and whom the kernel gives their orphans to.
//!
//! macOS has neither subreapers nor a signal at the parent's death; what asks for them does nothing
//! there, and who needs them looks at processes in passes ([`crate::os::process_tree`]).
//! Invariant: a [`Pid`] is positive, so none of these calls can mean "every process" by accident.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// The number of a process. It says which one only as long as nobody has waited for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(libc::pid_t);

impl std::fmt::Display for Pid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Pid {
    /// The process with this number; none below 1.
    #[must_use]
    pub const fn new(number: i32) -> Option<Self> {
        if number > 0 { Some(Self(number)) } else { None }
    }

    /// The calling process.
    #[must_use]
    pub fn own() -> Self {
        // SAFETY: getpid has no preconditions.
        Self(unsafe { libc::getpid() })
    }

    /// The number, for a log or the wire.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }
}

/// Whether this process may do what root may.
#[must_use]
pub fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

/// Which side of a [`fork`] this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// The new process.
    Child,
    /// The old one, and whom it made.
    Parent(Pid),
}

/// Makes a second process of this one, which must have a single thread: others would be missing in
/// the child, together with whatever they had locked.
///
/// # Errors
/// `InvalidInput` with several threads (Linux; macOS is believed), otherwise what fork(2) answered.
pub fn fork() -> io::Result<Fork> {
    if !is_single_threaded() {
        let reason = "only a process with a single thread may fork";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    // SAFETY: with a single thread the child has all that the parent has, so that it may do
    // whatever the parent might.
    match unsafe { libc::fork() } {
        0 => Ok(Fork::Child),
        child => Pid::new(child)
            .map(Fork::Parent)
            .ok_or_else(io::Error::last_os_error),
    }
}

/// Whether this process has no thread but the one that asks; macOS is believed.
#[cfg(target_os = "linux")]
pub(super) fn is_single_threaded() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

/// Whether this process has no thread but the one that asks; macOS is believed.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_single_threaded() -> bool {
    true
}

/// A child that ended and was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Who it was.
    pub pid: Pid,
    /// How it ended.
    pub status: ExitStatus,
    /// What it used, with all children that it had waited for itself.
    pub used: Used,
}

/// What an ended process has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Processor time in its own code.
    pub user: Duration,
    /// Processor time in the kernel on its behalf.
    pub system: Duration,
    /// The most bytes of memory that it, or a child, ever had in RAM.
    pub resident_bytes_max: u64,
}

/// What there is to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaped {
    /// This child ended.
    Ended(Ended),
    /// There are children, and none has ended.
    NotYet,
    /// There are no children.
    NoChildren,
}

/// Waits for any child that has ended already; never blocks.
///
/// # Errors
/// What wait4(2) answered.
pub fn reap_any() -> io::Result<Reaped> {
    wait(-1, libc::WNOHANG)
}

/// Waits for this child if it has ended already; never blocks.
///
/// # Errors
/// What wait4(2) answered.
pub fn reap(child: Pid) -> io::Result<Reaped> {
    wait(child.0, libc::WNOHANG)
}

/// Waits until this child ends.
///
/// # Errors
/// What wait4(2) answered.
pub fn wait_for(child: Pid) -> io::Result<Reaped> {
    wait(child.0, 0)
}

fn wait(which: libc::pid_t, options: libc::c_int) -> io::Result<Reaped> {
    let mut status = 0;
    // SAFETY: all zeroes are a valid rusage, which holds integers only.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live values, which the call fills and does not keep.
        let answer = unsafe { libc::wait4(which, &raw mut status, options, &raw mut usage) };
        if let Some(pid) = Pid::new(answer) {
            return Ok(Reaped::Ended(Ended {
                pid,
                status: ExitStatus::from_raw(status),
                used: used(&usage),
            }));
        }
        if answer == 0 {
            return Ok(Reaped::NotYet);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::ECHILD) => return Ok(Reaped::NoChildren),
            Some(libc::EINTR) => {}
            _ => return Err(error),
        }
    }
}

fn used(usage: &libc::rusage) -> Used {
    // Linux counts kibibytes, macOS bytes (getrusage(2) of each).
    const RESIDENT_UNIT: u64 = if cfg!(target_os = "macos") { 1 } else { 1024 };
    Used {
        user: duration(usage.ru_utime),
        system: duration(usage.ru_stime),
        resident_bytes_max: u64::try_from(usage.ru_maxrss)
            .unwrap_or(0)
            .saturating_mul(RESIDENT_UNIT),
    }
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros))
}

/// What a run is told by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// TERM, and CONT for whoever is stopped and could not hear it.
    Terminate,
    /// KILL.
    Kill,
}

impl Notice {
    const fn numbers(self) -> &'static [libc::c_int] {
        match self {
            Self::Terminate => &[libc::SIGTERM, libc::SIGCONT],
            Self::Kill => &[libc::SIGKILL],
        }
    }
}

/// Signals one process. That it is gone or not ours is no failure: there is nothing more to do.
pub fn signal(pid: Pid, notice: Notice) {
    for number in notice.numbers() {
        // SAFETY: kill touches no memory; the number is positive, so it means one process.
        unsafe { libc::kill(pid.0, *number) };
    }
}

/// Signals every process of a group at once: none of them can fork in between. The groups 0 (our
/// own) and 1 (as a negative number: everybody) are left alone.
pub fn signal_group(leader: Pid, notice: Notice) {
    if leader.0 <= 1 {
        return;
    }
    for number in notice.numbers() {
        // SAFETY: kill touches no memory; the number is below -1, so it means one group.
        unsafe { libc::kill(-leader.0, *number) };
    }
}

/// The process group of the calling process.
#[must_use]
pub fn own_group() -> Pid {
    // SAFETY: getpgrp has no preconditions.
    Pid(unsafe { libc::getpgrp() })
}

/// Leaves the session of whoever started us, its terminal and its process group.
///
/// # Errors
/// What setsid(2) answered: the leader of a process group cannot.
pub fn lead_session() -> io::Result<()> {
    // SAFETY: setsid touches no memory.
    succeeded(unsafe { libc::setsid() })
}

/// Starts a process group with this process as its leader.
///
/// # Errors
/// What setpgid(2) answered: the leader of a session cannot.
pub fn lead_group() -> io::Result<()> {
    // SAFETY: setpgid touches no memory.
    succeeded(unsafe { libc::setpgid(0, 0) })
}

/// From now on the orphans among our descendants become our children (Linux).
///
/// # Errors
/// What prctl(2) answered.
#[cfg(target_os = "linux")]
pub fn become_subreaper() -> io::Result<()> {
    // SAFETY: this option takes one number and touches no memory.
    succeeded(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) })
}

/// macOS has no subreapers: orphans become launchd's.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn become_subreaper() -> io::Result<()> {
    Ok(())
}

/// From now on, and over exec, this process is killed when `parent` ends (Linux). It is tied to the
/// thread that forked, so a parent with several would have to keep that one.
///
/// # Errors
/// `NotFound` when `parent` has ended already, otherwise what prctl(2) answered.
#[cfg(target_os = "linux")]
pub fn end_with(parent: Pid) -> io::Result<()> {
    // SAFETY: this option takes one number and touches no memory.
    succeeded(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
    // It may have ended before the kernel was asked to tell.
    // SAFETY: getppid has no preconditions.
    if unsafe { libc::getppid() } != parent.0 {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(())
}

/// macOS sends nothing when a parent ends.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn end_with(_parent: Pid) -> io::Result<()> {
    Ok(())
}

/// Names this process for `ps` and `pkill` (Linux, 15 bytes); elsewhere its file name stays.
pub fn set_name(name: &std::ffi::CStr) {
    #[cfg(target_os = "linux")]
    // SAFETY: the name ends with NUL; the kernel copies at most 16 bytes of it.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, name.as_ptr());
    }
    #[cfg(not(target_os = "linux"))]
    let _ = name;
}

fn succeeded(answer: libc::c_int) -> io::Result<()> {
    if answer >= 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    #[allow(clippy::zombie_processes)] // These tests wait for it by its number.
    fn sh(script: &str) -> Pid {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).process_group(0);
        let child = command.spawn().unwrap();
        Pid::new(child.id().try_into().unwrap()).unwrap()
    }

    #[test]
    fn waits_for_a_child_and_tells_how_it_ended() {
        let check = |script: &str, code: Option<i32>, signal: Option<i32>| {
            let child = sh(script);
            let Reaped::Ended(ended) = wait_for(child).unwrap() else {
                unreachable!("it was there to wait for");
            };
            assert_eq!(ended.pid, child);
            assert_eq!(ended.status.code(), code);
            assert_eq!(ended.status.signal(), signal);
            assert!(ended.used.resident_bytes_max > 100_000, "{ended:?}");
            assert_eq!(reap(child).unwrap(), Reaped::NoChildren);
        };
        check("exit 0", Some(0), None);
        check("exit 255", Some(255), None);
        check("kill -9 $$", None, Some(9));
    }

    #[test]
    fn signals_one_process_or_a_whole_group() {
        let child = sh("exec sleep 1000");
        assert_eq!(reap(child).unwrap(), Reaped::NotYet);
        signal(child, Notice::Terminate);
        let ended = wait_for(child).unwrap();
        assert!(matches!(ended, Reaped::Ended(ended) if ended.status.signal() == Some(15)));

        let child = sh("trap '' TERM; sleep 1000 & wait");
        signal_group(child, Notice::Kill);
        let ended = wait_for(child).unwrap();
        assert!(matches!(ended, Reaped::Ended(ended) if ended.status.signal() == Some(9)));
    }

    #[test]
    fn numbers_that_mean_many_processes_are_none() {
        assert_eq!(Pid::new(0), None);
        assert_eq!(Pid::new(-1), None);
        assert_eq!(Pid::new(1).map(Pid::number), Some(1));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_with_threads_does_not_fork() {
        std::thread::scope(|scope| {
            let (hold, held) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || held.recv());
            assert_eq!(fork().unwrap_err().kind(), io::ErrorKind::InvalidInput);
            drop(hold);
        });
    }
}
