//! The packet that says good-bye.

use crate::session::{Session, connected, echoes, is_closed};
use crate::{echoing, on_both};

#[test]
fn a_close_packet_answers_the_poll_and_ends_the_session() {
    on_both(&[], |server| {
        let session = Session::connected(server);
        let mut parked = session.park();
        session.says("1");
        // A noop; a poll that came too late for it is refused.
        let answer = parked.answer();
        let found = (answer.status(), answer.body());
        assert!(found == (200, b"6") || answer.status() == 400, "{answer:?}");
        session.is_over();
    });
}

#[test]
fn a_close_packet_closes_the_websocket() {
    // The reference takes no notice of it there.
    let mut socket = connected(&echoing(&[]));
    socket.text("1");
    is_closed(&mut socket);
}

#[test]
fn a_websocket_that_sends_what_is_no_packet_is_closed() {
    on_both(&[], |server| {
        for text in ["abc", "9", ""] {
            let mut socket = connected(server);
            socket.text(text);
            is_closed(&mut socket);
        }
    });
}

#[test]
fn packets_of_the_server_are_not_a_clients_to_send() {
    // The reference takes no notice of these either.
    let server = echoing(&[]);
    for text in ["0{}", "2", "2probe", "5"] {
        let mut socket = connected(&server);
        socket.text(text);
        is_closed(&mut socket);
    }
}

#[test]
fn pongs_and_noops_are_taken_at_any_time() {
    on_both(&[], |server| {
        let mut socket = connected(server);
        for text in ["3", "6", "3"] {
            socket.text(text);
        }
        echoes(&mut socket);
    });
}
