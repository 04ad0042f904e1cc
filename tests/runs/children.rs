//! Children that behave badly: what was published of each, how it ended, and that nothing of it is
//! left, in /proc neither.

use kinglet::testkit::processes::{exists, living};
use kinglet::testkit::server::until;
use serde_json::{Value, json};

use crate::host::{Host, pids, printed, scale};

/// A run that is over, with what was told of it.
struct Played {
    record: Value,
    events: Vec<Value>,
}

impl Played {
    fn lines(&self) -> Vec<String> {
        let lines = printed(&self.events).into_iter();
        lines.map(|(_, line)| line).collect()
    }

    /// Checks how it ended.
    fn check_end(&self, state: &str, exit_code: &Value, signal: &Value) {
        let Self { record, .. } = self;
        let told = (&record["state"], &record["exit_code"], &record["signal"]);
        assert_eq!(told, (&json!(state), exit_code, signal), "{record}");
    }
}

/// Plays a scenario to its end, and cancels it once that many lines were printed.
fn play(agent: &str, scenario: &str, cancel_after: Option<usize>) -> Played {
    let settings = [
        ("KINGLET_AGENTS__DEAF__KIND", "claude"),
        (
            "KINGLET_AGENTS__DEAF__COMMAND",
            env!("CARGO_BIN_EXE_claude-stand-in"),
        ),
        (
            "KINGLET_AGENTS__DEAF__ENV",
            "{CLAUDE_MOCK_SCENARIO = \"never_read\"}",
        ),
    ];
    let host = Host::start(&settings);
    let project = host.project("a");
    let mut watcher = host.watch(&project);
    let filler = "x".repeat(if agent == "deaf" { 1 << 19 } else { 0 });
    let prompt = format!("scenario:{scenario} {filler}");
    let run = host.run(&project, &json!({"agent": agent, "prompt": prompt}));
    let mut events = watcher.through("run.started");
    if let Some(lines) = cancel_after {
        for _ in 0..lines {
            events.extend(watcher.through("run.output"));
        }
        until("it lives", || !living(run.as_ref()).is_empty());
        assert_eq!(host.cancel(&run).status(), 202);
    }
    events.extend(watcher.through("run.exited"));
    watcher.hears_nothing();
    for pid in pids(&events) {
        assert!(!exists(pid), "{scenario}: process {pid} is left");
    }
    let record = host.check_story(&project, &run);
    assert_eq!(record["truncated"], Value::Null, "{scenario}");
    Played { record, events }
}

/// Plays a scenario that ends by itself.
fn ends(scenario: &str) -> Played {
    play("claude", scenario, None)
}

#[test]
fn one_that_hangs_is_cancelled() {
    let played = play("claude", "hang", Some(1));
    played.check_end("cancelled", &Value::Null, &json!(15));
    assert_eq!(pids(&played.events).len(), 1);
}

#[test]
fn one_that_ignores_term_is_killed() {
    let played = play("claude", "ignore_term", Some(1));
    played.check_end("cancelled", &Value::Null, &json!(9));
}

#[test]
fn one_that_floods_is_cancelled_at_once() {
    let played = play("claude", "flood", Some(1000));
    played.check_end("cancelled", &Value::Null, &json!(15));
    let mut lines = played.lines();
    // The last one may have been cut in the middle.
    let last = lines.pop().unwrap();
    assert!("flood".starts_with(&last), "{last}");
    assert!(lines.iter().all(|line| line == "flood"));
}

#[test]
fn one_that_a_signal_ends_has_failed() {
    for signal in [9, 11, 15] {
        let played = ends(&format!("die:{signal}"));
        played.check_end("failed", &Value::Null, &json!(signal));
        let reason = played.record["reason"].as_str().unwrap();
        assert_eq!(reason, format!("signal {signal} ended it"));
    }
}

#[test]
fn what_detached_itself_is_killed_when_its_leader_ends() {
    let played = ends("daemon");
    played.check_end("exited", &json!(0), &Value::Null);
    assert_eq!(pids(&played.events).len(), 1);
}

#[test]
fn one_with_a_child_is_cancelled_with_it() {
    let played = play("claude", "child", Some(1));
    played.check_end("cancelled", &Value::Null, &json!(15));
    assert_eq!(pids(&played.events).len(), 1);
}

#[test]
fn a_child_that_holds_standard_output_does_not_hold_the_run() {
    let played = ends("hold_stdout");
    played.check_end("exited", &json!(0), &Value::Null);
    let mut told = pids(&played.events);
    told.dedup();
    assert!(!told.is_empty());
}

#[test]
fn one_that_closes_standard_output_runs_on_until_it_is_cancelled() {
    let played = play("claude", "close_stdout", Some(0));
    played.check_end("cancelled", &Value::Null, &json!(15));
    assert_eq!(played.lines(), [""; 0]);
}

#[test]
fn one_that_writes_no_line_end_has_one_line_that_is_cut() {
    let played = ends("no_newline");
    played.check_end("exited", &json!(0), &Value::Null);
    let lines = played.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].len(), 16 << 20);
    assert!(lines[0].bytes().all(|byte| byte == b'x'));
    let output = played
        .events
        .iter()
        .find(|event| event["type"] == "run.output");
    assert_eq!(output.unwrap()["data"]["truncated"], true);
}

#[test]
fn many_lines_come_whole_and_in_order() {
    let count = scale(20_000, 100_000);
    let played = ends(&format!("many_lines:{count}"));
    played.check_end("exited", &json!(0), &Value::Null);
    let expected = (1..=count).map(|number| format!("line {number}"));
    assert!(played.lines().into_iter().eq(expected));
}

#[test]
fn one_that_writes_to_standard_error_alone_is_heard() {
    let played = ends("stderr_only");
    played.check_end("exited", &json!(0), &Value::Null);
    let expected = (1..=10).map(|number| ("stderr".to_owned(), format!("warning {number}")));
    assert!(printed(&played.events).into_iter().eq(expected));
}

#[test]
fn one_that_never_reads_its_input_stalls_nobody() {
    let played = play("deaf", "", Some(1));
    played.check_end("cancelled", &Value::Null, &json!(15));
}

#[test]
fn what_is_printed_is_told_as_text_whatever_it_is() {
    let check = |scenario: &str, expected: &[&str]| {
        let played = ends(scenario);
        played.check_end("exited", &json!(0), &Value::Null);
        assert_eq!(played.lines(), expected, "{scenario}");
    };
    check(
        "invalid_utf8",
        &[
            "bad \u{fffd}\u{fffd} bytes",
            "half \u{20ac} euro",
            "end \u{fffd}",
        ],
    );
    check("progress", &["progress 100%", "windows"]);
    check(
        "escapes",
        &["\x1b[31mred\x1b[0m\x1b]0;title\x07<script>alert(1)</script>"],
    );
    check("no_last_newline", &["first", "last"]);
    check("empty", &[]);
}
