//! Runs that are ended: by somebody, by their timeout, for their silence.

use std::thread;

use kinglet::testkit::processes::living;
use serde_json::{Value, json};

use crate::host::Host;

#[test]
fn a_run_that_is_cancelled_twice_ends_once() {
    let host = Host::start(&[]);
    let project = host.project("a");
    let mut watcher = host.watch(&project);
    let run = host.shell(
        &project,
        "trap 'sleep 0.3; exit 0' TERM; echo ready; while :; do sleep 0.01; done",
    );
    watcher.await_kind("run.output");
    for _ in 0..2 {
        let answer = host.cancel(&run);
        assert_eq!(answer.status(), 202, "{answer:?}");
        assert_eq!(answer.json()["run"]["id"], *run);
    }
    watcher.await_kind("run.exited");
    watcher.hears_nothing();
    let record = host.check_story(&project, &run);
    assert_eq!(record["state"], "cancelled");
    assert_eq!(record["reason"], "somebody cancelled it");
    assert_eq!(host.state(&project), "IDLE");
    let late = host.cancel(&run);
    assert_eq!(
        (late.status(), late.code().as_str()),
        (404, "PROCESS_NOT_FOUND")
    );
    let strange = host.cancel("00000000-0000-4000-8000-000000000000");
    assert_eq!(
        (strange.status(), strange.code().as_str()),
        (404, "NOT_FOUND")
    );
    assert_eq!(host.cancel("nonsense").status(), 400);
}

#[test]
fn a_run_that_takes_too_long_is_ended() {
    let host = Host::start(&[("KINGLET_AGENTS__SHELL__TIMEOUT", "300ms")]);
    let project = host.project("a");
    let mut watcher = host.watch(&project);
    let run = host.shell(&project, "setsid sleep 1000 & sleep 1000");
    let exited = watcher.await_kind("run.exited");
    let error = &exited["data"]["error"];
    assert_eq!(error["code"], "EXECUTION_TIMEOUT");
    assert_eq!(error["details"]["limit_ms"], 300);
    let record = host.check_story(&project, &run);
    assert_eq!(record["state"], "timeout");
    assert_eq!(record["reason"], "it took longer than 300ms");
    assert_eq!(host.state(&project), "ERROR");
}

#[test]
fn a_silent_run_is_told_of_and_goes_on() {
    let host = Host::start(&[("KINGLET_AGENTS__SHELL__STALL_AFTER", "200ms")]);
    let project = host.project("a");
    let mut watcher = host.watch(&project);
    let run = host.shell(&project, "echo one; sleep 1; echo two");
    let stalled = watcher.await_kind("run.stalled");
    assert_eq!(stalled["data"], json!({"run": run, "silent_ms": 200}));
    assert_eq!(host.record(&run)["state"], "stalled");
    let kinds: Vec<Value> = watcher
        .through("run.exited")
        .iter()
        .map(|it| it["type"].clone())
        .collect();
    assert_eq!(kinds, ["run.output", "run.exited"]);
    assert_eq!(host.check_story(&project, &run)["state"], "exited");
}

#[test]
fn a_silent_run_is_ended_where_that_is_wanted() {
    let host = Host::start(&[
        ("KINGLET_AGENTS__SHELL__STALL_AFTER", "200ms"),
        ("KINGLET_AGENTS__SHELL__STALL_ACTION", "cancel"),
    ]);
    let project = host.project("a");
    let mut watcher = host.watch(&project);
    let run = host.shell(&project, "sleep 1000");
    watcher.await_kind("run.stalled");
    let exited = watcher.await_kind("run.exited");
    assert_eq!(exited["data"]["error"]["code"], "EXECUTION_TIMEOUT");
    let record = host.check_story(&project, &run);
    assert_eq!(record["state"], "timeout");
    assert_eq!(record["reason"], "it printed nothing for 200ms");
}

#[test]
fn many_who_cancel_at_once_end_a_run_once() {
    let host = Host::start(&[]);
    let project = host.project("a");
    let run = host.shell(&project, "sleep 1000");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let answer = host.cancel(&run);
                let told = (answer.status(), answer.code());
                let is_fine = told.0 == 202 || told == (404, "PROCESS_NOT_FOUND".to_owned());
                assert!(is_fine, "{answer:?}");
            });
        }
    });
    host.ended(&run);
    host.check_story(&project, &run);
}

#[test]
fn an_agent_that_is_not_there_or_cannot_be_executed_is_refused_or_fails() {
    let host = Host::start(&[
        ("KINGLET_AGENTS__GONE__COMMAND", "/nowhere/agent"),
        ("KINGLET_AGENTS__CLAUDE__COMMAND", "/nowhere/claude"),
    ]);
    let project = host.project("a");
    let check = |agent: &str, status, code: &str| {
        let answer = host.ask(&project, &json!({"agent": agent, "prompt": "x"}));
        assert_eq!(
            (answer.status(), answer.code().as_str()),
            (status, code),
            "{agent}: {answer:?}"
        );
    };
    check("gone", 503, "AGENT_NOT_FOUND");
    check("claude", 503, "CLAUDE_NOT_FOUND");
    check("unknown", 400, "VALIDATION_FAILED");
    assert!(
        host.history(&project).is_empty(),
        "nobody else learns of it"
    );
    assert_eq!(host.state(&project), "IDLE");
    // A directory that has gone since it was registered.
    std::fs::remove_dir(host.root.path().join("a")).unwrap();
    let answer = host.ask(&project, &json!({"agent": "shell", "prompt": "x"}));
    assert_eq!(
        (answer.status(), answer.code().as_str()),
        (400, "INVALID_PATH")
    );
}

#[test]
fn a_result_that_is_an_error_is_a_failure_whatever_the_exit_code() {
    let host = Host::start(&[]);
    let project = host.project("a");
    let check = |scenario: &str, state: &str, code: i64| {
        let run = host.play(&project, scenario);
        host.ended(&run);
        let record = host.check_story(&project, &run);
        assert_eq!(
            (&record["state"], &record["exit_code"]),
            (&json!(state), &json!(code)),
            "{scenario}"
        );
        record
    };
    let record = check("success", "exited", 0);
    assert_eq!(record["result"]["cost_usd"], 0.0125);
    let session = record["session_id"].clone();
    assert!(session.is_string());
    check("error_result:0", "failed", 0);
    check("error", "failed", 1);
    check("exit:7", "failed", 7);
    check("partial_json", "exited", 0);
    check("invalid_json", "exited", 0);
    // The next run goes on with the session of the last.
    let resumed = check("success", "exited", 0);
    assert_ne!(resumed["session_id"], session);
    assert!(living(resumed["id"].as_str().unwrap().as_ref()).is_empty());
}
