//! Where everybody who reaches the server is anonymous, projects are closed, and so is what was said
//! in them before.

use kinglet::testkit::client::{get, post};
use kinglet::testkit::socket::Socket;
use serde_json::json;

use crate::Host;

const TELL: &str = r#"
[agents.tell]
kind = "lines"
command = ["echo", "a secret of the project"]
"#;

#[test]
fn strangers_neither_run_anything_nor_read_what_ran() {
    let mut host = Host::start(TELL);
    let project = host.project("a");
    host.carry_out(&project, &json!({ "agent": "tell" }));
    host.restart(&["--insecure"]);
    let address = host.server.address();
    let room = format!("project:{project}");
    let mut plain = Socket::open(address, "/ws");
    let asked = [
        json!({ "type": "project_list" }),
        json!({ "type": "project_join", "project_id": project }),
        json!({ "type": "execute", "project_id": project, "data": { "prompt": "x" } }),
        json!({ "type": "get_messages", "project_id": project }),
        json!({ "type": "subscribe", "room": room, "since": 0 }),
        json!({ "type": "history", "room": room }),
        json!({ "type": "presence", "room": room }),
        json!({ "type": "publish", "room": room, "event": "e", "data": 1 }),
    ];
    for message in asked {
        let reply = plain.ask(&message).to_string();
        assert!(reply.contains("PERMISSION_DENIED"), "{message} {reply}");
        assert!(!reply.contains("secret"), "{message} {reply}");
        assert_eq!(plain.ask(&json!({ "type": "ping" }))["type"], "pong");
    }
    for target in [
        format!("/api/v1/projects/{project}"),
        format!("/api/v1/projects/{project}/runs"),
        format!("/api/v1/rooms/{room}/history"),
        format!("/api/v1/rooms/{room}/events"),
        format!("/api/v1/rooms/{room}/presence"),
    ] {
        assert_eq!(get(address, &target).status(), 403, "{target}");
    }
    let body = json!({ "path": host.root });
    assert_eq!(post(address, "/api/v1/projects", &body).status(), 403);
    let body = json!({ "room": room, "event": "e", "data": 1 });
    assert_eq!(post(address, "/api/v1/publish", &body).status(), 403);
    host.restart(&["--insecure", "--insecure-runs"]);
    let answer = get(
        host.server.address(),
        &format!("/api/v1/projects/{project}"),
    );
    assert_eq!(answer.status(), 200);
}
