//! A server that has few descriptors, and a flood: those who are in stay, health checks are
//! answered, nothing spins, and afterwards it is as before (incident 48).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kinglet::os::process_usage;
use kinglet::testkit::client::{Answer, Connection};
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::Socket;
use serde_json::json;

use crate::still_serves;

fn start(descriptors: usize) -> Server {
    let settings = [("KINGLET_LIMITS__HANDSHAKE_TIMEOUT", "1s")];
    Server::start_with_descriptors(env!("CARGO_BIN_EXE_kinglet"), descriptors, &settings)
}

/// The limit on connections that the server set itself.
fn connections_max(server: &Server) -> usize {
    let mut found = None;
    until("the log says it", || {
        let log = server.stderr();
        let rest = log.split_once("connections_clamped limit=");
        found = rest.and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        found.is_some()
    });
    found.unwrap()
}

/// The answer to GET, if the connection gets that far.
fn try_get(server: &Server, target: &str) -> Option<Answer> {
    let mut connection = Connection::try_open(server.address()).ok()?;
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    connection.try_send(request.as_bytes()).ok()?;
    connection.answer(false).ok()
}

fn is_healthy(server: &Server) -> bool {
    try_get(server, "/health").is_some_and(|answer| answer.status() == 200)
}

fn still_live(sessions: &mut [Socket]) {
    for session in sessions {
        assert_eq!(session.ask(&json!({"type": "ping"}))["type"], "pong");
    }
}

/// Processor time that the server uses in a second without news.
fn busyness(server: &Server) -> Duration {
    let read = || process_usage::read(server.pid()).unwrap().cpu();
    let (before, began) = (read(), Instant::now());
    thread::sleep(Duration::from_secs(1));
    let used = read() - before;
    used.div_f64(began.elapsed().as_secs_f64())
}

#[test]
fn a_flood_is_refused_while_sessions_live_and_health_is_answered() {
    let server = start(90);
    let most = connections_max(&server);
    assert!((10..40).contains(&most), "{most}");
    let mut sessions: Vec<Socket> = (0..most)
        .map(|_| Socket::open(server.address(), "/ws"))
        .collect();
    let (is_over, refused) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    // Some are just closed, when too many are being told.
                    if let Some(answer) = try_get(&server, "/ws") {
                        assert_eq!(answer.status(), 503);
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        for _ in 0..10 {
            until("health is answered", || is_healthy(&server));
            still_live(&mut sessions);
        }
        until("many were refused", || {
            refused.load(Ordering::Relaxed) > 200
        });
        is_over.store(true, Ordering::Relaxed);
    });
    let silent: Vec<_> = (0..300)
        .map(|_| Connection::open(server.address()))
        .collect();
    still_live(&mut sessions);
    drop(sessions);
    drop(silent);
    until("everybody has left", || {
        try_get(&server, "/health").is_some_and(|answer| answer.json()["connections"] == 1)
    });
    let again: Vec<Socket> = (0..most)
        .map(|_| Socket::open(server.address(), "/ws"))
        .collect();
    assert!(busyness(&server) < Duration::from_millis(200));
    drop(again);
    until("there is room", || is_healthy(&server));
    still_serves(&server);
}

#[test]
fn out_of_descriptors_accepting_rests_and_goes_on() {
    // Fewer than the server needs for itself and those it keeps places for, but more than it has open
    // at the start, or the first look at its resources would refuse everybody. A second reactor has a
    // poll and a waker of its own.
    let has_two = std::env::var("KINGLET_TEST_REACTORS").is_ok_and(|count| count == "2");
    let server = start(if has_two { 23 } else { 21 });
    let began = Instant::now();
    let mut first = Socket::open(server.address(), "/ws");
    let waiting: Vec<_> = (0..100)
        .map(|_| Connection::open(server.address()))
        .collect();
    until("accepting rests", || {
        server.stderr().contains("accept_rests")
    });
    let busy = busyness(&server);
    assert!(busy < Duration::from_millis(200), "{busy:?}");
    still_live(std::slice::from_mut(&mut first));
    drop(waiting);
    until("health is answered", || is_healthy(&server));
    drop(first);
    until("there is room again", || {
        try_get(&server, "/").is_some_and(|answer| answer.status() == 200)
    });
    assert!(server.counter("kinglet_accept_backoffs_total") >= 1);
    still_serves(&server);
    let said = server.stderr().matches("accept_rests").count() as u64;
    let seconds = began.elapsed().as_secs();
    assert!(said <= seconds + 2, "{said} lines in {seconds} s");
}
