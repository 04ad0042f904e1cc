//! Readings that follow on each other, and what is said and refused because of them.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::base::rng::Rng;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// A resource whose readings follow on each other, with the levels they lead to.
fn check(resource: Resource, steps: impl IntoIterator<Item = (Reading, Level)>) {
    let mut monitor = Monitor::default();
    for (step, (reading, expected)) in steps.into_iter().enumerate() {
        let before = monitor.status().level(resource);
        let mut readings = Readings::default();
        readings[resource.index()] = Some(reading);
        let changes = monitor.observe(readings);
        let level = monitor.status().level(resource);
        assert_eq!(level, expected, "step {step}: {reading:?}");
        let change = Change {
            resource,
            from: before,
            to: level,
            reading: Some(reading),
        };
        let expected = if before == level {
            vec![]
        } else {
            vec![change]
        };
        assert_eq!(changes, expected, "step {step}: it is told once");
    }
}

#[test]
fn warns_from_80_percent_and_is_over_above_the_limit_and_wavering_changes_nothing() {
    use Level::{Near, Normal, Over};
    for resource in [Resource::Memory, Resource::Threads, Resource::Descriptors] {
        let steps = [
            (0, Normal),
            (799, Normal),
            (800, Near),
            (799, Near),
            (750, Near),
            (749, Normal),
            (799, Normal),
            (1000, Near),
            (1001, Over),
            (1000, Over),
            (900, Over),
            (899, Near),
            (1000, Near),
            (2000, Over),
            (100, Normal),
        ];
        let steps = steps.map(|(current, level)| (Reading::of(current, 1000), level));
        check(resource, steps);
    }
}

#[test]
fn a_disk_warns_below_a_gibibyte_and_is_over_below_64_mebibytes() {
    use Level::{Near, Normal, Over};
    let large = [
        (2 * GIB, Normal),
        (GIB, Normal),
        (GIB - 1, Near),
        (GIB + GIB / 5, Near),
        (GIB + GIB / 4, Normal),
        (64 * MIB, Near),
        (64 * MIB - 1, Over),
        (79 * MIB, Over),
        (80 * MIB, Near),
    ];
    let reading = |total: u64| move |(free, level)| (Reading::of_disk(free, total), level);
    check(Resource::Disk, large.map(reading(100 * GIB)));
    // A twentieth of 20 MiB is 1 MiB, a fifth of it 4 MiB.
    let small = [
        (5 * MIB, Normal),
        (4 * MIB - 1, Near),
        (MIB - 1, Over),
        (2 * MIB, Near),
        (20 * MIB, Normal),
    ];
    check(Resource::Disk, small.map(reading(20 * MIB)));
}

#[test]
fn limits_of_any_size_are_compared_without_overflow() {
    let mut rng = Rng::from_seed(7);
    for _ in 0..1000 {
        let limit = rng.next_u64() >> rng.below(64);
        let current = rng.next_u64() >> rng.below(64);
        let reading = Reading::of(current, limit);
        let is_over = reading.level(Level::Normal) == Level::Over;
        assert_eq!(is_over, current > limit, "{reading:?}");
        if limit > 100 {
            assert_eq!(
                Reading::of(limit / 2, limit).level(Level::Over),
                Level::Normal
            );
        }
        let _ = Reading::of_disk(current, limit).level(Level::Near);
    }
}

fn status(readings: Readings) -> Status {
    let mut monitor = Monitor::default();
    monitor.observe(readings);
    monitor.status()
}

#[test]
fn what_is_over_refuses_and_a_full_disk_refuses_runs_only() {
    let (low, high) = (Some(Reading::of(1, 100)), Some(Reading::of(101, 100)));
    let full = Some(Reading::of_disk(0, GIB));
    let check = |readings: Readings, connections: Option<Resource>, runs: Option<Resource>| {
        let status = status(readings);
        let resource = |excess: Option<Excess>| excess.map(|excess| excess.resource);
        assert_eq!(resource(status.refuses_connections()), connections);
        assert_eq!(resource(status.refuses_runs()), runs);
    };
    let (memory, disk) = (Some(Resource::Memory), Some(Resource::Disk));
    check([low, low, low, None], None, None);
    check([high, low, low, None], memory, memory);
    check([high, high, high, full], memory, memory);
    check(
        [low, low, high, full],
        Some(Resource::Descriptors),
        Some(Resource::Descriptors),
    );
    check([None, None, None, full], None, disk);
    let excess = status([high, None, None, None]).refuses_runs().unwrap();
    assert_eq!((excess.current, excess.limit), (101, 100));
}

#[test]
fn the_worst_is_named_and_memory_is_released_to_three_quarters_of_the_limit() {
    let (low, near) = (Some(Reading::of(1, 100)), Some(Reading::of(80, 100)));
    let over = Some(Reading::of(120, 100));
    let check = |readings: Readings, worst: (Level, Resource), bytes: Option<u64>| {
        let status = status(readings);
        assert_eq!((status.worst(), status.memory_to_release()), (worst, bytes));
    };
    check([low; 4], (Level::Normal, Resource::Memory), None);
    check(
        [low, near, near, low],
        (Level::Near, Resource::Threads),
        None,
    );
    check(
        [near, low, over, None],
        (Level::Over, Resource::Descriptors),
        None,
    );
    check(
        [over, over, low, None],
        (Level::Over, Resource::Memory),
        Some(45),
    );
}

#[test]
fn what_cannot_be_read_any_more_is_normal_again() {
    let mut monitor = Monitor::default();
    monitor.observe([Some(Reading::of(2, 1)), None, None, None]);
    let changes = monitor.observe([None; 4]);
    assert_eq!(changes.len(), 1);
    assert_eq!(
        (changes[0].from, changes[0].to),
        (Level::Over, Level::Normal)
    );
    assert_eq!(monitor.status().refuses_connections(), None);
}
