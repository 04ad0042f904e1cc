//! The machine as Linux tells of it, by the files below /proc and /sys.

mod cpu;
mod disks;
mod facts;
mod files;
mod memory;
mod network;
mod pressure;
mod processes;
mod temperature;
#[cfg(test)]
mod tests;
mod voltage;

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::{Mono, Now};
use crate::host::addresses::{self, Addresses};
use crate::host::cgroup::{self, Limits};
use crate::host::linux::cpu::Cores;
use crate::host::linux::files::Files;
use crate::host::linux::network::Network;
use crate::host::linux::processes::{Census, Whole};
use crate::host::linux::temperature::Thermometer;
use crate::host::linux::voltage::Voltmeter;
use crate::host::rates::Meters;
use crate::host::sample::{Cpu, Facts, Sample, Storage, Wanted};
use crate::os::disk;

/// How long what seldom changes is believed, and where the sensors are.
const FACTS_AGE: Duration = Duration::from_secs(10 * 60);

/// How often the supply is looked at, and the limits of the control group: the kernel's log and its
/// list of mounts are the slowest to read.
const SLOW_AGE: Duration = Duration::from_secs(10);

/// The machine, with what is needed to tell how it changed.
#[derive(Debug)]
pub struct Machine {
    files: Files,
    cores: Cores,
    census: Census,
    network: Network,
    disks: Meters,
    thermometer: Thermometer,
    voltmeter: Voltmeter,
    facts: Arc<Facts>,
    facts_at: Option<Mono>,
    is_undervolted: bool,
    group: Option<Limits>,
    slow_at: Option<Mono>,
}

impl Default for Machine {
    fn default() -> Self {
        Self::at(Path::new("/"), addresses::read)
    }
}

impl Machine {
    /// The machine whose files are below `root`, with addresses from elsewhere.
    fn at(root: &Path, addresses: fn() -> HashMap<String, Addresses>) -> Self {
        let mut files = Files::at(root);
        Self {
            voltmeter: Voltmeter::find(&mut files),
            files,
            cores: Cores::default(),
            census: Census::default(),
            network: Network::new(addresses),
            disks: Meters::default(),
            thermometer: Thermometer::default(),
            facts: Arc::default(),
            facts_at: None,
            is_undervolted: false,
            group: None,
            slow_at: None,
        }
    }

    /// Measures the machine. Rates and shares are of the time since the last call.
    pub fn sample(&mut self, wanted: Wanted, now: Now) -> Sample {
        self.refresh(now.mono);
        let files = &mut self.files;
        let cores = Cores::parse(&files.text("proc/stat").unwrap_or_default());
        let (usage, each) = cores.usage_since(&self.cores);
        let memory = memory::parse(&files.text("proc/meminfo").unwrap_or_default());
        let whole = Whole {
            ticks: cores.together.all.saturating_sub(self.cores.together.all),
            memory: memory.total,
        };
        self.cores = cores;
        Sample {
            at: now,
            facts: Arc::clone(&self.facts),
            uptime: uptime(files),
            cpu: Cpu {
                usage,
                cores: each,
                temperature: self.thermometer.read(files),
            },
            load: load(files),
            memory,
            storage: storage(files),
            is_undervolted: self.is_undervolted,
            processes: self.census.take(files, wanted, whole, now.mono),
            interfaces: self.network.read(files, now.mono),
            disks: disks::read(files, &mut self.disks, now.mono),
            pressure: pressure::read(files),
            group: self.group,
        }
    }

    /// Reads anew what is believed for a while.
    fn refresh(&mut self, now: Mono) {
        let is_due = |at: Option<Mono>, age| at.is_none_or(|at| now.since(at) >= age);
        if is_due(self.facts_at, FACTS_AGE) {
            self.facts = Arc::new(facts::read(&mut self.files));
            self.thermometer = Thermometer::find(&mut self.files);
            self.facts_at = Some(now);
        }
        if is_due(self.slow_at, SLOW_AGE) {
            self.is_undervolted = self.voltmeter.read(&mut self.files);
            let limits = cgroup::read(&self.files.path(""));
            self.group = Some(limits).filter(Limits::is_any);
            self.slow_at = Some(now);
        }
    }
}

/// The first number of /proc/uptime.
fn uptime(files: &mut Files) -> Duration {
    let mut seconds = || {
        let text = files.word("proc/uptime")?;
        text.split_ascii_whitespace().next()?.parse::<f64>().ok()
    };
    seconds()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .unwrap_or_default()
}

/// The first three numbers of /proc/loadavg.
fn load(files: &mut Files) -> Option<[f64; 3]> {
    let text = files.word("proc/loadavg")?;
    let mut numbers = text.split_ascii_whitespace();
    let [one, five, fifteen] = [(); 3].map(|()| {
        let number: f64 = numbers.next()?.parse().ok()?;
        (number.is_finite() && number >= 0.0).then_some(number)
    });
    Some([one?, five?, fifteen?])
}

/// `/data` if something is mounted there, as on devices that keep their data apart; else `/`.
fn storage(files: &Files) -> Option<Storage> {
    let device = |path: &str| {
        std::fs::metadata(files.path(path))
            .ok()
            .map(|found| found.dev())
    };
    let is_apart = device("data").is_some_and(|data| device("") != Some(data));
    let (path, mount) = if is_apart {
        ("data", "/data")
    } else {
        ("", "/")
    };
    let space = disk::space(&files.path(path)).ok()?;
    Some(Storage {
        mount,
        total: space.total,
        used: space.total.saturating_sub(space.free),
        available: space.available,
    })
}
