//! The descriptor limit: how many files and sockets the process may hold at once.
//!
//! The soft limit that a login shell hands down (1,024 on Debian, 256 on macOS) is a courtesy to
//! programs that use `select`; a server takes all that the hard limit allows.

use std::io;

/// Raises the soft limit on descriptors to the hard one and returns the soft limit now in force.
///
/// # Errors
/// What `getrlimit` or `setrlimit` answered; the limit is then as it was.
pub fn raise() -> io::Result<u64> {
    let mut limit = read()?;
    let target = reachable(limit.rlim_max);
    if limit.rlim_cur < target {
        limit.rlim_cur = target;
        // SAFETY: the pointer is to a live, initialised rlimit, which the call only reads.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // rlim_t has 32 bits on 32-bit Linux.
    #[allow(clippy::useless_conversion)]
    Ok(u64::from(limit.rlim_cur))
}

/// The soft limit on descriptors that is in force.
///
/// # Errors
/// What `getrlimit` answered.
pub fn soft() -> io::Result<u64> {
    // rlim_t has 32 bits on 32-bit Linux.
    #[allow(clippy::useless_conversion)]
    Ok(u64::from(read()?.rlim_cur))
}

fn read() -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a live rlimit, which the call fills.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit)
}

/// Linux: the hard limit is at most fs.nr_open and can be taken as it is.
#[cfg(not(target_os = "macos"))]
fn reachable(hard: libc::rlim_t) -> libc::rlim_t {
    hard
}

/// macOS: the hard limit is often infinite, but setrlimit(2) refuses more than
/// `kern.maxfilesperproc`; OPEN_MAX (10,240) always passes.
#[cfg(target_os = "macos")]
fn reachable(hard: libc::rlim_t) -> libc::rlim_t {
    const OPEN_MAX: libc::rlim_t = 10_240;
    let mut per_process: libc::c_int = 0;
    let mut size = size_of::<libc::c_int>();
    // SAFETY: the name ends with NUL, and `size` is the size of the integer that is filled.
    let answer = unsafe {
        libc::sysctlbyname(
            c"kern.maxfilesperproc".as_ptr(),
            (&raw mut per_process).cast(),
            &raw mut size,
            std::ptr::null_mut(),
            0,
        )
    };
    let ceiling = match libc::rlim_t::try_from(per_process) {
        Ok(ceiling) if answer == 0 && ceiling > 0 => ceiling,
        _ => OPEN_MAX,
    };
    hard.min(ceiling)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn raises_a_lowered_soft_limit_to_what_the_hard_limit_allows() {
        let mut limit = read().unwrap();
        limit.rlim_cur -= 1;
        // SAFETY: the pointer is to a live, initialised rlimit, which the call only reads.
        let answer = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
        assert_eq!(answer, 0);

        let raised = raise().unwrap();

        assert_eq!(raised, reachable(limit.rlim_max));
        assert!(raised > limit.rlim_cur);
        assert_eq!(raised, soft().unwrap());
        assert_eq!(raised, raise().unwrap(), "raising twice changes nothing");
    }
}
