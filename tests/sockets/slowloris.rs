//! Hundreds of connections that begin something and never finish it (incident 3 of the wire list).

use std::time::{Duration, Instant};

use kinglet::testkit::client::{Arrival, Connection, get};
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::{Received, Socket};
use serde_json::json;

use crate::start;

const MANY: usize = 300;

fn connections(server: &Server) -> u64 {
    get(server.address(), "/health").json()["connections"]
        .as_u64()
        .unwrap()
}

/// Opens many connections that send `begun` and nothing more: a good client works on meanwhile,
/// and they are all cut with 408 when the time for a handshake is over.
fn check_cut(begun: &[u8]) {
    let server = start(&[("KINGLET_LIMITS__HANDSHAKE_TIMEOUT", "1s")]);
    let mut good = Socket::open(server.address(), "/ws");
    let began = Instant::now();
    let mut lazy: Vec<Connection> = Vec::with_capacity(MANY);
    for _ in 0..MANY {
        let mut connection = Connection::open(server.address());
        connection.send(begun);
        lazy.push(connection);
    }
    until("all are there", || {
        connections(&server) > MANY as u64 || began.elapsed() > Duration::from_secs(1)
    });
    let mut slowest = Duration::ZERO;
    while connections(&server) > 2 {
        let asked = Instant::now();
        assert_eq!(good.ask(&json!({"type": "ping"}))["type"], "pong");
        slowest = slowest.max(asked.elapsed());
        assert!(
            began.elapsed() < Duration::from_secs(15),
            "they are never cut"
        );
        // Twenty a second leave the good client below its message rate.
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(began.elapsed() >= Duration::from_secs(1), "cut too early");
    assert!(
        slowest < Duration::from_secs(1),
        "the good client waited {slowest:?}"
    );
    for mut connection in lazy {
        assert_eq!(connection.answer(false).unwrap().status(), 408);
    }
    assert_eq!(
        server.counter("kinglet_handshake_timeouts_total"),
        MANY as u64
    );
}

#[test]
fn connections_that_send_nothing_are_cut() {
    check_cut(b"");
}

#[test]
fn connections_with_half_a_head_are_cut() {
    check_cut(b"GET /ws HTTP/1.1\r\nHost: localhost\r\nX: ");
}

#[test]
fn connections_with_half_a_body_are_cut() {
    check_cut(
        b"POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{\"a",
    );
}

#[test]
fn a_dribbled_head_does_not_earn_more_time() {
    let server = start(&[("KINGLET_LIMITS__HANDSHAKE_TIMEOUT", "1s")]);
    let mut client = Connection::open(server.address());
    client.send("GET / HTTP/1.1\r\nX: ");
    let began = Instant::now();
    while client.arrive(Instant::now() + Duration::from_millis(20)) == Arrival::Nothing {
        client.send("x");
        assert!(began.elapsed() < Duration::from_secs(5), "is never cut");
    }
    assert!(began.elapsed() >= Duration::from_millis(900));
    assert_eq!(client.answer(false).unwrap().status(), 408);
}

#[test]
fn sessions_with_half_a_frame_are_cut_when_they_do_not_answer_pings() {
    let server = start(&[
        ("KINGLET_HEARTBEAT__PING_INTERVAL", "500ms"),
        ("KINGLET_HEARTBEAT__PONG_TIMEOUT", "500ms"),
    ]);
    let mut lazy: Vec<Socket> = Vec::with_capacity(MANY);
    for number in 0..MANY {
        let mut socket = Socket::open(server.address(), "/ws");
        let half: &[u8] = match number % 3 {
            0 => b"\x81",
            1 => b"\x81\xfe\x10",
            _ => b"\x81\xfe\x10\x00\0\0\0\0{\"type\":",
        };
        socket.connection.send(half);
        lazy.push(socket);
    }
    until("they are cut", || {
        server.counter("kinglet_pong_timeouts_total") == MANY as u64
    });
    for socket in &mut lazy {
        assert_eq!(socket.receive(), Received::Ping(Vec::new()));
        assert_eq!(socket.closed(), (1001, "no pong".into()));
    }
    until("they are gone", || connections(&server) == 1);
}
