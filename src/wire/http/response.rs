//! Answers: a status, headers and a whole body, encoded once.
//!
//! May not touch: clocks; the date is an argument. Invariants: what frames a message
//! (Content-Length, Transfer-Encoding) is written here and by nobody else; no header value that
//! could end its line is ever written, whoever put it in.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::base::clock::Wall;

/// A status code and its reason phrase (RFC 9110 section 15, RFC 6585).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    code: u16,
    reason: &'static str,
}

#[allow(missing_docs)] // Each name is its reason phrase.
impl Status {
    pub const CONTINUE: Self = Self::new(100, "Continue");
    pub const SWITCHING_PROTOCOLS: Self = Self::new(101, "Switching Protocols");
    pub const OK: Self = Self::new(200, "OK");
    pub const CREATED: Self = Self::new(201, "Created");
    pub const ACCEPTED: Self = Self::new(202, "Accepted");
    pub const NO_CONTENT: Self = Self::new(204, "No Content");
    pub const NOT_MODIFIED: Self = Self::new(304, "Not Modified");
    pub const BAD_REQUEST: Self = Self::new(400, "Bad Request");
    pub const UNAUTHORIZED: Self = Self::new(401, "Unauthorized");
    pub const FORBIDDEN: Self = Self::new(403, "Forbidden");
    pub const NOT_FOUND: Self = Self::new(404, "Not Found");
    pub const METHOD_NOT_ALLOWED: Self = Self::new(405, "Method Not Allowed");
    pub const NOT_ACCEPTABLE: Self = Self::new(406, "Not Acceptable");
    pub const REQUEST_TIMEOUT: Self = Self::new(408, "Request Timeout");
    pub const CONFLICT: Self = Self::new(409, "Conflict");
    pub const GONE: Self = Self::new(410, "Gone");
    pub const CONTENT_TOO_LARGE: Self = Self::new(413, "Content Too Large");
    pub const URI_TOO_LONG: Self = Self::new(414, "URI Too Long");
    pub const UNSUPPORTED_MEDIA_TYPE: Self = Self::new(415, "Unsupported Media Type");
    pub const EXPECTATION_FAILED: Self = Self::new(417, "Expectation Failed");
    pub const MISDIRECTED_REQUEST: Self = Self::new(421, "Misdirected Request");
    pub const UNPROCESSABLE_CONTENT: Self = Self::new(422, "Unprocessable Content");
    pub const UPGRADE_REQUIRED: Self = Self::new(426, "Upgrade Required");
    pub const TOO_MANY_REQUESTS: Self = Self::new(429, "Too Many Requests");
    pub const HEADERS_TOO_LARGE: Self = Self::new(431, "Request Header Fields Too Large");
    pub const INTERNAL_SERVER_ERROR: Self = Self::new(500, "Internal Server Error");
    pub const NOT_IMPLEMENTED: Self = Self::new(501, "Not Implemented");
    pub const BAD_GATEWAY: Self = Self::new(502, "Bad Gateway");
    pub const SERVICE_UNAVAILABLE: Self = Self::new(503, "Service Unavailable");
    pub const GATEWAY_TIMEOUT: Self = Self::new(504, "Gateway Timeout");
    pub const VERSION_NOT_SUPPORTED: Self = Self::new(505, "HTTP Version Not Supported");

    /// Every status above.
    const ALL: &[Self] = &[
        Self::CONTINUE,
        Self::SWITCHING_PROTOCOLS,
        Self::OK,
        Self::CREATED,
        Self::ACCEPTED,
        Self::NO_CONTENT,
        Self::NOT_MODIFIED,
        Self::BAD_REQUEST,
        Self::UNAUTHORIZED,
        Self::FORBIDDEN,
        Self::NOT_FOUND,
        Self::METHOD_NOT_ALLOWED,
        Self::NOT_ACCEPTABLE,
        Self::REQUEST_TIMEOUT,
        Self::CONFLICT,
        Self::GONE,
        Self::CONTENT_TOO_LARGE,
        Self::URI_TOO_LONG,
        Self::UNSUPPORTED_MEDIA_TYPE,
        Self::EXPECTATION_FAILED,
        Self::MISDIRECTED_REQUEST,
        Self::UNPROCESSABLE_CONTENT,
        Self::UPGRADE_REQUIRED,
        Self::TOO_MANY_REQUESTS,
        Self::HEADERS_TOO_LARGE,
        Self::INTERNAL_SERVER_ERROR,
        Self::NOT_IMPLEMENTED,
        Self::BAD_GATEWAY,
        Self::SERVICE_UNAVAILABLE,
        Self::GATEWAY_TIMEOUT,
        Self::VERSION_NOT_SUPPORTED,
    ];

    const fn new(code: u16, reason: &'static str) -> Self {
        Self { code, reason }
    }
}

impl Status {
    /// The status of these three digits; 500 for digits that kinglet never answers with.
    #[must_use]
    pub fn from_code(code: u16) -> Self {
        let known = Self::ALL.iter().find(|status| status.code == code);
        known.copied().unwrap_or(Self::INTERNAL_SERVER_ERROR)
    }

    /// The three digits.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.code
    }

    /// The reason phrase.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        self.reason
    }

    /// Whether an answer with this status never has a body (RFC 9110 section 6.4.1).
    const fn is_bodiless(self) -> bool {
        self.is_interim() || matches!(self.code, 204 | 304)
    }

    const fn is_interim(self) -> bool {
        self.code < 200
    }
}

/// An answer, ready to be encoded.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: Status,
    /// Headers in the order written, without those that [`Response::encode`] adds itself.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The body. Not written for HEAD and for statuses that have none.
    pub body: Bytes,
}

/// The circumstances of one answer.
#[derive(Clone, Copy, Debug)]
pub struct Encoding<'a> {
    /// The request was HEAD: the head is written as for GET, the body is not.
    pub head_only: bool,
    /// The connection stays open behind this answer.
    pub keep_alive: bool,
    /// The request was HTTP/1.0, whose clients want keeping alive spelt out.
    pub http10: bool,
    /// The value of Date, as [`date`] makes it; empty for none.
    pub date: &'a str,
}

impl Response {
    /// `value` as a JSON body. A value that JSON cannot spell is our fault: 500.
    #[must_use]
    pub fn json(status: Status, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::raw_json(status, body.into()),
            Err(_) => Self::error(
                Status::INTERNAL_SERVER_ERROR,
                "INTERNAL_ERROR",
                "the answer could not be encoded",
                None,
            ),
        }
    }

    /// A body that is JSON already.
    #[must_use]
    pub fn raw_json(status: Status, body: Bytes) -> Self {
        let mut response = Self::empty(status).header("Content-Type", "application/json");
        response.body = body;
        response
    }

    /// No body.
    #[must_use]
    pub const fn empty(status: Status) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// The error object of the HTTP API: `{"error":{"code","message","details"}}`, without
    /// `details` if there are none.
    #[must_use]
    pub fn error(
        status: Status,
        code: &'static str,
        message: &str,
        details: Option<Value>,
    ) -> Self {
        let mut error = serde_json::Map::new();
        error.insert("code".to_owned(), code.into());
        error.insert("message".to_owned(), message.into());
        if let Some(details) = details {
            error.insert("details".to_owned(), details);
        }
        let body = serde_json::json!({ "error": error }).to_string();
        Self::raw_json(status, body.into())
    }

    /// The same answer with one header more. Content-Length and Transfer-Encoding are not the
    /// caller's to set, and a value with a control character is not written.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Appends the answer as it goes over the wire.
    pub fn encode(&self, how: &Encoding<'_>, out: &mut Vec<u8>) {
        self.begin(how.date, out);
        // An interim answer says nothing about the connection but what its caller put in.
        if !self.status.is_interim() {
            if !how.keep_alive {
                push_header(out, "Connection", "close");
            } else if how.http10 {
                push_header(out, "Connection", "keep-alive");
            }
        }
        if !self.status.is_bodiless() {
            push_length(out, self.body.len());
        }
        out.extend_from_slice(b"\r\n");
        if !how.head_only && !self.status.is_bodiless() {
            out.extend_from_slice(&self.body);
        }
    }

    /// Appends the head of an answer whose body has no length and ends with the connection (RFC
    /// 9112 section 6.3), which clients of HTTP/1.0 understand, too.
    pub fn encode_endless(&self, date: &str, out: &mut Vec<u8>) {
        self.begin(date, out);
        push_header(out, "Connection", "close");
        out.extend_from_slice(b"\r\n");
    }

    /// The first line, and the headers that have nothing to do with framing.
    fn begin(&self, date: &str, out: &mut Vec<u8>) {
        let code = self.status.code.to_string();
        for part in ["HTTP/1.1 ", &code, " ", self.status.reason, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        if !date.is_empty() {
            push_header(out, "Date", date);
        }
        for (name, value) in &self.headers {
            push_header(out, name, value);
        }
    }
}

/// The interim answer to a client that waits before it sends its body (RFC 9110 section 10.1.1).
#[must_use]
pub const fn continue_100() -> &'static [u8] {
    b"HTTP/1.1 100 Continue\r\n\r\n"
}

/// The value of a Date header, in seconds (RFC 9110 section 5.6.7). Make it once per turn.
#[must_use]
pub fn date(wall: Wall) -> String {
    // The format ends with the year 9999, and `httpdate` panics there.
    const LAST_MILLIS: u64 = 253_402_300_799_000;
    let millis = Duration::from_millis(wall.as_millis().min(LAST_MILLIS));
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + millis)
}

/// Appends one header line, unless it would change the framing or end its own line early.
pub(super) fn push_header(out: &mut Vec<u8>, name: &str, value: &str) {
    let framing = ["content-length", "transfer-encoding"];
    let is_framing = framing.iter().any(|own| name.eq_ignore_ascii_case(own));
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_name = !name.is_empty() && name.bytes().all(is_token);
    let is_value = !value
        .bytes()
        .any(|byte| byte.is_ascii_control() && byte != b'\t');
    if is_name && is_value && !is_framing {
        for part in [name, ": ", value, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

/// Appends the Content-Length line.
pub(super) fn push_length(out: &mut Vec<u8>, length: usize) {
    let digits = length.to_string();
    for part in ["Content-Length: ", &digits, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    const KEPT: Encoding<'_> = Encoding {
        head_only: false,
        keep_alive: true,
        http10: false,
        date: "",
    };

    fn check(response: &Response, how: Encoding<'_>, expected: &str) {
        let mut out = Vec::new();
        response.encode(&how, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn encodes_json_with_its_length() {
        let response = Response::json(Status::OK, &serde_json::json!({"ok": true}));
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
        check(
            &response,
            KEPT,
            &format!("{head}Content-Length: 11\r\n\r\n{{\"ok\":true}}"),
        );
        let closing = Encoding {
            keep_alive: false,
            http10: true,
            ..KEPT
        };
        check(
            &response,
            closing,
            &format!("{head}Connection: close\r\nContent-Length: 11\r\n\r\n{{\"ok\":true}}"),
        );
        let http10 = Encoding {
            http10: true,
            head_only: true,
            ..KEPT
        };
        check(
            &response,
            http10,
            &format!("{head}Connection: keep-alive\r\nContent-Length: 11\r\n\r\n"),
        );
    }

    #[test]
    fn writes_no_length_and_no_body_where_none_may_be() {
        let mut response = Response::empty(Status::NO_CONTENT);
        response.body = Bytes::from_static(b"lost");
        check(&response, KEPT, "HTTP/1.1 204 No Content\r\n\r\n");
        let upgrade = Response::empty(Status::SWITCHING_PROTOCOLS)
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade");
        let closing = Encoding {
            keep_alive: false,
            ..KEPT
        };
        check(
            &upgrade,
            closing,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        );
        check(
            &Response::empty(Status::ACCEPTED),
            KEPT,
            "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
        );
    }

    #[test]
    fn never_writes_a_header_that_splits_the_answer() {
        let response = Response::empty(Status::OK)
            .header("X-A", "1\r\nSet-Cookie: x=1")
            .header("X-B", String::from("1\n2"))
            .header("X-C", "\0")
            .header("X\r\nY", "1")
            .header("content-length", "7")
            .header("Transfer-Encoding", "chunked")
            .header("X-D", "kept \u{e4}\t");
        check(
            &response,
            KEPT,
            "HTTP/1.1 200 OK\r\nX-D: kept \u{e4}\t\r\nContent-Length: 0\r\n\r\n",
        );
    }

    #[test]
    fn spells_errors_as_the_api_promises() {
        let body = |details| {
            let response = Response::error(Status::NOT_FOUND, "NOT_FOUND", "a \"b\"\n", details);
            String::from_utf8(response.body.to_vec()).unwrap()
        };
        assert_eq!(
            body(None),
            r#"{"error":{"code":"NOT_FOUND","message":"a \"b\"\n"}}"#
        );
        assert_eq!(
            body(Some(serde_json::json!({"room": "x"}))),
            r#"{"error":{"code":"NOT_FOUND","details":{"room":"x"},"message":"a \"b\"\n"}}"#
        );
    }

    #[test]
    fn answers_500_when_a_value_has_no_json() {
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        let response = Response::json(Status::OK, &map);
        assert_eq!(response.status, Status::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn spells_dates_up_to_the_last_the_format_has() {
        assert_eq!(
            date(Wall::from_millis(784_111_777_999)),
            "Sun, 06 Nov 1994 08:49:37 GMT"
        );
        assert_eq!(
            date(Wall::from_millis(u64::MAX)),
            "Fri, 31 Dec 9999 23:59:59 GMT"
        );
    }
}
