//! What broke servers of Socket.IO: bodies without end, types that are confused, names that mean
//! something to a library, attachments that never come, pages of other sites.

use std::time::{Duration, Instant};

use kinglet::testkit::client::{Arrival, Connection, PATIENCE};
use kinglet::testkit::processes::resident_kib;
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::Socket;
use kinglet::wire::http::client::encode_request;
use kinglet::wire::websocket::frame::Opcode;

use crate::session::{
    POLLING, Session, WEBSOCKET, closes, connected, echoes, hear, is_closed, opened, still_serves,
    text,
};
use crate::{echoing, on_both};

fn resident(server: &Server) -> u64 {
    resident_kib(i32::try_from(server.pid()).unwrap())
}

/// Checks that `action` leaves the server no bigger than a little, and serving.
fn check_memory(server: &Server, action: impl FnOnce()) {
    still_serves(server);
    let before = resident(server);
    action();
    still_serves(server);
    let grown = resident(server).saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB more");
}

#[test]
fn a_body_without_end_is_refused_while_it_arrives() {
    let server = echoing(&[]);
    check_memory(&server, || {
        for is_chunked in [false, true] {
            let session = Session::connected(&server);
            let mut connection = Connection::open(server.address());
            let length = match is_chunked {
                true => "Transfer-Encoding: chunked",
                false => "Content-Length: 1000000000",
            };
            let head = format!(
                "POST {} HTTP/1.1\r\nHost: {}\r\n{length}\r\n\r\n",
                session.target("polling"),
                connection.host(),
            );
            connection.send(head);
            let piece = "x".repeat(64 * 1024);
            let piece = match is_chunked {
                true => format!("{:x}\r\n{piece}\r\n", piece.len()),
                false => piece,
            };
            // What comes behind the refusal is dropped, and that not for long.
            until("it is cut off", || {
                connection.try_send(piece.as_bytes()).is_err()
            });
            session.ends();
        }
    });
}

#[test]
fn a_storm_of_separators_ends_the_session() {
    let server = echoing(&[]);
    check_memory(&server, || {
        for body in ["\x1e".repeat(1_000_000), "6\x1e".repeat(500_000)] {
            let session = Session::connected(&server);
            assert_eq!(session.post(body).status(), 400);
            session.is_over();
        }
    });
}

#[test]
fn a_million_packets_in_one_payload_are_not_a_million_answers() {
    let server = echoing(&[]);
    check_memory(&server, || {
        for packet in ["3\x1e", "42[\"message\"]\x1e", "2\x1e", "40/x\x1e"] {
            let session = Session::connected(&server);
            let mut body = packet.repeat(1_000_000 / packet.len());
            body.pop();
            assert_eq!(session.post(body).status(), 400, "{packet:?}");
            session.is_over();
        }
    });
}

#[test]
fn a_poll_that_nobody_makes_does_not_fill_the_server() {
    let server = echoing(&[
        ("KINGLET_SOCKETIO__PING_INTERVAL", "1s"),
        ("KINGLET_SOCKETIO__PING_TIMEOUT", "1s"),
    ]);
    check_memory(&server, || {
        let session = Session::connected(&server);
        let event = format!("42[\"message\",\"{}\"]", "x".repeat(900_000));
        // It echoes for as long as there is room; then a POST waits until the session is over.
        let taken = (0..400).take_while(|_| session.post(&event).status() == 200);
        assert!(taken.count() < 100, "90 MB wait for a poll");
        session.ends();
    });
}

/// Sends an attachment, unless the server has closed already for what came before it.
fn attach(socket: &mut Socket, payload: &[u8]) {
    let mut frame = Vec::new();
    socket.mask(true, Opcode::Binary, payload, &mut frame);
    let _ = socket.connection.try_send(&frame);
}

/// Arguments with a place that there is not, for an event with one attachment.
const CONFUSED: [&str; 15] = [
    r#"{"_placeholder":true,"num":-1}"#,
    r#"{"_placeholder":true,"num":1}"#,
    r#"{"_placeholder":true,"num":1000000000}"#,
    r#"{"_placeholder":true,"num":1e300}"#,
    r#"{"_placeholder":true,"num":"0"}"#,
    r#"{"_placeholder":true,"num":"splice"}"#,
    r#"{"_placeholder":true,"num":"__proto__"}"#,
    r#"{"_placeholder":true,"num":null}"#,
    r#"{"_placeholder":true,"num":{}}"#,
    r#"{"_placeholder":true,"num":[0]}"#,
    r#"{"_placeholder":true,"num":NaN}"#,
    r#"{"_placeholder":true,"num":true}"#,
    r#"{"_placeholder":true}"#,
    r#"[{"_placeholder":true,"num":7}]"#,
    r#"{"a":{"b":[{"_placeholder":true,"num":-9}]}}"#,
];

#[test]
fn a_place_that_there_is_not_closes() {
    on_both(&[], |server| {
        for argument in CONFUSED {
            let mut socket = connected(server);
            socket.text(&format!("451-[\"message\",{argument}]"));
            attach(&mut socket, b"bytes");
            assert!(closes(&mut socket), "{argument}");
        }
        still_serves(server);
    });
}

#[test]
fn half_a_place_closes() {
    // The reference has nothing in that place.
    let mut socket = connected(&echoing(&[]));
    socket.text("451-[\"message\",{\"_placeholder\":true,\"num\":0.5}]");
    attach(&mut socket, b"bytes");
    is_closed(&mut socket);
}

#[test]
fn a_place_that_is_there_twice_closes() {
    let place = "{\"_placeholder\":true,\"num\":0}";
    let mut socket = connected(&echoing(&[]));
    socket.text(&format!("452-[\"message\",{place},{place}]"));
    attach(&mut socket, b"bytes");
    attach(&mut socket, b"bytes");
    is_closed(&mut socket);
}

#[test]
fn a_place_in_an_event_without_attachments_is_an_ordinary_object_or_refused() {
    let server = echoing(&[]);
    let mut socket = connected(&server);
    socket.text("42[\"message\",{\"_placeholder\":true,\"num\":0}]");
    is_closed_or_hears(&mut socket);
    still_serves(&server);
}

fn is_closed_or_hears(socket: &mut Socket) {
    use kinglet::testkit::socket::Received;
    let received = socket.receive();
    let is_one = match &received {
        Received::Text(text) => text.starts_with("42[\"message-back\","),
        Received::Close(..) | Received::None(Arrival::End | Arrival::Reset) => true,
        _ => false,
    };
    assert!(is_one, "{received:?}");
}

#[test]
fn names_that_mean_something_to_libraries_mean_nothing_here() {
    on_both(&[], |server| {
        let mut socket = connected(server);
        for name in [
            "error",
            "__proto__",
            "constructor",
            "toString",
            "ping",
            "hasOwnProperty",
        ] {
            socket.text(&format!("42[\"{name}\",{{}}]"));
        }
        echoes(&mut socket);
    });
}

#[test]
fn a_name_of_a_megabyte_is_nothing_to_fear() {
    let server = echoing(&[]);
    check_memory(&server, || {
        let mut socket = connected(&server);
        socket.text(&format!("42[\"{}\",1]", "n".repeat(999_000)));
        // Nobody knows it, and there may be a length that is too much.
        let mut other = connected(&server);
        echoes(&mut other);
        drop(socket);
    });
}

#[test]
fn payloads_that_are_no_objects_are_no_objects() {
    on_both(&[], |server| {
        for payload in ["null", "[1]", "\"x\"", "true"] {
            let mut socket = connected(server);
            socket.text(&format!("40/custom,{payload}"));
            assert!(closes(&mut socket), "{payload}");
        }
        // Names that are inherited by every object in JavaScript are ordinary ones.
        let mut socket = connected(server);
        socket.text("40/custom,{\"__proto__\":{\"a\":1},\"constructor\":null}");
        assert!(hear(&mut socket).starts_with("40/custom,{\"sid\""));
    });
}

/// Heads of packets with a number of attachments that there must not be.
const COUNTS: [&str; 10] = [
    "450-",
    "4500-",
    "4511-",
    "4550-",
    "455999999-",
    "45-",
    "45-1-",
    "45a-",
    "4599999999999999999999-",
    "460-1",
];

/// The same, which JavaScript takes for numbers.
const COUNTS_OF_JAVASCRIPT: [&str; 3] = ["451e1-", "451.0-", "450x1-"];

#[test]
fn a_number_of_attachments_that_may_not_be_closes_at_once() {
    on_both(&[], |server| check_counts(server, &COUNTS));
    check_counts(&echoing(&[]), &COUNTS_OF_JAVASCRIPT);
}

fn check_counts(server: &Server, heads: &[&str]) {
    for head in heads {
        let mut socket = connected(server);
        socket.text(&format!(
            "{head}[\"message\",{{\"_placeholder\":true,\"num\":0}}]"
        ));
        // Nothing comes behind it: it is closed for its head alone.
        assert!(closes(&mut socket), "{head}");
    }
    still_serves(server);
}

#[test]
fn attachments_that_never_come_close_before_long() {
    let server = echoing(&[]);
    let mut socket = connected(&server);
    let begin = Instant::now();
    socket.text("451-[\"message\",{\"_placeholder\":true,\"num\":0}]");
    while begin.elapsed() < Duration::from_secs(60) {
        use kinglet::testkit::socket::Received;
        match socket.receive() {
            Received::None(Arrival::Nothing) => {}
            Received::Text(ping) if ping == "2" => socket.text("3"),
            Received::Close(..) | Received::None(_) => return,
            other => panic!("{other:?}"),
        }
    }
    panic!("it still waits for its attachment");
}

#[test]
fn text_between_a_packet_and_its_attachments_closes() {
    on_both(&[], |server| {
        let mut socket = connected(server);
        socket.text(
            "452-[\"message\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]",
        );
        socket.frame(true, Opcode::Binary, b"one");
        socket.text("42[\"message\",1]");
        is_closed(&mut socket);
    });
}

#[test]
fn attachments_that_no_packet_announced_close() {
    on_both(&[], |server| {
        let mut socket = connected(server);
        socket.frame(true, Opcode::Binary, b"bytes");
        is_closed(&mut socket);
        let session = Session::connected(server);
        session.post("bAQID");
        session.ends();
    });
}

#[test]
fn attachments_count_with_their_packet() {
    let server = echoing(&[]);
    check_memory(&server, || {
        let mut socket = connected(&server);
        let places = (0..10).map(|number| format!(",{{\"_placeholder\":true,\"num\":{number}}}"));
        let places: String = places.collect();
        socket.text(&format!("4510-[\"message\"{places}]"));
        let mut frame = Vec::new();
        socket.mask(true, Opcode::Binary, &vec![0; 900_000], &mut frame);
        // It may close while they are sent.
        let _ = (0..10).try_for_each(|_| socket.connection.try_send(&frame));
        is_closed(&mut socket);
    });
}

#[test]
fn a_frame_over_the_limit_closes_and_does_not_hang() {
    on_both(&[], |server| {
        let mut socket = connected(server);
        let begin = Instant::now();
        let mut frame = Vec::new();
        let event = format!("42[\"message\",\"{}\"]", "x".repeat(1_000_000));
        socket.mask(true, Opcode::Text, event.as_bytes(), &mut frame);
        let _ = socket.connection.try_send(&frame);
        is_closed(&mut socket);
        assert!(begin.elapsed() < PATIENCE);
        still_serves(server);
    });
}

/// Requests that are not what they say, of which none may end the server.
const MALFORMED: [&str; 8] = [
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
     Connection: Upgrade\r\n\r\n",
    "GET /socket.io/?EIO=4&transport=websocket&sid=%00 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
     Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\n\
     Connection: Upgrade\r\n\r\n",
    "GET /socket.io/?EIO=4&transport[]=polling HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /socket.io/?EIO=4&transport=polling&sid=%ff%fe HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /socket.io/?EIO=4&transport=polling&sid=__proto__ HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST /socket.io/?EIO=4&transport=polling&sid= HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n1",
    "GET /socket.io/?EIO=4&EIO=3&transport=polling&transport=websocket&sid=a&sid=b HTTP/1.1\r\n\
     Host: h\r\n\r\n",
];

#[test]
fn malformed_requests_end_nothing_but_themselves() {
    let server = echoing(&[]);
    for request in MALFORMED {
        let mut connection = Connection::open(server.address());
        let host = connection.host();
        connection.send(request.replace("Host: h", &format!("Host: {host}")));
        let answer = connection.answer(false).unwrap();
        assert!(
            (400..500).contains(&answer.status()),
            "{request}: {answer:?}"
        );
    }
    still_serves(&server);
}

/// An Origin, and whether its page may speak with a server that allows `https://app.example`.
const ORIGINS: [(&str, bool); 10] = [
    ("https://app.example", true),
    ("https://app.example:444", false),
    ("http://app.example", false),
    ("https://app.example.evil.example", false),
    ("https://evil.example", false),
    ("https://APP.example", true),
    ("https://app.example.", false),
    ("https://app.examplf", false),
    ("null", false),
    ("https://", false),
];

#[test]
fn pages_speak_with_the_server_if_their_origin_is_allowed() {
    let server = echoing(&[("KINGLET_SERVER__ALLOWED_ORIGINS", "https://app.example")]);
    for (origin, is_allowed) in ORIGINS {
        let headers = [("Origin", origin)];
        let mut connection = Connection::open(server.address());
        let answer = connection.request("GET", POLLING, &headers, b"");
        assert_eq!(answer.status() == 200, is_allowed, "{origin}: {answer:?}");
        if is_allowed {
            assert_eq!(answer.header("access-control-allow-origin"), origin);
            assert!(answer.header("vary").to_lowercase().contains("origin"));
        } else {
            assert_eq!(answer.status(), 403, "{origin}");
        }
        let connection = Connection::open(server.address());
        let opened = Socket::handshake(connection, WEBSOCKET, &[], &headers);
        assert_eq!(opened.is_ok(), is_allowed, "{origin}");
    }
}

#[test]
fn a_preflight_allows_what_pages_of_socket_io_send() {
    let server = echoing(&[("KINGLET_SERVER__ALLOWED_ORIGINS", "https://app.example")]);
    let headers = [
        ("Origin", "https://app.example"),
        ("Access-Control-Request-Method", "POST"),
        (
            "Access-Control-Request-Headers",
            "content-type,authorization",
        ),
    ];
    let mut connection = Connection::open(server.address());
    let answer = connection.request("OPTIONS", POLLING, &headers, b"");
    assert!(matches!(answer.status(), 200 | 204), "{answer:?}");
    let origin = answer.header("access-control-allow-origin");
    assert_eq!(origin, "https://app.example");
    let methods = answer.header("access-control-allow-methods").to_uppercase();
    assert!(
        methods.contains("GET") && methods.contains("POST"),
        "{methods}"
    );
    let allowed = answer.header("access-control-allow-headers").to_lowercase();
    assert!(allowed.contains("content-type"), "{allowed}");
    assert!(allowed.contains("authorization"), "{allowed}");
}

#[test]
fn sessions_that_are_begun_and_left_are_not_kept() {
    let server = echoing(&[
        ("KINGLET_SOCKETIO__PING_INTERVAL", "300ms"),
        ("KINGLET_SOCKETIO__PING_TIMEOUT", "200ms"),
        ("KINGLET_SOCKETIO__CONNECT_TIMEOUT", "1s"),
    ]);
    check_memory(&server, || {
        let mut sids = Vec::new();
        for _ in 0..500 {
            let mut connection = Connection::open(server.address());
            let host = connection.host();
            connection.send(encode_request("GET", POLLING, &host, &[], b""));
            let answer = connection.answer(false).unwrap();
            sids.push(opened(&text(&answer)).sid);
        }
        let address = server.address();
        let sessions = sids.into_iter().map(|sid| Session { address, sid });
        for session in sessions {
            until("it is over", || session.post("6").status() == 400);
        }
    });
}
