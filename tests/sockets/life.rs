//! How connections and the server itself live and end: heartbeats, idling, draining.

use std::time::{Duration, Instant};

use kinglet::testkit::client::{Arrival, Connection, get, post};
use kinglet::testkit::server::until;
use kinglet::testkit::socket::{Received, Socket};
use kinglet::wire::websocket::frame::Opcode;
use serde_json::{Value, json};

use crate::start;

#[test]
fn a_session_is_pinged_and_one_that_answers_stays() {
    let server = start(&[
        ("KINGLET_HEARTBEAT__PING_INTERVAL", "200ms"),
        ("KINGLET_HEARTBEAT__PONG_TIMEOUT", "300ms"),
    ]);
    let mut socket = Socket::open(server.address(), "/ws");
    for _ in 0..5 {
        assert_eq!(socket.receive(), Received::Ping(Vec::new()));
        socket.frame(true, Opcode::Pong, b"");
    }
    // Whatever is heard shows that the peer lives.
    for _ in 0..3 {
        assert_eq!(socket.receive(), Received::Ping(Vec::new()));
        socket.text("{\"type\":\"nope\"}");
        assert!(matches!(socket.receive(), Received::Text(_)));
    }
    assert_eq!(socket.closed(), (1001, "no pong".into()));
    assert_eq!(socket.receive(), Received::None(Arrival::End));
    assert_eq!(server.counter("kinglet_pong_timeouts_total"), 1);
}

#[test]
fn only_a_silent_session_in_no_room_is_closed_for_idling() {
    let server = start(&[("KINGLET_HEARTBEAT__IDLE_TIMEOUT", "300ms")]);
    let mut member = Socket::open(server.address(), "/ws");
    let mut idler = Socket::open(server.address(), "/ws");
    assert_eq!(
        idler.ask(&json!({"type": "unsubscribe", "room": "global"}))["room"],
        "global"
    );
    let began = Instant::now();
    assert_eq!(idler.closed(), (1001, "idle timeout".into()));
    assert!(began.elapsed() >= Duration::from_millis(250));
    // The member was silent for longer, and becomes an idler when it leaves its last room.
    member.hears_nothing();
    member.ask(&json!({"type": "unsubscribe", "room": "global"}));
    assert_eq!(member.closed().0, 1001);
    assert_eq!(server.counter("kinglet_idle_closes_total"), 2);
}

#[test]
fn a_session_that_was_in_a_room_for_long_may_still_idle_out() {
    let server = start(&[("KINGLET_HEARTBEAT__IDLE_TIMEOUT", "200ms")]);
    let mut socket = Socket::open(server.address(), "/ws?room=a");
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(700) {
        // Pings of the protocol are no activity, pings in JSON are.
        socket.hears_nothing();
        std::thread::sleep(Duration::from_millis(20));
    }
    socket.ask(&json!({"type": "unsubscribe", "room": "a"}));
    assert_eq!(socket.closed().0, 1001);
}

#[test]
fn term_tells_everybody_and_ends_with_0() {
    let mut server = start(&[]);
    let mut sockets: Vec<Socket> = (0..150)
        .map(|_| Socket::open(server.address(), "/ws"))
        .collect();
    let mut resting = Connection::open(server.address());
    assert_eq!(resting.request("GET", "/health", &[], b"").status(), 200);
    let mut silent = Connection::open(server.address());
    server.signal("TERM");
    for socket in &mut sockets {
        assert_eq!(socket.closed(), (1001, "server shutting down".into()));
        socket.close(1001, "");
        assert_eq!(socket.receive(), Received::None(Arrival::End));
    }
    assert!(resting.ends() && silent.ends());
    assert_eq!(server.wait(), 0, "{}", server.stderr());
    assert!(Connection::try_open(server.address()).is_err());
}

#[test]
fn each_signal_that_asks_for_it_drains() {
    for signal in ["TERM", "INT", "QUIT"] {
        let mut server = start(&[]);
        let mut socket = Socket::open(server.address(), "/ws");
        server.signal(signal);
        assert_eq!(socket.closed().0, 1001, "{signal}");
        socket.close(1001, "");
        assert_eq!(server.wait(), 0, "{signal}");
    }
}

#[test]
fn whoever_does_not_answer_a_close_is_dropped_and_does_not_count() {
    let mut server = start(&[]);
    let mut mute = Socket::open(server.address(), "/ws");
    server.signal("TERM");
    assert_eq!(mute.closed().0, 1001);
    let began = Instant::now();
    assert_eq!(server.wait(), 0, "{}", server.stderr());
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn while_draining_readiness_says_no_and_nobody_new_comes_in() {
    let mut server = start(&[]);
    let mut mute = Socket::open(server.address(), "/ws");
    // Two that are in the middle of a request keep their connections until they are answered.
    let mut probe = Connection::open(server.address());
    probe.send("GET /health/ready HTTP/1.1\r\nHost: localhost\r\n");
    let mut late = Connection::open(server.address());
    late.send("GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n");
    assert_eq!(get(server.address(), "/health/ready").status(), 200);
    server.signal("TERM");
    assert_eq!(mute.closed().0, 1001);
    probe.send("\r\n");
    let answer = probe.answer(false).unwrap();
    assert_eq!(
        (answer.status(), answer.header("connection")),
        (503, "close")
    );
    assert_eq!(answer.json()["details"]["draining"], true);
    assert!(!answer.header("retry-after").is_empty());
    late.send(
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let refusal = late.answer(false).unwrap();
    assert_eq!(
        (refusal.status(), refusal.header("connection")),
        (503, "close")
    );
    assert!(Connection::try_open(server.address()).is_err());
    mute.close(1001, "");
    assert_eq!(server.wait(), 0, "{}", server.stderr());
}

#[test]
fn a_second_signal_cuts_at_once_and_ends_with_3() {
    let mut server = start(&[("KINGLET_LIMITS__WRITE_TIMEOUT", "1m")]);
    let mut deaf = Socket::open(server.address(), "/ws?room=a");
    // Its pipe is full, so that not even the goodbye can be written.
    let data = "x".repeat(1 << 19);
    let body = json!({"room": "a", "event": "e", "data": data});
    while server.counter("kinglet_slow_consumers_closed_total") == 0 {
        assert_eq!(
            post(server.address(), "/api/v1/publish", &body).status(),
            200
        );
    }
    server.signal("TERM");
    until("the drain has begun", || {
        server.stderr().contains("shutdown_begun")
    });
    let began = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait(), 3, "{}", server.stderr());
    assert!(began.elapsed() < Duration::from_secs(2));
    until("the log says it", || {
        server.stderr().contains("shutdown_cut")
    });
    while matches!(deaf.receive(), Received::Text(_)) {}
}

#[test]
fn at_the_end_of_its_time_a_drain_cuts_and_ends_with_3() {
    let mut server = start(&[
        ("KINGLET_LIMITS__WRITE_TIMEOUT", "1m"),
        ("KINGLET_SERVER__SHUTDOWN_TIMEOUT", "1s"),
    ]);
    let _deaf = Socket::open(server.address(), "/ws?room=a");
    let body = json!({"room": "a", "event": "e", "data": "x".repeat(1 << 19)});
    while server.counter("kinglet_slow_consumers_closed_total") == 0 {
        assert_eq!(
            post(server.address(), "/api/v1/publish", &body).status(),
            200
        );
    }
    let began = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait(), 3, "{}", server.stderr());
    assert!(
        began.elapsed() >= Duration::from_millis(900),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn an_answer_that_is_being_read_is_finished_and_its_connection_ended() {
    let mut server = start(&[
        ("KINGLET_ROOMS__DEFAULT__HISTORY_BYTES", "64MiB"),
        ("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "0"),
    ]);
    let body = json!({"room": "a", "event": "e", "data": "x".repeat(1 << 19)});
    for _ in 0..60 {
        assert_eq!(
            post(server.address(), "/api/v1/publish", &body).status(),
            200
        );
    }
    // 30 MB are more than the kernel takes for a client that does not read.
    let mut reader = Connection::open(server.address());
    reader.send("GET /api/v1/rooms/a/history HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(
        reader.arrive(Instant::now() + Duration::from_secs(5)),
        Arrival::Bytes
    );
    server.signal("TERM");
    until("the drain has begun", || {
        server.stderr().contains("shutdown_begun")
    });
    let began = Instant::now();
    let answer = reader.answer(false).unwrap();
    assert_eq!(answer.json()["publications"].as_array().unwrap().len(), 60);
    assert!(reader.ends());
    assert_eq!(server.wait(), 0, "{}", server.stderr());
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_request_that_never_ends_does_not_hold_up_a_drain() {
    let mut server = start(&[]);
    let mut half = Connection::open(server.address());
    half.send("POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{");
    let mut whole = Connection::open(server.address());
    assert_eq!(whole.request("GET", "/health", &[], b"").status(), 200);
    server.signal("TERM");
    let began = Instant::now();
    assert_eq!(half.answer(false).unwrap().status(), 408);
    assert_eq!(server.wait(), 0, "{}", server.stderr());
    // handshake_timeout is 10 s.
    assert!(
        began.elapsed() < Duration::from_secs(6),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn lines_that_the_log_cannot_write_are_counted_with_everything_else() {
    let settings = [
        ("KINGLET_LOG__LEVEL", "trace"),
        ("KINGLET_LOG__FILE", "/dev/full"),
    ];
    let server = start(&settings);
    until("a line is lost", || {
        // Each request has lines at this level, and those that do not fit the buffer are lost.
        assert_eq!(get(server.address(), "/health").status(), 200);
        server.counter("kinglet_log_lines_dropped_total") > 0
    });
}

#[test]
fn agents_whose_programs_are_not_found_are_named_at_the_start_and_by_readiness() {
    let check = |program: &str, missing: Value| {
        let server = start(&[("KINGLET_AGENTS__CLAUDE__COMMAND", program)]);
        let ready = get(server.address(), "/health/ready");
        assert_eq!(ready.status(), 200);
        let details = &ready.json()["details"];
        assert_eq!(details["runs"], "ok");
        assert_eq!(details["missing_agents"], missing);
        until("the log names it, if it is missing", || {
            server.stderr().contains("agent_missing agent=claude ") == missing.is_string()
        });
    };
    check("/nowhere/claude", json!("claude"));
    check(env!("CARGO_BIN_EXE_claude-stand-in"), Value::Null);
}
