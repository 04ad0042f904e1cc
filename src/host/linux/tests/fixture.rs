//! Machines of files in a folder.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use tempfile::TempDir;

use crate::base::clock::{Mono, Now, Wall};
use crate::host::json;
use crate::host::linux::Machine;
use crate::host::sample::{Sample, Wanted};

/// A machine in a folder.
pub struct Fixture {
    folder: TempDir,
    pub machine: Machine,
}

impl Fixture {
    /// With these files; a path that ends in `@` is a link.
    pub fn new(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fixture = |folder: &TempDir| Machine::at(folder.path(), HashMap::new);
        write(&folder, files);
        let machine = fixture(&folder);
        Self { folder, machine }
    }

    pub fn write(&self, files: &[(&str, &[u8])]) {
        write(&self.folder, files);
    }

    pub fn sample(&mut self, seconds: u64) -> Sample {
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

/// A Raspberry Pi 4 that was undervolted once.
pub const PI: &[(&str, &[u8])] = &[
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
