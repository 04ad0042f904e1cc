//! The limits of the control group that we run in: what a container, or a unit of systemd, may use
//! at most (Linux, cgroups(7), versions 1 and 2; elsewhere there are none).
//!
//! /proc/self/cgroup says which group, /proc/self/mountinfo where its files are. A limit of any
//! group above binds, too, so all of them are read, up to the mount, and the smallest counts. Every
//! file may be missing and none is believed: each is read up to a bound, and what it says that makes
//! no sense is as if it were not there. May not touch: what the limits are used for.
//! Invariant: nothing outside of the mounts of control groups is read, whatever the files say.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// What the group may use and uses; `None` where it has no limit, or none that can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// The version of the hierarchy that limits memory, or else processor time: 1 or 2.
    pub version: Option<u8>,
    /// Bytes of memory, above which something in the group is killed.
    pub memory_max: Option<u64>,
    /// Bytes of memory, above which the group is slowed down and its memory taken back; version 2.
    pub memory_high: Option<u64>,
    /// Bytes of memory that are in use where the smallest limit on them is; what could be taken
    /// back at once, files that were read and not looked at since, is left out.
    pub memory_used: Option<u64>,
    /// Processors: 1.5 is the time of one and a half.
    pub cpus: Option<f64>,
    /// Processes and threads.
    pub pids_max: Option<u64>,
    /// Processes and threads that there are where the smallest limit on them is.
    pub pids_used: Option<u64>,
}

impl Limits {
    /// Whether anything is limited.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.memory().is_some() || self.cpus.is_some() || self.pids_max.is_some()
    }

    /// Bytes of memory that the group should stay below: the smaller of both limits.
    #[must_use]
    pub fn memory(&self) -> Option<u64> {
        self.memory_max.into_iter().chain(self.memory_high).min()
    }
}

/// Bytes of one value, or of a file with some lines.
const FILE_BYTES: u64 = 64 << 10;

/// Bytes of the list of mounts; a machine with thousands of containers has some hundred thousand.
const MOUNTS_BYTES: u64 = 4 << 20;

/// Groups above each other that are looked at; the kernel's own depth is hardly ever above ten.
const DEPTH_MAX: usize = 64;

/// Version 1 spells "no limit" as the largest number of whole pages.
const UNLIMITED: u64 = 1 << 62;

/// Reads the limits of this process's group from the file system at `root`, which is `/`.
#[must_use]
pub fn read(root: &Path) -> Limits {
    let groups = text(&root.join("proc/self/cgroup"), FILE_BYTES).unwrap_or_default();
    let mounts = text(&root.join("proc/self/mountinfo"), MOUNTS_BYTES).unwrap_or_default();
    let mounts: Vec<Mount<'_>> = mounts.lines().filter_map(Mount::parse).collect();
    let controller = |name: &str| Hierarchy::of(name, &groups, &mounts, root);
    let mut limits = Limits::default();
    let (memory, cpu) = (controller("memory"), controller("cpu"));
    limits.version = memory.as_ref().or(cpu.as_ref()).map(|found| found.version);
    if let Some(memory) = memory {
        memory.read_memory(&mut limits);
    }
    limits.cpus = cpu.and_then(|cpu| cpu.cpus());
    if let Some(pids) = controller("pids") {
        let smallest = pids.smallest(|group| number(&group.join("pids.max")));
        limits.pids_max = smallest.map(|(most, _)| most);
        limits.pids_used = smallest.and_then(|(_, group)| number(&group.join("pids.current")));
    }
    limits
}

/// A mount of control groups, as a line of proc_pid_mountinfo(5) has it.
#[derive(Debug)]
struct Mount<'a> {
    /// Which group its top is, seen from where /proc/self/cgroup counts.
    top: PathBuf,
    /// Where.
    at: PathBuf,
    version: u8,
    /// Options, among them the controllers of version 1.
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (top, at) = (unescape(place.next()?), unescape(place.next()?));
        let mut kind = kind.split(' ');
        let version = match kind.next()? {
            "cgroup" => 1,
            "cgroup2" => 2,
            _ => return None,
        };
        Some(Self {
            top,
            at,
            version,
            options: kind.nth(1)?,
        })
    }
}

/// A path in which the kernel wrote space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut parts = text.split('\\');
    let mut path = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                path.push(char::from(code));
                path.push_str(part.get(3..).unwrap_or_default());
            }
            None => {
                path.push('\\');
                path.push_str(part);
            }
        }
    }
    path.into()
}

/// The groups that one controller's limits for us come from.
#[derive(Debug)]
struct Hierarchy {
    version: u8,
    /// Our own first, each followed by the one above it, up to the mount.
    groups: Vec<PathBuf>,
}

impl Hierarchy {
    /// That of a controller, if it is mounted and limits us: version 1's if the machine has it there.
    fn of(controller: &str, groups: &str, mounts: &[Mount<'_>], root: &Path) -> Option<Self> {
        let has = |list: &str| list.split(',').any(|name| name == controller);
        // hierarchy-ID:controllers:path, where version 2 has the id 0 and names no controllers.
        let lines = groups.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            Some((fields.next()?, fields.next()?, fields.next()?))
        });
        let old = lines.clone().find(|(_, controllers, _)| has(controllers));
        let new = lines
            .clone()
            .find(|(id, list, _)| (*id, *list) == ("0", ""));
        let (version, group) = match (old, new) {
            (Some((_, _, group)), _) => (1, group),
            (None, Some((_, _, group))) => (2, group),
            (None, None) => return None,
        };
        let mut mounts = mounts.iter().rev();
        // The last mount hides those below it.
        let mount = mounts
            .find(|mount| mount.version == version && (version == 2 || has(mount.options)))?;
        let at = beneath(root, &mount.at)?;
        let own = own_group(&at, &mount.top, Path::new(group));
        let above = own.ancestors().take(DEPTH_MAX);
        let groups = above.take_while(|group| group.starts_with(&at));
        Some(Self {
            version,
            groups: groups.map(Path::to_owned).collect(),
        })
    }

    fn read_memory(&self, limits: &mut Limits) {
        let (max, high, used) = match self.version {
            1 => ("memory.limit_in_bytes", None, "memory.usage_in_bytes"),
            _ => ("memory.max", Some("memory.high"), "memory.current"),
        };
        let of = |name: &str| {
            let limit = |group: &Path| number(&group.join(name)).filter(|bytes| *bytes < UNLIMITED);
            self.smallest(limit)
        };
        let (max, high) = (of(max), high.and_then(of));
        limits.memory_max = max.map(|(bytes, _)| bytes);
        limits.memory_high = high.map(|(bytes, _)| bytes);
        let smallest = max.into_iter().chain(high).min_by_key(|(bytes, _)| *bytes);
        let Some(group) = smallest.map(|(_, group)| group) else {
            return;
        };
        let idle = text(&group.join("memory.stat"), FILE_BYTES).and_then(|stat| {
            let named = |name| {
                stat.lines()
                    .find_map(|line| line.strip_prefix(name)?.parse().ok())
            };
            // Version 1 counts those of the groups below in a line of its own.
            named("total_inactive_file ").or_else(|| named("inactive_file "))
        });
        let used = number(&group.join(used));
        limits.memory_used = used.map(|used| used.saturating_sub(idle.unwrap_or(0)));
    }

    /// How many processors the smallest quota is worth.
    fn cpus(&self) -> Option<f64> {
        let quotas = self.groups.iter().filter_map(|group| {
            let (quota, period): (u64, u64) = match self.version {
                1 => (
                    // -1 is no quota, and no unsigned number.
                    number(&group.join("cpu.cfs_quota_us"))?,
                    number(&group.join("cpu.cfs_period_us"))?,
                ),
                _ => {
                    let line = text(&group.join("cpu.max"), FILE_BYTES)?;
                    let (quota, period) = line.trim().split_once(' ')?;
                    (quota.parse().ok()?, period.parse().ok()?)
                }
            };
            // The kernel takes periods of 1 ms to 1 s, and quotas from 1 ms.
            #[allow(clippy::cast_precision_loss)]
            let cpus = quota as f64 / period as f64;
            (quota > 0 && period > 0).then_some(cpus)
        });
        quotas.reduce(f64::min)
    }

    /// The smallest of the groups' limits, with its group: the first of those that are equal.
    fn smallest(&self, limit: impl Fn(&Path) -> Option<u64>) -> Option<(u64, &Path)> {
        let groups = self.groups.iter().map(PathBuf::as_path);
        let limits = groups.filter_map(|group| Some((limit(group)?, group)));
        limits.min_by_key(|(limit, _)| *limit)
    }
}

/// Where our group's files are in a mount of groups from `top` on. In a namespace of its own a
/// container sees its top as `/`; where it sees the machine's names instead, or its mount shows but
/// a part of them, what the mount shows at its top is the nearest that can be read.
fn own_group(at: &Path, top: &Path, group: &Path) -> PathBuf {
    let inner = group.strip_prefix(top).ok();
    let inner = inner.or_else(|| {
        group
            .strip_prefix("/")
            .ok()
            .filter(|_| top == Path::new("/"))
    });
    let own = inner.and_then(|inner| beneath(at, inner));
    own.filter(|own| own.is_dir())
        .unwrap_or_else(|| at.to_owned())
}

/// `path` below `base`, even if it begins with `/`; `None` if it climbs.
fn beneath(base: &Path, path: &Path) -> Option<PathBuf> {
    let mut whole = base.to_owned();
    for component in path.components() {
        match component {
            Component::Normal(name) => whole.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(whole)
}

/// The one number in a file; "max" is none.
fn number(path: &Path) -> Option<u64> {
    text(path, FILE_BYTES)?.trim().parse().ok()
}

/// A file's text, up to so many bytes of it.
fn text(path: &Path, most: u64) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path)
        .ok()?
        .take(most)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
#[path = "cgroup_tests.rs"]
mod tests;
