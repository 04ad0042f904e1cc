//! The machine as sysinfo tells of it, where there is no /proc: macOS first of all.
//!
//! It is compiled on Linux for tests, so that it is held to what the kernel's own files say.
//! Neutral here: pressure, undervoltage, disks' rates, and which interface is the default.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sysinfo::{
    Components, CpuRefreshKind, MemoryRefreshKind, NetworkData, Networks, ProcessRefreshKind,
    ProcessesToUpdate, System, ThreadKind, UpdateKind,
};

use crate::base::clock::{Mono, Now};
use crate::base::one_line::cut;
use crate::host::addresses;
use crate::host::rates::Meters;
use crate::host::sample::{
    Cpu, Facts, Interface, Link, Medium, Memory, Pressure, Process, Processes, Sample, Storage,
    Wanted,
};
use crate::os::disk;

/// How long what seldom changes is believed.
const FACTS_AGE: Duration = Duration::from_secs(10 * 60);

/// Interfaces that are told of.
const INTERFACES: usize = 64;

/// Bytes of a command that is told with its arguments.
const COMMAND: usize = 256;

/// The machine, with what is needed to tell how it changed.
#[derive(Debug, Default)]
pub struct Machine {
    system: System,
    networks: Networks,
    components: Components,
    meters: Meters,
    facts: Arc<Facts>,
    facts_at: Option<Mono>,
}

impl Machine {
    /// Measures the machine. Rates and shares are of the time since the last call.
    pub fn sample(&mut self, wanted: Wanted, now: Now) -> Sample {
        if self
            .facts_at
            .is_none_or(|at| now.mono.since(at) >= FACTS_AGE)
        {
            self.system.refresh_cpu_list(CpuRefreshKind::nothing());
            self.facts = Arc::new(facts(&self.system));
            self.components = Components::new_with_refreshed_list();
            self.facts_at = Some(now.mono);
        }
        self.system.refresh_cpu_usage();
        let memory = MemoryRefreshKind::everything();
        self.system.refresh_memory_specifics(memory);
        let load = System::load_average();
        Sample {
            at: now,
            facts: Arc::clone(&self.facts),
            uptime: Duration::from_secs(System::uptime()),
            cpu: self.cpu(),
            load: Some([load.one, load.five, load.fifteen]),
            memory: memory_of(&self.system),
            storage: storage(),
            is_undervolted: false,
            processes: self.processes(wanted),
            interfaces: self.interfaces(now.mono),
            disks: Vec::new(),
            pressure: Pressure::default(),
            group: None,
        }
    }

    fn cpu(&mut self) -> Cpu {
        let usage = |usage: f32| f64::from(usage).clamp(0.0, 100.0);
        let names = ["cpu", "pmu tdie", "soc", "package id 0", "tctl"];
        let temperature = self.components.iter_mut().find_map(|component| {
            let label = component.label().to_ascii_lowercase();
            if !names.iter().any(|name| label.contains(name)) {
                return None;
            }
            component.refresh();
            // A float that is no number becomes 0.
            let degrees = component.temperature()?.round() as i32;
            (1..=150).contains(&degrees).then_some(degrees)
        });
        Cpu {
            usage: usage(self.system.global_cpu_usage()),
            cores: self
                .system
                .cpus()
                .iter()
                .map(|cpu| usage(cpu.cpu_usage()))
                .collect(),
            temperature,
        }
    }

    fn processes(&mut self, wanted: Wanted) -> Processes {
        if wanted.processes == 0 {
            return Processes::default();
        }
        let once = UpdateKind::OnlyIfNotSet;
        let mut kind = ProcessRefreshKind::nothing()
            .with_cpu()
            .with_memory()
            .with_exe(once);
        if wanted.command_lines {
            kind = kind.with_cmd(once);
        }
        let all = ProcessesToUpdate::All;
        self.system.refresh_processes_specifics(all, true, kind);
        let cores = self.system.cpus().len().max(1) as f64;
        let total = self.system.total_memory().max(1) as f64;
        let is_own =
            |process: &&sysinfo::Process| process.thread_kind() != Some(ThreadKind::Kernel);
        let told = self.system.processes().values().filter(is_own);
        let mut top: Vec<Process> = told
            .map(|process| tell(process, wanted, cores, total))
            .filter(|process| !process.name.is_empty() && !process.name.starts_with('['))
            .collect();
        let score = |each: &Process| 0.6 * each.cpu + 0.4 * each.memory;
        top.sort_by(|a, b| score(b).total_cmp(&score(a)).then(a.pid.cmp(&b.pid)));
        top.truncate(wanted.processes);
        Processes {
            count: Some(self.system.processes().len()),
            top,
        }
    }

    fn interfaces(&mut self, now: Mono) -> Vec<Interface> {
        self.networks.refresh(true);
        let mut all: Vec<(&String, &NetworkData)> = self.networks.iter().collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        all.truncate(INTERFACES);
        let counted = all.iter().map(|(name, data)| {
            let counters = [data.total_received(), data.total_transmitted()];
            (name.as_str(), counters)
        });
        let rates = self.meters.rates(counted, now);
        let interface = |((name, data), rates): (&(&String, &NetworkData), _)| Interface {
            name: (*name).clone(),
            facts: link(name, data),
            is_default: false,
            state: None,
            signal: None,
            rates,
        };
        all.iter().zip(rates).map(interface).collect()
    }
}

fn facts(system: &System) -> Facts {
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    Facts {
        hostname: System::host_name().and_then(text),
        os: System::long_os_version().and_then(text),
        kernel: System::kernel_version().and_then(text),
        model: sysinfo::Product::name().and_then(text),
        cpu_model: system
            .cpus()
            .first()
            .and_then(|cpu| text(cpu.brand().to_owned())),
    }
}

fn memory_of(system: &System) -> Memory {
    Memory {
        total: system.total_memory(),
        used: system.used_memory(),
        available: system.available_memory(),
        swap_total: system.total_swap(),
        swap_used: system.used_swap(),
    }
}

fn storage() -> Option<Storage> {
    let space = disk::space(Path::new("/")).ok()?;
    Some(Storage {
        mount: "/",
        total: space.total,
        used: space.total.saturating_sub(space.free),
        available: space.available,
    })
}

fn tell(process: &sysinfo::Process, wanted: Wanted, cores: f64, total: f64) -> Process {
    let name = process.name().to_string_lossy().into_owned();
    let program = process
        .exe()
        .map(|path| path.to_string_lossy().into_owned());
    let arguments = process.cmd().iter().map(|part| part.to_string_lossy());
    let line = arguments.collect::<Vec<_>>().join(" ");
    let line = cut(&line, COMMAND);
    let command = match (wanted.command_lines && !line.is_empty(), program) {
        (true, _) => line.to_owned(),
        (false, Some(program)) if !program.is_empty() => program,
        (false, _) => name.clone(),
    };
    Process {
        pid: process.pid().as_u32(),
        name,
        cpu: (f64::from(process.cpu_usage()) / cores).clamp(0.0, 100.0),
        memory: process.memory() as f64 * 100.0 / total,
        command,
    }
}

fn link(name: &str, data: &NetworkData) -> Link {
    let found = addresses::addresses(data);
    let mac = data.mac_address();
    let is_virtual = [
        "lo", "bridge", "utun", "awdl", "llw", "gif", "stf", "anpi", "ap",
    ]
    .iter()
    .any(|made| name.trim_end_matches(|last: char| last.is_ascii_digit()) == *made);
    Link {
        ip4: found.ip4,
        ip6: found.ip6,
        mac: Some(mac.to_string()),
        medium: match is_virtual {
            true => Medium::Virtual,
            false => Medium::Wired,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;

    #[test]
    fn says_of_this_machine_what_the_kernels_files_say() {
        let clock = Clock::start();
        let wanted = Wanted {
            processes: 5,
            command_lines: false,
        };
        let found = Machine::default().sample(wanted, clock.now());
        let expected = crate::host::Machine::default().sample(wanted, clock.now());
        assert_eq!(found.facts.hostname, expected.facts.hostname);
        assert_eq!(found.facts.kernel, expected.facts.kernel);
        assert_eq!(found.cpu.cores.len(), expected.cpu.cores.len());
        assert_eq!(found.memory.total, expected.memory.total);
        assert!(found.uptime.abs_diff(expected.uptime) < Duration::from_secs(60));
        assert_eq!(
            found.storage.map(|disk| disk.total),
            expected.storage.map(|disk| disk.total)
        );
        let own = std::process::id();
        let all = Wanted {
            processes: usize::MAX,
            ..wanted
        };
        let found = Machine::default().sample(all, clock.now());
        let is_own = |process: &&Process| process.pid == own;
        let own = found.processes.top.iter().find(is_own);
        assert!(
            own.is_some_and(|own| own.memory > 0.0 && own.command.contains('/')),
            "{own:?}"
        );
        let names = |sample: &Sample| {
            let names = sample
                .interfaces
                .iter()
                .map(|each| (each.name.clone(), each.facts.ip4));
            let mut names: Vec<_> = names.collect();
            names.sort();
            names
        };
        assert_eq!(names(&found), names(&expected));
    }
}
