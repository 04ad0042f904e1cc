//! Machines of files: a Raspberry Pi, a container, one that is broken, one that is empty; and this
//! one, whose files are the kernel's own.
#![allow(clippy::unwrap_used)]

mod fixture;

use std::fs;
use std::time::Duration;

use super::*;
use crate::base::clock::Clock;
use crate::host::json;
use crate::host::linux::tests::fixture::{Fixture, PI};
use crate::host::sample::{Medium, Memory, Pressure, Processes, Stall};

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
fn the_limits_of_our_own_group_are_told() {
    let mut container = Fixture::new(&[
        ("proc/self/cgroup", b"0::/\n"),
        (
            "proc/self/mountinfo",
            b"30 23 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n",
        ),
        ("sys/fs/cgroup/cgroup.controllers", b"cpu memory pids\n"),
        ("sys/fs/cgroup/memory.max", b"536870912\n"),
        ("sys/fs/cgroup/memory.current", b"104857600\n"),
        ("sys/fs/cgroup/cpu.max", b"150000 100000\n"),
        ("sys/fs/cgroup/pids.max", b"max\n"),
    ]);
    let mut out = Vec::new();
    json::system_metrics(&container.sample(1), 10, &mut out).end();
    let found: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let expected = serde_json::json!({
        "memory_limit": 512, "memory_usage": 100, "cpus": 1.5,
        "pids_limit": null, "pids_usage": null,
    });
    assert_eq!(found["cgroup"], expected);
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
            "cgroup": null,
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
fn a_file_that_is_cut_anywhere_disturbs_nothing() {
    let mut pi = Fixture::new(PI);
    let mut seconds = 0;
    for (path, content) in PI.iter().filter(|(path, _)| !path.ends_with('@')) {
        for end in (0..content.len()).step_by(3) {
            let mut wrong = content.get(..end).unwrap().to_vec();
            wrong.push(b'\xff');
            for content in [content.get(..end).unwrap(), &wrong] {
                pi.write(&[(path, content)]);
                // Facts are read anew each time.
                seconds += 1000;
                let sample = pi.sample(seconds);
                assert!((0.0..=100.0).contains(&sample.cpu.usage), "{path} {end}");
                assert!(sample.memory.used <= sample.memory.total, "{path} {end}");
            }
        }
        pi.write(&[(path, content)]);
    }
    let whole = pi.sample(seconds + 1000);
    assert_eq!(whole.facts, Fixture::new(PI).sample(1).facts);
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
