//! Who may start: one run of a project, so many on the host, and what a repeated start is.

use serde_json::{Value, json};

use crate::host::{Host, text};

/// A run that goes on until it is cancelled.
const LONG: &str = "sleep 1000";

#[test]
fn a_second_run_is_refused_to_whoever_asks_and_nobody_else_learns_of_it() {
    let host = Host::start(&[]);
    let project = host.project("a");
    let mut watcher = host.watch(&project);
    let run = host.shell(&project, LONG);
    watcher.await_kind("run.started");
    let refused = host.ask(&project, &json!({"agent": "shell", "prompt": "exit 0"}));
    assert_eq!(
        (refused.status(), refused.code().as_str()),
        (409, "PROCESS_ACTIVE")
    );
    watcher.hears_nothing();
    assert_eq!(host.state(&project), "EXECUTING");
    assert_eq!(host.server().counter("kinglet_runs_refused_busy_total"), 1);
    // Another project is not concerned.
    let other = host.project("b");
    assert_eq!(host.ended(&host.shell(&other, "exit 0"))["exit_code"], 0);
    host.cancel(&run);
    host.ended(&run);
    assert_eq!(host.ended(&host.shell(&project, "exit 0"))["exit_code"], 0);
}

#[test]
fn runs_wait_for_their_turn_and_can_be_taken_out() {
    let host = Host::start(&[("KINGLET_PROJECTS__BUSY", "queue")]);
    let project = host.project("a");
    let mut watcher = host.watch(&project);
    let first = host.shell(&project, LONG);
    let waiting: Vec<String> = (1..=3)
        .map(|place| {
            let body = json!({"agent": "shell", "prompt": format!("echo {place}")});
            let answer = host.ask(&project, &body);
            assert_eq!(answer.status(), 202, "{answer:?}");
            let run = answer.json()["run"].clone();
            assert_eq!(
                (&run["state"], &run["position"]),
                (&json!("queued"), &json!(place))
            );
            let told = watcher.await_kind("run.queued");
            assert_eq!(told["data"]["position"], place);
            text(&run["id"])
        })
        .collect();
    assert_eq!(host.cancel(&waiting[1]).status(), 202);
    let told = watcher.await_kind("run.exited");
    assert_eq!(told["data"]["run"]["id"], *waiting[1]);
    assert_eq!(told["data"]["run"]["state"], "cancelled");
    assert_eq!(told["data"]["project"]["state"], "EXECUTING");
    assert_eq!(host.record(&waiting[2])["position"], 2);
    host.cancel(&first);
    let ended: Vec<Value> = (0..3)
        .map(|_| watcher.await_kind("run.exited")["data"]["run"]["id"].clone())
        .collect();
    assert_eq!(ended, [&*first, &*waiting[0], &*waiting[2]]);
    for run in [&first, &waiting[0], &waiting[2]] {
        host.check_story(&project, run);
    }
    let never = host.record(&waiting[1]);
    assert_eq!(never["started_at"], Value::Null);
}

#[test]
fn a_queue_outlives_no_restart_silently() {
    let mut host = Host::start(&[("KINGLET_PROJECTS__BUSY", "queue")]);
    let project = host.project("a");
    let (first, second) = (host.shell(&project, LONG), host.shell(&project, "echo two"));
    host.kill();
    host.restart();
    for run in [&first, &second] {
        let record = host.ended(run);
        assert_eq!(record["state"], "lost", "{record}");
    }
    host.check_story(&project, &first);
    assert_eq!(host.ended(&host.shell(&project, "exit 0"))["exit_code"], 0);
}

#[test]
fn the_host_has_so_many_runs_and_no_more() {
    let host = Host::start(&[("KINGLET_LIMITS__RUNS", "2")]);
    let projects: Vec<String> = (0..3).map(|n| host.project(&format!("p{n}"))).collect();
    let runs: Vec<String> = projects[..2]
        .iter()
        .map(|id| host.shell(id, LONG))
        .collect();
    let refused = host.ask(&projects[2], &json!({"agent": "shell", "prompt": "exit 0"}));
    assert_eq!(
        (refused.status(), refused.code().as_str()),
        (429, "RESOURCE_LIMIT"),
        "{refused:?}"
    );
    assert_eq!(host.state(&projects[2]), "IDLE");
    host.cancel(&runs[0]);
    host.ended(&runs[0]);
    assert_eq!(
        host.ended(&host.shell(&projects[2], "exit 0"))["exit_code"],
        0
    );
}

#[test]
fn a_start_that_is_repeated_by_its_key_starts_one_run() {
    let host = Host::start(&[]);
    let project = host.project("a");
    let body = |prompt: &str| json!({"agent": "shell", "prompt": prompt, "key": "k"});
    let first = host.run(&project, &body(LONG));
    assert_eq!(host.run(&project, &body(LONG)), first, "while it runs");
    let other = host.ask(&project, &body("exit 0"));
    assert_eq!(
        (other.status(), other.code().as_str()),
        (422, "IDEMPOTENCY_MISMATCH")
    );
    host.cancel(&first);
    host.ended(&first);
    assert_eq!(host.run(&project, &body(LONG)), first, "when it is over");
    let listed = host.get(&format!("/api/v1/projects/{project}/runs")).json();
    assert_eq!(listed["runs"].as_array().unwrap().len(), 1);
    host.check_story(&project, &first);
}
