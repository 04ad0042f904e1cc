//! `kinglet run` and `kinglet runs`: what they print, how they end, what an interrupt does.

#[path = "../cli/process.rs"]
mod process;

use std::path::Path;

use kinglet::testkit::processes::living;
use serde_json::Value;

use self::process::{Ended, Running, kinglet};
use crate::host::Host;

/// The directory of a project, as it is given to `run`.
fn directory(host: &Host) -> String {
    let path = host.root.path().join("a");
    std::fs::create_dir_all(&path).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Runs a command against the host.
fn ask(host: &Host, arguments: &[&str]) -> Ended {
    let url = format!("http://{}", host.server().address());
    let (command, rest) = arguments.split_first().unwrap();
    let all = [&[*command, "--url", &url], rest].concat();
    kinglet(Path::new("/"), &all).output().unwrap().into()
}

/// Starts `run` with a script, to be interrupted.
fn start(host: &Host, script: &str) -> Running {
    let url = format!("http://{}", host.server().address());
    let directory = directory(host);
    let arguments = [
        "run", "--url", &url, "--agent", "shell", &directory, "--", script,
    ];
    Running::spawn(kinglet(Path::new("/"), &arguments))
}

/// The only run.
fn only_run(host: &Host) -> Value {
    let ended = ask(host, &["runs", "--json"]);
    let mut lines = ended.output.lines();
    let run = serde_json::from_str(lines.next().expect("a run")).unwrap();
    assert_eq!(lines.next(), None);
    run
}

#[test]
fn a_run_ends_the_command_with_its_exit_code() {
    let host = Host::start(&[("KINGLET_AGENTS__SHELL__TIMEOUT", "1s")]);
    let directory = directory(&host);
    let check = |script: &str, code: i32| {
        let ended = ask(
            &host,
            &["run", "--agent", "shell", &directory, "--", script],
        );
        assert_eq!(ended.code, Some(code), "{script}: {}", ended.errors);
        ended
    };
    let ended = check("echo out; echo err >&2", 0);
    assert_eq!(ended.output, "out\n");
    assert!(
        ended.errors.lines().any(|line| line == "err"),
        "{}",
        ended.errors
    );
    check("exit 7", 7);
    check("kill -9 $$", 137);
    check("kill -15 $$", 143);
    check("sleep 1000", 124);
    let unknown = ask(&host, &["run", "--agent", "nobody", &directory, "--", "x"]);
    assert_eq!(unknown.code, Some(1), "{}", unknown.errors);
    assert!(
        unknown.errors.contains("there is no agent of this name"),
        "{}",
        unknown.errors
    );
}

#[test]
fn the_agents_words_are_printed_or_its_events_as_they_are() {
    let host = Host::start(&[]);
    let directory = directory(&host);
    let ended = ask(&host, &["run", &directory, "--", "hello"]);
    assert_eq!(
        (ended.code, ended.output.as_str()),
        (Some(0), "You said: hello\n")
    );
    let ended = ask(&host, &["run", "--json", &directory, "--", "hello"]);
    let kinds: Vec<String> = ended
        .output
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].to_string())
        .filter(|kind| kind != "\"project_update\"")
        .collect();
    let expected = [
        "run.started",
        "run.output",
        "run.output",
        "run.output",
        "run.exited",
    ];
    assert_eq!(kinds, expected.map(|kind| format!("\"{kind}\"")));
    let listed = ask(&host, &["runs"]);
    assert_eq!(listed.output.lines().count(), 2);
    assert!(
        listed
            .output
            .lines()
            .all(|line| line.contains("exited") && line.contains("hello"))
    );
}

#[test]
fn a_detached_run_is_left_alone() {
    let host = Host::start(&[]);
    let directory = directory(&host);
    let arguments = [
        "run",
        "--detach",
        "--agent",
        "shell",
        &directory,
        "--",
        "sleep 0.2; exit 3",
    ];
    let ended = ask(&host, &arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let run = ended.output.trim();
    assert_eq!(host.ended(run)["exit_code"], 3);
}

#[test]
fn the_first_interrupt_leaves_the_run_and_the_second_cancels_it() {
    let host = Host::start(&[]);
    let mut command = start(&host, "echo ready; sleep 1000");
    assert_eq!(command.line(), "ready");
    let run = only_run(&host)["id"].as_str().unwrap().to_owned();
    let mut notes = vec![];
    command.signal("INT");
    while !notes
        .iter()
        .any(|note: &String| note.contains("the run goes on"))
    {
        notes.push(command.error());
    }
    assert_eq!(host.record(&run)["state"], "running");
    assert!(!living(run.as_ref()).is_empty());
    command.signal("INT");
    assert_eq!(command.exit_code(), Some(130));
    assert_eq!(host.ended(&run)["state"], "cancelled");
    assert!(living(run.as_ref()).is_empty());
}

#[test]
fn a_third_interrupt_leaves_a_run_that_does_not_end() {
    let host = Host::start(&[]);
    let mut command = start(
        &host,
        "trap '' TERM; echo ready; while :; do sleep 0.05; done",
    );
    assert_eq!(command.line(), "ready");
    let run = only_run(&host)["id"].as_str().unwrap().to_owned();
    for expected in ["the run goes on", "cancelling the run"] {
        command.signal("INT");
        while !command.error().contains(expected) {}
    }
    command.signal("INT");
    assert_eq!(command.exit_code(), Some(130));
    assert!(!living(run.as_ref()).is_empty(), "it has five seconds");
}
