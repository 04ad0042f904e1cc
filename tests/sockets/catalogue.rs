//! Events of the catalogue: whom they reach, and whether what is said of them is true.

use std::path::Path;
use std::process::Command;

use kinglet::testkit::client::{note, post};
use kinglet::testkit::socket::Socket;
use serde_json::json;

use crate::clients::javascript;
use crate::start;

#[test]
fn an_event_reaches_those_it_concerns_once() {
    let server = start(&[]);
    let mut everybody = Socket::open(server.address(), "/ws");
    let mut member = Socket::open(server.address(), "/ws?room=project:p&room=board:b");
    let mut stranger = Socket::open(server.address(), "/ws?board_id=c");
    let data = json!({"task_id": "t", "board_id": "b", "project_id": "p"});
    let event = json!({"type": "task.created", "data": data, "id": "once"});
    let answer = post(server.address(), "/api/v1/events", &event);
    assert_eq!(answer.status(), 200, "{answer:?}");
    assert_eq!(
        post(server.address(), "/api/v1/events", &event).json(),
        answer.json()
    );
    let rooms = answer.json()["results"].clone();
    for (place, room) in ["global", "board:b", "project:p"].iter().enumerate() {
        assert_eq!(rooms[place]["room"], *room);
    }
    for client in [&mut everybody, &mut member] {
        let message = client.message();
        assert_eq!(message["type"], "task.created");
        assert_eq!(message["data"]["action"], "created");
        assert_eq!(client.ask(&json!({"type": "ping"}))["type"], "pong");
    }
    assert_eq!(stranger.ask(&json!({"type": "ping"}))["type"], "pong");
    let wrong = json!({"type": "task.created", "data": {"task_id": "t", "board_id": ""}});
    let answer = post(server.address(), "/api/v1/events", &wrong);
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.json()["error"]["details"]["path"], "data.board_id");
}

#[test]
fn the_descriptions_are_valid_and_say_what_the_server_takes() {
    let folder = match javascript() {
        Ok(folder) => folder,
        Err(reason) => {
            return note(&format!(
                "skipped: validating the descriptions, because {reason}"
            ));
        }
    };
    if !Path::new(&folder).join("node_modules/ajv").is_dir() {
        return note("skipped: the validators of the descriptions are not installed; run npm ci");
    }
    let server = start(&[]);
    let run = Command::new("node")
        .arg(Path::new(&folder).join("descriptions.mjs"))
        .arg(format!("http://{}", server.address()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
}
