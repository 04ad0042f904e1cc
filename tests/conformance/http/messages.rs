//! Request lines, targets, versions, Host, header lines, and how connections go on.

use crate::http::{Body, Row, Table, Then, answer, error, get, health};

pub fn tables() -> Vec<Table> {
    vec![
        Table {
            title: "Request lines",
            rows: request_lines(),
        },
        Table {
            title: "Targets",
            rows: targets(),
        },
        Table {
            title: "Versions",
            rows: versions(),
        },
        Table {
            title: "Host and Origin",
            rows: hosts(),
        },
        Table {
            title: "Header lines",
            rows: header_lines(),
        },
        Table {
            title: "Connections",
            rows: connections(),
        },
    ]
}

const HOST: &str = "Host: localhost\r\n\r\n";

fn request_lines() -> Vec<Row> {
    let refused = |sent, line: &str| Row::refused(sent, format!("{line}\r\n{HOST}"), 400);
    vec![
        Row::healthy("a plain request", get("")),
        Row::healthy("four empty lines before it", "\r\n".repeat(4) + &get("")),
        Row::refused(
            "five empty lines before it",
            "\r\n".repeat(5) + &get(""),
            400,
        ),
        refused("two spaces behind the method", "GET  /health HTTP/1.1"),
        refused("a tab behind the method", "GET\t/health HTTP/1.1"),
        refused("a space before the method", " GET /health HTTP/1.1"),
        refused("a space at the end", "GET /health HTTP/1.1 "),
        refused("an empty target", "GET  HTTP/1.1"),
        refused("no target", "GET HTTP/1.1"),
        refused("a fourth word", "GET /health HTTP/1.1 x"),
        refused("a method that is no token", "G(T /health HTTP/1.1"),
        refused("a NUL in the target", "GET /hea\0lth HTTP/1.1"),
        refused("a character beyond ASCII in the target", "GET /é HTTP/1.1"),
        Row::refused(
            "a line that ends with LF alone",
            "GET /health HTTP/1.1\nHost: localhost\n\n",
            400,
        ),
        Row::refused(
            "a line that ends with CR alone",
            "GET /health HTTP/1.1\rHost: localhost\r\r\n\r\n",
            400,
        ),
        Row::refused("another protocol", "SSH-2.0-OpenSSH_9.9\r\n\r\n", 400),
        Row::refused(
            "the beginning of TLS",
            "\x16\x03\x01\x02\0\x01\r\n\r\n",
            400,
        ),
        Row::refused(
            "a request line of more than the limit",
            format!("GET /{} HTTP/1.1\r\n{HOST}", "a".repeat(1024)),
            414,
        ),
        Row::new("part of a request line", "GET /hea", vec![], Then::Waits),
    ]
}

fn targets() -> Vec<Row> {
    let target = |target: &str| format!("GET {target} HTTP/1.1\r\n{HOST}");
    let healthy = |sent, to: &str| Row::healthy(sent, target(to));
    let not_found =
        |sent, to: &str| Row::new(sent, target(to), vec![error(404, "NOT_FOUND")], Then::Stays);
    let elsewhere = || vec![error(421, "MISDIRECTED_REQUEST")];
    vec![
        healthy("a query", "/health?a=b&c"),
        healthy("an empty query", "/health?"),
        healthy("an absolute target", "http://localhost/health"),
        healthy(
            "an absolute target with a port",
            "http://127.0.0.1:99/health",
        ),
        healthy("a scheme in capitals", "HTTP://localhost/health"),
        healthy(
            "https, behind a proxy that ends it",
            "https://localhost/health",
        ),
        Row::new(
            "an absolute target without a path",
            target("http://localhost"),
            vec![answer(200, Body::Has("\"status\":\"ok\""))],
            Then::Stays,
        ),
        Row::new(
            "an absolute target for another host",
            target("http://evil.example/"),
            elsewhere(),
            Then::Stays,
        ),
        Row::refused(
            "a user in the authority",
            target("http://a@localhost/"),
            400,
        ),
        Row::refused(
            "a list of authorities",
            target("http://localhost,evil/"),
            400,
        ),
        Row::refused("no authority", target("http:///health"), 400),
        Row::refused("another scheme", target("ftp://localhost/health"), 400),
        Row::refused("a fragment", target("/health#a"), 400),
        Row::refused("an authority alone", target("localhost:80"), 400),
        Row::refused("a relative path", target("health"), 400),
        Row::refused("an asterisk with GET", target("*"), 400),
        not_found("a path that leads nowhere", "/nothing"),
        not_found("a slash too much at the end", "/health/"),
        not_found("a slash too much at the front", "//health"),
        not_found("dots are no way", "/api/../health"),
        not_found("letters that need no encoding, encoded", "/%68ealth"),
        Row::new(
            "a room's name, encoded",
            target("/api/v1/rooms/a%3Ab/history"),
            vec![error(404, "NOT_FOUND")],
            Then::Stays,
        ),
        Row::new(
            "a room's name that is no UTF-8",
            target("/api/v1/rooms/%FF"),
            vec![error(400, "VALIDATION_FAILED")],
            Then::Stays,
        ),
        Row::new(
            "half of an encoded byte",
            target("/api/v1/rooms/%4"),
            vec![error(400, "VALIDATION_FAILED")],
            Then::Stays,
        ),
    ]
}

fn versions() -> Vec<Row> {
    let version = |version: &str| format!("GET /health {version}\r\n{HOST}");
    let kept = "GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    vec![
        Row::healthy("HTTP/1.1", version("HTTP/1.1")),
        Row::new(
            "HTTP/1.0",
            version("HTTP/1.0"),
            vec![health()],
            Then::Closes,
        ),
        Row::new(
            "HTTP/1.0 without Host",
            "GET /health HTTP/1.0\r\n\r\n",
            vec![health()],
            Then::Closes,
        ),
        Row::new(
            "HTTP/1.0 without Host, where that matters",
            "GET / HTTP/1.0\r\n\r\n",
            vec![error(421, "MISDIRECTED_REQUEST")],
            Then::Closes,
        ),
        Row::new(
            "HTTP/1.0 that wants to stay",
            kept,
            vec![health().with("Connection", "keep-alive")],
            Then::Stays,
        ),
        Row::refused("HTTP/0.9", "GET /health\r\n\r\n", 400),
        Row::refused("HTTP/1.2, which does not exist", version("HTTP/1.2"), 505),
        Row::refused("HTTP/2.0", version("HTTP/2.0"), 505),
        Row::refused(
            "the preface of HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            505,
        ),
        Row::refused("http/1.1 in small letters", version("http/1.1"), 400),
        Row::refused("HTTP/1", version("HTTP/1"), 505),
        Row::refused("HTTP/11", version("HTTP/11"), 505),
    ]
}

fn hosts() -> Vec<Row> {
    let host = |lines: &str| format!("GET / HTTP/1.1\r\n{lines}\r\n");
    let root = || vec![answer(200, Body::Has("\"status\":\"ok\""))];
    let welcome = |sent, lines: &str| Row::new(sent, host(lines), root(), Then::Stays);
    let elsewhere = |sent, lines: &str| {
        let answers = vec![error(421, "MISDIRECTED_REQUEST")];
        Row::new(sent, host(lines), answers, Then::Stays)
    };
    let listed = "Host: localhost\r\nOrigin: https://app.example\r\n";
    let foreign = |sent, origin: &str| {
        let lines = format!("Host: localhost\r\nOrigin: {origin}\r\n");
        let answers = vec![error(403, "PERMISSION_DENIED").without("Access-Control-Allow-Origin")];
        Row::new(sent, host(&lines), answers, Then::Stays)
    };
    vec![
        welcome("localhost", "Host: localhost\r\n"),
        welcome("any port", "Host: localhost:1\r\n"),
        welcome("capitals", "Host: LOCALHOST\r\n"),
        welcome("an IPv6 address", "Host: [::1]:8080\r\n"),
        elsewhere("another name", "Host: evil.example\r\n"),
        elsewhere(
            "ours at the front of another name",
            "Host: localhost.evil.example\r\n",
        ),
        Row::refused("no Host", host(""), 400),
        Row::refused("an empty Host", host("Host:\r\n"), 400),
        Row::refused(
            "two Hosts",
            host("Host: localhost\r\nHost: localhost\r\n"),
            400,
        ),
        Row::refused("a list of hosts", host("Host: localhost, evil\r\n"), 400),
        Row::refused("a user in Host", host("Host: a@localhost\r\n"), 400),
        Row::refused("a path in Host", host("Host: localhost/\r\n"), 400),
        Row::refused(
            "a port that is no number",
            host("Host: localhost:a\r\n"),
            400,
        ),
        welcome(
            "the origin of the server itself",
            "Host: localhost:8080\r\nOrigin: http://localhost:8080\r\n",
        ),
        Row::new(
            "an origin that is listed",
            host(listed),
            vec![
                answer(200, Body::Has("\"status\":\"ok\""))
                    .with("Access-Control-Allow-Origin", "https://app.example")
                    .with("Vary", "Accept, Origin")
                    .without("Access-Control-Allow-Credentials"),
            ],
            Then::Stays,
        ),
        foreign("another origin", "https://evil.example"),
        foreign(
            "a listed origin with more behind it",
            "https://app.example.evil.example",
        ),
        foreign("a listed origin with another scheme", "http://app.example"),
        foreign("the origin null", "null"),
    ]
}

fn header_lines() -> Vec<Row> {
    let refused = |sent, line: &str| Row::refused(sent, get(&format!("{line}\r\n")), 400);
    vec![
        Row::healthy("white space around a value", get("X: \t a \t \r\n")),
        Row::healthy("no white space before a value", get("X:a\r\n")),
        Row::healthy("an empty value", get("X:\r\n")),
        Row::healthy(
            "a name of every token character",
            get("!#$%&'*+-.^_`|~aZ09: a\r\n"),
        ),
        Row::healthy("characters beyond ASCII in a value", get("X: é\r\n")),
        refused("a folded line", "X: a\r\n b"),
        refused("a line folded with a tab", "X: a\r\n\tb"),
        refused("no colon", "X"),
        refused("no name", ": a"),
        refused("white space before the colon", "X : a"),
        refused("white space in the name", "X Y: a"),
        refused("a bracket in the name", "X(: a"),
        refused("a NUL in the value", "X: a\0b"),
        refused("a control character in the value", "X: a\x07b"),
        refused("CR in the value", "X: a\rb"),
        refused("LF in the value", "X: a\nY: b"),
        Row::healthy("twenty lines", get(&"X: a\r\n".repeat(19))),
        Row::refused("twenty-one lines", get(&"X: a\r\n".repeat(20)), 431),
        Row::refused(
            "a head of more than the limit",
            get(&format!("X: {}\r\n", "a".repeat(1024))),
            431,
        ),
    ]
}

fn connections() -> Vec<Row> {
    let closed = |sent, lines: &str| Row::new(sent, get(lines), vec![health()], Then::Closes);
    let mut refused = get("") + "GET /health HTTP/1.1\r\n\r\n";
    refused.push_str(&get(""));
    vec![
        Row::healthy("nothing said", get("")),
        Row::healthy("keep-alive", get("Connection: keep-alive\r\n")),
        closed("close", "Connection: close\r\n"),
        closed("close in capitals, in a list", "Connection: x, CLOSE\r\n"),
        closed(
            "close on a second line",
            "Connection: keep-alive\r\nConnection: close\r\n",
        ),
        Row::new(
            "three requests at once, the second by a worker",
            get("") + "GET /api/v1/rooms HTTP/1.1\r\n" + HOST + &get(""),
            vec![health(), answer(200, Body::Has("\"rooms\"")), health()],
            Then::Stays,
        ),
        Row::new(
            "a request, a malformed one, another request",
            refused,
            vec![health(), error(400, "VALIDATION_FAILED")],
            Then::Closes,
        ),
    ]
}
