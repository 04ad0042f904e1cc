//! kill -9 of the server and of keepers: nothing of a run is left, each run has one last event, and
//! the next start works.
//!
//! `KINGLET_TEST_SOAK` has it done twenty times in place of five.

use std::process::Command;

use kinglet::testkit::processes::{
    children_of, exists, lives, living, parent_of, within_two_seconds,
};
use kinglet::testkit::server::until;
use serde_json::{Value, json};

use crate::host::{Host, scale};

/// A tree with a process in a session of its own that is deaf to TERM; says who its leader is.
const TREE: &str = "trap '' TERM HUP; setsid sleep 1000 & echo $$; sleep 1000 & wait";

/// Processes of it.
const TREE_SIZE: usize = 3;

/// Starts a tree; the run and the process of its leader.
fn tree(host: &Host, project: &str) -> (String, i32) {
    let mut watcher = host.watch(project);
    let run = host.shell(project, TREE);
    loop {
        let event = watcher.await_kind("run.output");
        if event["data"]["run"] == *run {
            let leader = event["data"]["line"].as_str().unwrap().parse().unwrap();
            until("the tree has grown", || {
                living(run.as_ref()).len() == TREE_SIZE
            });
            return (run, leader);
        }
    }
}

#[test]
fn nothing_of_ten_runs_outlives_a_server_that_is_killed() {
    let mut host = Host::start(&[]);
    let runs: Vec<(String, String)> = (0..10)
        .map(|number| {
            let project = host.project(&format!("p{number}"));
            let (run, _) = tree(&host, &project);
            (project, run)
        })
        .collect();
    let keepers = children_of(host.pid());
    assert_eq!(keepers.len(), 10);
    host.kill();
    within_two_seconds("nothing is left of any run", || {
        runs.iter().all(|(_, run)| living(run.as_ref()).is_empty())
    });
    within_two_seconds("no keeper is left", || {
        keepers.iter().all(|pid| !lives(*pid))
    });
    host.restart();
    for (project, run) in &runs {
        let record = host.check_story(project, run);
        assert_eq!(record["state"], "lost");
        assert_eq!(host.state(project), "ERROR");
    }
    // A second restart tells nothing twice.
    host.restart();
    for (project, run) in &runs {
        host.check_story(project, run);
        let again = host.shell(project, "exit 0");
        assert_eq!(host.ended(&again)["state"], "exited");
        assert_eq!(host.state(project), "IDLE");
    }
}

/// Kills some of these, given the outer and the inner keeper, in mid-run.
fn check(victims: fn(i32, i32) -> Vec<i32>) {
    let host = Host::start(&[]);
    let project = host.project("a");
    for _ in 0..scale(5, 20) {
        let (run, leader) = tree(&host, &project);
        let inner = parent_of(leader);
        let outer = parent_of(inner);
        assert_eq!(parent_of(outer), host.pid());
        let pids: Vec<String> = victims(outer, inner)
            .iter()
            .map(ToString::to_string)
            .collect();
        // The second may have ended with the first.
        let output = Command::new("kill").arg("-9").args(&pids).output();
        assert!(output.is_ok());
        within_two_seconds("nothing is left of the run", || {
            living(run.as_ref()).is_empty()
        });
        let record = host.ended(&run);
        assert_eq!(record["state"], "failed", "{record}");
        host.check_story(&project, &run);
        within_two_seconds("no keeper is left", || !exists(outer) && !exists(inner));
        assert_eq!(host.state(&project), "ERROR");
    }
    assert_eq!(children_of(host.pid()), [0; 0], "no zombie is left");
    let again = host.run(&project, &json!({"agent": "shell", "prompt": "exit 7"}));
    assert_eq!(host.ended(&again)["exit_code"], 7);
}

#[test]
fn a_run_ends_once_when_its_outer_keeper_is_killed() {
    check(|outer, _| vec![outer]);
}

#[test]
fn a_run_ends_once_when_its_inner_keeper_is_killed() {
    check(|_, inner| vec![inner]);
}

#[test]
fn a_run_ends_once_when_both_keepers_are_killed() {
    check(|outer, inner| vec![outer, inner]);
    check(|outer, inner| vec![inner, outer]);
}

#[test]
fn a_killed_keeper_ends_its_own_run_alone() {
    let host = Host::start(&[]);
    let (one, other) = (host.project("one"), host.project("other"));
    let (killed, leader) = tree(&host, &one);
    let (spared, _) = tree(&host, &other);
    let keeper = parent_of(leader);
    let status = Command::new("kill")
        .args(["-9", &keeper.to_string()])
        .status();
    assert!(status.unwrap().success());
    assert_eq!(host.ended(&killed)["state"], "failed");
    assert_eq!(living(spared.as_ref()).len(), TREE_SIZE);
    assert_eq!(host.record(&spared)["ended_at"], Value::Null);
    assert_eq!(host.state(&other), "EXECUTING");
}
