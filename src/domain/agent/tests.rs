//! Agents of kind `lines`: parameters, input and programs.

#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Agent, CommandLine, Request, line};
use crate::config::{Config, Flags, Sources, load, no_files};
use crate::domain::fault::{Code, Fault};

const CONFIG: &str = r#"
    [agents.build]
    command = ["make", "--directory={folder}", "--jobs={jobs}", "{target}", "--note={note}"]
    params.folder = { type = "path", default = "." }
    params.jobs = { type = "int", min = 1, max = 64, required = false }
    params.target = { type = "string" }
    params.note = { type = "string", multi_line = true, required = false }
    [agents.talk]
    command = "/opt/talk"
    interactive = true
"#;

fn config() -> Config {
    let sources = Sources {
        file: Some(("kinglet.toml", CONFIG)),
        environment: &[],
        flags: &Flags::default(),
        files: no_files,
    };
    load(&sources).unwrap().0
}

fn made(params: &Value) -> Result<CommandLine, Fault> {
    Agent::find(&config(), "build")
        .unwrap()
        .command_line(&Request {
            params: Some(params),
            ..Request::default()
        })
}

#[test]
fn an_agent_is_found_by_its_name() {
    let config = config();
    assert_eq!(Agent::find(&config, "talk").unwrap().name(), "talk");
    let fault = Agent::find(&config, "Claude").unwrap_err();
    assert_eq!(fault.code, Code::NotFound);
    assert!(fault.message.contains("build, claude, talk"), "{fault}");
}

#[test]
fn values_stand_in_their_arguments() {
    let check = |params: Value, arguments: &[&str], path: &str| {
        let found = made(&params).unwrap();
        assert_eq!(found.arguments, arguments, "{params}");
        assert_eq!(found.paths, [PathBuf::from(path)], "{params}");
        assert!(found.input.is_empty() && !found.stays_open);
    };
    check(
        json!({"target": "all"}),
        &["make", "--directory=.", "all"],
        ".",
    );
    check(
        json!({"target": "a b;c", "jobs": 4, "folder": "src", "note": "-x\ny"}),
        &[
            "make",
            "--directory=src",
            "--jobs=4",
            "a b;c",
            "--note=-x\ny",
        ],
        "src",
    );
    check(
        json!({"target": "", "jobs": "64", "note": null}),
        &["make", "--directory=.", "--jobs=64", ""],
        ".",
    );
}

#[test]
fn wrong_values_are_told_what_would_be_right() {
    for (params, words) in [
        (json!(7), "params must be an object"),
        (json!({}), "params.target is missing"),
        (json!({"target": null}), "params.target is missing"),
        (
            json!({"tarket": "a"}),
            "params.tarket is unknown; did you mean target?",
        ),
        (
            json!({"target": "-all"}),
            "params: the value of target must not begin with a dash",
        ),
        (
            json!({"target": "\u{2013}all"}),
            "must not begin with a dash",
        ),
        (json!({"target": "a\nb"}), "params.target must be one line"),
        (
            json!({"target": "a\u{0}"}),
            "params.target must have no control characters",
        ),
        (json!({"target": 7}), "params.target must be a string"),
        (
            json!({"target": "a", "jobs": 65}),
            "params.jobs must be a whole number from 1 to 64",
        ),
        (
            json!({"target": "a", "jobs": 1.5}),
            "params.jobs must be a whole number",
        ),
        (
            json!({"target": "a", "jobs": true}),
            "params.jobs must be a whole number",
        ),
        (
            json!({"target": "a", "folder": "../x"}),
            "params.folder must be a path without",
        ),
    ] {
        let fault = made(&params).unwrap_err();
        assert_eq!(fault.code, Code::ValidationFailed);
        assert!(fault.message.contains(words), "{fault}");
    }
    let agent = Agent::find(&config(), "build").unwrap();
    let options = json!({"model": "x"});
    let fault = agent.command_line(&Request {
        params: Some(&json!({"target": "a"})),
        options: Some(&options),
        ..Request::default()
    });
    assert!(
        fault
            .unwrap_err()
            .message
            .contains("options.model is an option")
    );
}

#[test]
fn input_is_for_agents_that_listen() {
    let config = config();
    let talk = Agent::find(&config, "talk").unwrap();
    let first = talk.command_line(&Request {
        prompt: "hello",
        ..Request::default()
    });
    let first = first.unwrap();
    assert_eq!(first.input, b"hello\n");
    assert!(first.stays_open);
    assert_eq!(line("more"), b"more\n");
    assert_eq!(line("more\n"), b"more\n");
}

#[test]
fn a_program_that_is_not_there_is_told_apart_by_kind() {
    let config = config();
    let check = |name: &str, there: &str, expected: Result<&str, Code>| {
        let agent = Agent::find(&config, name).unwrap();
        let search = Some(OsStr::new("/usr/bin"));
        let found = agent.program(search, |path| path == Path::new(there));
        let found = found.map_err(|fault| fault.code);
        assert_eq!(found, expected.map(PathBuf::from), "{name}");
    };
    check("claude", "/usr/bin/claude", Ok("/usr/bin/claude"));
    check("claude", "/bin/claude", Err(Code::ClaudeNotFound));
    check("talk", "/opt/talk", Ok("/opt/talk"));
    check("build", "", Err(Code::AgentNotFound));
}
