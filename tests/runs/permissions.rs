//! Speaking to an agent while it runs: input, interrupts, and what it asks permission for.

use std::thread;

use kinglet::testkit::client::Answer;
use serde_json::{Value, json};

use crate::host::{Host, Watcher, printed};

fn interactive() -> Host {
    Host::start(&[("KINGLET_AGENTS__CLAUDE__INTERACTIVE", "true")])
}

fn input(host: &Host, run: &str, body: &Value) -> Answer {
    host.post(&format!("/api/v1/runs/{run}/input"), body)
}

fn decide(host: &Host, run: &str, request: &str, body: &Value) -> Answer {
    host.post(&format!("/api/v1/runs/{run}/permissions/{request}"), body)
}

fn check(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status(), answer.code().as_str()),
        (status, code),
        "{answer:?}"
    );
}

/// A run that asks for permission.
fn asking(host: &Host) -> (String, String, Watcher) {
    let project = host.project("a");
    let mut watcher = host.watch(&project);
    let run = host.play(&project, "permission");
    let asked = watcher.await_kind("permission.requested");
    let expected =
        json!({"run": run, "request": "ask-1", "tool": "Bash", "input": {"command": "ls"}});
    assert_eq!(asked["data"], expected);
    (project, run, watcher)
}

#[test]
fn the_first_answer_wins_whoever_gives_it() {
    let host = interactive();
    let (project, run, mut watcher) = asking(&host);
    // Whoever comes late is told what is pending.
    let mut late = host.watch(&project);
    assert_eq!(late.pending[0]["request"], "ask-1");
    check(
        &decide(&host, &run, "ask-2", &json!({"allow": true})),
        404,
        "NOT_FOUND",
    );
    check(
        &decide(&host, &run, "ask-1", &json!({})),
        400,
        "VALIDATION_FAILED",
    );
    let mut codes: Vec<String> = thread::scope(|scope| {
        let askers = (0..4)
            .map(|_| scope.spawn(|| decide(&host, &run, "ask-1", &json!({"allow": true})).code()));
        let askers: Vec<_> = askers.collect();
        askers
            .into_iter()
            .map(|asker| asker.join().unwrap())
            .collect()
    });
    codes.sort();
    assert_eq!(codes[0], "", "one was the first");
    let later = ["ALREADY_RESOLVED", "PROCESS_NOT_FOUND"];
    assert!(
        codes[1..].iter().all(|code| later.contains(&code.as_str())),
        "{codes:?}"
    );
    for viewer in [&mut watcher, &mut late] {
        let resolved = viewer.await_kind("permission.resolved");
        assert_eq!(resolved["data"]["decision"], "allow");
        let rest = viewer.through("run.exited");
        let lines = printed(&rest);
        assert!(
            lines
                .iter()
                .any(|(_, line)| line.contains("used with {\\\"command\\\":\\\"ls\\\"}")),
            "{lines:?}"
        );
        assert!(
            rest.iter()
                .all(|event| event["type"] != "permission.expired")
        );
    }
    assert_eq!(host.check_story(&project, &run)["state"], "exited");
    check(
        &decide(&host, &run, "ask-1", &json!({"allow": true})),
        404,
        "PROCESS_NOT_FOUND",
    );
    check(
        &input(&host, &run, &json!({"text": "x"})),
        404,
        "PROCESS_NOT_FOUND",
    );
}

#[test]
fn an_answer_given_on_a_socket_denies_with_its_words() {
    let host = interactive();
    let (project, run, mut watcher) = asking(&host);
    let command = json!({"type": "permission.answer", "run": run, "request": "ask-1", "allow": false, "message": "not that"});
    let reply = watcher.command(&command);
    assert_ne!(reply["type"], "error", "{reply}");
    let again = watcher.command(&command);
    let code = again["data"]["code"].as_str().unwrap_or_default();
    assert!(
        ["ALREADY_RESOLVED", "PROCESS_NOT_FOUND"].contains(&code),
        "{again}"
    );
    host.ended(&run);
    let lines = printed(&host.history(&project));
    assert!(
        lines.iter().any(|(_, line)| line.contains("not that")),
        "{lines:?}"
    );
}

#[test]
fn what_nobody_answered_expires_with_the_run() {
    let host = interactive();
    let (project, run, mut watcher) = asking(&host);
    host.cancel(&run);
    let expired = watcher.await_kind("permission.expired");
    assert_eq!(expired["data"]["request"], "ask-1");
    let late = decide(&host, &run, "ask-1", &json!({"allow": true}));
    let code = late.code();
    assert!(
        ["ALREADY_RESOLVED", "PROCESS_NOT_FOUND"].contains(&code.as_str()),
        "{late:?}"
    );
    watcher.await_kind("run.exited");
    assert_eq!(host.check_story(&project, &run)["state"], "cancelled");
    assert!(host.watch(&project).pending.is_null());
}

#[test]
fn an_agent_hears_what_is_said_and_stops_when_interrupted() {
    let host = interactive();
    let project = host.project("a");
    let mut watcher = host.watch(&project);
    let run = host.play(&project, "listen");
    watcher.await_kind("run.output");
    check(&input(&host, &run, &json!({"text": "hello"})), 202, "");
    let mut heard = Vec::new();
    while !heard
        .iter()
        .any(|(_, line): &(String, String)| line.contains("heard: hello"))
    {
        heard.extend(printed(&watcher.through("run.output")));
    }
    check(&input(&host, &run, &json!({})), 400, "VALIDATION_FAILED");
    check(&input(&host, &run, &json!({"interrupt": true})), 202, "");
    let exited = watcher.await_kind("run.exited");
    assert_eq!(exited["data"]["run"]["state"], "failed");
    assert_eq!(host.check_story(&project, &run)["exit_code"], 0);
}

#[test]
fn an_agent_that_does_not_listen_cannot_be_spoken_to() {
    let host = Host::start(&[]);
    let project = host.project("a");
    let run = host.play(&project, "hang");
    check(
        &input(&host, &run, &json!({"text": "hello"})),
        409,
        "NOT_INTERACTIVE",
    );
    check(
        &input(&host, &run, &json!({"interrupt": true})),
        409,
        "NOT_INTERACTIVE",
    );
    host.cancel(&run);
    host.check_story(&project, &run);
}
