//! Events of the catalogue through [`call`](crate::app::http::call).

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use serde_json::{Value, json};

use crate::app::api::tests::Api;
use crate::domain::access::{ApiKey, Identity, Role};

const EVENTS: &str = "/api/v1/events";

fn event(api: &Api, body: &Value) -> (u16, Value) {
    api.ask("POST", EVENTS, "", &body.to_string())
}

fn rooms(answer: &Value) -> Vec<&str> {
    let results = answer["results"].as_array().unwrap();
    results
        .iter()
        .map(|place| place["room"].as_str().unwrap())
        .collect()
}

/// The newest publication of a room.
pub(super) fn last(api: &Api, room: &str) -> Value {
    let (_, body) = api.ask("GET", &format!("/api/v1/rooms/{room}/history"), "", "");
    body["publications"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone()
}

#[test]
fn an_event_goes_to_its_rooms_as_a_publication_does() {
    let api = Api::new();
    let body = json!({
        "type": "issue.updated", "id": "once",
        "data": {"issue_id": 7, "project_id": "p", "title": "t", "status": "open",
            "assigned_to": "ada", "colour": "red"},
    });
    let (status, answer) = event(&api, &body);
    assert_eq!((status, &answer["id"]), (200, &json!("once")));
    assert_eq!(rooms(&answer), ["project:p", "user:ada"]);
    let publication = last(&api, "project:p");
    assert_eq!(publication["type"], "issue.updated");
    assert_eq!(publication["source"], "github_service");
    assert_eq!(publication["data"], body["data"]);
    assert_eq!(event(&api, &body), (200, answer));
    let mut other = body;
    other["data"]["title"] = json!("u");
    assert_eq!(event(&api, &other).0, 422);
    assert_eq!(last(&api, "user:ada")["offset"], 1);
}

#[test]
fn the_body_may_name_rooms_a_project_and_a_source() {
    let api = Api::new();
    let data = json!({"task_id": "t", "board_id": "b"});
    let body = json!({"type": "task.deleted", "data": data, "project_id": 42, "source": "cli"});
    let (_, answer) = event(&api, &body);
    assert_eq!(rooms(&answer), ["global", "board:b", "project:42"]);
    let publication = last(&api, "board:b");
    assert_eq!(publication["source"], "cli");
    assert_eq!(publication["data"]["action"], "deleted");
    let mut elsewhere = body;
    elsewhere["rooms"] = json!(["a", "b", "a"]);
    let (status, answer) = event(&api, &elsewhere);
    assert_eq!((status, rooms(&answer)), (200, vec!["a", "b"]));
    assert_eq!(last(&api, "board:b")["offset"], 1);
}

#[test]
fn a_wrong_event_is_told_where_and_what() {
    let api = Api::new();
    let check = |body: &str, path: Option<&str>, words: &str| {
        let (status, answer) = api.ask("POST", EVENTS, "", body);
        assert_eq!(
            (status, &answer["error"]["code"]),
            (400, &json!("VALIDATION_FAILED"))
        );
        let told = answer["error"]["message"].as_str().unwrap();
        assert!(told.contains(words), "{body}: {told}");
        assert_eq!(
            answer["error"]["details"]["path"].as_str(),
            path,
            "{body}: {told}"
        );
    };
    check("", None, "a JSON object is expected");
    check("[1]", None, "a JSON object is expected");
    check("{", Some("the body"), "EOF");
    check("{} {}", Some("the body"), "behind its end");
    check(r#"{"data":{}}"#, None, "type is missing");
    check(r#"{"type":7}"#, Some("type"), "a string");
    check(
        r#"{"type":"pr.close","data":{}}"#,
        Some("type"),
        "did you mean pr.closed?",
    );
    check(
        r#"{"type":"pr.closed"}"#,
        None,
        "data is missing: A pull request is closed.",
    );
    check(
        r#"{"type":"pr.closed","data":[]}"#,
        Some("data"),
        "a JSON object",
    );
    check(
        r#"{"type":"pr.closed","data":{}}"#,
        Some("data.pr_id"),
        "title (Its title)",
    );
    check(
        r#"{"type":"pr.closed","project_id":"a b"}"#,
        Some("project_id"),
        "an id: 1 to 240",
    );
    let more = |more: &str| {
        let data = r#"{"task_id":"t","board_id":"b"}"#;
        format!(r#"{{"type":"task.created","data":{data},{more}}}"#)
    };
    check(&more(r#""rooms":[]"#), None, "1 to 100 rooms");
    check(&more(r#""rooms":["a b"]"#), None, "U+0020");
    check(&more(r#""rooms":"a""#), Some("rooms"), "sequence");
    check(&more(r#""id":"""#), None, "idempotency key");
    check(
        &more(&format!(r#""source":"{}""#, "s".repeat(256))),
        None,
        "source",
    );
    assert_eq!(api.0.services.rooms.count(), 0);
}

#[test]
fn a_batch_takes_events_among_publications() {
    let api = Api::new();
    let data = json!({"board_id": "b"});
    let body = json!({"commands": [
        {"event": {"type": "board.updated", "data": data}},
        {"event": {"type": "board.update", "data": data}},
        {"event": {"type": "board.updated", "data": data}, "publish": {}},
        {"publish": {"room": "board:b", "event": "e"}},
    ]});
    let (_, answer) = api.ask("POST", "/api/v1/batch", "", &body.to_string());
    let results = answer["results"].as_array().unwrap();
    assert_eq!(rooms(&results[0]), ["global", "board:b"]);
    assert_eq!(results[1]["error"]["details"]["path"], "type");
    assert_eq!(results[2]["error"]["code"], "VALIDATION_FAILED");
    assert_eq!(results[3]["results"][0]["offset"], 2);
}

#[test]
fn an_event_needs_the_right_to_publish_in_all_its_rooms() {
    let api = Api::new();
    let body = json!({"type": "project.updated", "data": {"project_id": "p", "updated_by": "u"}});
    let ask = |role: &str, body: &Value| {
        let role = Role::built_in().remove(role).unwrap();
        let name = "backend".into();
        let identity = Identity::Key(Arc::new(ApiKey { name, role }));
        let outcome = api.outcome("POST", EVENTS, "", &body.to_string(), identity);
        outcome.done().unwrap().status.code()
    };
    assert_eq!(ask("readonly", &body), 403);
    assert_eq!(
        ask("agent", &body),
        403,
        "it may publish to the project, not to the user"
    );
    let without = json!({"type": "project.updated", "data": {"project_id": "p"}});
    assert_eq!(ask("agent", &without), 200);
    assert_eq!(ask("admin", &body), 200);
}
