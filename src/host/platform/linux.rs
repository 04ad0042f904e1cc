//! Linux: /etc, /proc, /sys and /run.

use std::fs;

use super::{Place, Platform, SeLinux, Security, System, container, os_release};
use crate::host::cgroup;

/// Entries of a directory that are looked at for systemd's library.
const ENTRIES_MAX: usize = 1024;

/// What the files say; user and limits are not in files.
pub(super) fn read(place: Place<'_>) -> Platform {
    Platform {
        system: system(place),
        init: init(place),
        systemd: systemd(place),
        container: container::detect(place),
        security: Security {
            is_root: false,
            selinux: selinux(place),
            apparmor: apparmor(place),
        },
        group: cgroup::read(place.root),
        has_shell: place.has_program("sh"),
        has_temporary: place.has_temporary(),
        ..Platform::default()
    }
}

fn system(place: Place<'_>) -> System {
    let release = ["etc/os-release", "usr/lib/os-release"];
    let release = release.into_iter().find_map(|path| place.text(path));
    let release = release.unwrap_or_default();
    let value = |name: &str| os_release::value(&release, name);
    // The one of 64 bits calls itself Debian.
    let raspberry = || {
        place
            .exists("etc/rpi-issue")
            .then(|| "Raspberry Pi OS".to_owned())
    };
    System {
        distribution: raspberry()
            .or_else(|| value("NAME"))
            .or_else(|| value("ID")),
        version: value("VERSION_ID").or_else(|| value("BUILD_ID")),
        kernel: place.text("proc/sys/kernel/osrelease"),
        model: place
            .text("proc/device-tree/model")
            .or_else(|| place.text("sys/class/dmi/id/product_name")),
    }
}

/// Who runs the services. systemd says so as sd_booted(3) asks, and OpenRC with its own folder;
/// the others by the name of the first process.
fn init(place: Place<'_>) -> Option<String> {
    if place.exists("run/systemd/system") {
        return Some("systemd".to_owned());
    }
    if place.exists("run/openrc/softlevel") {
        return Some("openrc".to_owned());
    }
    place.text("proc/1/comm")
}

/// The version in the name of systemd's own library, such as libsystemd-shared-252.so: that needs
/// no program to be started.
fn systemd(place: Place<'_>) -> Option<String> {
    let multiarch = format!("usr/lib/{}-linux-gnu/systemd", std::env::consts::ARCH);
    let folders = [
        "usr/lib/systemd",
        "lib/systemd",
        &multiarch,
        "usr/lib64/systemd",
    ];
    folders.into_iter().find_map(|folder| {
        let entries = fs::read_dir(place.path(folder)).ok()?;
        let names = entries.take(ENTRIES_MAX).filter_map(Result::ok);
        names.into_iter().find_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix("libsystemd-shared-")?;
            // 252, 255.4 and 257~rc1 alike; Fedora writes 255.4-1.fc40.
            let version = version.strip_suffix(".so")?;
            Some(version.split('-').next().unwrap_or(version).to_owned())
        })
    })
}

fn selinux(place: Place<'_>) -> Option<SeLinux> {
    match place.text("sys/fs/selinux/enforce")?.as_str() {
        "1" => Some(SeLinux::Enforcing),
        _ => Some(SeLinux::Permissive),
    }
}

fn apparmor(place: Place<'_>) -> Option<String> {
    let enabled = place.text("sys/module/apparmor/parameters/enabled")?;
    if enabled != "Y" {
        return None;
    }
    let profile = ["proc/self/attr/apparmor/current", "proc/self/attr/current"];
    let profile = profile.into_iter().find_map(|path| place.text(path));
    Some(profile.unwrap_or_else(|| "unconfined".to_owned()))
}
