//! GitHub's deliveries, as GitHub's own examples show them.

use std::path::Path;
use std::process::Command;

use kinglet::config::Secret;
use kinglet::domain::github::sign;
use kinglet::testkit::client::{get, note};
use serde_json::json;

use crate::clients::javascript;
use crate::{request, start};

const SECRET: &str = "a secret for the webhooks of a test";
const WEBHOOK: &str = "/api/v1/webhooks/github";

#[test]
fn githubs_own_examples_come_out_as_the_events_they_mean() {
    let folder = match javascript() {
        Ok(folder) => folder,
        Err(reason) => {
            return note(&format!(
                "skipped: the examples of GitHub's webhooks, because {reason}"
            ));
        }
    };
    let examples = Path::new(&folder).join("node_modules/@octokit/webhooks-examples");
    if !examples.is_dir() {
        return note("skipped: the examples of GitHub's webhooks are not installed; run npm ci");
    }
    let server = start(&[
        ("KINGLET_WEBHOOKS__GITHUB_SECRET", SECRET),
        ("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "0"),
    ]);
    let run = Command::new("node")
        .arg(Path::new(&folder).join("webhooks.mjs"))
        .arg(format!("http://{}", server.address()))
        .arg(SECRET)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
}

#[test]
fn a_delivery_to_a_durable_room_is_answered_alike_and_published_once() {
    let data = tempfile::tempdir().unwrap();
    let secret = data.path().join("secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let kept = data.path().join("data");
    let settings = [
        ("KINGLET_ROOMS__PROJECT__DURABLE", "true"),
        ("KINGLET_SERVER__DATA_DIR", kept.to_str().unwrap()),
        (
            "KINGLET_WEBHOOKS__GITHUB_SECRET_FILE",
            secret.to_str().unwrap(),
        ),
    ];
    let body = json!({
        "ref": "refs/heads/main", "before": "a", "after": "b", "commits": [],
        "repository": {"full_name": "octo/hello", "html_url": "https://github.com/octo/hello"},
    });
    let body = body.to_string();
    let signature = sign(&Secret::new(SECRET.as_bytes()), body.as_bytes());
    let headers = [
        ("X-GitHub-Event", "push"),
        ("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        ("X-Hub-Signature-256", signature.as_str()),
    ];
    // Twice in one life, and once more in the next.
    for times in [2, 1] {
        let server = start(&settings);
        for _ in 0..times {
            let answer = request(&server, "POST", WEBHOOK, &headers, &body);
            assert_eq!(answer.status(), 200, "{answer:?}");
            assert_eq!(
                answer.json(),
                json!({
                    "status": "ok", "event_type": "push", "handlers_executed": 1,
                    "delivery_id": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
                })
            );
        }
        let history = get(
            server.address(),
            "/api/v1/rooms/project:octo%2Fhello/history",
        )
        .json();
        assert_eq!(history["offset"], 1);
        assert_eq!(history["publications"][0]["type"], "project.updated");
    }
}
