//! The limits of HTTP: each is answered with its own status, and the answer arrives whole.

use kinglet::testkit::client::{Connection, get, post};
use kinglet::testkit::server::until;
use kinglet::testkit::socket::Socket;
use serde_json::json;

use crate::{start, still_serves};

const PUBLISH: &str = "/api/v1/publish";

#[test]
fn a_request_that_does_not_arrive_in_time_is_408() {
    let server = start(&[("KINGLET_LIMITS__HANDSHAKE_TIMEOUT", "300ms")]);
    for begun in [
        "",
        "GET / HT",
        "GET / HTTP/1.1\r\nHost: localhost\r\n",
        "POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
    ] {
        let mut client = Connection::open(server.address());
        client.send(begun);
        let answer = client.answer(false).unwrap();
        assert_eq!(answer.status(), 408, "{begun:?}");
        assert_eq!(answer.header("connection"), "close");
        assert!(client.ends());
    }
    // The time begins anew with each request of a connection.
    let mut client = Connection::open(server.address());
    assert_eq!(client.request("GET", "/", &[], b"").status(), 200);
    client.send("GET / HTTP/1.1\r\n");
    assert_eq!(client.answer(false).unwrap().status(), 408);
    assert_eq!(server.counter("kinglet_handshake_timeouts_total"), 5);
}

#[test]
fn a_body_over_the_limit_is_413_whether_declared_or_sent() {
    let server = start(&[("KINGLET_LIMITS__MESSAGE_BYTES", "1KiB")]);
    let publish = |length: &str| {
        format!("POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\n{length}\r\n\r\n")
    };
    let mut client = Connection::open(server.address());
    client.send(publish("Content-Length: 1025"));
    let answer = client.answer(false).unwrap();
    assert_eq!(
        (answer.status(), answer.code()),
        (413, "MESSAGE_SIZE_LIMIT".into())
    );

    // The answer is not destroyed by what the client goes on to send.
    let mut client = Connection::open(server.address());
    let mut request = publish("Transfer-Encoding: chunked").into_bytes();
    request.extend_from_slice(format!("40000\r\n{}", "x".repeat(0x4_0000)).as_bytes());
    client.send(request);
    let answer = client.answer(false).unwrap();
    assert_eq!(
        (answer.status(), answer.header("connection")),
        (413, "close")
    );

    let frame = json!({"room": "a", "event": "x", "data": "x".repeat(900)}).to_string();
    let mut client = Connection::open(server.address());
    let answer = client.request("POST", "/api/v1/publish", &[], frame.as_bytes());
    assert_eq!(answer.status(), 200);
}

#[test]
fn a_head_over_the_limit_is_431_or_414_however_it_comes() {
    let server = start(&[]);
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(16 * 1024));
    let wide = format!(
        "GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    for (request, status) in [(long, 414), (wide, 431), ("x".repeat(16 * 1024), 414)] {
        let mut client = Connection::open(server.address());
        client.send(&request);
        let answer = client.answer(false).unwrap();
        assert_eq!(
            (answer.status(), answer.code()),
            (status, "MESSAGE_SIZE_LIMIT".into())
        );
    }
    // One byte at a time it is cut at the limit, too, and costs no more than its bytes.
    let mut client = Connection::open(server.address());
    client.send("GET / HTTP/1.1\r\nX: ");
    for _ in 0..20_000 {
        client.send("x");
    }
    assert_eq!(client.answer(false).unwrap().status(), 431);
    until("it is cut", || client.try_send(b"x").is_err());
    still_serves(&server);
}

#[test]
fn over_the_rate_requests_are_429_with_retry_after_and_health_is_not() {
    let server = start(&[("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "5")]);
    let mut client = Connection::open(server.address());
    let mut limited = 0;
    for _ in 0..12 {
        let answer = client.request("GET", "/api/v1/rooms", &[], b"");
        match answer.status() {
            200 => {}
            status => {
                assert_eq!((status, answer.code()), (429, "RATE_LIMITED".into()));
                assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
                limited += 1;
            }
        }
    }
    // While the twelve are sent, a token or two may be earned.
    assert!((4..=7).contains(&limited), "{limited}");
    for _ in 0..20 {
        assert_eq!(client.request("GET", "/health", &[], b"").status(), 200);
    }
}

#[test]
fn a_full_server_still_answers_health_checks_from_its_own_machine() {
    let server = start(&[("KINGLET_LIMITS__CONNECTIONS", "2")]);
    let kept = [0, 1].map(|_| Socket::open(server.address(), "/ws"));
    for _ in 0..20 {
        let mut connection = Connection::open(server.address());
        let health = connection.request("GET", "/health", &[], b"");
        assert_eq!(
            (health.status(), health.header("connection")),
            (200, "close")
        );
        assert!(connection.ends());
        for (method, target) in [("GET", "/ws"), ("POST", PUBLISH), ("GET", "/")] {
            let mut connection = Connection::open(server.address());
            let answer = connection.request(method, target, &[], b"");
            assert_eq!(
                (answer.status(), answer.code()),
                (503, "CONNECTION_LIMIT".into())
            );
            assert!(connection.ends());
        }
    }
    until("only the kept ones are left", || {
        get(server.address(), "/health").json()["connections"] == 3
    });
    drop(kept);
    until("there is room again", || {
        let answer = post(
            server.address(),
            PUBLISH,
            &json!({"room": "a", "event": "e"}),
        );
        answer.status() == 200
    });
}

#[test]
fn a_connection_over_the_limit_gets_503_whole_and_room_again_when_one_leaves() {
    let server = start(&[("KINGLET_LIMITS__CONNECTIONS", "3")]);
    let mut kept: Vec<Socket> = (0..3)
        .map(|_| Socket::open(server.address(), "/ws"))
        .collect();
    // These hold the places that are kept for health checks and administration.
    let silent: Vec<Connection> = (0..8).map(|_| Connection::open(server.address())).collect();
    for request in [
        String::new(),
        "POST / HTTP/1.1\r\n\r\n".to_owned(),
        "x".repeat(8192),
    ] {
        let mut refused = Connection::open(server.address());
        refused.send(&request);
        let answer = refused.answer(false).unwrap();
        assert_eq!(
            (answer.status(), answer.code()),
            (503, "CONNECTION_LIMIT".into())
        );
        assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
        assert_eq!(answer.header("connection"), "close");
        assert!(refused.ends());
    }
    drop(silent);
    let mut last = kept.pop().unwrap();
    last.close(1000, "");
    assert_eq!(last.closed().0, 1000);
    drop(last);
    until("a place is free", || {
        let mut connection = Connection::open(server.address());
        connection.send("GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        connection.answer(false).unwrap().status() == 200
    });
    drop(kept);
    until("the others left", || {
        get(server.address(), "/health").json()["connections"] == 1
    });
    assert!(server.counter("kinglet_connections_refused_limit_total") >= 3);
}

#[test]
fn a_pipelining_client_that_reads_nothing_is_paused_and_then_dropped() {
    let server = start(&[("KINGLET_LIMITS__WRITE_TIMEOUT", "1s")]);
    let answer = get(server.address(), "/health/live").body().len() as u64 + 150;
    let mut greedy = Connection::open(server.address());
    let requests = "GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n".repeat(2000);
    while greedy.try_send(requests.as_bytes()).is_ok() {}
    until("it is dropped", || {
        server.counter("kinglet_write_stalls_total") == 1
    });
    // The kernel's buffers are full; the server has not kept more than an outbox on top.
    let owed = server.counter("kinglet_http_requests_total") * answer;
    let kept = owed.saturating_sub(server.counter("kinglet_bytes_sent_total"));
    assert!(kept < 2 << 20, "the server kept {kept} bytes for it");
    still_serves(&server);
}
