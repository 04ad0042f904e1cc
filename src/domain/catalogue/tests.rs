//! Each event with the least it needs, with everything, and with each kind of mistake.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::values::Id;
use super::{CATALOGUE, Event, find};
use crate::base::limits;
use crate::domain::event::check_publishable;
use crate::domain::fault::{Code, Fault};

fn checked(name: &str, data: &Value, project: Option<&str>) -> Result<Event, Fault> {
    let project = project.map(|id| Id::parse(id).unwrap());
    find(name)?.check(&data.to_string(), project)
}

fn rooms(event: &Event) -> Vec<&str> {
    event.rooms.iter().map(|room| room.as_str()).collect()
}

/// The least that an event of each type needs, and where that goes.
fn least() -> Vec<(&'static str, Value, &'static [&'static str])> {
    let task = json!({"task_id": "t", "board_id": "b"});
    let agent = json!({"agent_id": "a", "agent_name": "Ada", "status": "busy"});
    let workflow = json!({
        "workflow_id": "w", "status": "running", "current_step": "build", "total_steps": 3,
    });
    let issue = json!({"issue_id": 7, "project_id": "p", "title": "Broken", "status": "open"});
    let pr = json!({"pr_id": 8, "project_id": "p", "title": "Mend", "status": "open"});
    let new_pr = json!({
        "pr_id": 8, "project_id": "p", "title": "Mend", "status": "open", "author": "ada",
        "branch": "mend", "github_url": "https://github.com/o/r/pull/8",
    });
    let suggestion = json!({
        "suggestion_id": "s", "target_type": "pr", "target_id": 8, "category": "bug_fix",
        "title": "Mend", "description": "It is broken.",
    });
    let analysis = json!({
        "target_type": "code", "target_id": "c", "summary": "Well.", "suggestion_count": 0,
    });
    let project = json!({"project_id": "p"});
    const BOARD: &[&str] = &["global", "board:b"];
    const AGENT: &[&str] = &["agent:a", "global"];
    const PROJECT: &[&str] = &["project:p"];
    const GLOBAL: &[&str] = &["global"];
    vec![
        ("task.created", task.clone(), BOARD),
        ("task.updated", task.clone(), BOARD),
        ("task.deleted", task, BOARD),
        ("board.updated", json!({"board_id": "b"}), BOARD),
        ("project.created", project.clone(), &["global", "project:p"]),
        ("project.updated", project.clone(), PROJECT),
        ("project.deleted", project, PROJECT),
        ("agent.status_changed", agent.clone(), AGENT),
        ("agent.connected", agent.clone(), AGENT),
        ("agent.disconnected", agent, AGENT),
        ("workflow.started", workflow.clone(), GLOBAL),
        ("workflow.progress", workflow.clone(), GLOBAL),
        ("workflow.completed", workflow.clone(), GLOBAL),
        ("workflow.failed", workflow, GLOBAL),
        ("pr.created", new_pr, PROJECT),
        ("pr.updated", pr.clone(), PROJECT),
        ("pr.closed", pr, PROJECT),
        ("issue.created", issue.clone(), PROJECT),
        ("issue.updated", issue.clone(), PROJECT),
        ("issue.closed", issue, PROJECT),
        ("ai.suggestion", suggestion, GLOBAL),
        ("ai.analysis_complete", analysis, GLOBAL),
    ]
}

#[test]
fn every_type_takes_the_least_it_needs_and_knows_its_rooms() {
    let least = least();
    let names: Vec<&str> = CATALOGUE.iter().map(|row| row.name).collect();
    let tried: Vec<&str> = least.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, tried);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    for (name, data, expected) in &least {
        assert_eq!(check_publishable(name), Ok(()), "{name}");
        let event = checked(name, data, None).unwrap();
        assert_eq!((event.name, rooms(&event)), (*name, expected.to_vec()));
        let spelt: Value = serde_json::from_str(&event.data).unwrap();
        for (member, value) in data.as_object().unwrap() {
            assert_eq!(&spelt[member], value, "{name} {member}");
        }
    }
}

#[test]
fn every_type_says_all_that_is_missing() {
    for (name, data, _) in &least() {
        let members = data.as_object().unwrap();
        for member in members.keys() {
            let mut without = members.clone();
            without.remove(member);
            let fault = checked(name, &Value::Object(without), None).unwrap_err();
            let path = format!("data.{member}");
            assert!(
                fault.message.starts_with(&format!("{path}: missing")),
                "{fault}"
            );
            assert_eq!(fault.details, Some(json!({ "path": path })));
        }
        let fault = checked(name, &json!({}), None).unwrap_err();
        assert_eq!(fault.code, Code::ValidationFailed);
        for member in members.keys() {
            assert!(fault.message.contains(member.as_str()), "{fault}");
        }
    }
}

#[test]
fn an_event_goes_to_whom_its_data_and_its_publisher_name() {
    let check = |name: &str, more: Value, project: Option<&str>, expected: &[&str]| {
        let (_, mut data, _) = least().into_iter().find(|row| row.0 == name).unwrap();
        let members = data.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        let event = checked(name, &data, project).unwrap();
        assert_eq!(rooms(&event), expected, "{name} {data} {project:?}");
    };
    let p2 = &["global", "board:b", "project:p"];
    check("task.updated", json!({"project_id": "p"}), None, p2);
    check("task.updated", json!({}), Some("p"), p2);
    check("task.updated", json!({"project_id": "p"}), Some("p"), p2);
    check("board.updated", json!({}), Some("p"), p2);
    let by_ada = json!({"updated_by": "ada"});
    check("project.updated", by_ada, None, &["project:p", "user:ada"]);
    let of_board = json!({"action": "updated"});
    check("project.updated", of_board, None, &["project:p", "global"]);
    let deleted = json!({"deleted_by": 7, "action": "deleted"});
    check(
        "project.deleted",
        deleted,
        None,
        &["project:p", "user:7", "global"],
    );
    let issue = json!({"assigned_to": "ada"});
    check("issue.updated", issue, None, &["project:p", "user:ada"]);
    for name in ["workflow.failed", "ai.suggestion", "ai.analysis_complete"] {
        check(name, json!({}), Some("p"), &["project:p"]);
        check(name, json!({"project_id": "p"}), None, &["project:p"]);
    }
    check(
        "agent.connected",
        json!({}),
        Some("p"),
        &["agent:a", "global", "project:p"],
    );
    let other = &["project:p", "project:q"];
    check("pr.updated", json!({}), Some("q"), other);
}

/// Checks what is said of an event with `more` in its data.
fn check_wrong(name: &str, more: &Value, path: &str, words: &[&str]) {
    let (_, mut data, _) = least().into_iter().find(|row| row.0 == name).unwrap();
    let members = data.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    let fault = checked(name, &data, None).unwrap_err();
    assert_eq!(fault.code, Code::ValidationFailed);
    assert_eq!(fault.details, Some(json!({ "path": path })), "{fault}");
    for words in words {
        assert!(fault.message.contains(words), "{words}: {fault}");
    }
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    let check = |name: &str, more: Value, path: &str, words: &[&str]| {
        check_wrong(name, &more, path, words);
    };
    let id = &["an id: 1 to 240 bytes", "or a whole number"];
    for wrong in [
        json!(""),
        json!("a b"),
        json!("a*"),
        json!(-1),
        json!(1.5),
        json!({}),
        json!(null),
    ] {
        check(
            "task.created",
            json!({ "board_id": wrong }),
            "data.board_id",
            id,
        );
    }
    check(
        "task.created",
        json!({"board_id": "b".repeat(241)}),
        "data.board_id",
        id,
    );
    check(
        "task.updated",
        json!({"action": "deleted"}),
        "data.action",
        &["`deleted`", "`updated`, `moved`, `reordered`"],
    );
    check(
        "task.updated",
        json!({"task": {"checklist": [{"id": 1, "text": "a"}, {"id": 2, "text": 3}]}}),
        "data.task.checklist[1].text",
        &["integer `3`", "a string"],
    );
    check(
        "task.created",
        json!({"task": {"priority": "asap"}}),
        "data.task.priority",
        &["`asap`", "`urgent`"],
    );
}

#[test]
fn numbers_times_and_links_that_are_none_are_told_what_would_be_right() {
    let check = |name: &str, more: Value, path: &str, words: &[&str]| {
        check_wrong(name, &more, path, words);
    };
    let percent = &["a number from 0 to 100"];
    for wrong in [
        json!(101),
        json!(-1),
        json!(100.5),
        json!("50"),
        json!(null),
    ] {
        check(
            "agent.connected",
            json!({ "availability": wrong }),
            "data.availability",
            percent,
        );
        check(
            "workflow.progress",
            json!({ "progress": wrong }),
            "data.progress",
            percent,
        );
    }
    check(
        "ai.suggestion",
        json!({"confidence": 1.01}),
        "data.confidence",
        &["a number from 0 to 1"],
    );
    let whole = &["a whole number from 0"];
    for wrong in [json!(-1), json!(1.5), json!("3")] {
        check(
            "workflow.failed",
            json!({ "total_steps": wrong }),
            "data.total_steps",
            whole,
        );
    }
    let time = &["such as 2026-01-02T03:04:05Z"];
    for wrong in [
        json!("yesterday"),
        json!("0001-01-01T00:00:00Z"),
        json!(1_700_000_000),
    ] {
        check(
            "pr.created",
            json!({ "created_at": wrong }),
            "data.created_at",
            time,
        );
    }
    let link = &["a URL such as"];
    for wrong in ["github.com", "://x", "https://", "https://a b", "1a://b"] {
        check(
            "pr.created",
            json!({ "github_url": wrong }),
            "data.github_url",
            link,
        );
    }
    check(
        "ai.suggestion",
        json!({"metadata": []}),
        "data.metadata",
        &["map"],
    );
    check(
        "pr.closed",
        json!({"merged": "yes"}),
        "data.merged",
        &["boolean"],
    );
}

#[test]
fn data_that_is_no_object_or_says_something_twice_is_refused() {
    let check = |data: &str, words: &str| {
        let fault = find("pr.updated").unwrap().check(data, None).unwrap_err();
        assert!(fault.message.contains(words), "{data}: {fault}");
    };
    for data in ["[]", "null", "\"a\"", "[\"8\",\"p\",\"Mend\",\"open\"]"] {
        check(data, "data: a JSON object is expected here");
    }
    let twice = r#"{"pr_id":1,"pr_id":2,"project_id":"p","title":"t","status":"s"}"#;
    check(twice, "duplicate field `pr_id`");
    let deep = format!("{{\"pr_id\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    check(&deep, &format!("{} deep", limits::JSON_DEPTH));
}

#[test]
fn a_fault_quotes_no_more_than_it_must() {
    let data = json!({"pr_id": "x".repeat(100_000), "project_id": 1, "title": "t", "status": "s"});
    let fault = checked("pr.updated", &data, None).unwrap_err();
    assert!(fault.message.len() < 500, "{}", fault.message.len());
    assert!(fault.message.ends_with("or a whole number"), "{fault}");
}

#[test]
fn absent_members_get_their_defaults_and_unknown_ones_stay() {
    let check = |name: &str, data: &str, expected: &str| {
        let event = find(name).unwrap().check(data, None).unwrap();
        assert_eq!(&*event.data, expected);
    };
    check(
        "task.created",
        r#"{ "task_id": 1, "board_id": "b", "colour": 12345678901234567890.10 }"#,
        r#"{ "task_id": 1, "board_id": "b", "colour": 12345678901234567890.10 ,"action":"created"}"#,
    );
    check(
        "agent.connected",
        "{\"agent_id\":1,\n\"agent_name\":\"a\",\"status\":\"idle\",\"metadata\":{\"a\":1}}",
        r#"{"agent_id":1,"agent_name":"a","status":"idle","metadata":{"a":1},"availability":0}"#,
    );
    check(
        "project.updated",
        r#"{"project_id":"p","updated_by":null}"#,
        r#"{"project_id":"p","updated_by":null}"#,
    );
}

#[test]
fn an_unknown_type_is_told_the_nearest() {
    let check = |name: &str, words: &str| {
        let fault = find(name).unwrap_err();
        assert!(fault.message.contains(words), "{fault}");
    };
    check("task.crated", "did you mean task.created?");
    check("PR.closed", "did you mean pr.closed?");
    check("x", "there are task.created, task.updated,");
    check(&"é".repeat(1000), "there are task.created");
    check("a\u{1b}[2J", "\\u{1b}");
}

#[test]
fn a_schema_describes_every_member_and_names_no_other_place() {
    for row in &CATALOGUE {
        let schema = row.schema();
        assert_eq!(schema["type"], "object", "{}", row.name);
        let text = schema.to_string();
        assert!(!text.contains("$ref"), "{text}");
        for (name, property) in schema["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{} {name}", row.name);
        }
    }
}
