//! What kind of machine this is: system, container, who watches over us, what limits we have.
//!
//! ```text
//! files under a root ─┬─ linux ── os_release, container
//!                     └─ macos
//! our own process ────── limits, user ──▶ Platform ──▶ concerns, lines of the log, P0's tree
//! ```
//!
//! Invariants: everything that is read from files is read under a root that the caller names, so that
//! tests hand in trees of other machines; of no file is more read than `FILE_BYTES_MAX`; what cannot
//! be found out is `None` and never an error. No program is started.

mod concerns;
mod container;
mod files;
mod lines;
mod linux;
mod macos;
pub(super) mod os_release;
#[cfg(test)]
mod tests;

use std::env;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::host::cgroup;
use crate::os::code_signing::Signing;
use crate::os::process;
use crate::os::resource_limits::{self, ResourceLimits};

pub use concerns::Concern;
pub use container::Container;

/// Bytes of a file that are read; those read here have some hundred.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The machine, found out once: little of it changes while the process lives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Platform {
    /// What is installed.
    pub system: System,
    /// What started the machine's services, such as `systemd`, `openrc`, `launchd`, or the name of
    /// the first process.
    pub init: Option<String>,
    /// The version of systemd, such as `252`, where it is installed.
    pub systemd: Option<String>,
    /// What kind of container this is, if it is one.
    pub container: Option<Container>,
    /// What else has a say in what we may do.
    pub security: Security,
    /// What our own process may use.
    pub limits: ResourceLimits,
    /// What our control group may use.
    pub group: cgroup::Limits,
    /// Whether a shell called `sh` is on the search path.
    pub has_shell: bool,
    /// Whether files can be made in /tmp.
    pub has_temporary: bool,
    /// What only macOS knows.
    pub macos: Option<Macos>,
}

/// Hardware, kernel, distribution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct System {
    /// Such as `Debian GNU/Linux`, `Raspberry Pi OS` or `macOS`.
    pub distribution: Option<String>,
    /// The distribution's version, such as `12`; rolling ones have none.
    pub version: Option<String>,
    /// The kernel's release, such as `6.1.0-18-amd64`.
    pub kernel: Option<String>,
    /// The machine's model, such as `Raspberry Pi 4 Model B Rev 1.5` or `Mac14,3`.
    pub model: Option<String>,
}

/// Users and mandatory access control.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// Whether we are root.
    pub is_root: bool,
    /// SELinux, where the kernel has it switched on.
    pub selinux: Option<SeLinux>,
    /// Our AppArmor profile, such as `unconfined` or `docker-default (enforce)`, where the kernel
    /// has AppArmor switched on.
    pub apparmor: Option<String>,
}

/// What SELinux does with what its policy forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeLinux {
    /// It is refused.
    Enforcing,
    /// It is logged only.
    Permissive,
}

impl SeLinux {
    /// The word that getenforce(8) prints, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforcing => "enforcing",
            Self::Permissive => "permissive",
        }
    }
}

/// What decides on macOS what we and our runs may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Macos {
    /// How our program is signed; macOS gives its permissions to signatures.
    pub signing: Option<Signing>,
    /// Whether we may read what is protected by Full Disk Access; `None` if that cannot be seen.
    pub full_disk_access: Option<bool>,
    /// The terminal that we were started from, whose permissions we have then.
    pub terminal: Option<String>,
    /// Where Homebrew is, which a service's search path does not know by itself.
    pub homebrew: Option<PathBuf>,
}

/// Where the facts come from.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// What `/` is.
    root: &'a Path,
    /// The environment's variables.
    variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Platform {
    /// The machine that this process runs on. Reads some small files, so call it once, at start.
    #[must_use]
    pub fn here() -> Self {
        let place = Place {
            root: Path::new("/"),
            variable: &|name| env::var(name).ok(),
        };
        let mut found = match env::consts::OS {
            "macos" => macos::read(place),
            _ => linux::read(place),
        };
        found.security.is_root = process::is_root();
        found.limits = resource_limits::in_force();
        found
    }
}

impl Platform {
    /// Bytes of memory that we may use: the limit of the process, or that of its control group if
    /// it is smaller.
    #[must_use]
    pub fn memory_max(&self) -> Option<u64> {
        let group = self.group.memory();
        self.limits.memory_bytes.into_iter().chain(group).min()
    }
}

/// P0's `platform`, as GET /api/v1/server shows it: what is not known is `null`, and so is a limit
/// that there is none of. Bytes and seconds.
impl Serialize for Platform {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Tree<'a> {
            os: &'a str,
            arch: &'a str,
            distribution: Option<&'a str>,
            version: Option<&'a str>,
            kernel: Option<&'a str>,
            init_system: Option<&'a str>,
            container: bool,
            container_type: Option<&'a str>,
            limits: Limits,
        }
        #[derive(Serialize)]
        struct Limits {
            max_open_files: Option<u64>,
            max_memory: Option<u64>,
            max_cpu_time: Option<u64>,
        }
        Tree {
            os: env::consts::OS,
            arch: env::consts::ARCH,
            distribution: self.system.distribution.as_deref(),
            version: self.system.version.as_deref(),
            kernel: self.system.kernel.as_deref(),
            init_system: self.init.as_deref(),
            container: self.container.is_some(),
            container_type: self.container.as_ref().map(Container::name),
            limits: Limits {
                max_open_files: self.limits.open_files,
                max_memory: self.memory_max(),
                max_cpu_time: self.limits.cpu_seconds,
            },
        }
        .serialize(serializer)
    }
}
