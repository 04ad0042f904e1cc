//! Messages over WebSocket: text and bytes, whole, in fragments and byte by byte.

use kinglet::testkit::client::Connection;
use kinglet::testkit::socket::{Received, Socket};
use kinglet::wire::websocket::frame::Opcode;
use serde_json::json;

use crate::{start, still_serves};

const ECHO: [(&str, &str); 1] = [("KINGLET_DEBUG__ECHO", "true")];

#[test]
fn text_that_is_not_utf8_closes_with_1007_at_the_first_bad_byte() {
    let server = start(&ECHO);
    for bad in [
        &b"\xff"[..],
        b"abc\xc3\x28",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xc0\x80",
        b"\xf8\x88\x80\x80\x80",
    ] {
        let mut socket = Socket::open(server.address(), "/ws/echo");
        socket.frame(true, Opcode::Text, bad);
        assert_eq!(socket.closed().0, 1007, "{bad:?}");
        // The message goes on, but no more of it is needed to know.
        let mut socket = Socket::open(server.address(), "/ws/echo");
        socket.frame(false, Opcode::Text, b"\xce\xba");
        socket.frame(false, Opcode::Continuation, bad);
        assert_eq!(socket.closed().0, 1007, "{bad:?}");
    }
    let mut socket = Socket::open(server.address(), "/ws/echo");
    socket.frame(true, Opcode::Text, b"cut \xe2\x82");
    assert_eq!(socket.closed().0, 1007);
    // Half of a frame of 100 bytes with a bad byte in it.
    let mut socket = Socket::open(server.address(), "/ws/echo");
    socket.connection.send(b"\x81\xe4\0\0\0\0abc\xffdef");
    assert_eq!(socket.closed().0, 1007);
    still_serves(&server);
}

#[test]
fn characters_may_be_cut_by_fragments_and_reads() {
    let server = start(&ECHO);
    let mut socket = Socket::open(server.address(), "/ws/echo");
    let text = "κόσμε \u{10ffff} \u{fffd}";
    let mut bytes = Vec::new();
    let (first, last) = text.as_bytes().split_at(3);
    socket.mask(false, Opcode::Text, first, &mut bytes);
    for byte in last {
        socket.mask(false, Opcode::Continuation, &[*byte], &mut bytes);
    }
    socket.mask(true, Opcode::Continuation, b"", &mut bytes);
    for byte in bytes {
        socket.connection.send([byte]);
    }
    assert_eq!(socket.receive(), Received::Text(text.to_owned()));
    // Bytes that are no text are echoed as they came.
    socket.frame(true, Opcode::Binary, b"\xff\x00\xfe");
    assert_eq!(socket.receive(), Received::Binary(b"\xff\x00\xfe".to_vec()));
}

#[test]
fn the_echo_exists_only_if_it_is_asked_for() {
    let server = start(&[]);
    let connection = Connection::open(server.address());
    let refusal = Socket::handshake(connection, "/ws/echo", &[], &[]).unwrap_err();
    assert_eq!(refusal.status(), 404);
}

#[test]
fn a_binary_message_may_hold_json() {
    let server = start(&[]);
    let mut socket = Socket::open(server.address(), "/ws");
    socket.frame(true, Opcode::Binary, b"{\"type\":\"ping\",\"id\":7}");
    let pong = socket.message();
    assert_eq!((&pong["type"], &pong["id"]), (&json!("pong"), &json!(7)));
    for bad in [&b"\xff\xfe"[..], b"\x80\x03", b"PK\x03\x04"] {
        socket.frame(true, Opcode::Binary, bad);
        assert_eq!(socket.message()["data"]["code"], "INVALID_MESSAGE");
    }
}

#[test]
fn a_message_in_fragments_is_one_message() {
    let server = start(&[]);
    let mut socket = Socket::open(server.address(), "/ws");
    socket.frame(false, Opcode::Text, b"{\"type\":");
    socket.frame(true, Opcode::Ping, b"between");
    socket.frame(false, Opcode::Continuation, b"\"ping\"");
    socket.frame(true, Opcode::Continuation, b"}");
    assert_eq!(socket.receive(), Received::Pong(b"between".to_vec()));
    assert_eq!(socket.message()["type"], "pong");
}

#[test]
fn many_messages_in_one_segment_are_answered_each_in_order() {
    let server = start(&[("KINGLET_LIMITS__MESSAGES_PER_SECOND", "0")]);
    let mut socket = Socket::open(server.address(), "/ws");
    let mut bytes = Vec::new();
    for number in 0..1000 {
        let message = match number % 3 {
            // Workers answer history, the shard the others; no reply overtakes another.
            0 => json!({"type": "history", "room": "global", "id": number}),
            1 => json!({"type": "ping", "id": number}),
            _ => json!({"type": "subscribe", "room": "a", "id": number}),
        };
        socket.mask(
            true,
            Opcode::Text,
            message.to_string().as_bytes(),
            &mut bytes,
        );
    }
    socket.connection.send(bytes);
    for number in 0..1000 {
        assert_eq!(socket.message()["id"], number);
    }
}
