//! `/proc/<pid>/stat` (proc_pid_stat(5)): what runs, and what it takes.
//!
//! Of each process one file is read; of those that are told, two more. The kernel's own threads,
//! which on a small machine are most, are remembered and passed over.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::base::clock::Mono;
use crate::base::one_line::cut;
use crate::host::linux::files::{Files, readable, word};
use crate::host::sample::{Process, Processes, Wanted};
use crate::os::page;

/// How long a number is believed to be that of a thread of the kernel.
const KERNEL_AGE: Duration = Duration::from_secs(60);

/// Bytes of a command that is told with its arguments.
const COMMAND: usize = 256;

/// Bytes of a process's own name, as the kernel bounds it (TASK_COMM_LEN).
const NAME: usize = 15;

/// PF_KTHREAD of linux/sched.h.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// What the processes had used when they were looked at before.
#[derive(Debug, Default)]
pub(super) struct Census {
    before: HashMap<u32, Seen>,
    kernel: HashSet<u32>,
    kernel_since: Option<Mono>,
}

/// A process as it was seen.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// When it began: another process may have its number by now.
    started: u64,
    ticks: u64,
}

/// What the shares are shares of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole {
    /// Ticks of all cores since the sample before.
    pub(super) ticks: u64,
    /// Bytes of memory.
    pub(super) memory: u64,
}

/// One line of stat, as far as it is of interest.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stat {
    name: [u8; NAME],
    is_kernel: bool,
    ticks: u64,
    started: u64,
    pages: u64,
}

/// A process before it is known whether it is told.
struct Candidate {
    pid: u32,
    name: [u8; NAME],
    cpu: f64,
    memory: f64,
}

impl Census {
    /// Looks at all processes, if any are wanted.
    pub(super) fn take(
        &mut self,
        files: &mut Files,
        wanted: Wanted,
        whole: Whole,
        now: Mono,
    ) -> Processes {
        if wanted.processes == 0 {
            *self = Self::default();
            return Processes::default();
        }
        if self
            .kernel_since
            .is_none_or(|since| now.since(since) >= KERNEL_AGE)
        {
            self.kernel.clear();
            self.kernel_since = Some(now);
        }
        let names = files.names("proc");
        let numbers: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
        let mut candidates = self.walk(&numbers, files, whole);
        let score = |each: &Candidate| 0.6 * each.cpu + 0.4 * each.memory;
        candidates.sort_by(|a, b| score(b).total_cmp(&score(a)).then(a.pid.cmp(&b.pid)));
        let told = candidates
            .iter()
            .filter_map(|each| each.tell(files, wanted));
        Processes {
            count: Some(numbers.len()),
            top: told.take(wanted.processes).collect(),
        }
    }

    fn walk(&mut self, numbers: &[u32], files: &mut Files, whole: Whole) -> Vec<Candidate> {
        let page = page::bytes();
        let mut after = HashMap::with_capacity(self.before.len());
        let mut candidates = Vec::with_capacity(self.before.len());
        for pid in numbers.iter().copied() {
            if self.kernel.contains(&pid) {
                continue;
            }
            let line = files.line(&format!("proc/{pid}/stat"));
            let Some(stat) = line.and_then(Stat::parse) else {
                continue;
            };
            if stat.is_kernel {
                self.kernel.insert(pid);
                continue;
            }
            let seen = self.before.get(&pid);
            let before = seen.filter(|seen| seen.started == stat.started);
            let used = stat
                .ticks
                .saturating_sub(before.map_or(0, |seen| seen.ticks));
            candidates.push(Candidate {
                pid,
                name: stat.name,
                cpu: share(used, whole.ticks),
                memory: share(stat.pages.saturating_mul(page), whole.memory),
            });
            let Stat { started, ticks, .. } = stat;
            after.insert(pid, Seen { started, ticks });
        }
        self.before = after;
        candidates
    }
}

/// Per cent, at most 100: what is read first may be older than what is read last.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    (part as f64 * 100.0 / whole as f64).min(100.0)
}

impl Stat {
    /// `pid (name) state …`; the name may hold anything, so counting starts behind its end.
    fn parse(line: &[u8]) -> Option<Self> {
        let (begin, end) = (memchr::memchr(b'(', line)?, memchr::memrchr(b')', line)?);
        let mut name = [0; NAME];
        for (to, from) in name.iter_mut().zip(line.get(begin + 1..end)?) {
            *to = *from;
        }
        let mut fields = std::str::from_utf8(line.get(end + 1..)?)
            .ok()?
            .split_ascii_whitespace();
        let mut number = |skipped: usize| fields.nth(skipped)?.parse::<u64>().ok();
        // The 9th, 14th, 15th, 22nd and 24th field of the line; the state is the 3rd.
        let flags = number(6)?;
        let (user, system) = (number(4)?, number(0)?);
        let started = number(6)?;
        Some(Self {
            name,
            is_kernel: flags & KERNEL_THREAD != 0,
            ticks: user.saturating_add(system),
            started,
            pages: number(1)?,
        })
    }
}

impl Candidate {
    /// What is told of it; `None` if it has ended, or has a name as if it were the kernel's.
    fn tell(&self, files: &mut Files, wanted: Wanted) -> Option<Process> {
        let pid = self.pid;
        let program = program(pid, files);
        let length = self.name.iter().position(|byte| *byte == 0).unwrap_or(NAME);
        let own = word(self.name.get(..length)?)?;
        if own.starts_with('[') {
            return None;
        }
        // The kernel cuts a name that is too long; the program's says the rest of it.
        let file = program.as_deref().and_then(|path| path.rsplit('/').next());
        let name = match file {
            Some(file) if length == NAME && file.starts_with(&own) => file.to_owned(),
            Some(_) | None => own,
        };
        let line = if wanted.command_lines {
            command_line(pid, files)
        } else {
            None
        };
        Some(Process {
            pid,
            command: line.or(program).unwrap_or_else(|| name.clone()),
            name,
            cpu: self.cpu,
            memory: self.memory,
        })
    }
}

/// The path of its program, which only its owner and root may know.
fn program(pid: u32, files: &Files) -> Option<String> {
    let path = files.link(&format!("proc/{pid}/exe"))?;
    Some(path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned())
}

/// Its arguments, with spaces between.
fn command_line(pid: u32, files: &mut Files) -> Option<String> {
    let bytes = files.line(&format!("proc/{pid}/cmdline"))?;
    let mut text = readable(bytes.get(..bytes.len().min(4 * COMMAND))?);
    text = text.replace(|character: char| character.is_control(), " ");
    let text = cut(text.trim(), COMMAND);
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line_whatever_the_name_holds() {
        let check = |line: &[u8], expected: Option<(&str, bool, [u64; 3])>| {
            let found = Stat::parse(line);
            let found = found.as_ref().map(|stat| {
                let numbers = [stat.ticks, stat.started, stat.pages];
                (stat.name.to_vec(), stat.is_kernel, numbers)
            });
            let expected = expected.map(|(name, is_kernel, numbers)| {
                let mut bytes = name.as_bytes().to_vec();
                bytes.resize(NAME, 0);
                (bytes, is_kernel, numbers)
            });
            assert_eq!(found, expected, "{}", line.escape_ascii());
        };
        let rest = "S 1 7 7 0 -1 4194304 4 5 6 7 123 45 8 9 20 0 3 0 99 4096 17 1";
        let of = |name: &str| format!("7 ({name}) {rest}");
        check(of("cat").as_bytes(), Some(("cat", false, [168, 99, 17])));
        check(
            of("a) (b").as_bytes(),
            Some(("a) (b", false, [168, 99, 17])),
        );
        check(
            of("(sd-pam)").as_bytes(),
            Some(("(sd-pam)", false, [168, 99, 17])),
        );
        let long = of("a-name-that-is-too-long");
        check(
            long.as_bytes(),
            Some(("a-name-that-is-", false, [168, 99, 17])),
        );
        let kernel = of("kworker/0:1").replace("4194304", "2129984");
        check(
            kernel.as_bytes(),
            Some(("kworker/0:1", true, [168, 99, 17])),
        );
        for wrong in [
            "",
            "7",
            "7 cat S 1",
            "7 )cat( S 1",
            "7 (cat) S 1 7 7 0 -1 4194304",
        ] {
            check(wrong.as_bytes(), None);
        }
        check(b"7 (\xff) S 1 \xff", None);
        let whole = of("cat");
        let needed = whole.rfind(" 17").unwrap() + 2;
        for end in 0..needed {
            check(&whole.as_bytes()[..end], None);
        }
    }
}
