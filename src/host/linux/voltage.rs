//! Whether the supply of a Raspberry Pi is too weak, or was since its start.
//!
//! The firmware's flags say both; the hwmon driver only says it of the last seconds; where there
//! is neither, the kernel's log is searched for its driver's complaint.

use crate::host::linux::files::Files;
use crate::os::kernel_log::KernelLog;

/// Of the firmware: bit 0 is under-voltage now, bit 16 since the start.
const FLAGS: &str = "sys/devices/platform/soc/soc:firmware/get_throttled";
const UNDERVOLTAGE: u64 = 1 | 1 << 16;

/// Where to look, which takes a search.
#[derive(Debug)]
pub(super) struct Voltmeter {
    place: Place,
}

#[derive(Debug)]
enum Place {
    Flags,
    /// The path of the driver's alarm.
    Alarm(String),
    Log {
        log: Option<KernelLog>,
        was_found: bool,
    },
}

impl Voltmeter {
    /// Looks for the best place.
    pub(super) fn find(files: &mut Files) -> Self {
        let place = if files.exists(FLAGS) {
            Place::Flags
        } else if let Some(path) = alarm(files) {
            Place::Alarm(path)
        } else {
            let log = KernelLog::open(&files.path("dev/kmsg")).ok();
            Place::Log {
                log,
                was_found: false,
            }
        };
        Self { place }
    }

    /// Whether the supply is too weak, or was; false if nobody knows. The log is read on from
    /// where it was left.
    pub(super) fn read(&mut self, files: &mut Files) -> bool {
        match &mut self.place {
            Place::Flags => files.word(FLAGS).is_some_and(|flags| is_under(&flags)),
            Place::Alarm(path) => files.number(path).is_some_and(|alarm: u8| alarm != 0),
            Place::Log { log, was_found } => {
                if let Some(log) = log {
                    log.read_on(|message| *was_found |= complains(message));
                }
                *was_found
            }
        }
    }
}

/// The flags are hexadecimal, with or without `0x`.
fn is_under(flags: &str) -> bool {
    let digits = flags.trim_start_matches("0x");
    u64::from_str_radix(digits, 16).is_ok_and(|flags| flags & UNDERVOLTAGE != 0)
}

fn alarm(files: &mut Files) -> Option<String> {
    let chips = files.names("sys/class/hwmon");
    let is_supply = |chip: &String| {
        let name = files.word(&format!("sys/class/hwmon/{chip}/name"));
        name.as_deref() == Some("rpi_volt")
    };
    let chip = chips.into_iter().find(is_supply)?;
    Some(format!("sys/class/hwmon/{chip}/in0_lcrit_alarm"))
}

/// `under`, and later `voltage`, in any case: `Under-voltage detected!`.
fn complains(message: &[u8]) -> bool {
    let message = message.to_ascii_lowercase();
    let find = |text: &[u8], word: &[u8]| text.windows(word.len()).position(|part| part == word);
    find(&message, b"under")
        .and_then(|at| message.get(at..))
        .is_some_and(|rest| find(rest, b"voltage").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_flags_of_undervoltage_from_the_others() {
        let check = |flags: &str, expected: bool| assert_eq!(is_under(flags), expected, "{flags}");
        check("0", false);
        check("0x0", false);
        check("1", true);
        check("50005", true);
        check("0x50000", true);
        check("0xe0000", false);
        check("2", false);
        check("x", false);
        check("", false);
        check("ffffffffffffffffff", false);
    }

    #[test]
    fn knows_the_complaint_of_the_kernel() {
        let check = |message: &[u8], expected: bool| {
            assert_eq!(complains(message), expected, "{message:?}");
        };
        check(b"4,1,2,-;hwmon hwmon1: Undervoltage detected!", true);
        check(b"2,655,98,-;Under-voltage detected! (0x00050005)", true);
        check(b"6,1,2,-;Voltage normalised (0x00000000)", false);
        check(b"6,1,2,-;voltage under control", false);
        check(b"\xff\xfe under \xff voltage", true);
        check(b"", false);
    }
}
