//! /proc/diskstats (Documentation/admin-guide/iostats.rst): what is read and written.

use crate::base::clock::Mono;
use crate::host::linux::files::{Files, word};
use crate::host::rates::Meters;
use crate::host::sample::Disk;

/// Disks that are told of.
const DISKS: usize = 64;

/// Bytes of a sector, whatever the disk's own size of one (iostats.rst).
const SECTOR: u64 = 512;

/// Reads how fast each disk is read and written.
pub(super) fn read(files: &mut Files, meters: &mut Meters, now: Mono) -> Vec<Disk> {
    let Some(text) = files.text("proc/diskstats") else {
        return Vec::new();
    };
    let mut counted: Vec<(&str, [u64; 2])> = text.lines().filter_map(parse).collect();
    counted.retain(|(name, _)| is_disk(name, files));
    counted.truncate(DISKS);
    let rates = meters.rates(counted.iter().copied(), now);
    let disk = |((name, _), rates): (&(&str, _), _)| Disk {
        name: word(name.as_bytes()).unwrap_or_default(),
        rates,
    };
    counted.iter().zip(rates).map(disk).collect()
}

/// Not a partition, and not made by the kernel of other disks or of memory: what goes through
/// those would count twice.
fn is_disk(name: &str, files: &Files) -> bool {
    if ["loop", "ram", "zram"]
        .iter()
        .any(|made| name.starts_with(made))
    {
        return false;
    }
    let link = files.link(&format!("sys/block/{name}"));
    link.is_some_and(|target| !target.contains("/virtual/"))
}

/// The name of a line, and its bytes read and written.
fn parse(line: &str) -> Option<(&str, [u64; 2])> {
    let mut fields = line.split_ascii_whitespace().skip(2);
    let name = fields.next().filter(|name| !name.contains('/'))?;
    let read: u64 = fields.nth(2)?.parse().ok()?;
    let written: u64 = fields.nth(3)?.parse().ok()?;
    Some((
        name,
        [read.saturating_mul(SECTOR), written.saturating_mul(SECTOR)],
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sectors_as_bytes() {
        let check = |line: &str, expected: Option<(&str, [u64; 2])>| {
            assert_eq!(parse(line), expected, "{line}");
        };
        let line = " 254       0 vda 14 7 10 30 19 14 91 71 0 18 38 11 3 75 37 26 42";
        check(line, Some(("vda", [5120, 46592])));
        check("8 0 sda 1 2 3 4 5 6 7", Some(("sda", [1536, 3584])));
        check("8 0 sda 1 2 3 4 5 6", None);
        check("8 0 ../x 1 2 3 4 5 6 7", None);
        check("8 0 sda 1 2 x 4 5 6 7", None);
        check("", None);
    }
}
