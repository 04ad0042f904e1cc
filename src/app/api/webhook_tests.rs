//! Deliveries of GitHub's through [`call`](crate::app::http::call).

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use crate::app::api::event_tests::last;
use crate::app::api::tests::Api;
use crate::app::services::Live;
use crate::config::Secret;
use crate::domain::github::sign;
use crate::testkit::world::{Options, World};

const WEBHOOK: &str = "/api/v1/webhooks/github";
const SECRET: &str = "a secret for the webhooks of a test";

fn webhooks() -> Api {
    let config = format!("[webhooks]\ngithub_secret = \"{SECRET}\"\n");
    Api(World::new(Options {
        config: &config,
        ..Options::default()
    }))
}

/// Delivers with this id and signature.
fn deliver(api: &Api, name: &str, body: &str, id: &str, signature: &str) -> (u16, Value) {
    let mut headers = String::new();
    for (header, value) in [
        ("X-GitHub-Event", name),
        ("X-GitHub-Delivery", id),
        ("X-Hub-Signature-256", signature),
    ] {
        if !value.is_empty() {
            headers.push_str(&format!("{header}: {value}\r\n"));
        }
    }
    api.ask("POST", WEBHOOK, &headers, body)
}

fn signed(body: &str) -> String {
    sign(&Secret::new(SECRET.as_bytes()), body.as_bytes())
}

fn push() -> String {
    json!({
        "ref": "refs/heads/main", "before": "a", "after": "b", "commits": [],
        "repository": {"full_name": "octo/hello", "html_url": "https://github.com/octo/hello"},
    })
    .to_string()
}

#[test]
fn a_delivery_is_published_once() {
    let (api, body) = (webhooks(), push());
    let expected = json!({
        "status": "ok", "event_type": "push", "delivery_id": "d1", "handlers_executed": 1,
    });
    for _ in 0..2 {
        let answer = deliver(&api, "push", &body, "d1", &signed(&body));
        assert_eq!(answer, (200, expected.clone()));
    }
    let publication = last(&api, "project:octo%2Fhello");
    assert_eq!(
        (&publication["offset"], &publication["type"]),
        (&json!(1), &json!("project.updated"))
    );
    let other = body.replace("main", "next");
    let (status, told) = deliver(&api, "push", &other, "d1", &signed(&other));
    assert_eq!(
        (status, &told["error"]["code"]),
        (422, &json!("IDEMPOTENCY_MISMATCH"))
    );
    // Without an id each counts.
    assert_eq!(
        deliver(&api, "push", &body, "", &signed(&body)).1["delivery_id"],
        Value::Null
    );
    assert_eq!(last(&api, "project:octo%2Fhello")["offset"], 2);
}

#[test]
fn a_delivery_that_means_nothing_is_taken_all_the_same() {
    let api = webhooks();
    let (status, told) = deliver(&api, "ping", "{}", "d", &signed("{}"));
    assert_eq!((status, &told["ignored"]), (200, &Value::Null));
    let (status, told) = deliver(&api, "star", "{}", "d", &signed("{}"));
    assert_eq!((status, &told["ignored"]), (200, &json!(true)));
    assert_eq!(told["handlers_executed"], 0);
    assert_eq!(api.0.services.rooms.count(), 0);
}

#[test]
fn a_delivery_that_cannot_be_read_is_told_why() {
    let api = webhooks();
    let check = |name: &str, body: &str, words: &str| {
        let (status, told) = deliver(&api, name, body, "d", &signed(body));
        assert_eq!((status, &told["status"]), (400, &json!("error")), "{told}");
        assert!(told["message"].as_str().unwrap().contains(words), "{told}");
        assert_eq!(told["error"]["code"], "VALIDATION_FAILED");
    };
    check("", "{}", "X-GitHub-Event");
    check("push", "payload=%7B%7D", "application/json");
    check("push", "{}", "missing field `ref`");
    check(
        "issues",
        r#"{"action":"opened","issue":{"id":{}}}"#,
        "issue.id: ",
    );
}

#[test]
fn whoever_cannot_sign_is_refused() {
    let (api, body) = (webhooks(), push());
    for wrong in [
        "",
        "sha256=",
        "sha1=00",
        &signed("{}"),
        &signed(&body).replace("sha256=", ""),
    ] {
        let (status, told) = deliver(&api, "push", &body, "d", wrong);
        assert_eq!(status, 401, "{wrong}");
        assert_eq!(told["event_type"], "push");
        assert_eq!(told["error"]["code"], "UNAUTHORIZED");
    }
    assert_eq!(api.0.services.rooms.count(), 0);
    let unset = Api::new();
    let (status, told) = deliver(&unset, "push", &body, "d", &signed(&body));
    assert_eq!(status, 403);
    assert!(
        told["message"]
            .as_str()
            .unwrap()
            .contains("webhooks.github_secret is not set")
    );
}

#[test]
fn webhooks_are_closed_where_anybody_could_reach_them() {
    let (api, body) = (webhooks(), push());
    let services = &api.0.services;
    for (insecure_runs, expected, health) in [(false, 403, "disabled"), (true, 200, "healthy")] {
        let mut live = Live::of(services.live().config.clone()).unwrap();
        live.config.insecure = true;
        live.config.insecure_runs = insecure_runs;
        services.replace(live);
        assert_eq!(
            deliver(&api, "push", &body, "d", &signed(&body)).0,
            expected
        );
        let (status, told) = api.ask("GET", "/api/v1/webhooks/github/health", "", "");
        assert_eq!((status, &told["status"]), (200, &json!(health)));
        let events = json!(["issues", "pull_request", "push", "workflow_run"]);
        assert_eq!(told["supported_events"], events);
    }
    let (_, told) = Api::new().ask("GET", "/api/v1/webhooks/github/health", "", "");
    assert_eq!(told["status"], "disabled");
}
