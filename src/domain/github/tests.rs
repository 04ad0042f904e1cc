//! GitHub's deliveries, and what each means in the catalogue.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::{PING, is_signed, sign, translate};
use crate::config::Secret;
use crate::domain::catalogue::find;
use crate::domain::catalogue::values::Id;

fn repository() -> Value {
    json!({"full_name": "octo/hello.rs", "html_url": "https://github.com/octo/hello.rs"})
}

fn check(name: &str, mut payload: Value, expected: &str, rooms: &[&str], data: &Value) {
    payload["repository"] = repository();
    let event = translate(name, &payload.to_string(), None)
        .unwrap()
        .unwrap();
    let found: Vec<&str> = event.rooms.iter().map(|room| room.as_str()).collect();
    assert_eq!((event.name, &*found), (expected, rooms), "{payload}");
    let spelt: Value = serde_json::from_str(&event.data).unwrap();
    assert_eq!(&spelt, data);
    // What is composed here is what the catalogue takes from others.
    let again = find(expected).unwrap().check(&event.data, None).unwrap();
    assert_eq!(again, event);
}

#[test]
fn knows_its_own_signature_and_no_other() {
    // The example of GitHub's "Validating webhook deliveries".
    let secret = Secret::new(*b"It's a Secret to Everybody");
    let right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(sign(&secret, b"Hello, World!"), right);
    assert!(is_signed(&secret, b"Hello, World!", right));
    assert!(is_signed(
        &secret,
        b"Hello, World!",
        &right.to_uppercase().replace("SHA", "sha")
    ));
    for wrong in [
        "",
        "sha256=",
        &right[7..],
        &right[..right.len() - 2],
        &right[..right.len() - 1],
        &format!("{right}00"),
        &right.replace("sha256", "sha1"),
        &right.replace("75", "+5"),
        &right.replace("75", "é"),
        &right.replace("17", "18"),
    ] {
        assert!(!is_signed(&secret, b"Hello, World!", wrong), "{wrong}");
    }
    assert!(!is_signed(&secret, b"Hello, World?", right));
    let other = Secret::new(*b"It's a secret to everybody");
    assert!(!is_signed(&other, b"Hello, World!", right));
}

#[test]
fn a_pull_request_is_created_updated_and_closed() {
    const ROOMS: &[&str] = &["project:octo/hello.rs"];
    let payload = |action: &str, merged: bool| {
        json!({"action": action, "pull_request": {
            "id": 7, "title": "Mend", "body": null, "user": {"login": "ada"},
            "head": {"ref": "mend"}, "html_url": "https://github.com/octo/hello.rs/pull/1",
            "state": if action == "closed" { "closed" } else { "open" }, "merged": merged,
            "draft": action == "converted_to_draft", "created_at": "2026-01-02T03:04:05Z",
        }})
    };
    let created = json!({
        "pr_id": "7", "project_id": "octo/hello.rs", "title": "Mend", "author": "ada",
        "branch": "mend", "github_url": "https://github.com/octo/hello.rs/pull/1",
        "status": "open", "created_at": "2026-01-02T03:04:05Z",
    });
    check(
        "pull_request",
        payload("opened", false),
        "pr.created",
        ROOMS,
        &created,
    );
    let with = |status: &str| json!({"pr_id": "7", "project_id": "octo/hello.rs", "title": "Mend", "status": status});
    for (action, status) in [
        ("edited", "open"),
        ("synchronize", "open"),
        ("reopened", "open"),
        ("converted_to_draft", "draft"),
    ] {
        let payload = payload(action, false);
        check("pull_request", payload, "pr.updated", ROOMS, &with(status));
    }
    for (merged, status) in [(false, "closed"), (true, "merged")] {
        let mut data = with(status);
        data["merged"] = merged.into();
        check(
            "pull_request",
            payload("closed", merged),
            "pr.closed",
            ROOMS,
            &data,
        );
    }
}

#[test]
fn an_issue_concerns_its_assignee() {
    const ROOMS: &[&str] = &["project:octo/hello.rs", "user:ada"];
    for (action, name, status) in [
        ("opened", "issue.created", "open"),
        ("edited", "issue.updated", "open"),
        ("closed", "issue.closed", "closed"),
        ("deleted", "issue.closed", "closed"),
    ] {
        let state = if action == "closed" { "closed" } else { "open" };
        let payload = json!({"action": action, "issue": {
            "id": 444500041, "title": "Broken", "body": "Here.", "state": state,
            "assignee": {"login": "ada"}, "updated_at": "2019-05-15T15:20:18Z",
        }});
        let data = json!({
            "issue_id": "444500041", "project_id": "octo/hello.rs", "title": "Broken",
            "description": "Here.", "status": status, "assigned_to": "ada",
            "updated_at": "2019-05-15T15:20:18Z",
        });
        check("issues", payload, name, ROOMS, &data);
    }
}

#[test]
fn a_push_updates_its_project() {
    let payload = json!({
        "ref": "refs/heads/main", "before": "a", "after": "b", "commits": [{}, {}],
        "compare": "https://github.com/octo/hello.rs/compare/a...b", "sender": {"login": "ada"},
    });
    let data = json!({
        "project_id": "octo/hello.rs", "project_name": "octo/hello.rs",
        "repository_url": "https://github.com/octo/hello.rs", "updated_by": "ada",
        "changes": {"ref": "refs/heads/main", "before": "a", "after": "b", "commits": 2,
            "compare": "https://github.com/octo/hello.rs/compare/a...b"},
    });
    let rooms = &["project:octo/hello.rs", "user:ada"];
    check("push", payload, "project.updated", rooms, &data);
}

#[test]
fn a_workflow_starts_and_ends_well_or_not() {
    for (action, conclusion, name, status, progress) in [
        ("requested", Value::Null, "workflow.started", "pending", 0),
        (
            "in_progress",
            Value::Null,
            "workflow.progress",
            "running",
            0,
        ),
        (
            "completed",
            json!("success"),
            "workflow.completed",
            "completed",
            100,
        ),
        (
            "completed",
            json!("skipped"),
            "workflow.completed",
            "completed",
            100,
        ),
        (
            "completed",
            json!("failure"),
            "workflow.failed",
            "failed",
            100,
        ),
        (
            "completed",
            json!("cancelled"),
            "workflow.failed",
            "cancelled",
            100,
        ),
    ] {
        let run = "https://github.com/octo/hello.rs/actions/runs/9";
        let payload = json!({"action": action, "workflow_run": {
            "id": 9, "name": "CI", "conclusion": conclusion, "html_url": run,
        }});
        let mut data = json!({
            "workflow_id": "9", "project_id": "octo/hello.rs", "status": status,
            "progress": progress, "current_step": "CI", "total_steps": 1, "github_url": run,
        });
        if name == "workflow.failed" {
            data["errors"] = json!([conclusion]);
        }
        check(
            "workflow_run",
            payload,
            name,
            &["project:octo/hello.rs"],
            &data,
        );
    }
}

#[test]
fn says_what_is_not_as_github_sends_it_and_passes_over_what_means_nothing() {
    let fault = translate("issues", r#"{"action":"opened","issue":{"id":[]}}"#, None);
    assert!(fault.unwrap_err().message.starts_with("issue.id: "));
    let fault = translate("push", "payload=%7B%7D", None).unwrap_err();
    assert!(fault.message.starts_with("the body: "), "{fault}");
    assert_eq!(translate("star", "{}", None), Ok(None));
    assert_eq!(translate(PING, "{}", None), Ok(None));
}

#[test]
fn a_project_that_is_named_counts_before_the_repository() {
    let payload = json!({
        "ref": "r", "before": "a", "after": "b", "commits": [], "repository": repository(),
    });
    let event = translate("push", &payload.to_string(), Id::parse("p1"))
        .unwrap()
        .unwrap();
    assert_eq!(event.rooms.first().unwrap().as_str(), "project:p1");
}
