//! A disk that is full makes the child wait, nobody else, and loses nothing.

use std::fs;

use kinglet::testkit::client::note;
use kinglet::testkit::processes::living;
use kinglet::testkit::server::until;
use kinglet::testkit::small_disk::SmallDisk;
use serde_json::json;

use crate::host::{Host, printed};

/// More than pipes and buffers hold.
const LINES: usize = 3000;

#[test]
fn a_full_disk_makes_the_child_wait_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount(8) else {
        note("SKIPPED: runs on a full disk, because no file system can be mounted here");
        return;
    };
    let host = Host::start(&[("KINGLET_SERVER__DATA_DIR", disk.path().to_str().unwrap())]);
    let project = host.project("a");
    let mut watcher = host.watch(&project);
    let filler = "x".repeat(300);
    let script = format!(
        "echo ready; until [ -e go ]; do sleep 0.01; done
        i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo $i {filler}; done"
    );
    let run = host.shell(&project, &script);
    watcher.await_kind("run.output");
    let taken = disk.fill();
    fs::write(host.root.path().join("a/go"), "").unwrap();
    let failing = || host.get("/health/ready").json()["checks"]["store"] == "failing";
    until("the disk is full", failing);
    let paused = || host.server().counter("kinglet_run_outputs_paused_total");
    until("the child waits", || paused() > 0);
    assert!(!living(run.as_ref()).is_empty());
    let body = json!({"room": "memory", "event": "e"});
    assert_eq!(host.post("/api/v1/publish", &body).status(), 200);
    fs::remove_file(taken).unwrap();
    let events = watcher.through("run.exited");
    let lines = printed(&events).into_iter().map(|(_, line)| line);
    assert!(lines.eq((1..=LINES).map(|number| format!("{number} {filler}"))));
    let record = host.check_story(&project, &run);
    assert_eq!(
        (&record["state"], &record["exit_code"]),
        (&json!("exited"), &json!(0))
    );
    assert!(record["truncated"].is_null());
}

#[test]
fn a_run_that_ends_while_the_disk_is_full_is_told_of_when_there_is_space() {
    let Some(disk) = SmallDisk::mount(4) else {
        note("SKIPPED: a run's end on a full disk, because no file system can be mounted here");
        return;
    };
    let host = Host::start(&[("KINGLET_SERVER__DATA_DIR", disk.path().to_str().unwrap())]);
    let project = host.project("a");
    let mut watcher = host.watch(&project);
    let line = "x".repeat(100_000);
    let script = format!("echo ready; until [ -e go ]; do sleep 0.01; done; echo {line}; exit 7");
    let run = host.shell(&project, &script);
    watcher.await_kind("run.output");
    let taken = disk.fill();
    fs::write(host.root.path().join("a/go"), "").unwrap();
    until("nothing of it lives", || living(run.as_ref()).is_empty());
    assert!(
        host.record(&run)["ended_at"].is_null(),
        "it is not told yet"
    );
    assert_eq!(host.state(&project), "EXECUTING");
    fs::remove_file(taken).unwrap();
    watcher.await_kind("run.exited");
    let record = host.check_story(&project, &run);
    assert_eq!(record["exit_code"], 7);
    assert_eq!(printed(&host.history(&project)).last().unwrap().1, line);
}
