//! A server without sockets that is told what is in use.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::app::admission::Refusal;
use crate::domain::monitor::Resource;
use crate::testkit::world::{Options, World};

const MIB: u64 = 1 << 20;

fn limits(memory_mb: Option<usize>, threads: Option<usize>) -> Limits {
    let world = World::new(Options::default());
    Limits {
        memory_mb,
        threads,
        ..world.services.live().config.limits.clone()
    }
}

#[test]
fn the_smaller_of_the_configured_and_the_groups_limit_is_held_against_what_it_counts() {
    let figures = Figures {
        memory: 100 * MIB,
        threads: 10,
        ..Figures::default()
    };
    let check = |group: cgroup::Limits, memory: Option<(u64, u64)>, threads: Option<(u64, u64)>| {
        let figures = Figures { group, ..figures };
        let configured = limits(Some(2048), Some(1000));
        let [read_memory, read_threads, _, _] = figures.readings(&configured);
        let pair = |reading: Option<Reading>| reading.map(|read| (read.current, read.limit));
        assert_eq!(
            (pair(read_memory), pair(read_threads)),
            (memory, threads),
            "{group:?}"
        );
    };
    let own = (Some((100 * MIB, 2048 * MIB)), Some((10, 1000)));
    check(cgroup::Limits::default(), own.0, own.1);
    let smaller = cgroup::Limits {
        memory_max: Some(512 * MIB),
        memory_used: Some(300 * MIB),
        pids_max: Some(64),
        pids_used: Some(60),
        ..cgroup::Limits::default()
    };
    check(smaller, Some((300 * MIB, 512 * MIB)), Some((60, 64)));
    let larger = cgroup::Limits {
        memory_max: Some(4096 * MIB),
        memory_used: Some(3000 * MIB),
        pids_max: Some(2000),
        pids_used: Some(1999),
        ..cgroup::Limits::default()
    };
    check(larger, own.0, own.1);
    let unknown_use = cgroup::Limits {
        memory_high: Some(128 * MIB),
        ..cgroup::Limits::default()
    };
    check(unknown_use, Some((100 * MIB, 128 * MIB)), own.1);
}

#[test]
fn without_a_limit_there_is_no_reading() {
    let figures = Figures::default();
    assert_eq!(figures.readings(&limits(None, None)), [None; 4]);
    let figures = Figures {
        descriptors: 10,
        descriptor_limit: Some(1024),
        ..figures
    };
    let [.., descriptors, _] = figures.readings(&limits(None, None));
    assert_eq!(descriptors.unwrap().limit, 1008, "the last are kept");
}

/// A server, and what its monitor is told.
struct Host {
    world: World,
    monitor: Monitor,
}

impl Host {
    fn new() -> Self {
        Self {
            world: World::new(Options::default()),
            monitor: Monitor::default(),
        }
    }

    fn observe(&mut self, figures: &Figures) -> bool {
        let services = Arc::clone(&self.world.services);
        let (live, counters) = (services.live(), services.counters_of_workers());
        let context = services.context(&live, &counters, self.world.now());
        services.observe(&mut self.monitor, figures, context)
    }

    fn accept(&self, address: IpAddr) -> Result<bool, Refusal> {
        let services = &self.world.services;
        let (live, counters) = (services.live(), services.counters_of_workers());
        let context = services.context(&live, &counters, self.world.now());
        let admitted = services.accept(address, context)?;
        Ok(admitted.is_reserved)
    }

    fn total(&self, counter: Counter) -> u64 {
        self.world.services.total(counter)
    }
}

#[test]
fn over_a_limit_others_are_refused_and_this_machine_gets_the_places_kept_for_it() {
    let mut host = Host::new();
    let away = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let low = Figures {
        descriptors: 10,
        descriptor_limit: Some(100),
        ..Figures::default()
    };
    let high = Figures {
        descriptors: 99,
        ..low
    };
    assert!(!host.observe(&low));
    assert_eq!(
        (host.accept(away), host.accept(here)),
        (Ok(false), Ok(false))
    );
    for _ in 0..3 {
        assert!(!host.observe(&high), "there is no memory to give back");
    }
    let excess = Excess {
        resource: Resource::Descriptors,
        current: 99,
        limit: 94,
    };
    assert_eq!(host.accept(away), Err(Refusal::Resource(excess)));
    assert_eq!(host.accept(here), Ok(true));
    let bytes = String::from_utf8(Refusal::Resource(excess).bytes()).unwrap();
    assert!(bytes.starts_with("HTTP/1.1 503 "), "{bytes}");
    assert!(bytes.contains("Retry-After: 5\r\n"), "{bytes}");
    let details = r#""details":{"current":99,"limit":94,"resource":"descriptors"}"#;
    assert!(
        bytes.contains("RESOURCE_LIMIT") && bytes.contains(details),
        "{bytes}"
    );
    host.observe(&low);
    assert_eq!(
        (host.accept(away), host.accept(here)),
        (Ok(false), Ok(false))
    );
    let counted = [
        Counter::ResourcesOver,
        Counter::ResourcesNear,
        Counter::ConnectionsRefusedResource,
        Counter::CachesReleased,
    ];
    assert_eq!(counted.map(|counter| host.total(counter)), [1, 0, 1, 0]);
}

#[test]
fn over_memory_every_look_gives_back_what_can_be_had_again() {
    let mut host = Host::new();
    let mut group = cgroup::Limits {
        memory_max: Some(100 * MIB),
        memory_used: Some(101 * MIB),
        ..cgroup::Limits::default()
    };
    let figures = |group| Figures {
        group,
        ..Figures::default()
    };
    assert!(host.observe(&figures(group)) && host.observe(&figures(group)));
    group.memory_used = Some(50 * MIB);
    assert!(!host.observe(&figures(group)));
    assert_eq!(host.total(Counter::CachesReleased), 2);
}
