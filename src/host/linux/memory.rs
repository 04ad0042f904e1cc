//! /proc/meminfo (proc_meminfo(5)).

use crate::host::sample::Memory;

/// Reads the text of /proc/meminfo; what is not there is zero.
pub(super) fn parse(text: &str) -> Memory {
    let of = |name: &str| field(text, name).unwrap_or(0);
    let (total, free) = (of("MemTotal"), of("MemFree"));
    let cached = of("Cached").saturating_add(of("Buffers"));
    let used = total.saturating_sub(free).saturating_sub(cached);
    let swap_total = of("SwapTotal");
    Memory {
        total,
        used,
        // Kernels before 3.14 do not say.
        available: field(text, "MemAvailable").unwrap_or_else(|| total.saturating_sub(used)),
        swap_total,
        swap_used: swap_total.saturating_sub(of("SwapFree")),
    }
}

/// Bytes in a line such as `MemTotal:   1234 kB`.
fn field(text: &str, name: &str) -> Option<u64> {
    let of_line = |line: &str| {
        let value = line.strip_prefix(name)?.strip_prefix(':')?.trim();
        let kilobytes: u64 = value.strip_suffix("kB")?.trim().parse().ok()?;
        kilobytes.checked_mul(1024)
    };
    text.lines().find_map(of_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_and_buffers_are_not_in_use() {
        let check = |text: &str, expected: [u64; 5]| {
            let found = parse(text);
            let kilobytes = [
                found.total,
                found.used,
                found.available,
                found.swap_total,
                found.swap_used,
            ];
            assert_eq!(
                kilobytes,
                expected.map(|kilobytes| kilobytes * 1024),
                "{text}"
            );
        };
        let text = "MemTotal: 1000 kB\nMemFree:  200 kB\nMemAvailable: 600 kB\nBuffers: 50 kB\n\
            Cached: 350 kB\nSwapCached: 9 kB\nSwapTotal: 100 kB\nSwapFree: 40 kB\n";
        check(text, [1000, 400, 600, 100, 60]);
        check(
            "MemTotal: 1000 kB\nMemFree: 200 kB\n",
            [1000, 800, 200, 0, 0],
        );
        check(
            "MemTotal: 10 kB\nMemFree: 99 kB\nSwapFree: 7 kB",
            [10, 0, 10, 0, 0],
        );
        check("MemTotal: x kB\nMemFree 1\nMemTotalX: 1 kB", [0; 5]);
        check("MemTotal: 18446744073709551615 kB", [0; 5]);
    }
}
