//! What a process and its children may use at most (getrlimit(2)).
//!
//! Invariant: a limit is never raised above the hard one that we were given ourselves.

use std::io;

/// The limits of one process; for [`set`], `None` leaves the one that is in force, and from
/// [`in_force`] it says that there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Seconds of processor time: SIGXCPU then, KILL a second later.
    pub cpu_seconds: Option<u64>,
    /// Bytes of address space. macOS takes the number and does not hold it.
    pub memory_bytes: Option<u64>,
    /// Descriptors open at once. Without an order the soft limit is [`OPEN_FILES`] at most, because
    /// kinglet raised its own ([`crate::os::descriptor_limit`]) and a program that uses select, or
    /// closes all that it might have inherited, should not suffer from that.
    pub open_files: Option<u64>,
    /// Processes and threads that the user has at once, those outside of the run included; root
    /// is exempt.
    pub processes: Option<u64>,
}

/// The soft limit on descriptors that programs expect (FD_SETSIZE; systemd's default, too).
pub const OPEN_FILES: u64 = 1024;

/// Sets the limits of this process.
///
/// # Errors
/// What getrlimit or setrlimit answered.
pub fn set(limits: &ResourceLimits) -> io::Result<()> {
    if let Some(seconds) = limits.cpu_seconds {
        limit(libc::RLIMIT_CPU, seconds, seconds.saturating_add(1))?;
    }
    if let Some(bytes) = limits.memory_bytes {
        limit(libc::RLIMIT_AS, bytes, bytes)?;
    }
    match limits.open_files {
        Some(count) => limit(libc::RLIMIT_NOFILE, count, count)?,
        None => limit(libc::RLIMIT_NOFILE, OPEN_FILES, u64::MAX)?,
    }
    if let Some(count) = limits.processes {
        limit(libc::RLIMIT_NPROC, count, count)?;
    }
    Ok(())
}

/// The soft limits of this process.
#[must_use]
pub fn in_force() -> ResourceLimits {
    ResourceLimits {
        cpu_seconds: soft(libc::RLIMIT_CPU),
        memory_bytes: soft(libc::RLIMIT_AS),
        open_files: soft(libc::RLIMIT_NOFILE),
        processes: soft(libc::RLIMIT_NPROC),
    }
}

fn soft(resource: Resource) -> Option<u64> {
    let soft = read(resource).ok()?.rlim_cur;
    // rlim_t has 32 bits on 32-bit Linux.
    #[allow(clippy::useless_conversion)]
    (soft != libc::RLIM_INFINITY).then(|| u64::from(soft))
}

fn read(resource: Resource) -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a live rlimit, which the call fills.
    if unsafe { libc::getrlimit(resource, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit)
}

/// An integer on macOS and musl, an enum's unsigned one with glibc.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
type Resource = libc::c_int;

fn limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let mut limit = read(resource)?;
    // rlim_t has 32 bits on 32-bit Linux.
    let narrow = |value: u64| libc::rlim_t::try_from(value).unwrap_or(libc::rlim_t::MAX);
    limit.rlim_max = limit.rlim_max.min(narrow(hard));
    limit.rlim_cur = narrow(soft).min(limit.rlim_max);
    // SAFETY: the pointer is to a live, initialised rlimit, which the call only reads.
    if unsafe { libc::setrlimit(resource, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_limit_stands_and_is_never_raised() {
        let outer = ResourceLimits {
            cpu_seconds: Some(100),
            open_files: Some(64),
            ..ResourceLimits::default()
        };
        let inner = ResourceLimits {
            cpu_seconds: Some(u64::MAX),
            open_files: Some(65),
            ..ResourceLimits::default()
        };
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "ulimit -t; ulimit -Ht; ulimit -n; ulimit -Hn"]);
        // SAFETY: setting limits takes no lock and allocates nothing.
        let output = unsafe { command.pre_exec(move || set(&outer).and_then(|()| set(&inner))) }
            .output()
            .unwrap();
        assert_eq!(output.stdout, b"101\n101\n64\n64\n");
    }

    #[test]
    fn the_limits_in_force_are_those_that_a_shell_shows() {
        let shown = Command::new("/bin/sh").args(["-c", "ulimit -n"]).output();
        let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
        let expected = (shown.trim() != "unlimited").then(|| shown.trim().parse().unwrap());
        assert_eq!(in_force().open_files, expected);
    }
}
