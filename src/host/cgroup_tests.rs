//! Tests of [`super`]: version 1, version 2, containers, rubbish.

#![allow(clippy::unwrap_used)]

use std::fs;

use super::*;

/// Some of a file system: paths with what stands there.
type Files<'a> = &'a [(&'a str, &'a str)];

const V2: &str = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";

/// One of each other kind around it, as a machine has them.
const V1: &str = "\
22 1 259:1 / / rw,relatime - ext4 /dev/root rw
31 22 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:1 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

fn check(files: Files<'_>, expected: Limits) {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    assert_eq!(read(root.path()), expected, "{files:?}");
}

#[test]
fn reads_a_unit_of_systemd_in_version_2() {
    let unit = "sys/fs/cgroup/system.slice/kinglet.service";
    check(
        &[
            ("proc/self/cgroup", "0::/system.slice/kinglet.service\n"),
            ("proc/self/mountinfo", V2),
            (&format!("{unit}/memory.max"), "536870912\n"),
            (&format!("{unit}/memory.high"), "max\n"),
            (&format!("{unit}/memory.current"), "300000000\n"),
            (
                &format!("{unit}/memory.stat"),
                "anon 1\ninactive_file 100000000\n",
            ),
            (&format!("{unit}/cpu.max"), "150000 100000\n"),
            (&format!("{unit}/pids.max"), "512\n"),
            (&format!("{unit}/pids.current"), "17\n"),
        ],
        Limits {
            version: Some(2),
            memory_max: Some(536_870_912),
            memory_high: None,
            memory_used: Some(200_000_000),
            cpus: Some(1.5),
            pids_max: Some(512),
            pids_used: Some(17),
        },
    );
}

#[test]
fn the_smallest_limit_of_all_groups_above_counts() {
    let (slice, pod) = ("sys/fs/cgroup/a", "sys/fs/cgroup/a/b c/d");
    check(
        &[
            ("proc/self/cgroup", "0::/a/b c/d\n"),
            ("proc/self/mountinfo", V2),
            (&format!("{slice}/memory.max"), "1000\n"),
            (&format!("{slice}/memory.current"), "900\n"),
            (&format!("{slice}/cpu.max"), "max 100000\n"),
            (&format!("{slice}/pids.max"), "max\n"),
            (&format!("{pod}/memory.max"), "2000\n"),
            (&format!("{pod}/memory.high"), "1500\n"),
            (&format!("{pod}/memory.current"), "800\n"),
            (&format!("{pod}/cpu.max"), "50000 100000\n"),
            (&format!("{pod}/pids.max"), "max\n"),
        ],
        Limits {
            version: Some(2),
            memory_max: Some(1000),
            memory_high: Some(1500),
            memory_used: Some(900),
            cpus: Some(0.5),
            ..Limits::default()
        },
    );
}

#[test]
fn reads_each_controller_of_version_1_where_it_is() {
    let memory = "sys/fs/cgroup/memory/docker/7";
    check(
        &[
            (
                "proc/self/cgroup",
                "9:name=systemd:/docker/7\n5:memory:/docker/7\n4:cpu,cpuacct:/docker/7\n\
                 3:pids:/\n0::/\n",
            ),
            ("proc/self/mountinfo", V1),
            (&format!("{memory}/memory.limit_in_bytes"), "268435456\n"),
            (&format!("{memory}/memory.usage_in_bytes"), "1000\n"),
            (
                &format!("{memory}/memory.stat"),
                "inactive_file 1\ntotal_inactive_file 400\n",
            ),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            (
                "sys/fs/cgroup/cpu,cpuacct/docker/7/cpu.cfs_quota_us",
                "200000\n",
            ),
            (
                "sys/fs/cgroup/cpu,cpuacct/docker/7/cpu.cfs_period_us",
                "100000\n",
            ),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/pids/pids.max", "100\n"),
            ("sys/fs/cgroup/pids/pids.current", "3\n"),
        ],
        Limits {
            version: Some(1),
            memory_max: Some(268_435_456),
            memory_high: None,
            memory_used: Some(600),
            cpus: Some(2.0),
            pids_max: Some(100),
            pids_used: Some(3),
        },
    );
}

#[test]
fn finds_a_container_whose_mount_shows_a_part_of_the_machines_groups() {
    let inside = [
        ("sys/fs/cgroup/memory.max", "4096\n"),
        ("sys/fs/cgroup/memory.current", "96\n"),
    ];
    let expected = Limits {
        version: Some(2),
        memory_max: Some(4096),
        memory_used: Some(96),
        ..Limits::default()
    };
    let mount = |top: &str| format!("31 23 0:28 {top} /sys/fs/cgroup ro - cgroup2 cgroup ro\n");
    for (group, top) in [
        // A namespace of its own.
        ("0::/\n", "/"),
        // The machine's names on both sides, as with docker --cgroupns=host.
        ("0::/docker/7\n", "/docker/7"),
        // The machine's names on one side only.
        ("0::/docker/7\n", "/"),
        ("0::/docker/7\n", "/kubepods/8"),
        ("0::/\n", "/docker/7"),
        // A process that was moved out of the namespace's top.
        ("0::/../8\n", "/"),
        ("0::/../../../../etc\n", "/../../.."),
    ] {
        let mount = mount(top);
        let mut files = vec![("proc/self/cgroup", group), ("proc/self/mountinfo", &mount)];
        files.extend(inside);
        check(&files, expected);
    }
    // A group of its own inside of the container, below what the mount shows.
    let mount = mount("/docker/7");
    let mut files = vec![
        ("proc/self/cgroup", "0::/docker/7/inner\n"),
        ("proc/self/mountinfo", &mount),
        ("sys/fs/cgroup/inner/memory.max", "1024\n"),
        ("sys/fs/cgroup/inner/memory.current", "24\n"),
    ];
    files.extend(inside);
    let inner = Limits {
        memory_max: Some(1024),
        memory_used: Some(24),
        ..expected
    };
    check(&files, inner);
}

#[test]
fn a_mount_point_with_a_space_is_found() {
    check(
        &[
            ("proc/self/cgroup", "0::/\n"),
            (
                "proc/self/mountinfo",
                "1 0 0:28 / /my\\040groups\\x rw - cgroup2 none rw\n",
            ),
            ("my groups\\x/pids.max", "7"),
        ],
        Limits {
            version: Some(2),
            pids_max: Some(7),
            ..Limits::default()
        },
    );
}

#[test]
fn a_machine_without_groups_has_no_limits() {
    check(&[], Limits::default());
    check(&[("proc/self/cgroup", "0::/\n")], Limits::default());
    check(&[("proc/self/mountinfo", V2)], Limits::default());
    let unlimited = Limits {
        version: Some(2),
        ..Limits::default()
    };
    check(
        &[("proc/self/cgroup", "0::/a\n"), ("proc/self/mountinfo", V2)],
        unlimited,
    );
}

#[test]
fn rubbish_is_no_limit() {
    let rubbish = [
        "",
        "\n",
        "max",
        "-1",
        "1e3",
        "0x10",
        "1 2",
        "18446744073709551616",
        "\u{0}",
        "ÿ",
    ];
    for text in rubbish {
        check(
            &[
                ("proc/self/cgroup", "0::/\n"),
                ("proc/self/mountinfo", V2),
                ("sys/fs/cgroup/memory.max", text),
                ("sys/fs/cgroup/memory.high", text),
                ("sys/fs/cgroup/pids.max", text),
                ("sys/fs/cgroup/cpu.max", "0 0"),
            ],
            Limits {
                version: Some(2),
                ..Limits::default()
            },
        );
    }
    for (group, mounts) in [
        ("0:", "31 23"),
        ("::::", " - cgroup2"),
        ("0::/\n", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2"),
        ("0::/\n", "31 23 0:28 / /../../etc rw - cgroup2 none rw"),
        ("0::/\n", "- cgroup2 - - - - - -"),
        ("7:memory:/\n", V2),
    ] {
        let files = [
            ("proc/self/cgroup", group),
            ("proc/self/mountinfo", mounts),
            ("sys/fs/cgroup/memory.max", "5"),
        ];
        check(&files, Limits::default());
    }
}

#[test]
fn a_file_without_an_end_is_read_up_to_its_bound() {
    let long = "9".repeat(1 << 20);
    let group = format!("0::/\n{long}");
    check(
        &[
            ("proc/self/cgroup", &group),
            ("proc/self/mountinfo", V2),
            ("sys/fs/cgroup/memory.max", &long),
            ("sys/fs/cgroup/pids.max", "9"),
        ],
        Limits {
            version: Some(2),
            pids_max: Some(9),
            ..Limits::default()
        },
    );
}

#[test]
fn the_smaller_of_both_limits_on_memory_is_the_one_to_stay_below() {
    let check = |max, high, expected| {
        let limits = Limits {
            memory_max: max,
            memory_high: high,
            ..Limits::default()
        };
        assert_eq!(limits.memory(), expected);
    };
    check(None, None, None);
    check(Some(2), None, Some(2));
    check(None, Some(1), Some(1));
    check(Some(2), Some(1), Some(1));
    check(Some(2), Some(3), Some(2));
}
