//! The processor's temperature: /sys/class/hwmon and /sys/class/thermal
//! (Documentation/hwmon/sysfs-interface.rst, driver-api/thermal/sysfs-api.rst).

use crate::host::linux::files::Files;

/// Sensors looked at.
const SENSORS: usize = 64;

/// Above it a sensor is broken: processors turn themselves off before.
const HOTTEST: i32 = 150;

/// The sensor to read: finding it takes many reads, reading it one.
#[derive(Debug, Default)]
pub(super) struct Thermometer {
    path: Option<String>,
}

impl Thermometer {
    /// Looks for the sensor that is nearest to the processor.
    pub(super) fn find(files: &mut Files) -> Self {
        let mut best: Option<(u8, String)> = None;
        for (rank, path) in monitors(files).into_iter().chain(zones(files)) {
            let is_better = best.as_ref().is_none_or(|(known, _)| rank < *known);
            if is_better && degrees(files, &path).is_some() {
                best = Some((rank, path));
            }
        }
        Self {
            path: best.map(|(_, path)| path),
        }
    }

    /// Degrees Celsius, above 0; `None` if there is no sensor, or nothing in what it says.
    pub(super) fn read(&self, files: &mut Files) -> Option<i32> {
        degrees(files, self.path.as_ref()?)
    }
}

/// Millidegrees, as whole degrees.
fn degrees(files: &mut Files, path: &str) -> Option<i32> {
    let millidegrees: i32 = files.number(path)?;
    let degrees = millidegrees.checked_add(500)?.div_euclid(1000);
    (1..=HOTTEST).contains(&degrees).then_some(degrees)
}

/// The first inputs of chips that are in processors: for Intel's and AMD's that is the whole of
/// it (`Package id 0`, `Tctl`).
fn monitors(files: &mut Files) -> Vec<(u8, String)> {
    let chips = sorted(files, "sys/class/hwmon", "hwmon");
    let mut found = Vec::new();
    for chip in chips {
        let name = files.word(&format!("sys/class/hwmon/{chip}/name"));
        let rank = match name.as_deref().unwrap_or_default() {
            "coretemp" | "k10temp" | "zenpower" => 0,
            "cpu_thermal" | "cpu-thermal" | "soc_thermal" => 1,
            _ => continue,
        };
        found.push((rank, format!("sys/class/hwmon/{chip}/temp1_input")));
    }
    found
}

fn zones(files: &mut Files) -> Vec<(u8, String)> {
    let zones = sorted(files, "sys/class/thermal", "thermal_zone");
    let mut found = Vec::new();
    for zone in zones {
        let kind = files.word(&format!("sys/class/thermal/{zone}/type"));
        let kind = kind.unwrap_or_default().to_ascii_lowercase();
        let rank = match kind.as_str() {
            "x86_pkg_temp" => 2,
            kind if kind.contains("cpu") => 3,
            kind if kind.contains("soc") || kind.contains("pkg") => 4,
            // Of the whole machine, or of nobody knows what.
            "acpitz" => 5,
            _ => 6,
        };
        found.push((rank, format!("sys/class/thermal/{zone}/temp")));
    }
    found
}

/// The first entries of a folder whose names are `prefix` and a number, by that.
fn sorted(files: &Files, folder: &str, prefix: &str) -> Vec<String> {
    let number = |name: &String| name.strip_prefix(prefix)?.parse::<u32>().ok();
    let mut names = files.names(folder);
    names.retain(|name| number(name).is_some());
    names.sort_unstable_by_key(number);
    names.truncate(SENSORS);
    names
}
