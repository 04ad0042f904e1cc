//! The stand-in for the Claude CLI does what its scenarios say, and understands what kinglet says.
//!
//! The program is in `program/`. Its lines are read with kinglet's own reader, and its flags are
//! those that kinglet makes, so that the two cannot drift apart unseen.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use kinglet::config::{Config, Flags, Sources, load, no_files};
use kinglet::domain::agent::speech::{self, Permission};
use kinglet::domain::agent::stream_json::{ClaudeLine, LineKind, Request, read};
use kinglet::domain::agent::{Agent, Request as Wish};
use kinglet::domain::line_splitter::{LINE_BYTES_MAX, LineSplitter};
use serde_json::{Value, json};

/// The arguments that kinglet makes for this wish, without the program.
fn arguments(interactive: bool, wish: &Wish<'_>) -> Vec<String> {
    let text = format!("agents.claude.interactive = {interactive}");
    let sources = Sources {
        file: Some(("kinglet.toml", &text)),
        environment: &[],
        flags: &Flags::default(),
        files: no_files,
    };
    let config: Config = load(&sources).unwrap().0;
    let line = Agent::find(&config, "claude").unwrap().command_line(wish);
    line.unwrap().arguments.split_off(1)
}

fn stand_in(interactive: bool) -> Command {
    let wish = Wish {
        prompt: "x",
        ..Wish::default()
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_claude-stand-in"));
    command.args(arguments(interactive, &wish));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped());
    command
}

/// Runs a prompt to its end.
fn played(mut command: Command, prompt: &str) -> Output {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Who does not read it has its reasons.
    let _ = stdin.write_all(prompt.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// Plays a scenario that ends by itself.
fn output(scenario: &str) -> Output {
    played(stand_in(false), &format!("please scenario:{scenario} now"))
}

fn lines(stdout: &[u8]) -> Vec<String> {
    let mut splitter = LineSplitter::new(LINE_BYTES_MAX);
    let (mut rest, mut lines) = (stdout, Vec::new());
    while let Some(line) = splitter.next_line(&mut rest) {
        lines.push(line.text.into_owned());
    }
    lines.extend(splitter.finish().map(|line| line.text.into_owned()));
    lines
}

fn kinds(lines: &[String]) -> Vec<Option<LineKind>> {
    let kind = |line: &String| read(line).map(|line| line.kind);
    lines.iter().map(kind).collect()
}

#[test]
fn scenarios_of_speech_say_what_the_cli_would() {
    use LineKind::{Assistant, Other, Partial, Result, System, User};
    let check = |scenario: &str, code: i32, expected: &[Option<LineKind>]| {
        let output = output(scenario);
        assert_eq!(output.status.code(), Some(code), "{scenario}");
        assert_eq!(kinds(&lines(&output.stdout)), expected, "{scenario}");
    };
    let [system, assistant, user, result] = [System, Assistant, User, Result].map(Some);
    check("success", 0, &[system, assistant, result]);
    check("multi_message:1", 0, &[system, assistant, user, result]);
    check("long_response:100", 0, &[system, assistant, result]);
    check("slow_stream:1", 0, &[system, Some(Partial), result]);
    check("partial_json", 0, &[system, None]);
    let invalid = [None, None, None, Some(Other), Some(Other), result];
    check("invalid_json", 0, &invalid);
    check("empty", 0, &[]);
    check("error", 1, &[system, Some(LineKind::Error)]);
    check("error_result:3", 3, &[system, result]);
    check("exit:7", 7, &[]);
    check("no_such_thing", 64, &[]);
}

#[test]
fn the_flags_of_kinglet_are_understood_and_others_refused() {
    let options = json!({"dangerously_skip_permissions": true, "allowed_tools": ["Read"],
        "disallowed_tools": ["Bash"], "mcp_config": {}, "append_system_prompt": "--x",
        "permission_mode": "plan", "model": "opus", "fallback_model": "haiku",
        "add_dirs": ["/tmp"], "strict_mcp_config": true});
    let wish = Wish {
        prompt: "x",
        options: Some(&options),
        session: Some("00000000-0000-4000-8000-000000000001"),
        params: None,
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_claude-stand-in"));
    command.args(arguments(false, &wish)).stdin(Stdio::piped());
    command
        .stdout(Stdio::piped())
        .env("CLAUDE_MOCK_DELAY_MS", "2");
    let found = lines(&played(command, "hi").stdout);
    let init: Value = serde_json::from_str(&found[0]).unwrap();
    let next = "00000000-0000-4000-8000-000000000002";
    assert_eq!(init["session_id"], next, "a resumed session has another id");
    assert_eq!(
        (&init["model"], &init["permissionMode"]),
        (&json!("opus"), &json!("plan"))
    );

    for unknown in ["--unknown", "--permission-mode=always", "positional"] {
        let mut command = stand_in(false);
        command.arg(unknown);
        assert_eq!(played(command, "hi").status.code(), Some(1), "{unknown}");
    }
}

#[test]
fn a_recorded_conversation_is_replayed() {
    let check = |text: &str, expected: &[&str]| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut command = stand_in(false);
        command.env("CLAUDE_MOCK_LOG_FILE", file.path());
        command
            .env("CLAUDE_MOCK_DELAY_MS", "10")
            .env("CLAUDE_MOCK_SPEED", "100");
        assert_eq!(lines(&played(command, "hi").stdout), expected, "{text}");
    };
    check(
        "plain\n{\"type\":\"result\"}\n",
        &["plain", "{\"type\":\"result\"}"],
    );
    check(
        "{\"direction\":\"client\",\"message\":{\"type\":\"user\"}}\n\
         {\"direction\":\"claude\",\"message\":{\"type\":\"system\"}}\n\
         {\"direction\":\"claude\",\"message\":{\"type\":\"result\",\"content\":{\"type\":\"x\"}}}\n",
        &["{\"type\":\"system\"}", "{\"type\":\"x\"}"],
    );
}

#[test]
fn what_it_writes_badly_is_still_read() {
    let check = |scenario: &str, expected: &[&str]| {
        assert_eq!(lines(&output(scenario).stdout), expected, "{scenario}");
    };
    check(
        "invalid_utf8",
        &["bad \u{fffd}\u{fffd} bytes", "half € euro", "end \u{fffd}"],
    );
    check("progress", &["progress 100%", "windows"]);
    check("no_last_newline", &["first", "last"]);
    let escapes = "\u{1b}[31mred\u{1b}[0m\u{1b}]0;title\u{7}<script>alert(1)</script>";
    check("escapes", &[escapes]);
    assert_eq!(lines(&output("many_lines").stdout).len(), 100_000);
    assert_eq!(output("no_newline:20000000").stdout.len(), 20_000_000);
    let silent = output("stderr_only:3");
    assert!(silent.stdout.is_empty());
    assert_eq!(silent.stderr, b"warning 1\nwarning 2\nwarning 3\n");
}

#[test]
fn it_dies_by_the_signal_that_was_asked_for() {
    for signal in [6, 9, 15] {
        let status = output(&format!("die:{signal}")).status;
        assert_eq!(status.signal(), Some(signal));
    }
}

/// A run that goes on; it is killed when it is dropped.
struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn scenario(scenario: &str) -> Self {
        let mut running = Self::start(stand_in(false));
        running.say(format!("scenario:{scenario}").as_bytes());
        running.stdin = None;
        running
    }

    fn say(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// The next line as JSON.
    fn next(&mut self) -> Value {
        serde_json::from_str(&self.next_line()).unwrap()
    }

    fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    fn signal(&self, signal: &str) {
        signal_to(signal, &self.child.id().to_string());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal; whether there was a process to take it.
fn signal_to(signal: &str, process: &str) -> bool {
    let mut kill = Command::new("kill");
    kill.args([signal, process]).stderr(Stdio::null());
    kill.status().unwrap().success()
}

#[test]
fn what_ignores_term_is_the_same_process_and_dies_by_kill() {
    let mut run = Running::scenario("ignore_term");
    assert_eq!(run.next()["pid"], run.child.id());
    run.signal("-TERM");
    run.signal("-INT");
    assert_eq!(run.child.try_wait().unwrap(), None);
    run.signal("-KILL");
    assert_eq!(run.child.wait().unwrap().signal(), Some(9));
}

#[test]
fn what_hangs_dies_by_term() {
    let mut run = Running::scenario("hang");
    assert_eq!(run.next()["pid"], run.child.id());
    run.signal("-TERM");
    assert_eq!(run.child.wait().unwrap().signal(), Some(15));
}

#[test]
fn what_closes_its_output_lives_on() {
    let mut run = Running::scenario("close_stdout");
    assert_eq!(run.next_line(), "", "the end of the stream");
    assert_eq!(run.child.try_wait().unwrap(), None);
}

#[test]
fn a_child_or_daemon_outlives_the_run_and_is_named() {
    for scenario in ["daemon", "hold_stdout", "child"] {
        let mut run = Running::scenario(scenario);
        // What shares the output may speak first, and says the same.
        let child = run.next()["pid"].clone();
        if scenario != "child" {
            assert!(run.child.wait().unwrap().success(), "{scenario}");
        }
        let child = child.as_u64().unwrap();
        assert_ne!(child, u64::from(run.child.id()));
        assert!(signal_to("-KILL", &child.to_string()), "{scenario} left it");
        if scenario != "child" {
            // Held open by nobody any more.
            run.stdout.read_to_end(&mut Vec::new()).unwrap();
        }
    }
}

#[test]
fn a_prompt_may_never_be_read() {
    let mut command = stand_in(false);
    command.env("CLAUDE_MOCK_SCENARIO", "never_read");
    let mut run = Running::start(command);
    assert_eq!(run.next()["pid"], run.child.id());
    assert_eq!(run.child.try_wait().unwrap(), None);
}

fn conversation(prompt: &str) -> Running {
    let mut run = Running::start(stand_in(true));
    run.say(&speech::user_message(prompt));
    assert_eq!(run.next()["subtype"], "init");
    run
}

fn texts(line: &Value) -> &str {
    line["message"]["content"][0]["text"].as_str().unwrap()
}

#[test]
fn permission_is_asked_and_the_answer_obeyed() {
    for (allows, expected) in [
        (true, "used with {\"command\":\"pwd\"}"),
        (false, "denied: \"not now\""),
    ] {
        let mut run = conversation("scenario:permission");
        let line = run.next_line();
        let ClaudeLine { request, .. } = read(&line).unwrap();
        let Some(Request::Permission {
            request_id, tool, ..
        }) = request
        else {
            panic!("{line}");
        };
        assert_eq!(tool, "Bash");
        let input = serde_json::value::to_raw_value(&json!({"command": "pwd"})).unwrap();
        let answer = match allows {
            true => Permission::Allow { input: &input },
            false => Permission::Deny { message: "not now" },
        };
        run.say(&speech::permission("another", answer).unwrap());
        run.say(&speech::permission(&request_id, answer).unwrap());
        assert_eq!(texts(&run.next()), expected);
        assert_eq!(run.next()["subtype"], "success");
        assert!(run.child.wait().unwrap().success());
    }
}

#[test]
fn further_messages_are_heard_until_an_interrupt() {
    let mut run = conversation("scenario:listen");
    run.say(&speech::user_message("more\nof it"));
    assert_eq!(texts(&run.next()), "heard: more\nof it");
    run.say(&speech::interrupt("i-1"));
    let answer = run.next();
    assert_eq!(answer["response"]["request_id"], "i-1");
    assert_eq!(run.next()["subtype"], "error_during_execution");
    assert!(run.child.wait().unwrap().success());
}
