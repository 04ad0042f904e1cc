//! /proc/stat (proc_stat(5)): how the cores spend their time.

/// Cores that are told apart.
const CORES: usize = 1024;

/// Time in ticks of the kernel, since the start of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) busy: u64,
    pub(super) all: u64,
}

/// The times of all cores together, and of each in use by its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cores {
    pub(super) together: Times,
    pub(super) each: Vec<(u32, Times)>,
}

impl Cores {
    /// Reads the text of /proc/stat; what is not there is zero or missing.
    pub(super) fn parse(text: &str) -> Self {
        let mut cores = Self::default();
        let lines = text.lines().filter_map(|line| line.strip_prefix("cpu"));
        for line in lines.take(CORES + 1) {
            let Some((number, fields)) = line.split_once(' ') else {
                continue;
            };
            let times = Times::parse(fields);
            match number.parse() {
                Ok(number) => cores.each.push((number, times)),
                Err(_) if number.is_empty() => cores.together = times,
                Err(_) => {}
            }
        }
        cores
    }

    /// Per cent of the time since `before`, of all cores and of each.
    pub(super) fn usage_since(&self, before: &Self) -> (f64, Vec<f64>) {
        let of_core = |(number, times): &(u32, Times)| {
            let before = before.each.iter().find(|(known, _)| known == number);
            times.usage_since(before.map_or(Times::default(), |(_, times)| *times))
        };
        let together = self.together.usage_since(before.together);
        (together, self.each.iter().map(of_core).collect())
    }
}

impl Times {
    /// user, nice, system, idle, iowait, irq, softirq, steal. Those after it, of guests, are in
    /// the first two as well.
    fn parse(fields: &str) -> Self {
        let mut times = Self::default();
        for (index, field) in fields.split_ascii_whitespace().take(8).enumerate() {
            let ticks: u64 = field.parse().unwrap_or(0);
            times.all = times.all.saturating_add(ticks);
            // A core that waits for a disk is idle.
            if index != 3 && index != 4 {
                times.busy = times.busy.saturating_add(ticks);
            }
        }
        times
    }

    fn usage_since(self, before: Self) -> f64 {
        // The time spent waiting for disks may go down (proc_stat(5)).
        let all = self.all.saturating_sub(before.all);
        let busy = self.busy.saturating_sub(before.busy).min(all);
        if all == 0 {
            return 0.0;
        }
        busy as f64 * 100.0 / all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(busy: u64, all: u64) -> Times {
        Times { busy, all }
    }

    #[test]
    fn reads_the_cores_in_use() {
        let check = |text: &str, together: Times, each: &[(u32, Times)]| {
            let cores = Cores::parse(text);
            assert_eq!(
                (cores.together, cores.each.as_slice()),
                (together, each),
                "{text}"
            );
        };
        let text = "cpu  10 2 3 80 5 1 1 3 7 7\ncpu0 5 1 1 40 2 0 1 1 0 0\ncpu3 5 1 2 40 3\nintr 1";
        let each = [(0, times(9, 51)), (3, times(8, 51))];
        check(text, times(20, 105), &each);
        check("", Times::default(), &[]);
        check("cpu\ncpufreq 1\ncpu x y\n", Times::default(), &[]);
        let huge = format!("cpu  {} {}", u64::MAX, u64::MAX);
        check(&huge, times(u64::MAX, u64::MAX), &[]);
    }

    #[test]
    fn usage_is_of_the_time_between() {
        let check = |before: Times, after: Times, expected: f64| {
            assert_eq!(after.usage_since(before), expected, "{before:?} {after:?}");
        };
        check(times(10, 100), times(60, 200), 50.0);
        check(times(0, 0), times(25, 100), 25.0);
        check(times(10, 100), times(10, 100), 0.0);
        check(times(60, 200), times(10, 100), 0.0);
        check(times(0, 100), times(100, 150), 100.0);
    }

    #[test]
    fn a_core_that_came_or_went_disturbs_no_other() {
        let before = Cores::parse("cpu 1 0 0 1\ncpu0 1 0 0 1\ncpu1 1 0 0 1");
        let after = Cores::parse("cpu 3 0 0 3\ncpu1 2 0 0 4\ncpu2 1 0 0 0");
        assert_eq!(after.usage_since(&before), (50.0, vec![25.0, 100.0]));
    }
}
