//! Messages about projects and runs as clients spell them, and what is made of them.

#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::json;

use super::{MESSAGES, MESSAGES_MAX, PATH_BYTES};
use crate::base::clock::Wall;
use crate::dialect::native::decode::{Place, decode};
use crate::domain::command::Command;
use crate::domain::project::ProjectId;
use crate::domain::run::RunId;
use crate::domain::run_command::{
    Decision, Direction, MessageQuery, RunCommand, RunInput, Start, Target,
};

const PROJECT: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
const OTHER: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

fn project() -> Option<ProjectId> {
    ProjectId::parse(PROJECT)
}

fn run() -> RunId {
    RunId::parse(OTHER).unwrap()
}

/// What a message asks for, or the text of its fault.
fn read(text: &str) -> Result<RunCommand, String> {
    match decode(text).command {
        Ok((_, Command::Run(command))) => Ok(command),
        Ok((_, other)) => panic!("{other:?}"),
        Err(fault) => Err(format!("{}: {}", fault.code.as_str(), fault.message)),
    }
}

fn check(text: &str, expected: RunCommand) {
    assert_eq!(read(text), Ok(expected), "{text}");
}

fn refused(text: &str, expected: &str) {
    let expected = format!("VALIDATION_FAILED: {expected}");
    assert_eq!(read(text), Err(expected), "{text}");
}

/// Fills ids in: `P` is the project, `O` another id.
fn with_ids(text: &str) -> String {
    text.replace("\"P\"", &format!("\"{PROJECT}\""))
        .replace("\"O\"", &format!("\"{OTHER}\""))
}

fn start(prompt: &str) -> Start {
    Start {
        project: project(),
        agent: "claude".into(),
        prompt: prompt.into(),
        options: None,
        params: None,
        key: None,
    }
}

fn messages() -> MessageQuery {
    MessageQuery {
        project: project(),
        since: None,
        limit: MESSAGES,
        offset: 0,
        direction: Direction::All,
    }
}

#[test]
fn a_project_is_named_at_the_top_or_in_the_data_or_not_at_all() {
    type Make = fn(Option<ProjectId>) -> RunCommand;
    let kinds: [(&str, Make); 6] = [
        ("project_delete", RunCommand::DeleteProject),
        ("project_join", RunCommand::Join),
        ("project_leave", RunCommand::Leave),
        ("agent_new_session", RunCommand::ResetSession),
        ("agent_kill", |id| RunCommand::Cancel(Target::ActiveIn(id))),
        ("get_messages", |project| {
            RunCommand::Messages(MessageQuery {
                project,
                ..messages()
            })
        }),
    ];
    for (kind, make) in kinds {
        for (rest, expected) in [
            (r#","project_id":"P""#, project()),
            (r#","data":{"project_id":"P"}"#, project()),
            (r#","project_id":"P","data":{"project_id":"O"}"#, project()),
            (r#","project_id":"","data":{"project_id":"P"}"#, project()),
            (r#","data":{"project_id":null}"#, None),
            (r#","data":null"#, None),
            ("", None),
        ] {
            let text = with_ids(&format!("{{\"type\":\"{kind}\"{rest}}}"));
            check(&text, make(expected));
        }
        let text = |rest: &str| format!("{{\"type\":\"{kind}\",{rest}}}");
        refused(
            &text(r#""project_id":"7""#),
            "project_id must be the id of a project, a UUID",
        );
        refused(
            &text(r#""data":{"project_id":"7"}"#),
            "data.project_id must be the id of a project, a UUID",
        );
        refused(&text(r#""project_id":7"#), "project_id must be a string");
        refused(&text(r#""data":["x"]"#), "data must be an object");
        refused(
            &text(r#""data":{"project_id":"a","project_id":"b"}"#),
            "data must be an object with each member once",
        );
    }
}

#[test]
fn an_error_names_the_project_that_the_message_meant() {
    let check = |text: &str, expected: Option<&str>| {
        let decoded = decode(&with_ids(text));
        assert!(decoded.command.is_err(), "{text}");
        assert_eq!(
            decoded.correlation.project_id.as_deref(),
            expected,
            "{text}"
        );
    };
    let at_top = r#"{"type":"execute","project_id":"P","data":{"project_id":"O"}}"#;
    check(at_top, Some(PROJECT));
    let in_data = r#"{"type":"execute","data":{"project_id":"P"}}"#;
    check(in_data, Some(PROJECT));
    check(r#"{"type":"execute"}"#, None);
    check(r#"{"type":"execute","data":[]}"#, None);
}

#[test]
fn a_project_is_made_of_a_path() {
    let create = |path: &str, name: Option<&str>| RunCommand::CreateProject {
        path: path.into(),
        name: name.map(Into::into),
    };
    let text = |data: &str| format!(r#"{{"type":"project_create","data":{data}}}"#);
    check(&text(r#"{"path":"/srv/a"}"#), create("/srv/a", None));
    check(
        &text(r#"{"path":"/srv/a","name":"A"}"#),
        create("/srv/a", Some("A")),
    );
    let longest = "x".repeat(PATH_BYTES);
    check(
        &text(&format!(r#"{{"path":"{longest}"}}"#)),
        create(&longest, None),
    );
    refused(
        &text(&format!(r#"{{"path":"{longest}x"}}"#)),
        "path must have at most 4096 bytes",
    );
    for without in ["{}", r#"{"path":""}"#, r#"{"path":null}"#, "null"] {
        refused(&text(without), "path is required");
    }
    refused(r#"{"type":"project_create"}"#, "path is required");
    refused(&text(r#"{"path":7}"#), "path must be a string");
    check(r#"{"type":"project_list"}"#, RunCommand::ListProjects);
}

#[test]
fn execute_takes_a_prompt_and_passes_options_on_as_they_are_spelt() {
    let text = |data: &str| {
        with_ids(&format!(
            r#"{{"type":"execute","project_id":"P","data":{data}}}"#
        ))
    };
    let command = |start: Start| RunCommand::Start(Box::new(start));
    check(&text(r#"{"prompt":"hi"}"#), command(start("hi")));
    let options = "{\"model\": \"x\",\n \"allowed_tools\": [\"a,b\"], \"unknown\": 1.50}";
    let with_options = format!(r#"{{"prompt":"hi","options":{options}}}"#);
    let expected = Start {
        options: Some(r#"{"model": "x", "allowed_tools": ["a,b"], "unknown": 1.50}"#.into()),
        ..start("hi")
    };
    let Ok(RunCommand::Start(found)) = read(&text(&with_options)) else {
        panic!("it is a start");
    };
    // On one line, and otherwise as it was.
    let plain = |text: &Option<Box<str>>| text.as_ref().map(|text| text.replace(['\n', ' '], ""));
    assert_eq!(plain(&found.options), plain(&expected.options));
    assert!(!found.options.unwrap().contains('\n'));
    for without in ["{}", r#"{"prompt":""}"#, "null"] {
        refused(&text(without), "prompt is required");
    }
    refused(&text(r#"{"prompt":["x"]}"#), "prompt must be a string");
    for wrong in ["[]", "7", "\"x\""] {
        let data = format!(r#"{{"prompt":"hi","options":{wrong}}}"#);
        refused(&text(&data), "options must be an object");
    }
}

#[test]
fn messages_are_paged_within_bounds_whatever_is_asked_for() {
    let text = |data: &str| {
        with_ids(&format!(
            r#"{{"type":"get_messages","project_id":"P","data":{data}}}"#
        ))
    };
    let paged = |data: &str, query: MessageQuery| check(&text(data), RunCommand::Messages(query));
    for (limit, expected) in [
        ("null", MESSAGES),
        ("0", MESSAGES),
        ("-1", MESSAGES),
        ("-9223372036854775808", MESSAGES),
        ("1", 1),
        ("1000", MESSAGES_MAX),
        ("1001", MESSAGES_MAX),
        ("9223372036854775807", MESSAGES_MAX),
    ] {
        let limit = format!(r#"{{"limit":{limit}}}"#);
        paged(
            &limit,
            MessageQuery {
                limit: expected,
                ..messages()
            },
        );
    }
    let offset = |offset| MessageQuery {
        offset,
        ..messages()
    };
    paged(r#"{"offset":0}"#, offset(0));
    paged(r#"{"offset":18446744073709551615}"#, offset(u64::MAX));
    for wrong in ["-1", "1.5", "\"1\"", "18446744073709551616"] {
        let data = format!(r#"{{"offset":{wrong}}}"#);
        refused(&text(&data), "offset must be a number from 0");
    }
    for wrong in ["1.5", "\"1\"", "[]", "1e400"] {
        let data = format!(r#"{{"limit":{wrong}}}"#);
        refused(&text(&data), "limit must be a whole number");
    }
    let since = Wall::parse_rfc3339("2025-10-23T20:04:05.007Z");
    assert!(since.is_some());
    for spelt in [
        "2025-10-23T20:04:05.007Z",
        "2025-10-23T22:04:05.007123456+02:00",
    ] {
        let data = format!(r#"{{"since":"{spelt}"}}"#);
        paged(
            &data,
            MessageQuery {
                since,
                ..messages()
            },
        );
    }
    paged(r#"{"since":""}"#, messages());
    let wrong_time = "since must be a time, as in 2026-01-02T03:04:05.678Z";
    refused(&text(r#"{"since":"yesterday"}"#), wrong_time);
    for (spelt, direction) in [
        ("", Direction::All),
        ("all", Direction::All),
        ("client", Direction::Client),
        ("claude", Direction::Claude),
    ] {
        let data = format!(r#"{{"direction":"{spelt}"}}"#);
        paged(
            &data,
            MessageQuery {
                direction,
                ..messages()
            },
        );
    }
    refused(
        &text(r#"{"direction":"both"}"#),
        "direction must be all, client or claude",
    );
}

#[test]
fn runs_are_started_and_ended_by_kinglets_own_names() {
    let check = |text: &str, expected: RunCommand| check(&with_ids(text), expected);
    let refused = |text: &str, expected: &str| refused(&with_ids(text), expected);
    let command = |start: Start| RunCommand::Start(Box::new(start));
    check(
        r#"{"type":"run.start","project_id":"P","prompt":"hi"}"#,
        command(start("hi")),
    );
    check(
        r#"{"type":"run.start","agent":"tests","params":{"name":"x"},"options":{},"key":"k"}"#,
        command(Start {
            project: None,
            agent: "tests".into(),
            params: Some(r#"{"name":"x"}"#.into()),
            options: Some("{}".into()),
            key: Some("k".into()),
            ..start("")
        }),
    );
    refused(
        r#"{"type":"run.start","params":[]}"#,
        "params must be an object",
    );
    refused(
        r#"{"type":"run.start","key":""}"#,
        "an idempotency key has 1 to 255 bytes",
    );
    let cancel = |target| RunCommand::Cancel(target);
    check(
        r#"{"type":"run.cancel","run":"O"}"#,
        cancel(Target::Run(run())),
    );
    check(
        r#"{"type":"run.cancel","run":"O","project_id":"P"}"#,
        cancel(Target::Run(run())),
    );
    check(
        r#"{"type":"run.cancel","project_id":"P"}"#,
        cancel(Target::ActiveIn(project())),
    );
    check(r#"{"type":"run.cancel"}"#, cancel(Target::ActiveIn(None)));
    let not_a_run = "run must be the id of a run, a UUID";
    refused(r#"{"type":"run.cancel","run":"1"}"#, not_a_run);
    check(r#"{"type":"run.get","run":"O"}"#, RunCommand::GetRun(run()));
    refused(r#"{"type":"run.get"}"#, "run is required");
    refused(
        r#"{"type":"run.get","run":"O","run":"P"}"#,
        "the message is ambiguous: duplicate field `run` at line 1 column 68",
    );
    let list = |project, limit, after| RunCommand::ListRuns {
        project,
        limit,
        after,
    };
    check(r#"{"type":"run.list"}"#, list(None, 300, None));
    check(
        r#"{"type":"run.list","project_id":"P","limit":2,"after":"O"}"#,
        list(project(), 2, Some(run())),
    );
    refused(
        r#"{"type":"run.list","limit":301}"#,
        "limit must be from 1 to 300",
    );
    refused(
        r#"{"type":"run.list","after":"x"}"#,
        "after must be the id of a run, a UUID",
    );
}

#[test]
fn a_running_agent_is_told_something_or_answered() {
    let check = |text: &str, expected: RunCommand| check(&with_ids(text), expected);
    let refused = |text: &str, expected: &str| refused(&with_ids(text), expected);
    let input = |input| RunCommand::Input { run: run(), input };
    check(
        r#"{"type":"run.input","run":"O","text":"go on"}"#,
        input(RunInput::Text("go on".into())),
    );
    check(
        r#"{"type":"run.input","run":"O","text":""}"#,
        input(RunInput::Text("".into())),
    );
    check(
        r#"{"type":"run.input","run":"O","interrupt":true}"#,
        input(RunInput::Interrupt),
    );
    refused(
        r#"{"type":"run.input","run":"O"}"#,
        "text is required, or interrupt",
    );
    refused(
        r#"{"type":"run.input","run":"O","text":"x","interrupt":true}"#,
        "give text or interrupt, not both",
    );
    refused(r#"{"type":"run.input","text":"x"}"#, "run is required");
    let decide = |decision| RunCommand::Decide {
        run: run(),
        request: "r1".into(),
        decision,
    };
    let plain = |allow| Decision {
        allow,
        message: None,
        updated_input: None,
        by: None,
    };
    let answer =
        |rest: &str| format!(r#"{{"type":"permission.answer","run":"O","request":"r1",{rest}}}"#);
    check(&answer(r#""allow":true"#), decide(plain(true)));
    check(
        &answer(r#""allow":false,"message":"no""#),
        decide(Decision {
            message: Some("no".into()),
            ..plain(false)
        }),
    );
    check(
        &answer(r#""allow":true,"updated_input":{"a":1}"#),
        decide(Decision {
            updated_input: Some(r#"{"a":1}"#.into()),
            ..plain(true)
        }),
    );
    refused(
        &answer(r#""message":"no""#),
        "allow is required: true or false",
    );
    refused(&answer(r#""allow":"yes""#), "allow must be true or false");
    refused(
        r#"{"type":"permission.answer","run":"O","allow":true}"#,
        "request is required",
    );
}

#[test]
fn joining_and_leaving_are_the_shards_and_what_may_block_is_not() {
    let place = |kind: &str| {
        let text = json!({"type": kind, "project_id": PROJECT, "data": {"path": "/a", "prompt": "x"},
            "run": OTHER, "text": "x", "request": "r", "allow": true});
        decode(&text.to_string()).command.unwrap().0.place
    };
    for kind in ["project_join", "project_leave", "health_check", "health"] {
        assert_eq!(place(kind), Place::Shard, "{kind}");
    }
    for kind in [
        "project_create",
        "project_list",
        "project_delete",
        "execute",
        "agent_new_session",
        "agent_kill",
        "get_messages",
        "run.start",
        "run.cancel",
        "run.input",
        "run.list",
        "run.get",
        "permission.answer",
    ] {
        assert_eq!(place(kind), Place::Worker, "{kind}");
    }
}
