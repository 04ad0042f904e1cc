//! The opening handshake of RFC 6455 section 4, and Upgrade to anything else.

use crate::http::{Answer, Body, Row, Table, Then, answer, error, health};

/// The example of RFC 6455 section 1.3, with the answer that it gives.
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const UPGRADE: &str = "Upgrade: websocket\r\n";
const CONNECTION: &str = "Connection: Upgrade\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";

pub fn tables() -> Vec<Table> {
    vec![Table {
        title: "Upgrades",
        rows: rows(),
    }]
}

fn ask(lines: &[&str]) -> String {
    let lines = lines.concat();
    format!("GET /ws/echo HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

fn switched() -> Answer {
    answer(101, Body::Empty)
        .with("Upgrade", "websocket")
        .with("Connection", "Upgrade")
        .with("Sec-WebSocket-Accept", ACCEPT)
}

/// A handshake that offers extensions, and the one that is taken.
fn offer(sent: &'static str, offer: &str, taken: Option<&'static str>) -> Row {
    let line = format!("Sec-WebSocket-Extensions: {offer}\r\n");
    let answer = match taken {
        Some(taken) => switched().with("Sec-WebSocket-Extensions", taken),
        None => switched().without("Sec-WebSocket-Extensions"),
    };
    let request = ask(&[UPGRADE, CONNECTION, KEY, VERSION, &line]);
    Row::new(sent, request, vec![answer], Then::Switches)
}

fn rows() -> Vec<Row> {
    let mut rows = accepted();
    rows.extend(refused());
    rows.push(Row::new(
        "an upgrade to HTTP/2, which is ignored",
        "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n\
         Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        vec![health().without("Upgrade")],
        Then::Stays,
    ));
    rows
}

fn accepted() -> Vec<Row> {
    let plain = || {
        let answer = switched().without("Sec-WebSocket-Protocol");
        vec![answer.without("Sec-WebSocket-Extensions")]
    };
    let row = |sent, lines: &[&str]| Row::new(sent, ask(lines), plain(), Then::Switches);
    let native = ask(&[
        UPGRADE,
        CONNECTION,
        KEY,
        VERSION,
        "Sec-WebSocket-Protocol: other, kinglet.v1\r\n",
    ]);
    vec![
        row("a handshake", &[UPGRADE, CONNECTION, KEY, VERSION]),
        row(
            "tokens in other letters",
            &[
                "Upgrade: WebSocket\r\n",
                "Connection: UPGRADE\r\n",
                KEY,
                VERSION,
            ],
        ),
        row(
            "tokens in lists",
            &[
                "Upgrade: h2c, websocket\r\n",
                "Connection: keep-alive, Upgrade\r\n",
                KEY,
                VERSION,
            ],
        ),
        offer(
            "an extension that is not known",
            "x-webkit-deflate-frame",
            None,
        ),
        offer(
            "compression with a parameter that is not known",
            "permessage-deflate; level=9",
            None,
        ),
        offer(
            "compression",
            "permessage-deflate; client_max_window_bits",
            Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
        ),
        row(
            "a subprotocol that is not known",
            &[
                UPGRADE,
                CONNECTION,
                KEY,
                VERSION,
                "Sec-WebSocket-Protocol: other\r\n",
            ],
        ),
        Row::new(
            "subprotocols, one of which is known",
            native.replace("/ws/echo", "/ws?room=a"),
            vec![switched().with("Sec-WebSocket-Protocol", "kinglet.v1")],
            Then::Switches,
        ),
    ]
}

fn refused() -> Vec<Row> {
    let row = |sent, lines: &[&str], answer| Row::new(sent, ask(lines), vec![answer], Then::Stays);
    let bad = || error(400, "WEBSOCKET_ERROR");
    let required = || {
        error(426, "WEBSOCKET_ERROR")
            .with("Upgrade", "websocket")
            .with("Sec-WebSocket-Version", "13")
            .with("Connection", "upgrade")
    };
    let key = |sent, key: &str| {
        let line = format!("Sec-WebSocket-Key: {key}\r\n");
        Row::new(
            sent,
            ask(&[UPGRADE, CONNECTION, &line, VERSION]),
            vec![bad()],
            Then::Stays,
        )
    };
    let version = |sent, version: &str| {
        let line = format!("Sec-WebSocket-Version: {version}\r\n");
        let request = ask(&[UPGRADE, CONNECTION, KEY, &line]);
        Row::new(sent, request, vec![required()], Then::Stays)
    };
    let whole = ask(&[UPGRADE, CONNECTION, KEY, VERSION]);
    vec![
        row("no handshake at all", &[], required()),
        row("no Upgrade", &[CONNECTION, KEY, VERSION], required()),
        row(
            "Upgrade to something else",
            &["Upgrade: h2c\r\n", CONNECTION, KEY, VERSION],
            required(),
        ),
        row("no Connection", &[UPGRADE, KEY, VERSION], bad()),
        row(
            "Connection without upgrade",
            &[UPGRADE, "Connection: keep-alive\r\n", KEY, VERSION],
            bad(),
        ),
        row("no version", &[UPGRADE, CONNECTION, KEY], required()),
        version("version 8", "8"),
        version("version 12", "12"),
        version("version 14", "14"),
        version("a list of versions", "13, 8"),
        row(
            "two versions",
            &[UPGRADE, CONNECTION, KEY, VERSION, VERSION],
            bad(),
        ),
        row("no key", &[UPGRADE, CONNECTION, VERSION], bad()),
        row("two keys", &[UPGRADE, CONNECTION, KEY, KEY, VERSION], bad()),
        row(
            "extensions that break the grammar",
            &[
                UPGRADE,
                CONNECTION,
                KEY,
                VERSION,
                "Sec-WebSocket-Extensions: ;;,=,\"\r\n",
            ],
            bad(),
        ),
        key("an empty key", ""),
        key("a key of 15 bytes", "dGhlIHNhbXBsZSBub24="),
        key("a key of 17 bytes", "dGhlIHNhbXBsZSBub25jZWE="),
        key("a key that is no base64", "dGhlIHNhbXBsZSBub25!ZQ=="),
        Row::new(
            "HTTP/1.0",
            whole.replace("HTTP/1.1", "HTTP/1.0"),
            vec![bad()],
            Then::Closes,
        ),
        Row::new(
            "POST",
            whole.replace("GET", "POST"),
            vec![error(405, "METHOD_NOT_ALLOWED").with("Allow", "GET, OPTIONS")],
            Then::Stays,
        ),
        Row::new(
            "a body",
            ask(&[UPGRADE, CONNECTION, KEY, VERSION, "Content-Length: 1\r\n"]) + "x",
            vec![bad()],
            Then::Closes,
        ),
        row(
            "another origin",
            &[
                UPGRADE,
                CONNECTION,
                KEY,
                VERSION,
                "Origin: https://evil.example\r\n",
            ],
            error(403, "PERMISSION_DENIED"),
        ),
        Row::new(
            "another path",
            whole.replace("/ws/echo", "/nothing"),
            vec![error(404, "NOT_FOUND")],
            Then::Stays,
        ),
    ]
}
