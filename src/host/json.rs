//! How a sample is spelt: SystemMetrics, as clients of the device dialect know it, and more beside it.
//!
//! Memory and disks are in whole MiB, rounded down, under names that say MB; per cent are whole
//! numbers where such clients expect them. Invariant: what is written is valid JSON whatever was
//! measured.

use std::time::Duration;

use crate::base::clock::Wall;
use crate::host::cgroup::Limits;
use crate::host::sample::{Disk, Interface, Medium, Process, Sample, Stall, Storage};
use crate::wire::json::object::{Object, array};

/// The members of SystemMetrics with at most so many processes, for [`Object::end`].
pub fn system_metrics<'a>(sample: &Sample, processes: usize, out: &'a mut Vec<u8>) -> Object<'a> {
    let memory = &sample.memory;
    let (used, total) = (mebibytes(memory.used), mebibytes(memory.total));
    let (swap_used, swap_total) = (mebibytes(memory.swap_used), mebibytes(memory.swap_total));
    let top = sample.processes.top.iter().take(processes);
    let object = Object::begin(out)
        .number("cpu_usage", whole(sample.cpu.usage))
        .raw("cpu_temp", &or_null(sample.cpu.temperature))
        .number("cpu_cores", cores(sample))
        .number("memory_usage", used)
        .number("memory_total", total)
        .number("memory_percent", percent(used, total));
    storage(sample.storage.as_ref(), object)
        .number("uptime", sample.uptime.as_secs())
        .string("hostname", hostname(sample))
        .boolean("is_undervolted", sample.is_undervolted)
        .value("top_processes", |out| array(out, top, process))
        .value("network_interfaces", |out| {
            array(out, &sample.interfaces, interface);
        })
        .string("timestamp", &time(sample))
        .value("cpu_per_core", |out| {
            array(out, &sample.cpu.cores, |out, usage| {
                out.extend_from_slice(whole(*usage).to_string().as_bytes());
            });
        })
        .value("load_average", |out| means(sample.load, out))
        .number("memory_available", mebibytes(memory.available))
        .number("swap_usage", swap_used)
        .number("swap_total", swap_total)
        .number("swap_percent", percent(swap_used, swap_total))
        .raw("processes_total", &or_null(sample.processes.count))
        .value("network_rates", |out| {
            rates(sample.network_rates(), ["received", "sent"], out);
        })
        .value("disk_rates", |out| {
            rates(sample.disk_rates(), ["read", "written"], out);
        })
        .value("disks", |out| array(out, &sample.disks, disk))
        .value("pressure", |out| pressure(sample, out))
        .value("cgroup", |out| group(sample.group, out))
}

/// What the machine is.
pub fn system_info(sample: &Sample, out: &mut Vec<u8>) {
    let facts = &sample.facts;
    let started = Duration::from_millis(sample.at.wall.as_millis()).saturating_sub(sample.uptime);
    let started = Wall::from_millis(u64::try_from(started.as_millis()).unwrap_or(u64::MAX));
    let object = Object::begin(out).string("hostname", hostname(sample));
    let object = text("os", facts.os.as_deref(), object);
    let object = text("kernel", facts.kernel.as_deref(), object);
    let object = object.string("arch", std::env::consts::ARCH);
    let object = text("model", facts.model.as_deref(), object);
    text("cpu_model", facts.cpu_model.as_deref(), object)
        .number("cpu_cores", cores(sample))
        .number("memory_total", mebibytes(sample.memory.total))
        .number("uptime", sample.uptime.as_secs())
        .string("uptime_formatted", &uptime(sample.uptime))
        .string("booted", &started.to_rfc3339())
        .string("timestamp", &time(sample))
        .end();
}

/// The processes, as many as there are in the sample.
pub fn processes(sample: &Sample, out: &mut Vec<u8>) {
    Object::begin(out)
        .value("top_processes", |out| {
            array(out, &sample.processes.top, process);
        })
        .raw("processes_total", &or_null(sample.processes.count))
        .string("timestamp", &time(sample))
        .end();
}

/// The network interfaces.
pub fn network_interfaces(sample: &Sample, out: &mut Vec<u8>) {
    Object::begin(out)
        .value("network_interfaces", |out| {
            array(out, &sample.interfaces, interface);
        })
        .string("timestamp", &time(sample))
        .end();
}

/// `1d 2h 3m`, without what is zero; `0m` if all is.
#[must_use]
pub fn uptime(uptime: Duration) -> String {
    let minutes = uptime.as_secs() / 60;
    let parts = [
        (minutes / 1440, 'd'),
        (minutes / 60 % 24, 'h'),
        (minutes % 60, 'm'),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    match parts.is_empty() {
        true => "0m".to_owned(),
        false => parts.join(" "),
    }
}

fn hostname(sample: &Sample) -> &str {
    sample.facts.hostname.as_deref().unwrap_or("unknown")
}

fn cores(sample: &Sample) -> u64 {
    sample.cpu.cores.len().max(1) as u64
}

fn time(sample: &Sample) -> String {
    sample.at.wall.to_rfc3339()
}

/// As df(1) counts: of what a program without privileges may have.
fn storage<'a>(storage: Option<&Storage>, object: Object<'a>) -> Object<'a> {
    let number = |of: fn(&Storage) -> u64| or_null(storage.map(of));
    object
        .raw("storage_usage", &number(|disk| mebibytes(disk.used)))
        .raw("storage_total", &number(|disk| mebibytes(disk.total)))
        .raw(
            "storage_percent",
            &number(|disk| percent(disk.used, disk.used.saturating_add(disk.available))),
        )
}

fn process(out: &mut Vec<u8>, process: &Process) {
    Object::begin(out)
        .number("pid", u64::from(process.pid))
        .string("name", &process.name)
        .raw("cpu", &decimal(process.cpu, 1))
        .raw("mem", &decimal(process.memory, 1))
        .string("command", &process.command)
        .end();
}

fn interface(out: &mut Vec<u8>, interface: &Interface) {
    let facts = &interface.facts;
    let object = Object::begin(out).string("name", &interface.name);
    let object = text("ip4", facts.ip4.map(|ip| ip.to_string()).as_deref(), object);
    let object = text("ip6", facts.ip6.map(|ip| ip.to_string()).as_deref(), object);
    let object = text("mac", facts.mac.as_deref(), object)
        .string("type", facts.medium.as_str())
        .boolean("default", interface.is_default)
        .boolean("virtual", facts.medium == Medium::Virtual);
    let object = text("operstate", interface.state.as_deref(), object);
    let object = match interface.signal {
        Some(signal) => object.raw("signalLevel", &signal.to_string()),
        None => object,
    };
    object
        .value("rates", |out| {
            rates(interface.rates, ["received", "sent"], out);
        })
        .end();
}

fn disk(out: &mut Vec<u8>, disk: &Disk) {
    Object::begin(out)
        .string("name", &disk.name)
        .value("rates", |out| rates(disk.rates, ["read", "written"], out))
        .end();
}

fn pressure(sample: &Sample, out: &mut Vec<u8>) {
    let stall = |stall: Option<Stall>| {
        move |out: &mut Vec<u8>| match stall {
            None => out.extend_from_slice(b"null"),
            Some(stall) => Object::begin(out)
                .value("some", |out| means(Some(stall.some), out))
                .value("full", |out| means(stall.full, out))
                .end(),
        }
    };
    Object::begin(out)
        .value("cpu", stall(sample.pressure.cpu))
        .value("memory", stall(sample.pressure.memory))
        .value("io", stall(sample.pressure.io))
        .end();
}

fn group(limits: Option<Limits>, out: &mut Vec<u8>) {
    let Some(limits) = limits else {
        return out.extend_from_slice(b"null");
    };
    let memory = |bytes: Option<u64>| or_null(bytes.map(mebibytes));
    Object::begin(out)
        .raw("memory_limit", &memory(limits.memory()))
        .raw("memory_usage", &memory(limits.memory_used))
        .raw("cpus", &or_null(limits.cpus.map(|cpus| decimal(cpus, 2))))
        .raw("pids_limit", &or_null(limits.pids_max))
        .raw("pids_usage", &or_null(limits.pids_used))
        .end();
}

/// Bytes per second under two names, or null.
fn rates(rates: Option<[u64; 2]>, [first, second]: [&str; 2], out: &mut Vec<u8>) {
    match rates {
        None => out.extend_from_slice(b"null"),
        Some([one, other]) => Object::begin(out)
            .number(first, one)
            .number(second, other)
            .end(),
    }
}

fn means(means: Option<[f64; 3]>, out: &mut Vec<u8>) {
    match means {
        None => out.extend_from_slice(b"null"),
        Some(means) => array(out, means, |out, mean| {
            out.extend_from_slice(decimal(mean, 2).as_bytes());
        }),
    }
}

fn text<'a>(name: &str, value: Option<&str>, object: Object<'a>) -> Object<'a> {
    match value {
        Some(value) => object.string(name, value),
        None => object.raw(name, "null"),
    }
}

fn or_null(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

/// A part in per cent, rounded; 0 of nothing.
fn percent(part: u64, all: u64) -> u64 {
    match all {
        0 => 0,
        all => whole(part as f64 * 100.0 / all as f64),
    }
}

/// Rounded, from 0 to 100.
fn whole(percent: f64) -> u64 {
    // A float that is no number becomes 0.
    percent.round().clamp(0.0, 100.0) as u64
}

/// With so many digits behind the point; 0 for what JSON has no number for.
fn decimal(value: f64, digits: usize) -> String {
    let value = if value.is_finite() { value } else { 0.0 };
    format!("{value:.digits$}")
}
