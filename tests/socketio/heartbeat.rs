//! Pings, pongs, and those who are silent.

use std::time::{Duration, Instant};

use kinglet::testkit::client::Connection;
use kinglet::testkit::server::until;
use kinglet::testkit::socket::{Received, Socket};

use crate::on_both;
use crate::session::{Session, connected, hear, is_closed, websocket};

const QUICK: [(&str, &str); 2] = [
    ("KINGLET_SOCKETIO__PING_INTERVAL", "300ms"),
    ("KINGLET_SOCKETIO__PING_TIMEOUT", "200ms"),
];

/// Pings without long to wait for, and patience with the machine.
const PATIENT: [(&str, &str); 2] = [
    ("KINGLET_SOCKETIO__PING_INTERVAL", "300ms"),
    ("KINGLET_SOCKETIO__PING_TIMEOUT", "20s"),
];

#[test]
fn a_websocket_is_pinged_for_as_long_as_it_answers() {
    on_both(&PATIENT, |server| {
        let mut socket = websocket(server);
        let begin = Instant::now();
        for _ in 0..3 {
            assert_eq!(hear(&mut socket), "2");
            socket.text("3");
        }
        assert!(begin.elapsed() >= Duration::from_millis(850));
    });
}

#[test]
fn a_poll_is_answered_with_a_ping_for_as_long_as_pongs_are_posted() {
    on_both(&PATIENT, |server| {
        let session = Session::open(server);
        for _ in 0..3 {
            assert_eq!(session.hear(1), ["2"]);
            session.says("3");
        }
    });
}

#[test]
fn a_websocket_that_is_silent_is_closed() {
    on_both(&QUICK, |server| {
        let mut socket = connected(server);
        let begin = Instant::now();
        is_closed(&mut socket);
        assert!(begin.elapsed() >= Duration::from_millis(400));
    });
}

#[test]
fn a_session_that_is_polled_in_silence_is_over() {
    on_both(&QUICK, |server| {
        let session = Session::open(server);
        assert_eq!(session.hear(1), ["2"]);
        // It hangs until the session is over.
        let last = session.poll();
        assert!(matches!(last.status(), 200 | 400), "{last:?}");
        until("the session is over", || session.poll().status() == 400);
        session.is_over();
    });
}

#[test]
fn a_session_that_is_never_polled_is_over() {
    on_both(&QUICK, |server| {
        let session = Session::open(server);
        // Whoever asks says nothing that the session could live on.
        until("the session is over", || {
            let connection = Connection::open(server.address());
            let opened = Socket::handshake(connection, &session.target("websocket"), &[], &[]);
            opened.map_or(true, |mut socket| {
                socket.text("2probe");
                socket.receive() != Received::Text("3probe".to_owned())
            })
        });
        session.is_over();
    });
}

#[test]
fn a_ping_of_the_client_is_against_version_4() {
    on_both(&[], |server| {
        let mut socket = connected(server);
        socket.text("2");
        is_closed(&mut socket);
    });
}
