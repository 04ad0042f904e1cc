//! The facts of four machines, from trees as they have them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{Container, Place, Platform, SeLinux, Security, linux};
use crate::host::cgroup;
use crate::os::resource_limits::ResourceLimits;

fn tree(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn read(root: &Path, environment: &[(&str, &str)]) -> Platform {
    let variable = |name: &str| {
        let mut all = environment.iter();
        let found = all.find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let variable = &variable;
    linux::read(Place { root, variable })
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_server_with_debian() {
    let root = tree(&[
        (
            "etc/os-release",
            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\n\
             VERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nID=debian\n",
        ),
        ("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n"),
        ("proc/1/comm", "systemd\n"),
        ("proc/self/cgroup", "0::/system.slice/kinglet.service\n"),
        ("run/systemd/system/x.service", ""),
        ("usr/lib/systemd/libsystemd-shared-252.so", ""),
        ("sys/module/apparmor/parameters/enabled", "Y\n"),
        ("proc/self/attr/current", "unconfined\n"),
        ("sys/class/dmi/id/product_name", "ThinkCentre\n"),
        ("tmp/x", ""),
    ]);
    let found = read(root.path(), &[]);
    assert_eq!(found.system.distribution, text("Debian GNU/Linux"));
    assert_eq!(found.system.version, text("12"));
    assert_eq!(found.system.kernel, text("6.1.0-18-amd64"));
    assert_eq!(found.system.model, text("ThinkCentre"));
    assert_eq!(found.init, text("systemd"));
    assert_eq!(found.systemd, text("252"));
    assert_eq!(found.container, None);
    assert_eq!(found.security.apparmor, text("unconfined"));
    assert_eq!(found.security.selinux, None);
    assert!(found.has_temporary);
}

#[test]
fn a_container_with_alpine() {
    let root = tree(&[
        (
            "etc/os-release",
            "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.20.3\n",
        ),
        (".dockerenv", ""),
        (
            "proc/sys/kernel/osrelease",
            "5.15.0-microsoft-standard-WSL2",
        ),
        ("proc/1/comm", "kinglet\n"),
        ("proc/self/cgroup", "0::/\n"),
        ("sys/module/apparmor/parameters/enabled", "Y\n"),
        (
            "proc/self/attr/apparmor/current",
            "docker-default (enforce)\n",
        ),
    ]);
    let found = read(root.path(), &[("PATH", "/bin")]);
    assert_eq!(found.system.distribution, text("Alpine Linux"));
    assert_eq!(found.system.version, text("3.20.3"));
    assert_eq!(found.init, text("kinglet"));
    assert_eq!(found.systemd, None);
    assert_eq!(found.container, Some(Container::Docker), "and not WSL");
    assert_eq!(found.security.apparmor, text("docker-default (enforce)"));
    assert!(!found.has_shell && !found.has_temporary);
    let about: Vec<&str> = found
        .concerns()
        .iter()
        .map(|concern| concern.about)
        .collect();
    assert_eq!(about, ["shell", "temporary files"]);
}

#[test]
fn a_raspberry_pi() {
    let root = tree(&[
        ("etc/rpi-issue", "Raspberry Pi reference 2024-03-15\n"),
        (
            "usr/lib/os-release",
            "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n",
        ),
        ("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.5\0"),
        ("proc/1/comm", "systemd"),
        ("run/systemd/system/x", ""),
        ("lib/systemd/libsystemd-shared-257~rc1-3.so", ""),
        ("sys/fs/selinux/enforce", "0"),
    ]);
    let found = read(root.path(), &[]);
    assert_eq!(found.system.distribution, text("Raspberry Pi OS"));
    assert_eq!(found.system.model, text("Raspberry Pi 4 Model B Rev 1.5"));
    assert_eq!(found.systemd, text("257~rc1"));
    assert_eq!(found.security.selinux, Some(SeLinux::Permissive));
    assert_eq!(
        found.lines()[0],
        format!(
            "platform os={} arch={} distribution=\"Raspberry Pi OS\" version=12 \
             model=\"Raspberry Pi 4 Model B Rev 1.5\" init=systemd systemd=257~rc1",
            std::env::consts::OS,
            std::env::consts::ARCH
        )
    );
}

#[test]
fn rubbish_is_neutral() {
    let root = tree(&[
        ("etc/os-release", "\u{1}\0=\n==\nNAME\n"),
        ("proc/sys/kernel/osrelease/x", ""),
        ("proc/1/comm", "\n\n"),
        ("proc/self/cgroup", ":::\0\n"),
        ("proc/1/environ", "container=\u{1b}\0"),
        ("run/systemd/container", "\u{7}\n"),
        ("sys/module/apparmor/parameters/enabled", "N"),
    ]);
    fs::write(root.path().join("etc/rpi-model"), [0xff, 0xfe]).unwrap();
    let found = read(root.path(), &[("PATH", ":::/nowhere"), ("container", "")]);
    assert_eq!(found, Platform::default());
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(read(empty.path(), &[]), Platform::default());
}

#[test]
fn the_kind_of_a_container_is_the_most_telling_one() {
    let check = |files: &[(&str, &str)], environment: &[(&str, &str)], expected: &str| {
        let found = read(tree(files).path(), environment).container;
        let name = found.as_ref().map(Container::name);
        assert_eq!(name, Some(expected), "{files:?}");
    };
    let docker = (".dockerenv", "");
    check(
        &[docker],
        &[("KUBERNETES_SERVICE_HOST", "10.0.0.1")],
        "kubernetes",
    );
    check(
        &[("run/secrets/kubernetes.io/x", ""), docker],
        &[],
        "kubernetes",
    );
    check(
        &[("run/systemd/container", "systemd-nspawn")],
        &[],
        "systemd-nspawn",
    );
    check(&[], &[("container", "lxc")], "lxc");
    check(
        &[("run/.containerenv", "")],
        &[("container", "oci")],
        "podman",
    );
    check(&[], &[("container", "oci")], "oci");
    check(
        &[("proc/1/environ", "A=1\0container=podman\0")],
        &[],
        "podman",
    );
    check(&[("proc/1/cgroup", "1:cpu:/docker/ab")], &[], "docker");
    let wsl = (
        "proc/sys/kernel/osrelease",
        "5.15.153.1-microsoft-standard-WSL2",
    );
    check(&[wsl], &[], "wsl");
    check(&[wsl, docker], &[("container", "wsl")], "docker");
}

#[test]
fn the_tree_has_the_seeds_names() {
    let platform = Platform {
        init: text("systemd"),
        container: Some(Container::Podman),
        limits: ResourceLimits {
            open_files: Some(1024),
            ..ResourceLimits::default()
        },
        ..Platform::default()
    };
    let tree = serde_json::to_value(&platform).unwrap();
    assert_eq!(
        tree,
        serde_json::json!({
            "os": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
            "distribution": null,
            "version": null,
            "kernel": null,
            "init_system": "systemd",
            "container": true,
            "container_type": "podman",
            "limits": {"max_open_files": 1024, "max_memory": null, "max_cpu_time": null},
        })
    );
}

#[test]
fn whoever_is_root_is_told() {
    let mut platform = Platform {
        has_shell: true,
        has_temporary: true,
        security: Security {
            is_root: true,
            ..Security::default()
        },
        ..Platform::default()
    };
    let concerns = platform.concerns();
    assert_eq!(concerns.len(), 1);
    assert!(concerns[0].message.starts_with("kinglet is root"));
    assert!(
        platform
            .lines()
            .iter()
            .any(|line| { line == "platform_security root=true selinux=none apparmor=none" })
    );
    platform.security.is_root = false;
    assert_eq!(platform.concerns(), []);
}

#[test]
fn a_small_share_of_the_machine_is_told() {
    let platform = |memory, cpus| Platform {
        has_shell: true,
        has_temporary: true,
        group: cgroup::Limits {
            memory_max: Some(memory),
            cpus: Some(cpus),
            ..cgroup::Limits::default()
        },
        ..Platform::default()
    };
    let small = platform(100 << 20, 0.5);
    let told: Vec<(&str, String)> = small
        .concerns()
        .into_iter()
        .map(|concern| (concern.about, concern.message))
        .collect();
    assert_eq!(told.len(), 2);
    assert!(told[0].0 == "memory" && told[0].1.starts_with("100 MiB at most"));
    assert!(told[1].0 == "processors" && told[1].1.starts_with("0.5 of a processor"));
    assert_eq!(platform(512 << 20, 1.0).concerns(), []);
    assert!(small.lines()[1].ends_with("group_memory_bytes=104857600 group_processors=0.5"));
    let tree = serde_json::to_value(&small).unwrap();
    assert_eq!(tree["limits"]["max_memory"], 100 << 20);
}

#[test]
fn this_machine_has_a_kernel_and_a_shell() {
    let here = Platform::here();
    assert!(here.system.kernel.is_some());
    assert!(here.has_shell);
    assert!(here.lines()[0].starts_with("platform os="));
}
