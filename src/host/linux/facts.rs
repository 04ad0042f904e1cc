//! What seldom changes of the machine: its name, its make, its system.

use crate::host::linux::files::{Files, word};
use crate::host::platform::os_release;
use crate::host::sample::Facts;

/// Reads all of it.
pub(super) fn read(files: &mut Files) -> Facts {
    Facts {
        hostname: files.word("proc/sys/kernel/hostname"),
        os: os(files),
        kernel: files.word("proc/sys/kernel/osrelease"),
        model: model(files),
        cpu_model: cpu_model(files),
    }
}

/// PRETTY_NAME of os-release(5).
fn os(files: &mut Files) -> Option<String> {
    let text = files
        .text("etc/os-release")
        .or_else(|| files.text("usr/lib/os-release"))?;
    os_release::value(&text, "PRETTY_NAME").and_then(|value| word(value.as_bytes()))
}

/// The board's own name, or the maker's of a computer.
fn model(files: &mut Files) -> Option<String> {
    if let Some(board) = files.word("proc/device-tree/model") {
        return Some(board);
    }
    let product = files.word("sys/class/dmi/id/product_name")?;
    Some(match files.word("sys/class/dmi/id/sys_vendor") {
        Some(maker) => format!("{maker} {product}"),
        None => product,
    })
}

/// Architectures name it differently, and some not at all.
fn cpu_model(files: &mut Files) -> Option<String> {
    let text = files.text("proc/cpuinfo")?;
    let named = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(key, _)| key.trim() == name)?;
        word(value.as_bytes())
    };
    ["model name", "cpu model", "uarch", "Hardware"]
        .into_iter()
        .find_map(named)
}
