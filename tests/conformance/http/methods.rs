//! Methods, and what is said of those that a path does not know.

use crate::http::{Answer, Body, Row, Table, Then, answer, error};

const HOST: &str = "Host: localhost\r\n\r\n";

pub fn tables() -> Vec<Table> {
    vec![
        Table {
            title: "Methods",
            rows: methods(),
        },
        Table {
            title: "OPTIONS and preflights",
            rows: options(),
        },
    ]
}

fn request(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\n{HOST}")
}

fn methods() -> Vec<Row> {
    let not_allowed = |sent, method: &str, target: &str, allow| {
        let answers = vec![error(405, "METHOD_NOT_ALLOWED").with("Allow", allow)];
        Row::new(sent, request(method, target), answers, Then::Stays)
    };
    let unknown = |sent, method: &str| {
        let answers = vec![error(501, "VALIDATION_FAILED")];
        Row::new(sent, request(method, "/health"), answers, Then::Stays)
    };
    let head = |status| answer(status, Body::Empty).with("Content-Type", "application/json");
    let readers = "GET, HEAD, OPTIONS";
    vec![
        Row::healthy("GET", request("GET", "/health")),
        Row::new(
            "HEAD: the head of GET without its body",
            request("HEAD", "/health"),
            vec![head(200)],
            Then::Stays,
        ),
        Row::new(
            "HEAD of what is not there",
            request("HEAD", "/nothing"),
            vec![head(404)],
            Then::Stays,
        ),
        not_allowed("POST to what can be read only", "POST", "/health", readers),
        not_allowed("PUT", "PUT", "/health", readers),
        not_allowed("PATCH", "PATCH", "/health", readers),
        not_allowed("DELETE", "DELETE", "/health", readers),
        not_allowed(
            "GET of what can be posted only",
            "GET",
            "/api/v1/publish",
            "POST, OPTIONS",
        ),
        not_allowed(
            "POST to a history",
            "POST",
            "/api/v1/rooms/a/history",
            "GET, HEAD, DELETE, OPTIONS",
        ),
        Row::new(
            "PUT of what is not there",
            request("PUT", "/nothing"),
            vec![error(404, "NOT_FOUND")],
            Then::Stays,
        ),
        unknown("TRACE", "TRACE"),
        unknown("a method of another protocol", "BREW"),
        unknown("get in small letters", "get"),
        Row::refused(
            "CONNECT",
            "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
            501,
        ),
    ]
}

fn options() -> Vec<Row> {
    let allowed = |allow| answer(204, Body::Empty).with("Allow", allow);
    let preflight = |origin: &str| {
        format!(
            "OPTIONS /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: POST\r\n\r\n"
        )
    };
    let stays =
        |sent, request: String, answer: Answer| Row::new(sent, request, vec![answer], Then::Stays);
    vec![
        stays(
            "OPTIONS of a path",
            request("OPTIONS", "/api/v1/publish"),
            allowed("POST, OPTIONS"),
        ),
        stays(
            "OPTIONS of the server",
            request("OPTIONS", "*"),
            allowed("GET, HEAD, POST, DELETE, OPTIONS"),
        ),
        stays(
            "OPTIONS of what is not there",
            request("OPTIONS", "/nothing"),
            error(404, "NOT_FOUND"),
        ),
        stays(
            "a preflight from a listed origin",
            preflight("https://app.example"),
            allowed("POST, OPTIONS")
                .with("Access-Control-Allow-Origin", "https://app.example")
                .with("Access-Control-Allow-Methods", "POST, OPTIONS")
                .with("Vary", "Origin"),
        ),
        stays(
            "a preflight from elsewhere",
            preflight("https://evil.example"),
            error(403, "PERMISSION_DENIED").without("Access-Control-Allow-Origin"),
        ),
    ]
}
