//! What a running process has used: processor time and memory, as the kernel accounts for them.
//!
//! Linux: /proc (proc(5)). macOS: proc_pid_rusage(2) and proc_pidinfo(3), which have no manual pages;
//! their times are in ticks of mach_absolute_time. Invariant: nothing is kept between two readings.

use std::time::Duration;
use std::{fs, io};

use crate::base::clock::Wall;

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

/// One reading of our own process: what others are not asked for. What cannot be had is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnUsage {
    /// Processor time and memory. The memory may lag behind by some 100 KB, because this is read
    /// often and counting pages takes long.
    pub usage: Usage,
    /// Bytes of address space.
    pub virtual_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Descriptors open.
    pub open_descriptors: u64,
    /// When the process was started: to some seconds on Linux, where it is counted from the boot.
    pub started: Option<Wall>,
}

/// Reads what we have used so far: some microseconds, but for the descriptors, which kernels before
/// Linux 6.2 and macOS list one by one.
#[must_use]
pub fn own() -> OwnUsage {
    OwnUsage {
        open_descriptors: open_descriptors(),
        ..platform::own().unwrap_or_default()
    }
}

/// Processors that are online; 1 if nobody knows.
#[must_use]
pub fn processors() -> u64 {
    // SAFETY: sysconf touches no memory of ours.
    let online = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    u64::try_from(online).unwrap_or(1).max(1)
}

fn open_descriptors() -> u64 {
    // The size of this directory is their number since Linux 6.2, and 0 before.
    let counted = if cfg!(target_os = "linux") {
        fs::metadata("/proc/self/fd").map_or(0, |folder| folder.len())
    } else {
        0
    };
    if counted > 0 {
        return counted;
    }
    let listed = fs::read_dir("/dev/fd").map_or(0, Iterator::count);
    // One of them is what the directory is read with.
    listed.saturating_sub(1) as u64
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

    use super::{OwnUsage, Usage};
    use crate::base::clock::Wall;

    pub(super) fn read(pid: u32) -> io::Result<Usage> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (user, system) = parse_times(&stat).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Usage {
            user: ticks(user),
            system: ticks(system),
            resident_bytes: resident_bytes(pid)?,
        })
    }

    pub(super) fn own() -> Option<OwnUsage> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let boot = fs::read_to_string("/proc/stat").ok();
        let boot = boot.as_deref().and_then(parse_boot);
        let (user, system) = parse_times(&stat)?;
        let own = parse_own(&stat)?;
        Some(OwnUsage {
            usage: Usage {
                user: ticks(user),
                system: ticks(system),
                resident_bytes: own.resident_pages.saturating_mul(page_bytes()),
            },
            virtual_bytes: own.virtual_bytes,
            threads: own.threads,
            open_descriptors: 0,
            started: boot.map(|boot| after(boot, ticks(own.started))),
        })
    }

    fn after(boot: Wall, since: Duration) -> Wall {
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Wall::from_millis(boot.as_millis().saturating_add(millis))
    }

    /// What stat says of a process beside its times.
    #[derive(Debug, PartialEq, Eq)]
    pub(super) struct Own {
        pub(super) threads: u64,
        /// In ticks since the boot.
        pub(super) started: u64,
        pub(super) virtual_bytes: u64,
        pub(super) resident_pages: u64,
    }

    /// The fields 20, 22, 23 and 24.
    pub(super) fn parse_own(stat: &str) -> Option<Own> {
        let mut fields = fields_from(stat, 20)?.map(|field| field.trim_end().parse().ok());
        let threads = fields.next()??;
        let mut fields = fields.skip(1);
        Some(Own {
            threads,
            started: fields.next()??,
            virtual_bytes: fields.next()??,
            resident_pages: fields.next()??,
        })
    }

    /// The second of the boot, which /proc/stat calls btime.
    pub(super) fn parse_boot(stat: &str) -> Option<Wall> {
        let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
        let seconds: u64 = line.trim_end().parse().ok()?;
        Some(Wall::from_millis(seconds.checked_mul(1000)?))
    }

    /// utime and stime, the 14th and 15th field.
    pub(super) fn parse_times(stat: &str) -> Option<(u64, u64)> {
        let mut fields = fields_from(stat, 14)?;
        let user = fields.next()?.parse().ok()?;
        let system = fields.next()?.parse().ok()?;
        Some((user, system))
    }

    /// The fields from the one with this number (3 at least) on. The 2nd, a name in parentheses,
    /// may hold spaces and parentheses, so counting starts behind the last of them.
    fn fields_from(stat: &str, number: usize) -> Option<impl Iterator<Item = &str>> {
        let (_, fields) = stat.rsplit_once(") ")?;
        Some(fields.split(' ').skip(number.saturating_sub(3)))
    }

    fn page_bytes() -> u64 {
        // SAFETY: sysconf touches no memory of ours.
        let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        u64::try_from(bytes).unwrap_or(4096)
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

    use super::{OwnUsage, Usage};
    use crate::base::clock::Wall;

    pub(super) fn own() -> Option<OwnUsage> {
        let pid = libc::c_int::try_from(std::process::id()).ok()?;
        let size = size_of::<libc::proc_taskallinfo>();
        let size = libc::c_int::try_from(size).ok()?;
        // SAFETY: all bits zero are a valid proc_taskallinfo, which holds integers only.
        let mut info: libc::proc_taskallinfo = unsafe { std::mem::zeroed() };
        // SAFETY: the buffer has `size` bytes and is what the flavor says; the call fills it and
        // keeps nothing.
        let answer = unsafe {
            let buffer = (&raw mut info).cast();
            libc::proc_pidinfo(pid, libc::PROC_PIDTASKALLINFO, 0, buffer, size)
        };
        if answer != size {
            return None;
        }
        let (task, process) = (info.ptinfo, info.pbsd);
        let millis = process.pbi_start_tvsec.saturating_mul(1000);
        let millis = millis.saturating_add(process.pbi_start_tvusec / 1000);
        Some(OwnUsage {
            usage: Usage {
                user: ticks(task.pti_total_user),
                system: ticks(task.pti_total_system),
                resident_bytes: task.pti_resident_size,
            },
            virtual_bytes: task.pti_virtual_size,
            threads: u64::try_from(task.pti_threadnum).unwrap_or(0),
            open_descriptors: 0,
            started: Some(Wall::from_millis(millis)),
        })
    }

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

    use super::{OwnUsage, Usage};

    pub(super) fn own() -> Option<OwnUsage> {
        None
    }

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

    #[test]
    fn our_own_threads_and_descriptors_are_counted() {
        let before = own();
        assert!(before.usage.resident_bytes > 100_000, "{before:?}");
        assert!(
            before.virtual_bytes >= before.usage.resident_bytes,
            "{before:?}"
        );
        let now = crate::base::clock::Clock::start().now().wall.as_millis();
        let started = before.started.unwrap().as_millis();
        assert!(
            started < now + 5_000 && started > now - 86_400_000,
            "{before:?}"
        );
        // More than tests beside this one open or close meanwhile.
        const MANY: u64 = 200;
        let files: Vec<_> = (0..MANY)
            .map(|_| fs::File::open("/dev/null").unwrap())
            .collect();
        let with_files = own().open_descriptors;
        assert!(
            with_files >= before.open_descriptors + MANY / 2,
            "{before:?} {with_files}"
        );
        drop(files);
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let receiver = std::sync::Arc::new(std::sync::Mutex::new(receiver));
        let threads: Vec<_> = (0..MANY)
            .map(|_| {
                let receiver = std::sync::Arc::clone(&receiver);
                std::thread::spawn(move || receiver.lock().unwrap().recv().unwrap_err())
            })
            .collect();
        let with_threads = own().threads;
        drop(sender);
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(
            with_threads >= before.threads + MANY / 2,
            "{before:?} {with_threads}"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn reads_what_proc_says_of_ourselves() {
        let stat = "7 (a) (b c) S 1 7 7 0 -1 4194304 4 5 6 7 123 45 8 9 20 0 3 0 99 1000 20 1\n";
        let own = platform::parse_own(stat).unwrap();
        assert_eq!((own.threads, own.started), (3, 99));
        assert_eq!((own.virtual_bytes, own.resident_pages), (1000, 20));
        for wrong in [
            "",
            "7 (a) S 1",
            "7 (a) S 1 7 7 0 -1 4 4 5 6 7 1 4 8 9 20 0 3 0 99 1",
        ] {
            assert_eq!(platform::parse_own(wrong), None, "{wrong}");
        }
        let boot = platform::parse_boot("cpu 1 2\nbtime 1700000000\nctxt 3\n");
        assert_eq!(boot, Some(Wall::from_millis(1_700_000_000_000)));
        for wrong in ["", "btime x\n", "btime 18446744073709551615\n"] {
            assert_eq!(platform::parse_boot(wrong), None, "{wrong}");
        }
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
