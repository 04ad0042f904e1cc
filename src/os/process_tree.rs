//! The processes of this machine, and ending those that descend from us.
//!
//! Linux: /proc (proc(5)). Orphans come to the nearest subreaper, so a subreaper finds all that
//! descends from it however it was detached. macOS: libproc. Orphans go to launchd, so there
//! [`Tree::note`] has to see a process (by number and start, since numbers are used again) while
//! its ancestors live; one that detaches between two looks is not found.
//!
//! Invariant: who is looked at is signalled at once, not after all were looked at: a process that
//! forks and ends would be gone by then.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use crate::os::process::{self, Notice, Pid, Reaped};

/// A process as it was when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    pid: Pid,
    /// None for the first process.
    parent: Option<Pid>,
    /// None for the kernel's own.
    group: Option<Pid>,
    /// When it was started, in whatever unit; two processes with one number differ in it.
    start: u64,
}

/// How often [`Tree::note`] is to be called while a run lives; none where it is not needed.
pub const NOTE_EVERY: Option<Duration> = if cfg!(target_os = "linux") {
    None
} else {
    Some(Duration::from_millis(250))
};

/// Whether a subreaper without children has no descendants.
const ORPHANS_RETURN: bool = cfg!(target_os = "linux");

/// What descends from a process.
#[derive(Debug)]
pub struct Tree {
    root: Pid,
    noted: HashSet<(Pid, u64)>,
}

impl Tree {
    /// What descends from this process.
    #[must_use]
    pub fn own() -> Self {
        Self {
            root: Pid::own(),
            noted: HashSet::new(),
        }
    }

    /// Remembers who descends from it now, or did and lives.
    pub fn note(&mut self) {
        let mut alive = HashSet::new();
        // What cannot be listed now is at the next call.
        let _ = self.each_descendant(&[], |process| {
            alive.insert((process.pid, process.start));
        });
        self.noted = alive;
    }

    /// Whether nothing descends from it, given that it has no children.
    pub fn is_gone(&mut self) -> bool {
        if !ORPHANS_RETURN {
            self.note();
        }
        ORPHANS_RETURN || self.noted.is_empty()
    }

    /// One pass: kills every descendant and counts them, ended ones that nobody has waited for
    /// included. Call it until it has found none, reaping in between: one that forks may have been
    /// faster.
    #[must_use]
    pub fn kill(&self) -> usize {
        let mut found = 0;
        let mut groups = HashSet::new();
        // Without a list there is nobody to kill; the caller comes again.
        let _ = self.each_descendant(&[], |process| {
            found += 1;
            kill(process, &mut groups);
        });
        found
    }

    /// Visits all that descend from it, but for the children in `spared` and theirs.
    fn each_descendant(&self, spared: &[Pid], mut visit: impl FnMut(Process)) -> io::Result<()> {
        let mut family = HashSet::from([self.root]);
        platform::each(|process| {
            let is_child = process
                .parent
                .is_some_and(|parent| family.contains(&parent));
            let is_noted = self.noted.contains(&(process.pid, process.start));
            // Parents are listed before their children, but for where numbers start again; a later
            // pass finds those.
            if (is_child || is_noted) && process.pid != self.root && !spared.contains(&process.pid)
            {
                family.insert(process.pid);
                visit(process);
            }
        })
    }
}

/// Kills a process, and with the first of each group all of it: no fork gets out of that.
fn kill(process: Process, groups: &mut HashSet<Pid>) {
    process::signal(process.pid, Notice::Kill);
    if let Some(group) = process.group
        && group != process::own_group()
        && groups.insert(group)
    {
        process::signal_group(group, Notice::Kill);
    }
}

/// Reaps every child that has ended; says whether others are left.
///
/// # Errors
/// What wait4(2) answered.
pub fn reap_all(mut on_end: impl FnMut(process::Ended)) -> io::Result<bool> {
    loop {
        match process::reap_any()? {
            Reaped::Ended(ended) => on_end(ended),
            Reaped::NotYet => return Ok(true),
            Reaped::NoChildren => return Ok(false),
        }
    }
}

/// One pass over the orphans that a subreaper was given: kills and reaps each child of this process
/// that is not `known`, and kills its descendants. Call it until it has found none; it never blocks
/// but for the list of processes.
///
/// # Errors
/// When processes cannot be listed.
pub fn kill_strays(known: &[Pid]) -> io::Result<usize> {
    let mut found = Vec::new();
    let mut groups = HashSet::new();
    Tree::own().each_descendant(known, |process| {
        found.push(process.pid);
        kill(process, &mut groups);
    })?;
    let is_left = |pid: &&Pid| !matches!(process::reap(**pid), Ok(Reaped::Ended(_)));
    Ok(found.iter().filter(is_left).count())
}

/// One pass over the processes of our user in whose environment `variable` has a value that is
/// `ours`: kills them and counts them. Call it until it has found none. A program may have written
/// over its environment; then it is not found.
///
/// # Errors
/// When processes cannot be listed; `Unsupported` on macOS, which shows no environments.
pub fn kill_marked(variable: &str, ours: impl Fn(&[u8]) -> bool) -> io::Result<usize> {
    let own = Pid::own();
    let mut found = 0;
    let prefix = format!("{variable}=");
    platform::each_environment(|pid, environment| {
        let mut entries = environment.split(|byte| *byte == 0);
        let value = entries.find_map(|entry| entry.strip_prefix(prefix.as_bytes()));
        if pid != own && value.is_some_and(&ours) {
            found += 1;
            process::signal(pid, Notice::Kill);
        }
    })?;
    Ok(found)
}

#[cfg(target_os = "linux")]
mod platform {
    use std::fs::{self, File};
    use std::io::{self, Read};

    use super::{Pid, Process};

    pub(super) fn each(mut visit: impl FnMut(Process)) -> io::Result<()> {
        each_pid(|pid| {
            // More than the fields that are read; the name has 15 bytes at most, or 63 for the
            // kernel's own.
            let mut stat = [0; 512];
            let length = File::open(format!("/proc/{}/stat", pid.number()))
                .and_then(|mut file| file.read(&mut stat));
            // It may have ended since it was listed.
            let length = length.unwrap_or(0);
            if let Some(process) = parse(pid, stat.get(..length).unwrap_or_default()) {
                visit(process);
            }
        })
    }

    fn each_pid(mut visit: impl FnMut(Pid)) -> io::Result<()> {
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.parse().ok());
            if let Some(pid) = number.and_then(Pid::new) {
                visit(pid);
            }
        }
        Ok(())
    }

    /// Fields 4 (parent), 5 (group) and 22 (start). The 2nd, a name in parentheses, may hold any
    /// byte, so counting starts behind the last parenthesis.
    pub(super) fn parse(pid: Pid, stat: &[u8]) -> Option<Process> {
        let name_end = stat.iter().rposition(|byte| *byte == b')')?;
        let fields = str::from_utf8(stat.get(name_end + 1..)?).ok()?;
        let mut fields = fields.split_ascii_whitespace().skip(1);
        Some(Process {
            pid,
            parent: Pid::new(fields.next()?.parse().ok()?),
            group: Pid::new(fields.next()?.parse().ok()?),
            start: fields.nth(16)?.parse().ok()?,
        })
    }

    pub(super) fn each_environment(mut visit: impl FnMut(Pid, &[u8])) -> io::Result<()> {
        each_pid(|pid| {
            // That of others can be read by root alone, who must leave them in peace, too.
            let environment = format!("/proc/{}/environ", pid.number());
            if let Ok(environment) = fs::read(environment)
                && is_ours(pid)
            {
                visit(pid, &environment);
            }
        })
    }

    fn is_ours(pid: Pid) -> bool {
        use std::os::unix::fs::MetadataExt;
        let owner = |path: &str| fs::metadata(path).map(|data| data.uid()).ok();
        let other = owner(&format!("/proc/{}", pid.number()));
        other.is_some() && other == owner("/proc/self")
    }
}

#[cfg(target_os = "macos")]
mod platform {
    use std::io;
    use std::ptr;

    use super::{Pid, Process};

    pub(super) fn each(mut visit: impl FnMut(Process)) -> io::Result<()> {
        let mut pids = list()?;
        // They come newest first; parents have to come before their children.
        pids.sort_unstable();
        pids.into_iter()
            .filter_map(Pid::new)
            .filter_map(look_at)
            .for_each(&mut visit);
        Ok(())
    }

    fn list() -> io::Result<Vec<libc::pid_t>> {
        // SAFETY: without a buffer the call only counts.
        let count = unsafe { libc::proc_listallpids(ptr::null_mut(), 0) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        // Some may be started meanwhile; those beyond are found by the next pass.
        let mut pids = vec![0; count.saturating_add(64)];
        let size = libc::c_int::try_from(size_of_val(pids.as_slice())).unwrap_or(libc::c_int::MAX);
        // SAFETY: the buffer has `size` bytes, which the call fills with numbers.
        let count = unsafe { libc::proc_listallpids(pids.as_mut_ptr().cast(), size) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        pids.truncate(count);
        Ok(pids)
    }

    fn look_at(pid: Pid) -> Option<Process> {
        const SIZE: usize = size_of::<libc::proc_bsdinfo>();
        let size = libc::c_int::try_from(SIZE).ok()?;
        // SAFETY: all zeroes are a valid proc_bsdinfo, which holds integers only.
        let mut info: libc::proc_bsdinfo = unsafe { std::mem::zeroed() };
        let flavor = libc::PROC_PIDTBSDINFO;
        // SAFETY: the flavor says that the buffer is a proc_bsdinfo, which it is, and has its size.
        let answer =
            unsafe { libc::proc_pidinfo(pid.number(), flavor, 0, (&raw mut info).cast(), size) };
        let known = |number: u32| Pid::new(i32::try_from(number).ok()?);
        (answer == size).then(|| Process {
            pid,
            parent: known(info.pbi_ppid),
            group: known(info.pbi_pgid),
            start: info
                .pbi_start_tvsec
                .saturating_mul(1_000_000)
                .saturating_add(info.pbi_start_tvusec),
        })
    }

    pub(super) fn each_environment(_: impl FnMut(Pid, &[u8])) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
mod platform {
    use std::io;

    use super::{Pid, Process};

    pub(super) fn each(_: impl FnMut(Process)) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn each_environment(_: impl FnMut(Pid, &[u8])) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::testkit::server::until;

    fn pid(number: i32) -> Pid {
        Pid::new(number).unwrap()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn reads_what_proc_says() {
        let check = |stat: &[u8], expected: Option<(i32, i32, u64)>| {
            let found = platform::parse(pid(7), stat);
            let expected = expected.map(|(parent, group, start)| Process {
                pid: pid(7),
                parent: Pid::new(parent),
                group: Pid::new(group),
                start,
            });
            assert_eq!(found, expected, "{}", String::from_utf8_lossy(stat));
        };
        let rest = b" S 3 4 5 0 -1 4194304 6 7 8 9 1 2 3 4 20 0 1 0 987 1 2\n";
        for name in ["(sh)", "(a) S 9 9 (b)", "(\n) R 1 (", "()"] {
            let stat = [b"7 ", name.as_bytes(), b")", rest.as_slice()].concat();
            check(&stat, Some((3, 4, 987)));
        }
        check(
            b"7 (\xff\xfe) S 0 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1 2",
            Some((0, 0, 1)),
        );
        for wrong in [
            "",
            "7 (sh",
            "7 (sh)",
            "7 (sh) S",
            "7 (sh) S 1 2 3",
            "7 (sh) S x 2 3",
        ] {
            check(wrong.as_bytes(), None);
        }
        let whole = [b"7 (sh)".as_slice(), rest].concat();
        for cut in 0..whole.len() - 8 {
            check(whole.get(..cut).unwrap(), None);
        }
    }

    #[test]
    fn lists_this_process_and_its_parent() {
        let mut processes = Vec::new();
        platform::each(|process| processes.push(process)).unwrap();
        let find = |pid: Pid| processes.iter().find(|process| process.pid == pid);
        let own = find(Pid::own()).unwrap();
        assert_eq!(own.group, Some(process::own_group()));
        let parent = find(own.parent.unwrap());
        assert!(parent.is_none_or(|parent| parent.start <= own.start));
    }

    /// What macOS depends on; on Linux the orphans of this root would go to another, too.
    #[test]
    fn an_orphan_that_was_noted_is_found() {
        let script = "sh -c 'sleep 1000 & echo $! $$; wait' & wait";
        let mut root = Command::new("/bin/sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(root.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let numbers = line.split_whitespace().map(|word| word.parse().unwrap());
        let pids: Vec<Pid> = numbers.map(pid).collect();
        let mut tree = Tree {
            root: pid(root.id().try_into().unwrap()),
            noted: HashSet::new(),
        };
        tree.note();
        let noted: HashSet<Pid> = tree.noted.iter().map(|(pid, _)| *pid).collect();
        assert_eq!(noted, pids.iter().copied().collect());

        process::signal(pids[1], Notice::Kill);
        let root_of_none = Tree {
            root: tree.root,
            noted: HashSet::new(),
        };
        let count = |tree: &Tree| {
            let mut count = 0;
            tree.each_descendant(&[], |_| count += 1).unwrap();
            count
        };
        until("the root has nobody left", || count(&root_of_none) == 0);
        assert_eq!(count(&tree), 1);
        assert_eq!(tree.kill(), 1);
        until("the orphan is gone", || count(&tree) == 0);
        root.kill().unwrap();
        root.wait().unwrap();
    }
}
