//! /proc/pressure (Linux 4.20, Documentation/accounting/psi.rst).

use crate::host::linux::files::Files;
use crate::host::sample::{Pressure, Stall};

/// Reads what the kernel says of each resource, if it does.
pub(super) fn read(files: &mut Files) -> Pressure {
    let mut of = |resource: &str| parse(&files.text(&format!("proc/pressure/{resource}"))?);
    Pressure {
        cpu: of("cpu"),
        memory: of("memory"),
        io: of("io"),
    }
}

/// Two lines such as `some avg10=0.00 avg60=1.25 avg300=0.40 total=5`.
fn parse(text: &str) -> Option<Stall> {
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let mut fields = line.split_ascii_whitespace();
        let [ten, sixty, three_hundred] = ["avg10=", "avg60=", "avg300="].map(|name| {
            let value: f64 = fields.next()?.strip_prefix(name)?.parse().ok()?;
            (0.0..=100.0).contains(&value).then_some(value)
        });
        Some([ten?, sixty?, three_hundred?])
    };
    Some(Stall {
        some: of("some ")?,
        full: of("full "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_lines_or_the_one_there_is() {
        let check = |text: &str, expected: Option<Stall>| assert_eq!(parse(text), expected);
        let some = "some avg10=0.35 avg60=4.94 avg300=7.73 total=16471716664\n";
        let stall = Stall {
            some: [0.35, 4.94, 7.73],
            full: None,
        };
        check(some, Some(stall));
        let both = format!("{some}full avg10=1.00 avg60=2.00 avg300=100.00 total=1\n");
        let full = Some([1.0, 2.0, 100.0]);
        check(&both, Some(Stall { full, ..stall }));
        for wrong in [
            "",
            "some",
            "some avg10=x avg60=0 avg300=0",
            "some avg10=NaN avg60=0.00 avg300=0.00",
            "some avg10=101 avg60=0.00 avg300=0.00",
            "some avg10=-1 avg60=0.00 avg300=0.00",
            "some avg60=1 avg10=0.00 avg300=0.00",
        ] {
            check(wrong, None);
        }
    }
}
