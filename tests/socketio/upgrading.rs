//! From polling to a WebSocket: what hangs is answered, nothing is lost, nobody comes twice.

use kinglet::testkit::client::Connection;
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::{Received, Socket};

use crate::session::{BAD_REQUEST, Session, echoes, hear, is_closed, packets, still_serves, text};
use crate::{echoing, on_both};

#[test]
fn a_probe_is_answered_and_the_parked_poll_gets_a_noop() {
    on_both(&[], |server| {
        let session = Session::connected(server);
        let mut parked = session.park();
        let mut socket = session.probe();
        assert_eq!(parked.packets(), ["6"]);
        socket.text("5");
        echoes(&mut socket);
    });
}

#[test]
fn what_was_queued_is_not_lost_in_the_upgrade() {
    on_both(&[], |server| {
        let session = Session::connected(server);
        let mut socket = session.probe();
        // Posted while it is upgraded, and answered on one side or the other.
        session.says("42[\"message\",1]\x1e42[\"message\",2]");
        let mut heard = session.hear_all();
        socket.text("5");
        session_of(&mut socket, &mut heard, 2);
        assert_eq!(heard, ["42[\"message-back\",1]", "42[\"message-back\",2]"]);
        echoes(&mut socket);
    });
}

/// Reads on the WebSocket until so many packets are there.
fn session_of(socket: &mut Socket, heard: &mut Vec<String>, count: usize) {
    heard.retain(|packet| packet != "6");
    while heard.len() < count {
        heard.push(hear(socket));
    }
}

#[test]
fn a_session_goes_over_before_any_namespace_is_there() {
    on_both(&[], |server| {
        let session = Session::open(server);
        let mut socket = session.upgrade();
        socket.text("40");
        assert!(hear(&mut socket).starts_with("40{\"sid\":\""));
        assert_eq!(hear(&mut socket), "42[\"auth\",{}]");
        echoes(&mut socket);
    });
}

#[test]
fn an_upgraded_session_is_not_polled_any_more_and_serves_on() {
    on_both(&[], |server| {
        let session = Session::connected(server);
        let mut socket = session.upgrade();
        echoes(&mut socket);
        for answer in [session.poll(), session.post("42[\"message\",1]")] {
            assert_eq!((answer.status(), &*text(&answer)), (400, BAD_REQUEST));
        }
        echoes(&mut socket);
    });
}

#[test]
fn a_second_websocket_of_an_upgraded_session_is_closed_and_the_first_serves_on() {
    on_both(&[], |server| {
        let session = Session::connected(server);
        let mut socket = session.upgrade();
        echoes(&mut socket);
        for _ in 0..3 {
            let mut second = session.attach();
            is_closed(&mut second);
        }
        echoes(&mut socket);
    });
}

#[test]
fn a_second_websocket_during_the_upgrade_is_closed_and_the_first_goes_on() {
    on_both(&[], |server| {
        let session = Session::connected(server);
        let mut socket = session.probe();
        let mut second = session.attach();
        is_closed(&mut second);
        socket.text("5");
        echoes(&mut socket);
    });
}

#[test]
fn a_probe_that_says_something_else_is_closed_and_polling_goes_on() {
    on_both(&[], |server| {
        for packet in ["2", "2other", "42[\"message\",1]", "1", "3probe"] {
            check_not_a_probe(server, packet);
        }
    });
    // The reference needs no probe, and leaves open what sends no packet.
    let server = echoing(&[]);
    for packet in ["5", "abc", ""] {
        check_not_a_probe(&server, packet);
    }
}

fn check_not_a_probe(server: &Server, packet: &str) {
    let session = Session::connected(server);
    let mut socket = session.attach();
    socket.text(packet);
    is_closed(&mut socket);
    session.says("42[\"message\",2]");
    assert_eq!(session.hear(1), ["42[\"message-back\",2]"], "{packet}");
}

#[test]
fn a_probe_that_is_cut_leaves_the_session_to_its_polls() {
    on_both(&[], |server| {
        for is_probed in [false, true] {
            let session = Session::connected(server);
            let socket = match is_probed {
                true => session.probe(),
                false => session.attach(),
            };
            drop(socket);
            session.says("42[\"message\",1]");
            let mut heard = Vec::new();
            until("the poll hangs again", || {
                heard.extend(session.hear_all());
                heard.last().is_some_and(|packet| packet != "6")
            });
            heard.retain(|packet| packet != "6");
            assert_eq!(heard, ["42[\"message-back\",1]"]);
            // Another try is as good as the first; the server may not have seen the first end.
            until("it is upgraded", || {
                let mut socket = session.attach();
                socket.text("2probe");
                matches!(
                    socket.receive(),
                    Received::Text(text) if text == "3probe"
                )
            });
        }
    });
}

#[test]
fn a_probe_that_takes_too_long_is_closed() {
    on_both(
        &[("KINGLET_SOCKETIO__UPGRADE_TIMEOUT", "500ms")],
        |server| {
            for is_probed in [false, true] {
                let session = Session::connected(server);
                let mut socket = session.attach();
                if is_probed {
                    socket.text("2probe");
                    assert_eq!(hear(&mut socket), "3probe");
                }
                is_closed(&mut socket);
                session.says("42[\"message\",1]");
                assert_eq!(session.hear(1), ["42[\"message-back\",1]"]);
            }
        },
    );
}

#[test]
fn closing_in_the_middle_of_the_upgrade_ends_the_session() {
    on_both(&[], |server| {
        let session = Session::connected(server);
        let mut socket = session.probe();
        session.says("1");
        session.is_over();
        is_closed(&mut socket);
    });
}

#[test]
fn a_websocket_of_a_session_that_is_over_is_refused() {
    on_both(&[], |server| {
        let session = Session::connected(server);
        session.says("1");
        session.is_over();
        let connection = Connection::open(server.address());
        match Socket::handshake(connection, &session.target("websocket"), &[], &[]) {
            Err(answer) => assert_eq!(answer.status(), 400),
            Ok(mut socket) => is_closed(&mut socket),
        }
    });
}

#[test]
fn upgrading_twice_on_the_same_websocket_ends_nothing() {
    on_both(&[], |server| {
        let session = Session::connected(server);
        let mut socket = session.upgrade();
        echoes(&mut socket);
        socket.text("5");
        // The reference takes no notice; it may be closed as well. Nothing else may happen.
        still_serves(server);
    });
}

impl Session {
    /// What one poll is answered with.
    pub fn hear_all(&self) -> Vec<String> {
        let answer = self.poll();
        assert_eq!(answer.status(), 200, "{answer:?}");
        packets(&answer)
    }
}
