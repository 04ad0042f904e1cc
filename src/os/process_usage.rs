//! What a running process has used: processor time and memory, as the kernel accounts for them.
//!
//! Linux: /proc (proc(5)). macOS: proc_pid_rusage(2), which has no manual page; its times are in
//! ticks of mach_absolute_time. Invariant: nothing is kept between two readings.

use std::io;
use std::time::Duration;

/// One reading of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time in its own code, over all its threads, ended ones included.
    pub user: Duration,
    /// Processor time in the kernel on its behalf, likewise.
    pub system: Duration,
    /// Bytes of its memory that are in RAM.
    pub resident_bytes: u64,
}

impl Usage {
    /// Processor time, user and system.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        self.user.saturating_add(self.system)
    }
}

/// Reads what the process `pid` has used so far. Linux counts time in hundredths of a second.
///
/// # Errors
/// What the operating system answered: there is no such process, or it is somebody else's;
/// [`io::ErrorKind::Unsupported`] where we do not know how to ask.
pub fn read(pid: u32) -> io::Result<Usage> {
    platform::read(pid)
}

#[cfg(target_os = "linux")]
mod platform {
    use std::fs;
    use std::io;
    use std::time::Duration;

    use super::Usage;

    pub(super) fn read(pid: u32) -> io::Result<Usage> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (user, system) = parse_times(&stat).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Usage {
            user: ticks(user),
            system: ticks(system),
            resident_bytes: resident_bytes(pid)?,
        })
    }

    /// utime and stime, the 14th and 15th field. The 2nd, a name in parentheses, may hold spaces
    /// and parentheses, so counting starts behind the last of them.
    pub(super) fn parse_times(stat: &str) -> Option<(u64, u64)> {
        let (_, fields) = stat.rsplit_once(") ")?;
        let mut fields = fields.split(' ').skip(11);
        let user = fields.next()?.parse().ok()?;
        let system = fields.next()?.parse().ok()?;
        Some((user, system))
    }

    fn ticks(count: u64) -> Duration {
        // SAFETY: sysconf touches no memory of ours.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        // It is 100 wherever Linux runs, and -1 only for a name that it does not know.
        let per_second = u64::try_from(per_second).unwrap_or(100).max(1);
        Duration::from_nanos(count.saturating_mul(1_000_000_000 / per_second))
    }

    /// smaps_rollup counts the pages; status shows a counter that lags behind by up to some
    /// hundred kilobytes, but may be read of any process.
    fn resident_bytes(pid: u32) -> io::Result<u64> {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
        if let Some(bytes) = rollup.ok().and_then(|text| parse_bytes(&text, "Rss:")) {
            return Ok(bytes);
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        // A process that has ended and was not waited for has no memory, and no such line.
        Ok(parse_bytes(&status, "VmRSS:").unwrap_or(0))
    }

    /// The bytes in a line such as `VmRSS:   1234 kB`.
    pub(super) fn parse_bytes(text: &str, name: &str) -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        kilobytes.checked_mul(1024)
    }
}

#[cfg(target_os = "macos")]
mod platform {
    use std::io;
    use std::time::Duration;

    use super::Usage;

    pub(super) fn read(pid: u32) -> io::Result<Usage> {
        let pid = libc::c_int::try_from(pid).map_err(|_| io::ErrorKind::NotFound)?;
        // SAFETY: all bits zero are a valid rusage_info_v0, which holds integers only.
        let mut info: libc::rusage_info_v0 = unsafe { std::mem::zeroed() };
        // SAFETY: the flavor says that the buffer is a rusage_info_v0, which it is; the call fills
        // it and keeps nothing.
        let answer =
            unsafe { libc::proc_pid_rusage(pid, libc::RUSAGE_INFO_V0, (&raw mut info).cast()) };
        if answer != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Usage {
            user: ticks(info.ri_user_time),
            system: ticks(info.ri_system_time),
            resident_bytes: info.ri_resident_size,
        })
    }

    /// Ticks are nanoseconds on Intel and 125/3 of them on Apple's processors.
    #[allow(deprecated)] // libc points to a crate of its own for these two.
    fn ticks(count: u64) -> Duration {
        let mut base = libc::mach_timebase_info { numer: 1, denom: 1 };
        // SAFETY: the pointer is to a live mach_timebase_info, which the call fills.
        let answer = unsafe { libc::mach_timebase_info(&raw mut base) };
        if answer != 0 || base.denom == 0 {
            return Duration::from_nanos(count);
        }
        let nanos = u128::from(count) * u128::from(base.numer) / u128::from(base.denom);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
mod platform {
    use std::io;

    use super::Usage;

    pub(super) fn read(_: u32) -> io::Result<Usage> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn our_own_usage_grows() {
        let own = std::process::id();
        let before = read(own).unwrap();
        assert!(before.resident_bytes > 100_000, "{before:?}");
        assert!(before.resident_bytes < 1 << 40, "{before:?}");
        let mut number = 1u64;
        while read(own).unwrap().cpu() == before.cpu() {
            for step in 0..100_000 {
                number = std::hint::black_box(number.wrapping_mul(step | 1));
            }
        }
        let grown = read(own).unwrap().cpu() - before.cpu();
        assert!(grown < Duration::from_secs(60), "{grown:?}");
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        // Above the largest pid of Linux (2^22) and of macOS (99,998).
        assert!(read(999_999_999).is_err());
        assert!(read(u32::MAX).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn reads_what_proc_says() {
        let stat = "7 (a) (b c) S 1 7 7 0 -1 4194304 4 5 6 7 123 45 8 9 20 0 3 0 99 1 2";
        assert_eq!(platform::parse_times(stat), Some((123, 45)));
        for wrong in ["", "7 (a) S 1", "7 a S 1 7 7 0 -1 4194304 4 5 6 7 123 45 8"] {
            assert_eq!(platform::parse_times(wrong), None, "{wrong}");
        }
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(platform::parse_bytes(text, "VmRSS:"), expected, "{text:?}");
        };
        check("Name:\tx\nVmRSS:\t    1234 kB\n", Some(1234 * 1024));
        check("VmHWM:\t1 kB\n", None);
        check("VmRSS:\tx kB\n", None);
        check("VmRSS:\t18446744073709551615 kB\n", None);
    }
}
