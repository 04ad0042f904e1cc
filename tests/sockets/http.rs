//! HTTP/1.1 as clients meet it: connections that stay, methods, bodies in every form.

use kinglet::testkit::client::{Arrival, Connection, get};
use kinglet::testkit::server::Server;
use serde_json::{Value, json};

use crate::start;

const PUBLISH: &str = "/api/v1/publish";

fn event(room: &str) -> Vec<u8> {
    json!({"room": room, "event": "note", "data": {"a": 1}})
        .to_string()
        .into_bytes()
}

/// The offset up to which `room` has come.
fn offset(server: &Server, room: &str) -> Value {
    get(server.address(), &format!("/api/v1/rooms/{room}")).json()["offset"].clone()
}

#[test]
fn one_connection_serves_many_requests() {
    let server = start(&[]);
    let mut client = Connection::open(server.address());
    for number in 1..=20 {
        let answer = client.request("POST", PUBLISH, &[], &event("a"));
        assert_eq!(answer.status(), 200, "{answer:?}");
        assert_eq!(answer.json()["results"][0]["offset"], number);
        assert_eq!(answer.header("content-type"), "application/json");
        assert!(answer.header("date").ends_with(" GMT"));
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = start(&[]);
    let mut client = Connection::open(server.address());
    let mut requests = Vec::new();
    // Every second one goes through a worker, and must not be overtaken.
    for number in 0..40 {
        let target = match number % 2 {
            0 => format!("/api/v1/rooms?limit={}", number + 1000),
            _ => "/health/live".to_owned(),
        };
        requests.extend_from_slice(
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes(),
        );
    }
    client.send(requests);
    for number in 0..40 {
        let status = client.answer(false).unwrap().status();
        assert_eq!(status, if number % 2 == 0 { 400 } else { 200 }, "{number}");
    }
}

#[test]
fn head_has_the_head_of_get_and_no_body() {
    let server = start(&[]);
    let mut client = Connection::open(server.address());
    let head = client.request("HEAD", "/", &[], b"");
    let get = client.request("GET", "/", &[], b"");
    assert_eq!((head.status(), head.body()), (200, &b""[..]));
    assert_eq!(head.header("content-length"), get.header("content-length"));
    assert_eq!(get.json()["status"], "ok");
}

#[test]
fn a_body_may_come_in_chunks_and_byte_by_byte() {
    let server = start(&[]);
    let body = event("a");
    let (first, second) = body.split_at(7);
    let mut chunked = format!(
        "POST {PUBLISH} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
        first.len()
    )
    .into_bytes();
    chunked.extend_from_slice(first);
    chunked.extend_from_slice(format!("\r\n{:X};a=b\r\n", second.len()).as_bytes());
    chunked.extend_from_slice(second);
    chunked.extend_from_slice(b"\r\n0\r\nTrailer: ignored\r\n\r\n");
    let plain = [
        format!(
            "POST {PUBLISH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .as_bytes(),
        &body,
    ]
    .concat();
    for (number, request) in [chunked, plain].into_iter().enumerate() {
        let mut client = Connection::open(server.address());
        client.send(&request);
        let whole = client.answer(false).unwrap();
        for byte in request {
            client.send([byte]);
        }
        let dribbled = client.answer(false).unwrap();
        assert_eq!((whole.status(), dribbled.status()), (200, 200), "{whole:?}");
        let offset = dribbled.json()["results"][0]["offset"].clone();
        assert_eq!(offset, 2 * number + 2);
    }
}

#[test]
fn a_client_that_expects_leave_gets_it_before_it_sends_its_body() {
    let server = start(&[]);
    let mut client = Connection::open(server.address());
    let body = event("a");
    let head = |target: &str, length: usize| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\
             Content-Length: {length}\r\n\r\n"
        )
    };
    client.send(head(PUBLISH, body.len()));
    let interim = client.take_through(b"\r\n\r\n");
    assert_eq!(interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send(&body);
    assert_eq!(client.answer(false).unwrap().status(), 200);

    // Whoever would be refused is told so without having to send anything.
    client.send(head("/nothing", body.len()));
    let refusal = client.answer(false).unwrap();
    assert_eq!(refusal.status(), 404);
    assert_eq!(refusal.header("connection"), "close");
    assert!(client.ends());
    let mut client = Connection::open(server.address());
    client.send(head(PUBLISH, 1 << 30));
    assert_eq!(client.answer(false).unwrap().status(), 413);
    let mut client = Connection::open(server.address());
    let unknown = head(PUBLISH, 1).replace("100-continue", "200-ok");
    client.send(unknown);
    assert_eq!(client.answer(false).unwrap().status(), 417);
}

#[test]
fn unknown_paths_are_404_and_other_methods_405_with_allow() {
    let server = start(&[]);
    let mut client = Connection::open(server.address());
    for path in [
        "/nothing",
        "/api/v1",
        "/ws/",
        "/api/v1/tasks",
        "//",
        "/ws/echo",
    ] {
        let answer = client.request("GET", path, &[], b"");
        assert_eq!((answer.status(), answer.code()), (404, "NOT_FOUND".into()));
    }
    for path in ["/api/v1/rooms/%FF", "/api/v1/rooms/%zz/history"] {
        let answer = client.request("GET", path, &[], b"");
        assert_eq!(
            (answer.status(), answer.code()),
            (400, "VALIDATION_FAILED".into())
        );
        let message = &answer.json()["error"]["message"];
        assert_eq!(message, "the path is not percent-encoded UTF-8", "{path}");
    }
    for (method, path, allow) in [
        ("POST", "/health", "GET, HEAD, OPTIONS"),
        ("POST", "/ws", "GET, OPTIONS"),
        ("GET", PUBLISH, "POST, OPTIONS"),
        (
            "PATCH",
            "/api/v1/rooms/a/history",
            "GET, HEAD, DELETE, OPTIONS",
        ),
    ] {
        let answer = Connection::open(server.address()).request(method, path, &[], b"");
        assert_eq!(answer.status(), 405, "{method} {path}");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
    let answer = client.request("BREW", "/", &[], b"");
    assert_eq!(answer.status(), 501);
}

#[test]
fn options_tells_the_methods_of_a_path_and_of_the_server() {
    let server = start(&[]);
    let mut client = Connection::open(server.address());
    let answer = client.request("OPTIONS", PUBLISH, &[], b"");
    assert_eq!(
        (answer.status(), answer.header("allow")),
        (204, "POST, OPTIONS")
    );
    let answer = client.request("OPTIONS", "*", &[], b"");
    assert_eq!(answer.status(), 204);
    assert!(answer.header("allow").contains("DELETE"));
    let answer = client.request("OPTIONS", "/nothing", &[], b"");
    let got = client.request("GET", "/nothing", &[], b"");
    assert_eq!((answer.status(), answer.body()), (404, got.body()));
}

#[test]
fn a_target_may_be_absolute_and_its_host_counts() {
    let server = start(&[]);
    let mut client = Connection::open(server.address());
    for (target, status) in [
        ("http://localhost:1/health", 200),
        ("HTTP://127.0.0.1/health", 200),
        ("http://localhost", 200),
        ("http://localhost?a=b", 200),
        ("http://evil.example/", 421),
    ] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(client.answer(false).unwrap().status(), status, "{target}");
    }
    // The target's host wins over the header's (RFC 9112 section 3.2.2).
    client.send("GET http://localhost/ HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(client.answer(false).unwrap().status(), 200);
}

#[test]
fn http_1_0_closes_unless_it_is_asked_to_stay() {
    let server = start(&[]);
    let mut client = Connection::open(server.address());
    client.send("GET / HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.answer(false).unwrap();
    assert_eq!(
        (answer.status(), answer.header("connection")),
        (200, "keep-alive")
    );
    client.send("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let answer = client.answer(false).unwrap();
    assert_eq!(
        (answer.status(), answer.header("connection")),
        (200, "close")
    );
    assert!(client.ends());
    // Without a Host nobody knows which server was meant, except by its health.
    for (path, status) in [("/", 421), ("/health", 200)] {
        let mut client = Connection::open(server.address());
        client.send(format!("GET {path} HTTP/1.0\r\n\r\n"));
        assert_eq!(client.answer(false).unwrap().status(), status);
    }
}

#[test]
fn connection_close_ends_the_connection_behind_the_answer() {
    let server = start(&[]);
    let mut client = Connection::open(server.address());
    let answer = client.request("GET", "/", &[("Connection", "Close")], b"");
    assert_eq!(
        (answer.status(), answer.header("connection")),
        (200, "close")
    );
    assert!(client.ends());
}

#[test]
fn a_client_that_has_closed_its_side_still_gets_its_answers() {
    let server = start(&[]);
    // The first is answered by the shard, the second by a worker.
    for path in ["/health", "/api/v1/rooms", "/api/v1/ws/stats"] {
        let mut client = Connection::open(server.address());
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.send(request.repeat(3));
        client.end_input();
        for _ in 0..3 {
            assert_eq!(client.answer(false).unwrap().status(), 200, "{path}");
        }
        assert!(client.ends());
    }
    let mut client = Connection::open(server.address());
    client.send("GET / HTTP/1.1\r\nHost: loc");
    client.end_input();
    assert_eq!(client.answer(false).unwrap_err(), Arrival::End);
}

#[test]
fn a_request_without_effect_leaves_none() {
    let server = start(&[]);
    let mut client = Connection::open(server.address());
    for body in [
        "",
        "null",
        "[]",
        "{",
        "{\"room\":\"a\"}",
        "{\"room\":\"a\",\"event\":\"x\",\"data\":1,\"data_base64\":\"AA==\"}",
        "{\"room\":\"a\",\"event\":\"x\",\"data_base64\":\"?\"}",
        "{\"room\":\"a\",\"rooms\":[\"b\"],\"event\":\"x\"}",
        "{\"rooms\":[],\"event\":\"x\"}",
        "{\"room\":\"a\",\"event\":\"x\",\"except\":[\"nobody\"]}",
        "{\"room\":\"a\",\"event\":\"x\"} and more",
        "\u{feff}{\"room\":\"a\",\"event\":\"x\"}",
    ] {
        let answer = client.request("POST", PUBLISH, &[], body.as_bytes());
        assert_eq!(answer.status(), 400, "{body} {answer:?}");
        assert_eq!(answer.code(), "VALIDATION_FAILED", "{body}");
    }
    assert_eq!(offset(&server, "a"), Value::Null, "there is no such room");
    client.request("POST", PUBLISH, &[], &event("a"));
    assert_eq!(offset(&server, "a"), 1);
}
