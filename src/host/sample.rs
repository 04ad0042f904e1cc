//! What was measured of the machine at one moment: plain data, in bytes, seconds and per cent.
//!
//! Rates and shares are means over the time since the sample before; without one, shares are of the
//! time since the machine was started, and there are no rates. What could not be measured is
//! `None`, or the neutral value that its field names.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::Now;
use crate::host::cgroup::Limits;

/// What a sample is to hold that costs something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Processes at most; 0 looks at none.
    pub processes: usize,
    /// Whether their commands are told with their arguments.
    pub command_lines: bool,
}

/// The machine at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// When it was taken.
    pub at: Now,
    /// What seldom changes.
    pub facts: Arc<Facts>,
    /// Since the machine was started; zero if unknown.
    pub uptime: Duration,
    /// Its processors.
    pub cpu: Cpu,
    /// Tasks that ran or waited, means over 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    /// Its memory; zeros if unknown.
    pub memory: Memory,
    /// The disk that data is on.
    pub storage: Option<Storage>,
    /// Whether its supply is too weak, or was since the machine was started; false if unknown.
    pub is_undervolted: bool,
    /// What runs on it.
    pub processes: Processes,
    /// Its network interfaces.
    pub interfaces: Vec<Interface>,
    /// Its disks, without those made of others.
    pub disks: Vec<Disk>,
    /// How long tasks wait for what they lack.
    pub pressure: Pressure,
    /// What our control group may use, if that is less than the machine.
    pub group: Option<Limits>,
}

/// What seldom changes of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its name; `None` if unknown.
    pub hostname: Option<String>,
    /// The operating system with its version, such as `Debian GNU/Linux 12 (bookworm)`.
    pub os: Option<String>,
    /// The kernel's version.
    pub kernel: Option<String>,
    /// What it is, such as `Raspberry Pi 4 Model B Rev 1.4`.
    pub model: Option<String>,
    /// Its processor.
    pub cpu_model: Option<String>,
}

/// Processors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cpu {
    /// Per cent of all cores' time, 0 to 100.
    pub usage: f64,
    /// The same of each core in use.
    pub cores: Vec<f64>,
    /// Degrees Celsius, above 0.
    pub temperature: Option<i32>,
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All of it.
    pub total: u64,
    /// In use, without caches and buffers.
    pub used: u64,
    /// What a new program could have, as the kernel estimates it.
    pub available: u64,
    /// Swap.
    pub swap_total: u64,
    /// Swap in use.
    pub swap_used: u64,
}

/// A file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Where it is mounted.
    pub mount: &'static str,
    /// Its size.
    pub total: u64,
    /// What is taken.
    pub used: u64,
    /// What a program without privileges may still take.
    pub available: u64,
}

/// What runs on the machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Processes {
    /// All, with the kernel's own threads; `None` if none were looked at.
    pub count: Option<usize>,
    /// Those that take most of processors and memory, first the largest.
    pub top: Vec<Process>,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its program's name.
    pub name: String,
    /// Per cent of all cores' time.
    pub cpu: f64,
    /// Per cent of the memory.
    pub memory: f64,
    /// Its program's path or name; with its arguments only if that was wanted.
    pub command: String,
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// What is known of it.
    pub facts: Link,
    /// Whether traffic to elsewhere leaves by it.
    pub is_default: bool,
    /// As in RFC 2863: `up`, `down`, `unknown` and others.
    pub state: Option<String>,
    /// Strength of its radio signal in dBm.
    pub signal: Option<i32>,
    /// Bytes per second, received and sent.
    pub rates: Option<[u64; 2]>,
}

/// What seldom changes of a network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its first address.
    pub ip4: Option<Ipv4Addr>,
    /// Its first address, one of global scope if there is any.
    pub ip6: Option<Ipv6Addr>,
    /// Its hardware address.
    pub mac: Option<String>,
    /// What carries it.
    pub medium: Medium,
}

/// What carries a network interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Medium {
    /// A cable.
    #[default]
    Wired,
    /// Radio.
    Wireless,
    /// Nothing: the kernel made it, such as a bridge or the loopback.
    Virtual,
}

impl Medium {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wired => "wired",
            Self::Wireless => "wireless",
            Self::Virtual => "virtual",
        }
    }
}

/// A disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Its name, such as `sda`.
    pub name: String,
    /// Bytes per second, read and written.
    pub rates: Option<[u64; 2]>,
}

/// Pressure stall information, of each resource.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// Waiting for a processor.
    pub cpu: Option<Stall>,
    /// Waiting for memory.
    pub memory: Option<Stall>,
    /// Waiting for disks.
    pub io: Option<Stall>,
}

/// Per cent of the time in which tasks waited, means over 10, 60 and 300 seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stall {
    /// At least one task.
    pub some: [f64; 3],
    /// All that were not idle; `None` where the kernel does not say.
    pub full: Option<[f64; 3]>,
}

impl Sample {
    /// Bytes per second over all interfaces that something carries, received and sent; `None` if
    /// that of none is known.
    #[must_use]
    pub fn network_rates(&self) -> Option<[u64; 2]> {
        let real = |interface: &&Interface| interface.facts.medium != Medium::Virtual;
        sum(self.interfaces.iter().filter(real).map(|each| each.rates))
    }

    /// Bytes per second over all disks, read and written; `None` if that of none is known.
    #[must_use]
    pub fn disk_rates(&self) -> Option<[u64; 2]> {
        sum(self.disks.iter().map(|disk| disk.rates))
    }
}

fn sum(rates: impl Iterator<Item = Option<[u64; 2]>>) -> Option<[u64; 2]> {
    rates
        .flatten()
        .reduce(|[a, b], [c, d]| [a.saturating_add(c), b.saturating_add(d)])
}
