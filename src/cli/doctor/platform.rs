//! What the machine is, on top of all findings, and where it is too small for the configuration.
//!
//! May not touch: the machine. Invariant: as for `checks`.

use super::{Finding, Verdict};
use crate::config::Limits;
use crate::host::platform::Platform;

/// The facts of the start's log, then what is to be known of them.
pub(super) fn all(platform: &Platform) -> Vec<Finding> {
    let lines = platform.lines();
    let facts = lines.iter().map(|line| {
        let (about, facts) = line.split_once(' ').unwrap_or((line, ""));
        Finding::new(about.replace('_', " "), Verdict::Ok, facts)
    });
    let concerns = platform.concerns();
    let concerns = concerns
        .into_iter()
        .map(|concern| Finding::new(concern.about, Verdict::Warning, concern.message));
    facts.chain(concerns).chain(protected(platform)).collect()
}

/// What macOS keeps from programs that nobody has allowed it to.
fn protected(platform: &Platform) -> Option<Finding> {
    let macos = platform.macos.as_ref()?;
    let refused = macos.full_disk_access == Some(false);
    refused.then(|| {
        let message = "macOS refuses runs what is in Desktop, Documents and Downloads; allow \
                       kinglet under System Settings, Privacy & Security, Full Disk Access";
        Finding::new("full disk access", Verdict::Warning, message)
    })
}

/// Whether there is as much as the configuration counts on.
pub(super) fn against(platform: &Platform, limits: &Limits) -> Vec<Finding> {
    let memory = platform.memory_max().map(|bytes| bytes >> 20);
    let memory = memory.map(|most| {
        let message = match limits
            .memory_mb
            .and_then(|wanted| u64::try_from(wanted).ok())
        {
            Some(wanted) if wanted <= most => {
                format!("{most} MiB at most, enough for limits.memory_mb = {wanted}")
            }
            Some(wanted) => {
                format!("{most} MiB at most, which counts instead of limits.memory_mb = {wanted}")
            }
            None => format!("{most} MiB at most"),
        };
        Finding::new("memory limit", Verdict::Ok, message)
    });
    let threads = platform.group.pids_max.map(|most| {
        let wanted = limits.threads.and_then(|wanted| u64::try_from(wanted).ok());
        match wanted.filter(|wanted| *wanted > most) {
            Some(wanted) => {
                let message = format!(
                    "{most} processes and threads at most, runs included, and limits.threads is \
                     {wanted}; raise TasksMax= in the unit (the container's pids limit), or lower \
                     limits.threads"
                );
                Finding::new("process limit", Verdict::Warning, message)
            }
            None => {
                let message = format!("{most} processes and threads at most, runs included");
                Finding::new("process limit", Verdict::Ok, message)
            }
        }
    });
    memory.into_iter().chain(threads).collect()
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::host::cgroup;
    use crate::host::platform::{Macos, Security};

    fn platform() -> Platform {
        Platform {
            has_shell: true,
            has_temporary: true,
            ..Platform::default()
        }
    }

    #[test]
    fn facts_come_first_and_then_what_is_to_be_done() {
        let found = all(&Platform {
            security: Security {
                is_root: true,
                ..Security::default()
            },
            ..platform()
        });
        let lines: Vec<String> = found.iter().map(Finding::line).collect();
        assert!(lines[0].starts_with("ok       platform: os="), "{lines:?}");
        assert!(lines[1].starts_with("ok       platform limits: open_files=none"));
        assert!(lines[2].starts_with("ok       platform security: root=true"));
        assert!(lines[3].starts_with("warning  user: kinglet is root"));
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn a_mac_says_what_it_refuses() {
        let check = |access, expected: bool| {
            let macos = Some(Macos {
                full_disk_access: access,
                ..Macos::default()
            });
            let found = all(&Platform {
                macos,
                ..platform()
            });
            let is_told = found.iter().any(|one| one.check == "full disk access");
            assert_eq!(is_told, expected, "{found:?}");
        };
        check(Some(false), true);
        check(Some(true), false);
        check(None, false);
    }

    #[test]
    fn the_control_group_is_compared_with_what_is_counted_on() {
        let limits = Limits {
            memory_mb: Some(2048),
            threads: Some(1000),
            ..Limits::default()
        };
        let check = |memory: Option<u64>, processes: Option<u64>, expected: &[&str]| {
            let group = cgroup::Limits {
                memory_max: memory.map(|mebibytes| mebibytes << 20),
                pids_max: processes,
                ..cgroup::Limits::default()
            };
            let found = against(
                &Platform {
                    group,
                    ..platform()
                },
                &limits,
            );
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (finding, start) in found.iter().zip(expected) {
                assert!(finding.line().starts_with(start), "{start} in {finding:?}");
            }
        };
        check(None, None, &[]);
        check(
            Some(2048),
            Some(1000),
            &[
                "ok       memory limit: 2048 MiB at most, enough",
                "ok       process limit: 1000 processes",
            ],
        );
        check(
            Some(2047),
            Some(999),
            &[
                "ok       memory limit: 2047 MiB at most, which counts instead of",
                "warning  process limit: 999 processes",
            ],
        );
    }
}
