//! Frames that break RFC 6455: each has its close code, and the next client is served (incidents
//! 5, 7 and 11 of the wire list).

use kinglet::testkit::client::Arrival;
use kinglet::testkit::server::Server;
use kinglet::testkit::socket::{Received, Socket};
use kinglet::wire::websocket::frame::Opcode;

use crate::{start, still_serves};

const ECHO: [(&str, &str); 1] = [("KINGLET_DEBUG__ECHO", "true")];

fn echo(server: &Server) -> Socket {
    Socket::open(server.address(), "/ws/echo")
}

/// Sends `bytes`, expects a Close with `code`, the end of the connection, and a server that goes
/// on as before.
fn check(server: &Server, name: &str, bytes: &[u8], code: u16) {
    let mut socket = echo(server);
    socket.connection.send(bytes);
    let received = socket.receive();
    assert!(
        matches!(&received, Received::Close(found, reason) if *found == code && reason.len() < 124),
        "{name}: {received:?}"
    );
    assert_eq!(socket.receive(), Received::None(Arrival::End), "{name}");
    still_serves(server);
}

#[test]
fn a_header_that_breaks_the_rules_closes_with_1002() {
    let server = start(&ECHO);
    let length = |bytes: [u8; 8]| [&[0x82, 0xff][..], &bytes, &[0; 4]].concat();
    check(&server, "2^63", &length([0x80, 0, 0, 0, 0, 0, 0, 0]), 1002);
    check(
        &server,
        "2^63 + 1",
        &length([0x80, 0, 0, 0, 0, 0, 0, 1]),
        1002,
    );
    check(&server, "2^64 - 1", &length([0xff; 8]), 1002);
    check(&server, "125 in 16 bits", b"\x82\xfe\x00\x7d\0\0\0\0", 1002);
    check(&server, "0 in 16 bits", b"\x82\xfe\x00\x00\0\0\0\0", 1002);
    check(
        &server,
        "65535 in 64 bits",
        &length([0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        1002,
    );
    check(&server, "0 in 64 bits", &length([0; 8]), 1002);
    check(
        &server,
        "ping of 126 bytes",
        b"\x89\xfe\x00\x7e\0\0\0\0",
        1002,
    );
    check(
        &server,
        "close of 2^16 bytes",
        b"\x88\xff\0\0\0\0\0\x01\0\0\0\0\0\0",
        1002,
    );
    check(&server, "fragmented ping", b"\x09\x80\0\0\0\0", 1002);
    check(&server, "fragmented close", b"\x08\x80\0\0\0\0", 1002);
    for bit in [0x40, 0x20, 0x10, 0x70] {
        check(
            &server,
            "reserved bits",
            &[0x81 | bit, 0x80, 0, 0, 0, 0],
            1002,
        );
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        check(
            &server,
            "reserved opcode",
            &[0x80 | opcode, 0x80, 0, 0, 0, 0],
            1002,
        );
    }
    check(&server, "unmasked", b"\x81\x02hi", 1002);
    check(&server, "unmasked and empty", b"\x81\x00", 1002);
    check(
        &server,
        "continuation of nothing",
        b"\x80\x80\0\0\0\0",
        1002,
    );
    check(
        &server,
        "message in a message",
        b"\x01\x81\0\0\0\0a\x81\x81\0\0\0\0b",
        1002,
    );
}

#[test]
fn lengths_around_each_encoding_are_echoed() {
    let server = start(&ECHO);
    let mut socket = echo(&server);
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537, 1 << 20] {
        let payload = vec![b'x'; length];
        socket.frame(true, Opcode::Binary, &payload);
        assert!(socket.receive() == Received::Binary(payload), "{length}");
    }
    let payload = vec![b'x'; 125];
    socket.frame(true, Opcode::Ping, &payload);
    assert_eq!(socket.receive(), Received::Pong(payload));
}

#[test]
fn a_message_over_the_limit_closes_with_1009_before_it_is_sent() {
    let server = start(&ECHO);
    // Declared lengths alone decide; nothing of them is ever allocated.
    check(&server, "2^40", b"\x82\xff\0\0\x01\0\0\0\0\0\0\0\0\0", 1009);
    check(
        &server,
        "2^63 - 1",
        b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
        1009,
    );
    check(
        &server,
        "limit + 1",
        b"\x82\xff\0\0\0\0\0\x10\0\x01\0\0\0\0",
        1009,
    );
    let mut sum = vec![0x02, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0];
    sum.resize(sum.len() + (1 << 20), b'x');
    sum.extend_from_slice(b"\x80\x81\0\0\0\0x");
    check(&server, "one byte over in a second fragment", &sum, 1009);

    let mut silent = echo(&server);
    silent
        .connection
        .send(b"\x82\xff\0\0\0\0\0\x10\0\0\0\0\0\0");
    still_serves(&server);
    silent.connection.send(vec![0; 1 << 20]);
    assert!(matches!(silent.receive(), Received::Binary(bytes) if bytes.len() == 1 << 20));
}

#[test]
fn a_message_that_never_ends_closes_with_1009() {
    let server = start(&ECHO);
    for (name, payload) in [("large", vec![b'x'; 60_000]), ("small", b"x".to_vec())] {
        let mut socket = echo(&server);
        let mut burst = Vec::new();
        socket.mask(false, Opcode::Text, &payload, &mut burst);
        for _ in 0..5000 {
            socket.mask(false, Opcode::Continuation, &payload, &mut burst);
            if burst.len() > 200_000 {
                // It may be closed already.
                let sent = socket.connection.try_send(&burst);
                burst.clear();
                if sent.is_err() {
                    break;
                }
            }
        }
        let _ = socket.connection.try_send(&burst);
        assert_eq!(socket.closed().0, 1009, "{name}");
        still_serves(&server);
    }
}

#[test]
fn fragments_are_counted_empty_ones_too() {
    let server = start(&[
        ("KINGLET_DEBUG__ECHO", "true"),
        ("KINGLET_LIMITS__FRAGMENTS", "10"),
    ]);
    for (payload, expected) in [(&b"ab"[..], "ab".repeat(10)), (&b""[..], String::new())] {
        let mut socket = echo(&server);
        socket.frame(false, Opcode::Text, payload);
        for fin in [false; 8].into_iter().chain([true]) {
            socket.frame(fin, Opcode::Continuation, payload);
        }
        assert_eq!(socket.receive(), Received::Text(expected));
        socket.frame(false, Opcode::Text, payload);
        for _ in 0..10 {
            socket.frame(false, Opcode::Continuation, payload);
        }
        assert_eq!(socket.closed().0, 1009);
    }
    still_serves(&server);
}

#[test]
fn pings_between_fragments_are_answered_before_the_message() {
    let server = start(&ECHO);
    let mut socket = echo(&server);
    socket.frame(false, Opcode::Text, b"a");
    let mut flood = Vec::new();
    for number in 0..2000 {
        let payload = format!("{number}");
        socket.mask(true, Opcode::Ping, payload.as_bytes(), &mut flood);
    }
    socket.connection.send(flood);
    for number in 0..2000 {
        let expected = Received::Pong(format!("{number}").into_bytes());
        assert_eq!(socket.receive(), expected);
    }
    let mut pongs = Vec::new();
    for _ in 0..2000 {
        socket.mask(true, Opcode::Pong, b"unasked", &mut pongs);
    }
    socket.connection.send(pongs);
    socket.frame(true, Opcode::Continuation, b"b");
    assert_eq!(socket.receive(), Received::Text("ab".into()));
}

#[test]
fn a_close_is_answered_with_its_code() {
    let server = start(&ECHO);
    let reason = "x".repeat(123);
    let long = "ü".repeat(61) + "x";
    for (code, reason) in [
        (1000, ""),
        (1001, "going"),
        (1003, ""),
        (1011, reason.as_str()),
        (1014, ""),
        (3000, "library"),
        (4999, long.as_str()),
    ] {
        let mut socket = echo(&server);
        socket.close(code, reason);
        assert!(
            matches!(socket.receive(), Received::Close(found, _) if found == code),
            "{code}"
        );
        assert_eq!(socket.receive(), Received::None(Arrival::End), "{code}");
    }
    let mut socket = echo(&server);
    socket.frame(true, Opcode::Close, b"");
    assert_eq!(socket.receive(), Received::Close(1000, String::new()));
    // What comes behind a Close is not looked at.
    let mut socket = echo(&server);
    let mut bytes = Vec::new();
    socket.mask(true, Opcode::Close, &1000u16.to_be_bytes(), &mut bytes);
    socket.mask(true, Opcode::Text, b"ignored", &mut bytes);
    bytes.extend_from_slice(&[0xff; 100]);
    socket.connection.send(bytes);
    assert_eq!(socket.receive(), Received::Close(1000, String::new()));
}

#[test]
fn a_close_that_may_not_be_sent_is_a_fault() {
    let server = start(&ECHO);
    let close = |payload: &[u8]| {
        let mut socket = echo(&server);
        let mut bytes = Vec::new();
        socket.mask(true, Opcode::Close, payload, &mut bytes);
        bytes
    };
    check(&server, "half a code", &close(b"\x03"), 1002);
    for code in [
        0u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2999, 5000, 65_535,
    ] {
        check(&server, "a code", &close(&code.to_be_bytes()), 1002);
    }
    let reason = [&1000u16.to_be_bytes()[..], b"\xff\xfe"].concat();
    check(&server, "a reason that is not UTF-8", &close(&reason), 1007);
    // 126 bytes: the code and a reason one byte too long.
    let reason = [&1000u16.to_be_bytes()[..], &[b'x'; 124]].concat();
    check(&server, "a reason of 124 bytes", &close(&reason), 1002);
}
