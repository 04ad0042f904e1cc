//! Replies about projects and runs, member by member.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::{answered, health, joined, left, permissions, reply_name, state};
use crate::base::clock::Wall;
use crate::base::uuid::Uuid;
use crate::config::ReplyNames;
use crate::dialect::native::decode::{COMMANDS, Correlation, CorrelationKey};
use crate::domain::event::check_publishable;
use crate::domain::project::{Project, ProjectId, ProjectState};
use crate::domain::run::PendingPermission;
use crate::domain::run::{Run, RunId, RunState};
use crate::domain::run_reply::{MessagePage, RunMessage, RunPage, RunReply, Speaker};

const PROJECT: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
const RUN: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
const TIME: &str = "2026-01-01T00:00:00.123Z";

fn now() -> Wall {
    Wall::parse_rfc3339(TIME).unwrap()
}

fn project() -> Project {
    Project {
        id: ProjectId(Uuid::parse(PROJECT).unwrap()),
        path: "/srv/a".into(),
        name: None,
        state: ProjectState::Idle,
        error: None,
        session_id: None,
        created_at: now(),
        last_active: now(),
        run: None,
    }
}

fn project_json() -> Value {
    json!({"id": PROJECT, "path": "/srv/a", "state": "IDLE", "created_at": TIME, "last_active": TIME})
}

fn run() -> Run {
    let id = RunId(Uuid::parse(RUN).unwrap());
    Run {
        state: RunState::Running,
        ..Run::asked(id, project().id, "claude".into(), "hi".into(), now())
    }
}

fn run_json() -> Value {
    json!({"id": RUN, "project": PROJECT, "agent": "claude", "state": "running", "prompt": "hi",
        "options": {}, "created_at": TIME})
}

fn correlation() -> Correlation {
    Correlation {
        id: Some((CorrelationKey::RequestId, "\"q\"".into())),
        project_id: None,
    }
}

fn spelt(write: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut out = Vec::new();
    write(&mut out);
    serde_json::from_slice(&out).unwrap()
}

/// Compares a reply in P1's shape.
#[track_caller]
fn check_p1(found: &Value, kind: &str, data: &Value) {
    let expected = json!({"type": kind, "request_id": "q", "project_id": PROJECT, "data": data,
        "timestamp": TIME});
    assert_eq!(*found, expected);
}

fn told(name: &str, reply: &RunReply) -> Value {
    let names = ReplyNames::Echo;
    spelt(|out| answered(name, &correlation(), reply, names, now(), out))
}

#[test]
fn projects_are_told_as_p1_told_them() {
    let created = told("project_create", &RunReply::Created(project()));
    check_p1(&created, "project_state", &project_json());
    let deleted = told("project_delete", &RunReply::Deleted(project().id));
    let data = json!({"project_id": PROJECT, "status": "deleted"});
    check_p1(&deleted, "project_deleted", &data);
    let list = told("project_list", &RunReply::Projects(vec![(project(), 3)]));
    let mut listed = project_json();
    listed["metadata"] = json!({"subscriber_count": 3});
    let expected = json!({"type": "project_list", "request_id": "q",
        "data": {"projects": [listed], "total": 1}, "timestamp": TIME});
    assert_eq!(list, expected);
    let none = told("project_list", &RunReply::Projects(Vec::new()));
    assert_eq!(none["data"], json!({"projects": [], "total": 0}));
}

#[test]
fn joining_is_told_twice_and_leaving_once() {
    let names = ReplyNames::Echo;
    let to = correlation();
    let first = spelt(|out| state(&to, &project(), now(), out));
    check_p1(&first, "project_state", &project_json());
    let second = spelt(|out| joined(&to, &project(), names, now(), out));
    let data = json!({"project_id": PROJECT, "state": "IDLE", "session_id": ""});
    check_p1(&second, "project_join", &data);
    let resumed = Project {
        session_id: Some("s".into()),
        ..project()
    };
    let second = spelt(|out| joined(&to, &resumed, names, now(), out));
    assert_eq!(second["data"]["session_id"], "s");
    let gone = spelt(|out| left(&to, project().id, names, now(), out));
    let data = json!({"project_id": PROJECT, "status": "left"});
    check_p1(&gone, "project_leave", &data);
}

#[test]
fn runs_are_told_in_the_words_of_who_asked() {
    let started = RunReply::Started(Box::new(run()), None);
    let data = json!({"project_id": PROJECT, "status": "started", "run": RUN, "timestamp": TIME});
    check_p1(&told("execute", &started), "execute", &data);
    let own = |kind: &str, run: Value| json!({"type": kind, "request_id": "q", "run": run, "timestamp": TIME});
    assert_eq!(told("run.start", &started), own("run.start", run_json()));
    let queued = RunReply::Started(Box::new(run()), Some(2));
    let data = json!({"project_id": PROJECT, "status": "queued", "run": RUN, "position": 2,
        "timestamp": TIME});
    check_p1(&told("execute", &queued), "execute", &data);
    let mut waiting = run_json();
    waiting["position"] = json!(2);
    assert_eq!(told("run.start", &queued), own("run.start", waiting));
    let cancelled = RunReply::Cancelled(Box::new(run()));
    let data = json!({"project_id": PROJECT, "status": "killed", "run": RUN, "timestamp": TIME});
    check_p1(&told("agent_kill", &cancelled), "agent_kill", &data);
    assert_eq!(
        told("run.cancel", &cancelled),
        own("run.cancel", run_json())
    );
    let one = RunReply::Run(Box::new(run()), None);
    assert_eq!(told("run.get", &one), own("run.get", run_json()));
    for name in ["run.input", "permission.answer"] {
        let reply = RunReply::Told(run().id);
        assert_eq!(told(name, &reply), own(name, json!(RUN)));
    }
    let page = RunReply::Runs(RunPage {
        project: project().id,
        runs: vec![(run(), None)],
        more: true,
    });
    let expected = json!({"type": "run.list", "request_id": "q", "project_id": PROJECT,
        "runs": [run_json()], "more": true, "timestamp": TIME});
    assert_eq!(told("run.list", &page), expected);
    for (old, spelling) in [(None, ""), (Some("s".into()), "s")] {
        let reset = told("agent_new_session", &RunReply::Reset(project(), old));
        let data = json!({"project_id": PROJECT, "status": "reset", "old_session_id": spelling,
            "timestamp": TIME});
        check_p1(&reset, "agent_new_session", &data);
    }
}

#[test]
fn messages_are_paged() {
    let message = |speaker, kind: &str, content: &str| RunMessage {
        at: now(),
        speaker,
        kind: kind.into(),
        content: content.into(),
    };
    let page = |total, offset, since| {
        told(
            "get_messages",
            &RunReply::Messages(MessagePage {
                project: project().id,
                messages: vec![
                    message(Speaker::Client, "user", r#"{"text":"hi"}"#),
                    message(Speaker::Agent, "stdout", r#""a line""#),
                ],
                total,
                offset,
                limit: 2,
                since,
            }),
        )
    };
    let data = json!({
        "project_id": PROJECT,
        "messages": [
            {"timestamp": TIME, "message": {"type": "user", "content": {"text": "hi"}},
                "direction": "client"},
            {"timestamp": TIME, "message": {"type": "stdout", "content": "a line"},
                "direction": "claude"},
        ],
        "metadata": {"total": 3, "offset": 0, "limit": 2, "has_more": true, "since": ""},
    });
    check_p1(&page(3, 0, None), "get_messages", &data);
    let last = page(3, 1, Some(now()));
    assert_eq!(last["data"]["metadata"]["has_more"], false);
    assert_eq!(last["data"]["metadata"]["since"], TIME);
    assert_eq!(
        page(0, u64::MAX, None)["data"]["metadata"]["has_more"],
        false
    );
}

#[test]
fn health_and_permissions_are_told() {
    let checks = |out: &mut Vec<u8>| out.extend_from_slice(br#"{"store":{"status":"ok"}}"#);
    for (name, kind) in [
        ("health_check", "health_check"),
        ("health", "health_status"),
    ] {
        let names = ReplyNames::Echo;
        let found = spelt(|out| {
            health(name, &correlation(), "healthy", checks, names, now(), out);
        });
        let data = json!({"timestamp": TIME, "status": "healthy",
            "checks": {"store": {"status": "ok"}}});
        let expected = json!({"type": kind, "request_id": "q", "data": data, "timestamp": TIME});
        assert_eq!(found, expected);
    }
    let pending = PendingPermission {
        run: run().id,
        request: "r1".into(),
        tool: "Bash".into(),
        input: r#"{"command":"ls"}"#.into(),
    };
    let expected = json!([{"run": RUN, "request": "r1", "tool": "Bash",
        "input": {"command": "ls"}}]);
    assert_eq!(spelt(|out| permissions(&[pending.into()], out)), expected);
    assert_eq!(spelt(|out| permissions(&[], out)), json!([]));
}

#[test]
fn replies_may_be_called_by_what_has_happened() {
    let check = |name: &str, echo: &str, past: &str| {
        assert_eq!(reply_name(ReplyNames::Echo, name), echo);
        assert_eq!(reply_name(ReplyNames::Past, name), past);
    };
    check("project_create", "project_state", "project_created");
    check("project_list", "project_list", "project_list_response");
    check("project_join", "project_join", "project_joined");
    check("project_leave", "project_leave", "project_left");
    check("project_delete", "project_deleted", "project_deleted");
    check("execute", "execute", "execute");
    check("agent_kill", "agent_kill", "execution_killed");
    check("get_messages", "get_messages", "messages_response");
    check("health_check", "health_check", "health_status");
    check("health", "health_status", "health_status");
    check("run.start", "run.start", "run.start");
}

#[test]
fn nobody_can_publish_what_looks_like_a_reply() {
    for command in COMMANDS.iter().filter(|it| !it.name.contains("testkit")) {
        for names in [ReplyNames::Echo, ReplyNames::Past] {
            let kind = reply_name(names, command.name);
            assert!(check_publishable(kind).is_err(), "{kind}");
        }
        assert!(check_publishable(command.name).is_err(), "{}", command.name);
    }
}
