//! Many short runs leave nothing: no process, no zombie, no descriptor, no memory.
//!
//! A hundred of them; ten thousand with `KINGLET_TEST_SOAK`.

use std::thread;
use std::time::Instant;

use kinglet::testkit::client::note;
use kinglet::testkit::processes::{children_of, descriptors_of, resident_kib};
use kinglet::testkit::server::until;

use crate::host::{Host, scale};

/// Projects that have runs at the same time.
const PROJECTS: usize = 5;

/// KiB that a run may leave on average once there are many; what is kept of each is on disk.
const KIB_PER_RUN: usize = 4;

/// KiB of caches and of the allocator.
const SLACK_KIB: usize = 64 * 1024;

/// Has so many runs in each project, one after the other.
fn work(host: &Host, projects: &[String], count: usize) {
    thread::scope(|scope| {
        for project in projects {
            scope.spawn(move || {
                let mut watcher = host.watch(project);
                for number in 0..count {
                    let (script, code) = match number % 4 {
                        0 => ("exit 0", 0),
                        1 => ("sleep 1000 >/dev/null 2>&1 & exit 1", 1),
                        2 => ("setsid sleep 1000 >/dev/null 2>&1 & echo x", 0),
                        _ => ("echo a; echo b >&2; exit 3", 3),
                    };
                    // Whoever hears of the end of one may start the next at once.
                    let run = host.shell(project, script);
                    let exited = loop {
                        let exited = watcher.await_kind("run.exited")["data"]["run"].take();
                        if exited["id"] == *run {
                            break exited;
                        }
                    };
                    assert_eq!(exited["exit_code"], code, "{exited}");
                }
            });
        }
    });
}

#[test]
fn many_short_runs_leave_nothing() {
    let host = Host::start(&[]);
    let projects: Vec<String> = (0..PROJECTS)
        .map(|n| host.project(&format!("p{n}")))
        .collect();
    work(&host, &projects, 4);
    until("keepers are reaped", || children_of(host.pid()).is_empty());
    let (descriptors, resident) = (descriptors_of(host.pid()), resident_kib(host.pid()));
    let began = Instant::now();
    let count = scale(20, 2000);
    work(&host, &projects, count);
    let took = began.elapsed();
    let runs = count * PROJECTS;
    until("nothing is left", || children_of(host.pid()).is_empty());
    until("no descriptor is left", || {
        descriptors_of(host.pid()) <= descriptors
    });
    let now = resident_kib(host.pid());
    let grown = usize::try_from(now.saturating_sub(resident)).unwrap();
    note(&format!(
        "{runs} short runs in {took:.1?}: zombies 0, descriptors {descriptors} before and {} after, \
         resident {resident} KiB before and {now} KiB after",
        descriptors_of(host.pid())
    ));
    assert!(grown < SLACK_KIB + KIB_PER_RUN * runs, "{grown} KiB more");
}
