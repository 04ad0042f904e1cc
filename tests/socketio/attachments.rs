//! Bytes in events and acknowledgements: both ways, ten at most, in their places.

use kinglet::testkit::socket::{Received, Socket};
use kinglet::wire::websocket::frame::Opcode;
use serde_json::{Value, json};

use crate::on_both;
use crate::session::{Session, connected_in, hear};

fn bytes(socket: &mut Socket, payload: &[u8]) {
    socket.frame(true, Opcode::Binary, payload);
}

fn place(number: usize) -> Value {
    json!({"_placeholder": true, "num": number})
}

/// A packet's JSON, read, and then so many attachments.
fn hear_binary(socket: &mut Socket, head: &str, count: usize) -> (Value, Vec<Vec<u8>>) {
    let packet = hear(socket);
    let rest = packet.strip_prefix(head);
    let rest = rest.unwrap_or_else(|| panic!("{packet} does not begin with {head}"));
    let attachments = (0..count).map(|_| match socket.receive() {
        Received::Binary(payload) => payload,
        other => panic!("an attachment was expected, not {other:?}"),
    });
    let attachments = attachments.collect();
    (serde_json::from_str(rest).unwrap(), attachments)
}

#[test]
fn bytes_come_back_in_their_places() {
    on_both(&[], |server| {
        for prefix in ["", "/custom,"] {
            let mut socket = connected_in(server, prefix);
            let event = json!(["message", place(0), "between", {"deep": [place(1)]}]);
            socket.text(&format!("452-{prefix}{event}"));
            bytes(&mut socket, &[1, 2, 3]);
            bytes(&mut socket, &[]);
            let (heard, attachments) = hear_binary(&mut socket, &format!("452-{prefix}"), 2);
            let back = json!(["message-back", place(0), "between", {"deep": [place(1)]}]);
            assert_eq!(heard, back);
            assert_eq!(attachments, [vec![1, 2, 3], vec![]]);
        }
    });
}

#[test]
fn bytes_are_acknowledged_with_bytes() {
    on_both(&[], |server| {
        for prefix in ["", "/custom,"] {
            let mut socket = connected_in(server, prefix);
            let event = json!(["message-with-ack", place(0), "2", place(1)]);
            socket.text(&format!("452-{prefix}789{event}"));
            bytes(&mut socket, b"one");
            bytes(&mut socket, b"two");
            let (heard, attachments) = hear_binary(&mut socket, &format!("462-{prefix}789"), 2);
            assert_eq!(heard, json!([place(0), "2", place(1)]));
            assert_eq!(attachments, [b"one", b"two"]);
        }
    });
}

#[test]
fn ten_attachments_are_as_many_as_there_may_be() {
    on_both(&[], |server| {
        let mut socket = connected_in(server, "");
        let mut event = vec![json!("message")];
        event.extend((0..10).map(place));
        socket.text(&format!("4510-{}", json!(event)));
        for number in 0..10 {
            bytes(&mut socket, &[number; 100]);
        }
        let (_, attachments) = hear_binary(&mut socket, "4510-", 10);
        let expected: Vec<Vec<u8>> = (0..10).map(|number| vec![number; 100]).collect();
        assert_eq!(attachments, expected);
    });
}

#[test]
fn bytes_are_sent_and_heard_by_polling_as_by_a_websocket() {
    on_both(&[], |server| {
        let session = Session::connected(server);
        let event = json!(["message-with-ack", place(0)]);
        // In one body, and with its attachment in the next one.
        session.says(format!("451-3{event}\x1ebAP8="));
        session.says(format!("451-4{event}"));
        session.says("b_-8=".replace(['_', '-'], "A"));
        let heard = session.hear(4);
        let ack = |id| format!("461-{id}{}", json!([place(0)]));
        assert_eq!(
            heard,
            [ack(3), "bAP8=".to_owned(), ack(4), "bAA8=".to_owned()]
        );
    });
}
