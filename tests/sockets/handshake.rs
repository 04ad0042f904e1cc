//! The WebSocket handshake: every header missing, doubled or wrong (incidents 1, 2, 10, 12).

use kinglet::testkit::client::{Answer, Connection};
use kinglet::testkit::server::Server;
use kinglet::testkit::socket::Socket;
use kinglet::wire::websocket::frame::{Opcode, masked_frame};
use serde_json::json;

use crate::{start, still_serves};

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
const GOOD: [&str; 4] = [
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    KEY,
];

fn ask(server: &Server, first: &str, lines: &[&str]) -> Answer {
    let mut client = Connection::open(server.address());
    client.send(request(first, lines));
    client.answer(false).unwrap()
}

fn request(first: &str, lines: &[&str]) -> String {
    format!(
        "{first}\r\nHost: localhost\r\n{}\r\n\r\n",
        lines.join("\r\n")
    )
}

#[test]
fn each_broken_header_is_refused_with_its_reason() {
    let server = start(&[]);
    let [upgrade, connection, version, key] = GOOD;
    let get = "GET /ws HTTP/1.1";
    #[rustfmt::skip]
    let table: &[(&str, &[&str], u16, &str)] = &[
        (get, &[connection, version, key], 426, "Upgrade"),
        (get, &["Upgrade: h2c", connection, version, key], 426, "Upgrade"),
        (get, &[upgrade, version, key], 400, "Connection"),
        (get, &[upgrade, "Connection: keep-alive", version, key], 400, "Connection"),
        (get, &[upgrade, connection, key], 426, "13"),
        (get, &[upgrade, connection, "Sec-WebSocket-Version: 8", key], 426, "13"),
        (get, &[upgrade, connection, "Sec-WebSocket-Version: 013", key], 426, "13"),
        (get, &[upgrade, connection, version, version, key], 400, "once"),
        (get, &[upgrade, connection, version], 400, "Key"),
        (get, &[upgrade, connection, version, key, key], 400, "Key"),
        (get, &[upgrade, connection, version, "Sec-WebSocket-Key:"], 400, "base64"),
        (get, &[upgrade, connection, version, "Sec-WebSocket-Key: short"], 400, "base64"),
        (get, &[upgrade, connection, version, key, "Content-Length: 1"], 400, "body"),
        (get, &[upgrade, connection, version, key, "Transfer-Encoding: chunked"], 400, "body"),
        (get, &[upgrade, connection, version, key, "Sec-WebSocket-Protocol: a b"], 400, "tokens"),
        (get, &[upgrade, connection, version, key, "Sec-WebSocket-Protocol: a, a"], 400, "twice"),
        ("GET /ws HTTP/1.0", &GOOD, 400, "HTTP/1.1"),
        ("POST /ws HTTP/1.1", &GOOD, 405, "GET"),
        ("HEAD /ws HTTP/1.1", &GOOD, 405, ""),
        ("GET /ws?room=a%20b HTTP/1.1", &GOOD, 400, "room name"),
        ("GET /ws?room=%zz HTTP/1.1", &GOOD, 400, "the query parameter room"),
        ("GET /ws?room=a&project_id=%ff HTTP/1.1", &GOOD, 400, "the query parameter project_id"),
        ("GET /ws?board_id=%4 HTTP/1.1", &GOOD, 400, "the query parameter board_id"),
        ("GET /nothing HTTP/1.1", &GOOD, 404, ""),
        ("GET /ws/echo HTTP/1.1", &GOOD, 404, "debug.echo"),
        ("GET /health HTTP/1.1", &GOOD, 200, "healthy"),
    ];
    for (first, lines, status, reason) in table {
        let mut client = Connection::open(server.address());
        client.send(request(first, lines));
        let answer = client.answer(first.starts_with("HEAD")).unwrap();
        assert_eq!(answer.status(), *status, "{first} {lines:?} {answer:?}");
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        assert!(body.contains(reason), "{first} {lines:?} {body}");
        if *status == 405 {
            assert_eq!(answer.header("allow"), "GET, OPTIONS", "{first}");
        }
        if *status == 426 {
            assert_eq!(answer.header("sec-websocket-version"), "13");
            assert_eq!(answer.header("upgrade"), "websocket");
        }
    }
    still_serves(&server);
}

#[test]
fn a_query_parameter_without_a_value_names_no_room() {
    let server = start(&[]);
    for (target, room) in [
        ("/ws?project_id=", "global"),
        ("/ws?board_id=", "global"),
        ("/ws?room=", "global"),
        ("/ws?room=&project_id&board_id=", "global"),
        ("/ws?project_id=&board_id=7", "board:7"),
        ("/ws?other=%zz", "global"),
    ] {
        let connection = Connection::open(server.address());
        let mut socket = Socket::handshake(connection, target, &["kinglet.v1"], &[]).unwrap();
        let rooms = socket.message()["rooms"].take();
        let names: Vec<&str> = rooms
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|joined| joined["room"].as_str())
            .collect();
        assert_eq!(names, [room], "{target}");
    }
}

#[test]
fn headers_may_be_spelt_as_the_rfc_allows() {
    let server = start(&[]);
    let lines = [
        "uPGRADE: h2c, WebSocket",
        "CONNECTION: keep-alive, uPGRADE",
        "sec-websocket-version:13",
        "SEC-WEBSOCKET-KEY:   dGhlIHNhbXBsZSBub25jZQ==  ",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    ];
    let answer = ask(&server, "GET /ws HTTP/1.1", &lines);
    assert_eq!(answer.status(), 101);
    assert_eq!(
        answer.header("sec-websocket-accept"),
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    assert_eq!(
        answer.header("sec-websocket-extensions"),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    );
}

#[test]
fn as_many_headers_as_allowed_and_not_one_more() {
    let server = start(&[]);
    // Host and the four of the handshake are headers, too.
    for (further, status) in [(0, 101), (94, 101), (95, 101), (96, 431), (5000, 431)] {
        let fillers: Vec<String> = (0..further).map(|number| format!("A{number}: b")).collect();
        let mut lines = GOOD.to_vec();
        lines.extend(fillers.iter().map(String::as_str));
        let answer = ask(&server, "GET /ws HTTP/1.1", &lines);
        assert_eq!(answer.status(), status, "{further} further headers");
    }
    still_serves(&server);
}

#[test]
fn a_hostile_list_is_refused_at_once() {
    let server = start(&[]);
    for hostile in [",", "\"", ";", "a,", "=", "a;b=\"", " ,\t"] {
        for name in [
            "Sec-WebSocket-Protocol",
            "Sec-WebSocket-Extensions",
            "Connection",
        ] {
            for bytes in [8 * 1024, 64 * 1024] {
                let line = format!("{name}: {}", hostile.repeat(bytes / hostile.len()));
                let mut lines = GOOD.to_vec();
                lines.push(&line);
                let status = ask(&server, "GET /ws HTTP/1.1", &lines).status();
                // Another Connection header takes nothing away, and commas alone offer nothing.
                let is_ignored = match name {
                    "Connection" => bytes == 8 * 1024,
                    "Sec-WebSocket-Extensions" => {
                        bytes == 8 * 1024 && matches!(hostile, "," | "a," | " ,\t")
                    }
                    _ => false,
                };
                let expected: &[u16] = if is_ignored { &[101] } else { &[400, 431] };
                assert!(expected.contains(&status), "{status} {name} {hostile:?}");
            }
        }
    }
    still_serves(&server);
}

#[test]
fn the_subprotocol_is_selected_only_if_offered() {
    let server = start(&[]);
    for (offered, selected) in [
        (&[][..], ""),
        (&["kinglet.v1"][..], "kinglet.v1"),
        (&["other", "kinglet.v1"][..], "kinglet.v1"),
        (&["other"][..], ""),
        (&["KINGLET.V1"][..], ""),
    ] {
        let connection = Connection::open(server.address());
        let mut socket = Socket::handshake(connection, "/ws?room=a", offered, &[]).unwrap();
        assert_eq!(socket.subprotocol(), selected, "{offered:?}");
        if selected.is_empty() {
            socket.hears_nothing();
            continue;
        }
        let hello = socket.message();
        assert_eq!(hello["type"], "connected");
        assert_eq!(hello["session"].as_str().unwrap().len(), 32);
        assert_eq!(hello["user"], json!(null));
        assert_eq!(hello["ping_interval_ms"], 25_000);
        assert_eq!(hello["rooms"][0]["room"], "a");
        assert_eq!(hello["rooms"][0]["offset"], 0);
        assert!(hello["rooms"][0]["epoch"].is_string() && hello["version"].is_string());
    }
}

#[test]
fn frames_right_behind_the_upgrade_are_read_as_frames() {
    let server = start(&[]);
    let mut bytes = request("GET /ws HTTP/1.1", &GOOD).into_bytes();
    for id in ["\"one\"", "2"] {
        let message = format!("{{\"type\":\"ping\",\"id\":{id}}}");
        bytes.extend(masked_frame(Opcode::Text, message.as_bytes(), [1, 2, 3, 4]));
    }
    let mut connection = Connection::open(server.address());
    connection.send(bytes);
    assert_eq!(connection.answer(false).unwrap().status(), 101);
    let mut socket = Socket::on(connection, String::new());
    assert_eq!(socket.message()["id"], "one");
    assert_eq!(socket.message()["id"], 2);

    // A request there is no frame, and is not answered as a request.
    let mut connection = Connection::open(server.address());
    let health = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    connection.send(request("GET /ws HTTP/1.1", &GOOD) + health);
    assert_eq!(connection.answer(false).unwrap().status(), 101);
    let mut socket = Socket::on(connection, String::new());
    assert_eq!(socket.closed().0, 1002);
    still_serves(&server);
}

#[test]
fn a_refused_handshake_leaves_the_connection_usable() {
    let server = start(&[]);
    let mut client = Connection::open(server.address());
    assert_eq!(client.request("GET", "/ws", &[], b"").status(), 426);
    client.send(request("GET /ws HTTP/1.1", &GOOD));
    assert_eq!(client.answer(false).unwrap().status(), 101);
    assert_eq!(server.counter("kinglet_handshake_failures_total"), 1);
}
