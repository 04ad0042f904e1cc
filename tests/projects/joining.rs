//! Who watches a project is counted once, however often it joins and however it goes; and what is
//! told names the project that was meant.

use kinglet::testkit::server::until;
use kinglet::testkit::socket::Socket;
use serde_json::{Value, json};

use crate::Host;

/// Asks for something about a project that is answered with the last of these types.
fn ask(socket: &mut Socket, kind: &str, project: &str, types: &[&str]) -> Value {
    socket.json(&json!({ "type": kind, "data": { "project_id": project } }));
    let mut reply = Value::Null;
    for expected in types {
        reply = socket.message();
        assert_eq!(reply["type"], *expected, "{reply}");
    }
    assert_eq!(reply["project_id"], project, "{reply}");
    reply
}

fn subscribers(socket: &mut Socket, project: &str) -> Value {
    let list = socket.ask(&json!({ "type": "project_list" }));
    let listed = list["data"]["projects"].as_array().unwrap().iter();
    let mut listed = listed.filter(|listed| listed["id"] == project);
    listed.next().unwrap()["metadata"]["subscriber_count"].clone()
}

#[test]
fn who_joins_twice_is_there_once_and_who_goes_is_gone() {
    let host = Host::start("");
    let address = host.server.address();
    let mut one = Socket::open(address, "/ws");
    let list = one.ask(&json!({ "type": "project_list" }));
    assert_eq!(
        (&list["data"]["total"], &list["data"]["projects"]),
        (&json!(0), &json!([]))
    );
    let stats = one.ask(&json!({ "type": "health_check" }));
    assert!(!stats.to_string().contains("null"), "{stats}");
    let (a, b) = (host.project("a"), host.project("b"));
    let joined = ["project_state", "project_join"];
    ask(&mut one, "project_join", &a, &joined);
    ask(&mut one, "project_join", &a, &joined);
    ask(&mut one, "project_join", &b, &joined);
    assert_eq!(
        (subscribers(&mut one, &a), subscribers(&mut one, &b)),
        (json!(1), json!(1))
    );
    let mut other = Socket::open(address, "/ws");
    ask(&mut other, "project_join", &a, &joined);
    assert_eq!(subscribers(&mut one, &a), 2);
    drop(other);
    until("whoever is gone is not counted", || {
        subscribers(&mut one, &a) == 1
    });
    ask(&mut one, "project_leave", &a, &["project_leave"]);
    assert_eq!(subscribers(&mut one, &a), 0);
    // It is deleted by whoever is in another one, named once.
    let deleted = ask(&mut one, "project_delete", &a, &["project_deleted"]);
    assert_eq!(deleted["data"]["status"], "deleted");
    let fault = one.ask(&json!({ "type": "project_join", "data": { "project_id": a } }));
    assert_eq!(fault["data"]["code"], "PROJECT_NOT_FOUND");
}
