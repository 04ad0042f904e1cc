//! Machines of files: a Raspberry Pi, a container, one that is broken, one that is empty; and this
//! one, whose files are the kernel's own.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::base::clock::{Clock, Wall};
use crate::host::json;
use crate::host::sample::{Medium, Memory, Pressure, Processes, Stall};

/// A machine in a folder.
struct Fixture {
    folder: TempDir,
    machine: Machine,
}

impl Fixture {
    /// With these files; a path that ends in `@` is a link.
    fn new(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fixture = |folder: &TempDir| Machine::at(folder.path(), HashMap::new);
        write(&folder, files);
        let machine = fixture(&folder);
        Self { folder, machine }
    }

    fn write(&self, files: &[(&str, &[u8])]) {
        write(&self.folder, files);
    }

    fn sample(&mut self, seconds: u64) -> Sample {
        let now = Now {
            mono: Mono::ZERO + Duration::from_secs(seconds),
            wall: Wall::from_millis(1_767_225_600_000 + seconds * 1000),
        };
        let wanted = Wanted {
            processes: 10,
            command_lines: false,
        };
        let sample = self.machine.sample(wanted, now);
        // Whatever was found has a spelling.
        let mut out = Vec::new();
        json::system_metrics(&sample, 10, &mut out).end();
        for write in [json::system_info, json::processes, json::network_interfaces] {
            serde_json::from_slice::<serde_json::Value>(&out).unwrap();
            out.clear();
            write(&sample, &mut out);
        }
        serde_json::from_slice::<serde_json::Value>(&out).unwrap();
        sample
    }
}

fn write(folder: &TempDir, files: &[(&str, &[u8])]) {
    for (path, content) in files {
        let link = path.strip_suffix('@');
        let path = folder.path().join(link.unwrap_or(path));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match link {
            Some(_) => symlink(std::str::from_utf8(content).unwrap(), path).unwrap(),
            None => fs::write(path, content).unwrap(),
        }
    }
}

const PI: &[(&str, &[u8])] = &[
    ("proc/stat", b"cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 50 0 50 350 50 0 0 0\ncpu1 50 0 50 350 50 0 0 0\n"),
    ("proc/meminfo", b"MemTotal: 4000000 kB\nMemFree: 1000000 kB\nMemAvailable: 3000000 kB\nBuffers: 100000 kB\nCached: 1900000 kB\nSwapTotal: 102396 kB\nSwapFree: 102396 kB\n"),
    ("proc/uptime", b"93784.50 300000.00\n"),
    ("proc/loadavg", b"0.50 0.25 0.10 1/150 4242\n"),
    ("proc/sys/kernel/hostname", b"pi\n"),
    ("proc/sys/kernel/osrelease", b"6.6.31+rpt-rpi-v8\n"),
    ("proc/device-tree/model", b"Raspberry Pi 4 Model B Rev 1.4\0"),
    ("proc/cpuinfo", b"processor\t: 0\nBogoMIPS\t: 108.00\n\nHardware\t: BCM2835\nModel\t\t: Raspberry Pi 4\n"),
    ("etc/os-release", b"NAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
    ("proc/1/stat", b"1 (systemd) S 0 1 1 0 -1 4194560 9 9 9 9 10 10 9 9 20 0 1 0 25 9 2500 1"),
    ("proc/1/exe@", b"/usr/lib/systemd/systemd"),
    ("proc/2/stat", b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 9 9 0 0 20 0 1 0 25 0 0 1"),
    ("proc/700/stat", b"700 (a-name-that-is-) R 1 7 7 0 -1 4194304 9 9 9 9 30 20 9 9 20 0 1 0 90 9 25000 1"),
    ("proc/700/exe@", b"/opt/a-name-that-is-too-long (deleted)"),
    ("proc/700/cmdline", b"a-name\0--password\0hunter2\0"),
    ("proc/701/stat", b"701 ([fake]) S 1 7 7 0 -1 4194304 9 9 9 9 99 99 9 9 20 0 1 0 90 9 99999 1"),
    ("proc/net/dev", b"Inter-|   Receive\n face |bytes\n    lo: 500 1 0 0 0 0 0 0 500 1 0 0 0 0 0 0\n  eth0: 1000 1 0 0 0 0 0 0 2000 1 0 0 0 0 0 0\n wlan0: 10 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n"),
    ("proc/net/route", b"Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\nwlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\neth0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\n"),
    ("proc/net/wireless", b"Inter-| sta-|\n face | tus |\n wlan0: 0000   58.  -52.  -256 0 0\n"),
    ("sys/class/net/lo@", b"../../devices/virtual/net/lo"),
    ("sys/devices/virtual/net/lo/operstate", b"unknown\n"),
    ("sys/devices/virtual/net/lo/address", b"00:00:00:00:00:00\n"),
    ("sys/class/net/eth0/operstate", b"up\n"),
    ("sys/class/net/eth0/address", b"dc:a6:32:01:02:03\n"),
    ("sys/class/net/wlan0/operstate", b"down\n"),
    ("sys/class/net/wlan0/wireless/x", b""),
    ("proc/diskstats", b"7 0 loop0 9 9 9 9 9 9 9 9 0 9 9\n179 0 mmcblk0 9 9 1000 9 9 9 2000 9 0 9 9\n179 1 mmcblk0p1 9 9 500 9 9 9 500 9 0 9 9\n253 0 dm-0 9 9 500 9 9 9 500 9 0 9 9\n"),
    ("sys/block/mmcblk0@", b"../devices/platform/emmc2bus/fe340000.mmc/mmc_host/mmc0/block/mmcblk0"),
    ("sys/block/dm-0@", b"../devices/virtual/block/dm-0"),
    ("sys/block/loop0@", b"../devices/virtual/block/loop0"),
    ("sys/class/thermal/thermal_zone0/type", b"cpu-thermal\n"),
    ("sys/class/thermal/thermal_zone0/temp", b"48686\n"),
    ("sys/class/hwmon/hwmon0/name", b"cpu_thermal\n"),
    ("sys/class/hwmon/hwmon0/temp1_input", b"48199\n"),
    ("sys/class/hwmon/hwmon1/name", b"rpi_volt\n"),
    ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", b"0\n"),
    ("sys/devices/platform/soc/soc:firmware/get_throttled", b"50000\n"),
    ("proc/pressure/cpu", b"some avg10=1.50 avg60=2.25 avg300=0.00 total=1\n"),
];

#[test]
fn a_raspberry_pi_tells_all() {
    let mut pi = Fixture::new(PI);
    let first = pi.sample(1000);
    assert_eq!(
        (first.cpu.usage, first.cpu.cores.as_slice()),
        (20.0, &[20.0, 20.0][..])
    );
    assert_eq!(first.cpu.temperature, Some(48));
    assert_eq!(first.uptime, Duration::from_millis(93_784_500));
    assert_eq!(first.load, Some([0.5, 0.25, 0.1]));
    assert_eq!(
        first.memory,
        Memory {
            total: 4_000_000 << 10,
            used: 1_000_000 << 10,
            available: 3_000_000 << 10,
            swap_total: 102_396 << 10,
            swap_used: 0,
        }
    );
    let facts = Facts {
        hostname: Some("pi".to_owned()),
        os: Some("Debian GNU/Linux 12 (bookworm)".to_owned()),
        kernel: Some("6.6.31+rpt-rpi-v8".to_owned()),
        model: Some("Raspberry Pi 4 Model B Rev 1.4".to_owned()),
        cpu_model: Some("BCM2835".to_owned()),
    };
    assert_eq!(*first.facts, facts);
    assert!(first.is_undervolted, "it was, since the start");
    let some = Stall {
        some: [1.5, 2.25, 0.0],
        full: None,
    };
    assert_eq!(first.pressure.cpu, Some(some));
    assert_eq!(first.pressure.io, None);
    assert!(
        first
            .storage
            .is_some_and(|disk| disk.mount == "/" && disk.used <= disk.total)
    );
    assert_eq!(
        (first.network_rates(), first.disk_rates()),
        (None, None),
        "nothing to compare"
    );
    pi.write(&[
        ("proc/stat", b"cpu  150 0 150 750 150 0 0 0 0 0\ncpu0 100 0 100 350 50 0 0 0\ncpu1 50 0 50 400 100 0 0 0\n"),
        ("proc/700/stat", b"700 (a-name-that-is-) R 1 7 7 0 -1 4194304 9 9 9 9 60 40 9 9 20 0 1 0 90 9 25000 1"),
        ("proc/net/dev", b"    lo: 900 1 0 0 0 0 0 0 900 1 0 0 0 0 0 0\n  eth0: 6000 1 0 0 0 0 0 0 12000 1 0\n wlan0: 10 1 0 0 0 0 0 0 20 1 0\n"),
        ("proc/diskstats", b"179 0 mmcblk0 9 9 1100 9 9 9 2050 9 0 9 9\n"),
    ]);
    let next = pi.sample(1005);
    assert_eq!(
        (next.cpu.usage, next.cpu.cores.as_slice()),
        (50.0, &[100.0, 0.0][..])
    );
    assert_eq!(
        next.network_rates(),
        Some([1000, 2000]),
        "without the loopback"
    );
    assert_eq!(
        next.disk_rates(),
        Some([10_240, 5120]),
        "without partitions"
    );
    assert_eq!(
        next.disks
            .iter()
            .map(|disk| disk.name.as_str())
            .collect::<Vec<_>>(),
        ["mmcblk0"]
    );
}

#[test]
fn a_raspberry_pi_tells_of_its_interfaces() {
    let sample = Fixture::new(PI).sample(1);
    let found = sample.interfaces.iter().map(|each| {
        let state = each.state.as_deref().unwrap();
        let mac = each.facts.mac.as_deref();
        (
            each.name.as_str(),
            state,
            mac,
            each.facts.medium,
            each.is_default,
            each.signal,
        )
    });
    let expected = [
        (
            "lo",
            "unknown",
            Some("00:00:00:00:00:00"),
            Medium::Virtual,
            false,
            None,
        ),
        (
            "eth0",
            "up",
            Some("dc:a6:32:01:02:03"),
            Medium::Wired,
            true,
            None,
        ),
        ("wlan0", "down", None, Medium::Wireless, false, Some(-52)),
    ];
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

#[test]
fn processes_are_told_without_their_arguments() {
    let mut pi = Fixture::new(PI);
    let Processes { count, top } = pi.sample(1).processes;
    assert_eq!(count, Some(4));
    let found = top
        .iter()
        .map(|each| (each.pid, each.name.as_str(), each.command.as_str()));
    let found: Vec<_> = found.collect();
    let expected = [
        (
            700,
            "a-name-that-is-too-long",
            "/opt/a-name-that-is-too-long",
        ),
        (1, "systemd", "/usr/lib/systemd/systemd"),
    ];
    assert_eq!(found, expected);
    let whole = top.first().unwrap();
    assert_eq!(whole.cpu, 5.0, "50 of 1,000 ticks");
    let all = pi.machine.sample(
        Wanted {
            processes: 1,
            command_lines: true,
        },
        Now::default(),
    );
    let commands: Vec<_> = all
        .processes
        .top
        .iter()
        .map(|each| each.command.as_str())
        .collect();
    assert_eq!(commands, ["a-name --password hunter2"]);
    let none = pi.machine.sample(Wanted::default(), Now::default());
    assert_eq!(none.processes, Processes::default());
}

#[test]
fn a_number_that_another_process_got_begins_at_nothing() {
    let mut pi = Fixture::new(PI);
    pi.sample(1);
    pi.write(&[
        ("proc/stat", b"cpu  200 0 200 1400 200 0 0 0\n"),
        (
            "proc/700/stat",
            b"700 (other) R 1 7 7 0 -1 4194304 9 9 9 9 60 40 9 9 20 0 1 0 5000 9 25000 1",
        ),
    ]);
    let top = pi.sample(6).processes.top;
    assert_eq!(
        top.first().map(|each| (each.name.as_str(), each.cpu)),
        Some(("other", 10.0))
    );
}

#[test]
fn a_weak_supply_shows_wherever_the_machine_says_so() {
    let flags = "sys/devices/platform/soc/soc:firmware/get_throttled";
    let chip = ("sys/class/hwmon/hwmon1/name", &b"rpi_volt"[..]);
    let alarm = "sys/class/hwmon/hwmon1/in0_lcrit_alarm";
    let log = (
        "dev/kmsg",
        &b"4,1,2,-;hwmon hwmon1: Under-voltage detected!\n"[..],
    );
    let check = |files: &[(&str, &[u8])], expected: bool| {
        assert_eq!(
            Fixture::new(files).sample(1).is_undervolted,
            expected,
            "{files:?}"
        );
    };
    check(&[(flags, b"0x1")], true);
    check(&[(flags, b"0"), log], false);
    check(&[chip, (alarm, b"1\n")], true);
    check(&[chip, (alarm, b"0\n"), log], false);
    check(&[chip, log], false);
    check(&[log], true);
    check(&[("dev/kmsg", b"6,1,2,-;usb 1-1: new device\n")], false);
    check(&[], false);
}

#[test]
fn the_sensor_nearest_to_the_processor_is_read() {
    let zone = |number: u8, kind: &str, temp: &str| {
        let path = |file: &str| format!("sys/class/thermal/thermal_zone{number}/{file}");
        [
            (path("type"), kind.to_owned()),
            (path("temp"), temp.to_owned()),
        ]
    };
    let check = |zones: &[[(String, String); 2]], expected: Option<i32>| {
        let files: Vec<(&str, &[u8])> = zones
            .iter()
            .flatten()
            .map(|(path, content)| (path.as_str(), content.as_bytes()))
            .collect();
        assert_eq!(
            Fixture::new(&files).sample(1).cpu.temperature,
            expected,
            "{zones:?}"
        );
    };
    check(
        &[zone(0, "acpitz", "27800"), zone(1, "x86_pkg_temp", "61500")],
        Some(62),
    );
    check(
        &[zone(0, "acpitz", "27800"), zone(1, "x86_pkg_temp", "0")],
        Some(28),
    );
    check(
        &[zone(10, "cpu-1", "50000"), zone(9, "cpu-0", "40000")],
        Some(40),
    );
    check(&[zone(0, "cpu-thermal", "-5000")], None);
    check(&[zone(0, "cpu-thermal", "\u{fffd}rubbish")], None);
    check(&[zone(0, "cpu-thermal", "2000000000")], None);
    check(&[], None);
}

#[test]
fn a_container_without_sys_tells_what_it_can() {
    let mut container = Fixture::new(&[
        ("proc/stat", b"cpu  1 0 1 6 0\ncpu0 1 0 1 6 0\n"),
        ("proc/meminfo", b"MemTotal: 2048 kB\nMemFree: 1024 kB\n"),
        ("proc/uptime", b"59.99 1.00"),
        ("proc/sys/kernel/hostname", b"0123456789ab\n"),
        (
            "proc/1/stat",
            b"1 (app) S 0 1 1 0 -1 4194560 9 9 9 9 1 0 9 9 20 0 1 0 25 9 10 1",
        ),
        ("proc/net/dev", b"  eth0: 1 1 0 0 0 0 0 0 1 1 0\n"),
        ("proc/diskstats", b"8 0 sda 9 9 1000 9 9 9 2000 9 0 9 9\n"),
        ("usr/lib/os-release", b"PRETTY_NAME='Alpine Linux v3.20'\n"),
    ]);
    let sample = container.sample(1);
    assert_eq!(sample.facts.os.as_deref(), Some("Alpine Linux v3.20"));
    assert_eq!((sample.cpu.usage, sample.cpu.temperature), (25.0, None));
    assert_eq!(
        (sample.pressure, sample.disks.len()),
        (Pressure::default(), 0)
    );
    let mut names = sample
        .interfaces
        .iter()
        .map(|each| (each.name.as_str(), &each.state));
    assert_eq!(names.next(), Some(("eth0", &None)));
    let command = sample
        .processes
        .top
        .first()
        .map(|each| each.command.as_str());
    assert_eq!(command, Some("app"), "its program cannot be known");
    let mut out = Vec::new();
    json::system_info(&sample, &mut out);
    let info: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(info["uptime_formatted"], "0m");
    assert_eq!(info["booted"], "2025-12-31T23:59:01.010Z");
    assert_eq!(info["model"], serde_json::Value::Null);
}

#[test]
fn each_part_that_cannot_be_read_is_neutral() {
    let rubbish: &[u8] = b"\xff\xfe cpu \x00 : 9 9\n(\x1b) kB\n\xf0\x9f some avg10=\n\n((()))\n";
    let mut broken: Vec<(&str, &[u8])> = PI
        .iter()
        .filter(|(path, _)| !path.ends_with('@'))
        .map(|(path, _)| (*path, rubbish))
        .collect();
    broken.push(("proc/9/stat/x", b"a folder where a file belongs"));
    for files in [broken.as_slice(), &[]] {
        let mut machine = Fixture::new(files);
        machine.sample(1);
        let sample = machine.sample(6);
        let mut out = Vec::new();
        json::system_metrics(&sample, 10, &mut out).end();
        let mut found: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let found = found.as_object_mut().unwrap();
        // Of the disk that the fixture is on, and of names whose every byte may be shown.
        let others = [
            "storage_usage",
            "storage_total",
            "storage_percent",
            "hostname",
            "network_interfaces",
            "processes_total",
        ];
        found.retain(|name, _| !others.contains(&name.as_str()));
        let expected = serde_json::json!({
            "cpu_usage": 0, "cpu_temp": null, "cpu_cores": 1,
            "memory_usage": 0, "memory_total": 0, "memory_percent": 0,
            "uptime": 0, "is_undervolted": false, "top_processes": [],
            "timestamp": "2026-01-01T00:00:06.000Z",
            "cpu_per_core": [], "load_average": null, "memory_available": 0,
            "swap_usage": 0, "swap_total": 0, "swap_percent": 0,
            "network_rates": null, "disk_rates": null, "disks": [],
            "pressure": {"cpu": null, "memory": null, "io": null},
        });
        assert_eq!(serde_json::Value::Object(found.clone()), expected);
    }
    let empty = Fixture::new(&[]).sample(1);
    assert_eq!(
        (empty.facts.hostname.as_deref(), empty.interfaces.len()),
        (None, 0)
    );
    assert_eq!(empty.processes.count, Some(0));
}

#[test]
fn this_machine_tells_of_itself() {
    let clock = Clock::start();
    let mut machine = Machine::default();
    let wanted = Wanted {
        processes: usize::MAX,
        command_lines: false,
    };
    machine.sample(wanted, clock.now());
    let mut number = 1u64;
    while clock.now().mono.as_millis() < 300 {
        number = std::hint::black_box(number.wrapping_mul(3));
    }
    let sample = machine.sample(wanted, clock.now());
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    let total = meminfo.split_ascii_whitespace().nth(1).unwrap();
    assert_eq!(sample.memory.total, total.parse::<u64>().unwrap() * 1024);
    assert!(sample.memory.used > 0 && sample.memory.used < sample.memory.total);
    assert!(sample.memory.available <= sample.memory.total);
    let cores = sample.cpu.cores.len();
    assert!(
        cores >= 1 && (0.0..=100.0).contains(&sample.cpu.usage),
        "{:?}",
        sample.cpu
    );
    // This thread alone kept one core busy, as far as it got one.
    assert!(sample.cpu.usage > 0.0);
    let own = std::process::id();
    let found = sample
        .processes
        .top
        .iter()
        .find(|each| each.pid == own)
        .unwrap();
    assert!(
        found.cpu > 0.0 && found.cpu <= 100.0 && found.memory > 0.0,
        "{found:?}"
    );
    assert_eq!(
        found.command,
        std::env::current_exe().unwrap().to_string_lossy()
    );
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    assert!(sample.uptime.as_secs_f64() <= uptime && sample.uptime > Duration::ZERO);
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(sample.facts.hostname.as_deref(), Some(hostname.trim()));
    let storage = sample.storage.unwrap();
    assert!(storage.used <= storage.total && storage.total > 0);
    let links = fs::read_dir("/sys/class/net").map_or(0, Iterator::count);
    assert!(
        sample.interfaces.len() >= links.min(1),
        "{:?}",
        sample.interfaces
    );
}
