//! Checks as they are written, for what was measured.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::host::sample::{Cpu, Memory};
use crate::os::disk::Space;
use crate::testkit::world::{Options, World};

const GIB: u64 = 1 << 30;

fn written(check: &Check) -> Value {
    let mut out = Vec::new();
    check.write(&mut out);
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn a_processor_is_worth_a_warning_above_90_percent() {
    let check = |usage: f64, expected: Value| {
        let sample = Sample {
            cpu: Cpu {
                usage,
                cores: vec![usage; 4],
                ..Cpu::default()
            },
            ..Sample::default()
        };
        assert_eq!(written(&cpu(Some(&sample))), expected);
    };
    check(
        0.04,
        json!({"status": "healthy", "usage_percent": 0.0, "cores": 4}),
    );
    check(
        90.0,
        json!({"status": "healthy", "usage_percent": 90.0, "cores": 4}),
    );
    check(
        99.96,
        json!({"status": "warning", "usage_percent": 100.0, "cores": 4,
            "message": "the processors are busy"}),
    );
    assert_eq!(
        written(&cpu(None)),
        json!({"status": "unknown", "usage_percent": 0.0, "cores": 0, "message": "not measured yet"})
    );
}

#[test]
fn memory_is_worth_a_warning_above_90_percent_and_critical_above_95() {
    let check = |available: u64, expected: &str| {
        let sample = Sample {
            memory: Memory {
                total: 100 << 20,
                available: available << 20,
                ..Memory::default()
            },
            ..Sample::default()
        };
        let written = written(&memory(Some(&sample)));
        assert_eq!(written["status"], expected, "{written}");
        assert_eq!(written["total_mb"], 100);
        assert_eq!(written["available_mb"], available);
        assert_eq!(
            written["used_percent"],
            f64::from(u32::try_from(100 - available).unwrap())
        );
    };
    check(50, "healthy");
    check(10, "healthy");
    check(9, "warning");
    check(5, "warning");
    check(4, "critical");
    assert_eq!(memory(None).state, State::Unknown);
    assert_eq!(memory(Some(&Sample::default())).state, State::Unknown);
}

#[test]
fn a_disk_is_worth_a_warning_above_90_percent_and_critical_below_a_gibibyte() {
    let world = World::new(Options::default());
    let live = world.services.live();
    let check = |available: u64, total: u64, expected: &str| {
        let space = Space {
            total,
            free: available,
            available,
        };
        let seen = Seen {
            disk: Some(space),
            ..Seen::default()
        };
        let written = written(&disk(seen, &live));
        assert_eq!(written["status"], expected, "{written}");
        assert_eq!(
            written["path"],
            live.config.server.data_dir.to_string_lossy().as_ref()
        );
    };
    check(50 * GIB, 100 * GIB, "healthy");
    check(10 * GIB, 100 * GIB, "healthy");
    check(9 * GIB, 100 * GIB, "warning");
    check(GIB, 100 * GIB, "warning");
    check(GIB - 1, 100 * GIB, "critical");
    // A small disk is not full because it is small.
    check(GIB / 4, GIB / 2, "healthy");
    check(GIB / 20 - 1, GIB / 2, "critical");
    let unknown = disk(Seen::default(), &live);
    assert_eq!(unknown.state, State::Unknown);
}

#[test]
fn the_claude_cli_is_told_with_where_it_is_and_what_it_says() {
    let world = World::new(Options::default());
    let check = |found: ClaudeCli, expected: Value| {
        world.services.resources.found_claude(found);
        assert_eq!(written(&claude(&world.services)), expected);
    };
    assert_eq!(claude(&world.services).state, State::Unknown);
    let found = ClaudeCli {
        program: "claude".to_owned(),
        found: Ok("/usr/bin/claude".into()),
        version: Some(Ok("2.0.1 (Claude Code)".to_owned())),
    };
    check(
        found.clone(),
        json!({"status": "healthy", "path": "claude", "resolved_path": "/usr/bin/claude",
            "version": "2.0.1 (Claude Code)"}),
    );
    check(
        ClaudeCli {
            version: Some(Err("it takes longer than 5 s".to_owned())),
            ..found.clone()
        },
        json!({"status": "warning", "path": "claude", "resolved_path": "/usr/bin/claude",
            "error": "it takes longer than 5 s", "message": "the Claude CLI says no version"}),
    );
    check(
        ClaudeCli {
            found: Err("install it".to_owned()),
            version: None,
            ..found
        },
        json!({"status": "critical", "path": "claude", "resolved_path": "", "error": "install it",
            "message": "the Claude CLI was not found; runs of it are refused"}),
    );
}

#[test]
fn the_worst_check_decides() {
    let check = |states: &[State], expected: (State, &str)| {
        let checks: Vec<Check> = states
            .iter()
            .map(|state| Check {
                name: "some",
                state: *state,
                message: None,
                measured: Measured::Nothing,
            })
            .collect();
        let worst = worst(&checks);
        assert_eq!((worst, worst.of_all()), expected);
    };
    use State::{Critical, Healthy, Unknown, Warning};
    check(&[], (Healthy, "healthy"));
    check(&[Healthy, Unknown], (Unknown, "healthy"));
    check(&[Healthy, Warning, Unknown], (Warning, "degraded"));
    check(&[Critical, Warning], (Critical, "unhealthy"));
}
