//! How a session begins, and how requests that begin none are refused.

use kinglet::testkit::client::Connection;
use kinglet::testkit::server::Server;
use kinglet::testkit::socket::{Received, Socket};

use crate::session::{POLLING, WEBSOCKET, hear, is_closed, opened, text};
use crate::{echoing, on_both};

const QUICK: [(&str, &str); 2] = [
    ("KINGLET_SOCKETIO__PING_INTERVAL", "300ms"),
    ("KINGLET_SOCKETIO__PING_TIMEOUT", "200ms"),
];

#[test]
fn polling_begins_with_the_open_packet() {
    on_both(&QUICK, |server| {
        let answer = Connection::open(server.address()).request("GET", POLLING, &[], b"");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.header("content-type"), "text/plain; charset=UTF-8");
        let open = opened(&text(&answer));
        assert!(open.sid.len() >= 20, "{open:?}");
        assert_eq!(open.upgrades, ["websocket"]);
        assert_eq!((open.ping_interval, open.ping_timeout), (300, 200));
        assert_eq!(open.max_payload, 1_000_000);
    });
}

#[test]
fn a_websocket_begins_with_the_open_packet() {
    on_both(&QUICK, |server| {
        let mut socket = Socket::open(server.address(), WEBSOCKET);
        let open = opened(&hear(&mut socket));
        assert!(open.sid.len() >= 20, "{open:?}");
        assert_eq!(open.upgrades, [""; 0]);
        assert_eq!((open.ping_interval, open.ping_timeout), (300, 200));
        assert_eq!(open.max_payload, 1_000_000);
    });
}

#[test]
fn a_cache_buster_and_an_empty_body_are_nothing_to_worry_about() {
    on_both(&[], |server| {
        let target = format!("{POLLING}&t=P-x_9.0&b64=1");
        let answer = Connection::open(server.address()).request("GET", &target, &[], b"");
        opened(&text(&answer));
    });
}

/// What is said of requests that begin no session: (method, query, status, code).
const REFUSED: [(&str, &str, u16, u8); 13] = [
    ("GET", "transport=polling", 400, 5),
    ("GET", "EIO=abc&transport=polling", 400, 5),
    ("GET", "EIO=3&transport=polling", 400, 5),
    ("GET", "EIO=5&transport=polling", 400, 5),
    ("GET", "EIO=4", 400, 0),
    ("GET", "EIO=4&transport=", 400, 0),
    ("GET", "EIO=4&transport=abc", 400, 0),
    ("GET", "EIO=4&transport=webtransport", 400, 0),
    ("GET", "EIO=4&transport=constructor", 400, 0),
    ("POST", "EIO=4&transport=polling", 400, 2),
    ("PUT", "EIO=4&transport=polling", 400, 2),
    ("DELETE", "EIO=4&transport=polling", 400, 2),
    ("GET", "EIO=4&transport=polling&sid=nobodys", 400, 1),
];

#[test]
fn requests_that_begin_no_session_are_refused_with_a_code() {
    on_both(&[], |server| {
        for (method, query, status, code) in REFUSED {
            let target = format!("/socket.io/?{query}");
            let answer = Connection::open(server.address()).request(method, &target, &[], b"");
            let body = text(&answer);
            assert_eq!(answer.status(), status, "{method} {query}: {body}");
            assert!(
                body.starts_with(&format!("{{\"code\":{code},\"message\":\"")),
                "{method} {query}: {body}"
            );
            assert_eq!(
                answer.header("content-type"),
                "application/json",
                "{method} {query}"
            );
        }
    });
}

/// Queries with which no WebSocket stays open.
const NOT_OPENED: [&str; 9] = [
    "transport=websocket",
    "EIO=abc&transport=websocket",
    "EIO=3&transport=websocket",
    "EIO=4&transport=abc",
    "EIO=4",
    "EIO=4&transport=polling",
    "EIO=4&transport=websocket&sid=nobodys",
    "EIO=4&transport=constructor",
    "EIO=4&transport=webtransport",
];

#[test]
fn websockets_with_a_wrong_query_are_refused_or_closed() {
    // The reference answers some of them with what is neither HTTP nor a frame.
    let server = echoing(&[]);
    for query in NOT_OPENED {
        let connection = Connection::open(server.address());
        let target = format!("/socket.io/?{query}");
        match Socket::handshake(connection, &target, &[], &[]) {
            Err(answer) => assert_eq!(answer.status(), 400, "{query}: {answer:?}"),
            Ok(mut socket) => is_closed(&mut socket),
        }
    }
}

#[test]
fn a_websocket_without_an_upgrade_is_refused() {
    on_both(&[], |server| {
        let answer = Connection::open(server.address()).request("GET", WEBSOCKET, &[], b"");
        assert_eq!(answer.status(), 400);
        assert!(text(&answer).contains("\"code\":3"), "{answer:?}");
    });
}

/// The paths that lead to Socket.IO, of which the last is also the native dialect's.
const PATHS: [&str; 5] = [
    "/socket.io/",
    "/socket.io",
    "/ws/socket.io/",
    "/ws/socket.io",
    "/ws",
];

#[test]
fn every_path_leads_to_it_over_both_transports() {
    let server = echoing(&[]);
    for path in PATHS {
        let target = format!("{path}?EIO=4&transport=polling");
        let answer = Connection::open(server.address()).request("GET", &target, &[], b"");
        assert_eq!(answer.status(), 200, "{path}: {answer:?}");
        opened(&text(&answer));
        let target = format!("{path}?EIO=4&transport=websocket");
        let mut socket = Socket::open(server.address(), &target);
        opened(&hear(&mut socket));
    }
}

#[test]
fn a_session_is_found_by_whichever_path() {
    let server = echoing(&[]);
    let get = |target: &str| Connection::open(server.address()).request("GET", target, &[], b"");
    let sid = opened(&text(&get("/socket.io/?EIO=4&transport=polling"))).sid;
    let target = format!("/ws/socket.io?EIO=4&transport=polling&sid={sid}");
    let mut connection = Connection::open(server.address());
    let answer = connection.request("POST", &target, &[], b"40");
    assert_eq!(text(&answer), "ok");
    assert!(text(&get(&target)).starts_with("40{"));
}

#[test]
fn session_ids_are_never_alike() {
    let server = echoing(&[]);
    let mut sids: Vec<String> = (0..200).map(|_| sid(&server)).collect();
    sids.sort();
    sids.dedup();
    assert_eq!(sids.len(), 200);
    // 128 bits in hexadecimal, or as many in base64.
    assert!(sids.iter().all(|sid| sid.len() >= 22), "{sids:?}");
    // No character is the same in all of them, as in a counter or a clock.
    for at in 0..sids[0].len() {
        let first = sids[0].as_bytes()[at];
        assert!(
            sids.iter().any(|sid| sid.as_bytes()[at] != first),
            "{at} of {sids:?}"
        );
    }
}

fn sid(server: &Server) -> String {
    let answer = Connection::open(server.address()).request("GET", POLLING, &[], b"");
    opened(&text(&answer)).sid
}

#[test]
fn the_native_dialect_is_still_at_its_path() {
    let server = echoing(&[]);
    let mut socket = Socket::open(server.address(), "/ws?room=a");
    socket.text("{\"type\":\"ping\",\"id\":1}");
    assert!(matches!(socket.receive(), Received::Text(text) if text.contains("pong")));
}
