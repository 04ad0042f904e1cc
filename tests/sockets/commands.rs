//! Messages that go wrong: each is answered, once, to the one who sent it, and the session lives.

use kinglet::testkit::client::post;
use kinglet::testkit::server::until;
use kinglet::testkit::socket::{Received, Socket};
use serde_json::{Value, json};

use crate::{start, still_serves};

#[test]
fn only_what_cannot_be_parsed_is_an_invalid_message() {
    let server = start(&[]);
    let mut socket = Socket::open(server.address(), "/ws");
    for (text, code) in [
        ("{", "INVALID_MESSAGE"),
        ("", "INVALID_MESSAGE"),
        ("hello", "INVALID_MESSAGE"),
        ("{\"type\":\"ping\"}{\"type\":\"ping\"}", "INVALID_MESSAGE"),
        (
            "{\"type\":\"ping\"}\n{\"type\":\"ping\"}",
            "INVALID_MESSAGE",
        ),
        ("{'type':'ping'}", "INVALID_MESSAGE"),
        ("\u{feff}{\"type\":\"ping\"}", "INVALID_MESSAGE"),
        ("[]", "VALIDATION_FAILED"),
        ("[\"ping\"]", "VALIDATION_FAILED"),
        ("null", "VALIDATION_FAILED"),
        ("42", "VALIDATION_FAILED"),
        ("{}", "VALIDATION_FAILED"),
        ("{\"type\":\"nope\"}", "VALIDATION_FAILED"),
        ("{\"type\":\"\"}", "VALIDATION_FAILED"),
        ("{\"type\":null}", "VALIDATION_FAILED"),
        ("{\"type\":42}", "VALIDATION_FAILED"),
        ("{\"type\":\"ping\",\"type\":\"ping\"}", "VALIDATION_FAILED"),
        ("{\"type\":\"PING\"}", "VALIDATION_FAILED"),
        ("{\"type\":\"subscribe\"}", "VALIDATION_FAILED"),
        ("{\"type\":\"subscribe\",\"room\":7}", "VALIDATION_FAILED"),
        (
            "{\"type\":\"subscribe\",\"rooms\":\"a\"}",
            "VALIDATION_FAILED",
        ),
        ("{\"type\":\"subscribe\",\"rooms\":[]}", "VALIDATION_FAILED"),
        ("{\"type\":\"publish\",\"room\":\"a\"}", "VALIDATION_FAILED"),
        (
            "{\"type\":\"publish\",\"event\":\"e\"}",
            "VALIDATION_FAILED",
        ),
        ("{\"type\":\"history\"}", "VALIDATION_FAILED"),
        (
            "{\"type\":\"history\",\"room\":\"global\",\"limit\":0}",
            "VALIDATION_FAILED",
        ),
        ("{\"type\":\"history\",\"room\":\"nobody\"}", "NOT_FOUND"),
        ("{\"type\":\"ping\",\"id\":{}}", "VALIDATION_FAILED"),
    ] {
        socket.text(text);
        let reply = socket.message();
        assert_eq!(reply["type"], "error", "{text}");
        assert_eq!(reply["data"]["code"], code, "{text} {reply}");
        assert_eq!(reply["error"], reply["data"]["message"], "{text}");
        assert!(reply["data"]["details"].is_object(), "{text}");
        assert!(reply["timestamp"].is_string(), "{text}");
        assert_eq!(socket.ask(&json!({"type": "ping"}))["type"], "pong");
    }
    let deep = format!("{{\"type\":\"ping\",\"x\":{}", "[".repeat(100_000));
    socket.text(&deep);
    assert_eq!(socket.message()["data"]["code"], "INVALID_MESSAGE");
}

#[test]
fn replies_and_errors_repeat_the_id_under_the_key_it_came_in() {
    let server = start(&[]);
    let mut socket = Socket::open(server.address(), "/ws");
    for id in [
        "1",
        "\"a\"",
        "-1.5e3",
        "12345678901234567890123",
        "\"\\u00fc\"",
    ] {
        for key in ["id", "request_id"] {
            for kind in ["ping", "nope", "subscribe", "history"] {
                let message = format!("{{\"type\":\"{kind}\",\"{key}\":{id}}}");
                socket.text(&message);
                let Received::Text(reply) = socket.receive() else {
                    panic!("a reply was expected");
                };
                assert!(
                    reply.contains(&format!("\"{key}\":{id}")),
                    "{message} {reply}"
                );
                assert_eq!(socket.ask(&json!({"type": "ping"})).get("id"), None);
            }
        }
    }
    let reply = socket.ask(&json!({"type": "nope", "project_id": "p"}));
    assert_eq!((&reply["project_id"], reply.get("id")), (&json!("p"), None));
}

#[test]
fn members_that_are_not_known_are_ignored() {
    let server = start(&[]);
    let mut socket = Socket::open(server.address(), "/ws");
    let message = json!({
        "type": "ping", "version": 3, "__proto__": {"a": 1}, "timestamp": "yesterday", "room": 7,
    });
    assert_eq!(socket.ask(&message)["type"], "pong");
    socket.text("  {\n\t\"type\" : \"ping\" }\r\n");
    assert_eq!(socket.message()["type"], "pong");
    socket.text("{\"\\u0074ype\":\"p\\u0069ng\"}");
    assert_eq!(socket.message()["type"], "pong");
}

#[test]
fn ten_errors_in_a_row_close_with_4503() {
    let server = start(&[]);
    let mut socket = Socket::open(server.address(), "/ws");
    for _ in 0..2 {
        for _ in 0..9 {
            assert_eq!(socket.ask(&json!({"type": "nope"}))["type"], "error");
        }
        // A command that succeeds begins the count anew.
        assert_eq!(socket.ask(&json!({"type": "ping"}))["type"], "pong");
    }
    for _ in 0..10 {
        assert_eq!(socket.ask(&json!({"type": "nope"}))["type"], "error");
    }
    assert_eq!(socket.closed().0, 4503);
    assert_eq!(
        server.counter("kinglet_sessions_closed_for_errors_total"),
        1
    );
    still_serves(&server);
}

#[test]
fn a_panic_is_an_internal_error_to_its_session_alone() {
    let server = start(&[]);
    let mut unlucky = Socket::open(server.address(), "/ws?room=a");
    let mut other = Socket::open(server.address(), "/ws?room=a");
    for _ in 0..3 {
        let reply = unlucky.ask(&json!({"type": "testkit.panic", "id": 1}));
        assert_eq!(reply["data"]["code"], "INTERNAL_ERROR");
        assert!(!reply.to_string().contains("asked to by a test"), "{reply}");
        other.hears_nothing();
        let body = json!({"room": "a", "event": "e"});
        assert_eq!(
            post(server.address(), "/api/v1/publish", &body).status(),
            200
        );
        let heard: Vec<Value> = vec![unlucky.message(), other.message()];
        assert_eq!(heard[0], heard[1]);
    }
    until("the log tells of it", || server.stderr().contains("panic"));
    still_serves(&server);
}
