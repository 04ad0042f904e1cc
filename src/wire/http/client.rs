//! The client's side: requests out, answers in. For the command line and for tests.
//!
//! May not touch: sockets, redirects, connections kept for later. Invariants: an answer is held to
//! the same strictness as a request; nothing grows past its limit, whatever the server declares.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::wire::http::body::BodyReader;
use crate::wire::http::fault::HttpFault;
use crate::wire::http::fields::{BodyFraming, Fields, Version, diagnose};
use crate::wire::http::response::{push_header, push_length};
use crate::wire::http::scan::{HeadLimits, HeadScanner};

/// Interim answers skipped before the final one; servers send one or two (100, 103).
const INTERIM_ANSWERS_MAX: u8 = 16;

/// What may not stand in a request line as it is; the rest of the encoding is the caller's.
const TARGET_ESCAPES: &AsciiSet = &CONTROLS.add(b' ').add(b'#');

/// The bytes of a request. Host and Content-Length are written here (the latter if there is a body,
/// or the method calls for one); `headers` with control characters are left out, and characters of
/// `target` that would break the request line are percent-encoded.
#[must_use]
pub fn encode_request(
    method: &str,
    target: &str,
    host: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    debug_assert!(
        method.bytes().all(|byte| byte.is_ascii_alphabetic()),
        "methods come from code"
    );
    let mut out = Vec::new();
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    for part in utf8_percent_encode(target, TARGET_ESCAPES) {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    push_header(&mut out, "Host", host);
    for (name, value) in headers {
        push_header(&mut out, name, value);
    }
    if !body.is_empty() || ["POST", "PUT", "PATCH"].contains(&method) {
        push_length(&mut out, body.len());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out
}

/// The head of an answer.
pub struct ResponseHead {
    fields: Fields,
    status: u16,
    version: Version,
}

impl ResponseHead {
    /// The status, 100 to 999.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The value of the first header named `name` in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields.first(name)
    }

    /// The values of all headers named `name` in any case, in the order sent.
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields.values(name)
    }

    fn parse(bytes: &[u8], headers: usize, limits: &HeadLimits) -> Result<Self, HttpFault> {
        let text = std::str::from_utf8(bytes).map_err(|_| HttpFault::NotUtf8)?;
        let mut headers = vec![httparse::EMPTY_HEADER; headers];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response
            .parse(bytes)
            .map_err(|error| diagnose(error, text, limits.headers, HttpFault::StatusLine))?;
        let (Some(status), Some(minor)) = (response.code, response.version) else {
            return Err(HttpFault::HeadIncomplete);
        };
        if parsed != httparse::Status::Complete(bytes.len()) {
            return Err(HttpFault::HeadIncomplete);
        }
        if status < 100 {
            return Err(HttpFault::StatusLine);
        }
        Ok(Self {
            fields: Fields::new(text, response.headers)?,
            status,
            version: match minor {
                0 => Version::Http10,
                _ => Version::Http11,
            },
        })
    }
}

/// Bounds of an answer.
#[derive(Clone, Copy, Debug)]
pub struct ResponseLimits {
    /// Of each head, interim ones included.
    pub head: HeadLimits,
    /// Bytes of the body.
    pub body: usize,
}

/// Reads one answer from bytes as they arrive. Interim answers (1xx) are skipped, except 101, which
/// is final and has no body: what follows it belongs to the new protocol.
pub struct ResponseReader {
    state: State,
    head: Option<ResponseHead>,
    body: Vec<u8>,
    limits: ResponseLimits,
    head_only: bool,
    interim: u8,
}

/// What the next byte is part of.
enum State {
    /// A head; `seen` is what has arrived of it.
    Head { scanner: HeadScanner, seen: Vec<u8> },
    /// A body whose end is declared.
    Body(BodyReader),
    /// A body that ends with the connection.
    UntilEnd,
    /// Nothing: the answer is complete.
    Done,
}

impl ResponseReader {
    /// A reader for the answer to one request; `head_only` if that was HEAD.
    #[must_use]
    pub fn new(head_only: bool, limits: ResponseLimits) -> Self {
        Self {
            state: State::head(),
            head: None,
            body: Vec::new(),
            limits,
            head_only,
            interim: 0,
        }
    }

    /// Takes what belongs to the answer and returns how many bytes that were: all of them until
    /// the answer is complete.
    ///
    /// # Errors
    /// [`HttpFault`]; the reader is of no use afterwards.
    pub fn feed(&mut self, input: &[u8]) -> Result<usize, HttpFault> {
        let mut rest = input;
        while !rest.is_empty() && !self.is_done() {
            let consumed = match &mut self.state {
                State::Head { .. } => self.feed_head(rest)?,
                State::Body(reader) => {
                    let progress = reader.feed(rest, &mut self.body)?;
                    if progress.done {
                        self.state = State::Done;
                    }
                    progress.consumed
                }
                State::UntilEnd => {
                    if rest.len() > self.limits.body.saturating_sub(self.body.len()) {
                        return Err(HttpFault::BodyTooLarge {
                            limit: self.limits.body,
                        });
                    }
                    self.body.extend_from_slice(rest);
                    rest.len()
                }
                State::Done => 0,
            };
            rest = rest.get(consumed..).unwrap_or_default();
        }
        Ok(input.len() - rest.len())
    }

    /// Notes that the server closed the connection, which completes a body without a length.
    ///
    /// # Errors
    /// [`HttpFault::Truncated`] when the answer was not complete.
    pub fn eof(&mut self) -> Result<(), HttpFault> {
        match self.state {
            State::UntilEnd | State::Done => {
                self.state = State::Done;
                Ok(())
            }
            State::Head { .. } | State::Body(_) => Err(HttpFault::Truncated),
        }
    }

    /// Whether the answer is complete.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The status of the final answer, once its head has arrived.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.head().map(ResponseHead::status)
    }

    /// The head of the final answer, once it has arrived.
    #[must_use]
    pub const fn head(&self) -> Option<&ResponseHead> {
        self.head.as_ref()
    }

    /// The body as far as it has arrived.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Takes bytes of a head; when it is complete, decides what follows it.
    fn feed_head(&mut self, input: &[u8]) -> Result<usize, HttpFault> {
        let State::Head { scanner, seen } = &mut self.state else {
            return Ok(0);
        };
        let before = seen.len();
        let room = self.limits.head.bytes.saturating_sub(before);
        let taken = input.get(..room).unwrap_or(input);
        seen.extend_from_slice(taken);
        let Some(end) = scanner.scan(seen, &self.limits.head)? else {
            return Ok(taken.len());
        };
        let bytes = seen.get(..end).unwrap_or_default();
        let head = ResponseHead::parse(bytes, scanner.headers(), &self.limits.head)?;
        self.state = self.after(&head)?;
        if !matches!(self.state, State::Head { .. }) {
            self.head = Some(head);
        }
        Ok(end - before)
    }

    /// What follows a head (RFC 9112 section 6.3).
    fn after(&mut self, head: &ResponseHead) -> Result<State, HttpFault> {
        if head.status < 200 && head.status != 101 {
            self.interim += 1;
            if self.interim > INTERIM_ANSWERS_MAX {
                return Err(HttpFault::InterimAnswers);
            }
            return Ok(State::head());
        }
        if self.head_only || matches!(head.status, 101 | 204 | 304) {
            return Ok(State::Done);
        }
        let framing = head.fields.framing(head.version)?;
        if framing == BodyFraming::None {
            return Ok(State::UntilEnd);
        }
        let reader = BodyReader::new(framing, self.limits.body)?;
        if reader.is_done() {
            return Ok(State::Done);
        }
        Ok(State::Body(reader))
    }
}

impl State {
    fn head() -> Self {
        Self::Head {
            scanner: HeadScanner::default(),
            seen: Vec::new(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::wire::http::head::Head;

    const LIMITS: ResponseLimits = ResponseLimits {
        head: HeadLimits {
            bytes: 200,
            headers: 4,
        },
        body: 10,
    };

    type Answer = (u16, String, usize, bool);

    /// Status, body, bytes consumed and whether the answer was complete before the end of the
    /// connection; an error if it is not complete behind it.
    fn read(
        head_only: bool,
        input: &[u8],
        cuts: impl Iterator<Item = usize>,
    ) -> Result<Answer, HttpFault> {
        let mut reader = ResponseReader::new(head_only, LIMITS);
        let mut consumed = 0;
        for cut in cuts.chain([input.len()]) {
            if !reader.is_done() {
                consumed += reader.feed(&input[consumed..cut])?;
            }
        }
        let done = reader.is_done();
        reader.eof()?;
        let body = String::from_utf8(reader.body().to_vec()).unwrap();
        Ok((reader.status().unwrap(), body, consumed, done))
    }

    fn check(head_only: bool, input: &str, expected: Result<(u16, &str, usize, bool), HttpFault>) {
        let expected = expected
            .map(|(status, body, consumed, done)| (status, body.to_owned(), consumed, done));
        let bytes = input.as_bytes();
        assert_eq!(
            read(head_only, bytes, std::iter::empty()),
            expected,
            "{input:?}"
        );
        assert_eq!(
            read(head_only, bytes, 0..input.len()),
            expected,
            "byte by byte {input:?}"
        );
        for cut in 0..input.len() {
            let found = read(head_only, bytes, std::iter::once(cut));
            assert_eq!(found, expected, "{cut} {input:?}");
        }
    }

    #[test]
    fn reads_answers_of_every_framing() {
        let ok = "HTTP/1.1 200 OK\r\n";
        check(
            false,
            &format!("{ok}Content-Length: 2\r\n\r\nhiHTTP"),
            Ok((200, "hi", 40, true)),
        );
        check(
            false,
            &format!("{ok}Content-Length: 0\r\n\r\n"),
            Ok((200, "", 38, true)),
        );
        check(
            false,
            &format!("{ok}\r\nuntil end"),
            Ok((200, "until end", 28, false)),
        );
        check(false, "HTTP/1.0 404\r\n\r\n", Ok((404, "", 16, false)));
        check(
            false,
            &format!("{ok}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
            Ok((200, "hi", 59, true)),
        );
        check(
            true,
            &format!("{ok}Content-Length: 99\r\n\r\n"),
            Ok((200, "", 39, true)),
        );
        check(false, "HTTP/1.1 204 No\r\n\r\n", Ok((204, "", 19, true)));
        check(
            false,
            "HTTP/1.1 304 N\r\nContent-Length: 9\r\n\r\n",
            Ok((304, "", 37, true)),
        );
        check(false, "HTTP/1.1 101 S\r\n\r\n\x01", Ok((101, "", 18, true)));
        check(
            false,
            "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.1 204 N\r\n\r\n",
            Ok((204, "", 63, true)),
        );
    }

    #[test]
    fn refuses_answers_that_make_no_sense_or_never_end() {
        let ok = "HTTP/1.1 200 OK\r\n";
        let check = |input: &str, fault| check(false, input, Err(fault));
        check("", HttpFault::Truncated);
        check(ok, HttpFault::Truncated);
        check(
            &format!("{ok}Content-Length: 3\r\n\r\nhi"),
            HttpFault::Truncated,
        );
        check("SSH-2.0-x\r\n\r\n", HttpFault::StatusLine);
        check("HTTP/2 200\r\n\r\n", HttpFault::StatusLine);
        check("HTTP/1.1 99 x\r\n\r\n", HttpFault::StatusLine);
        check("HTTP/1.1 099 x\r\n\r\n", HttpFault::StatusLine);
        check(&format!("{ok}X : y\r\n\r\n"), HttpFault::SpaceBeforeColon);
        check("HTTP/1.1 200 OK\n", HttpFault::BareLineFeed);
        let too_large = HttpFault::BodyTooLarge { limit: 10 };
        check(&format!("{ok}Content-Length: 11\r\n\r\n"), too_large);
        check(&format!("{ok}\r\n01234567890"), too_large);
        check(
            &format!("{ok}Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"),
            HttpFault::LengthAndEncoding,
        );
        check(
            &format!("{ok}{}\r\n", "X: y\r\n".repeat(5)),
            HttpFault::TooManyHeaders { limit: 4 },
        );
        check(
            &format!("{ok}X: {}\r\n\r\n", "y".repeat(200)),
            HttpFault::HeadTooLarge { limit: 200 },
        );
        check(
            &"HTTP/1.1 100 C\r\n\r\n".repeat(17),
            HttpFault::InterimAnswers,
        );
    }

    #[test]
    fn keeps_the_head_of_the_final_answer() {
        let mut reader = ResponseReader::new(false, LIMITS);
        let input = b"HTTP/1.1 100 C\r\nX: 1\r\n\r\nHTTP/1.1 426 U\r\nX: 2\r\nx: 3\r\n\r\n";
        assert_eq!(reader.feed(&input[..24]), Ok(24));
        assert!(reader.head().is_none());
        assert_eq!(reader.feed(&input[24..]), Ok(input.len() - 24));
        let head = reader.head().unwrap();
        assert_eq!((head.status(), head.header("x")), (426, Some("2")));
        assert_eq!(head.header_values("X").collect::<Vec<_>>(), ["2", "3"]);
    }

    #[test]
    fn writes_requests_that_its_own_server_reads() {
        let bytes = encode_request(
            "POST",
            "/a b\r\nX: y#\u{e4}?q=%20",
            "h:1",
            &[
                ("X-Good", "1"),
                ("X-Bad", "1\r\nY: 2"),
                ("Content-Length", "9"),
            ],
            b"body",
        );
        let expected = "POST /a%20b%0D%0AX:%20y%23%C3%A4?q=%20 HTTP/1.1\r\nHost: h:1\r\n\
            X-Good: 1\r\nContent-Length: 4\r\n\r\nbody";
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
        let limits = HeadLimits {
            bytes: 1000,
            headers: 10,
        };
        assert!(Head::parse(&bytes[..bytes.len() - 4], &limits).is_ok());
        assert_eq!(
            encode_request("GET", "/", "h", &[], b""),
            b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
        );
        assert!(encode_request("PUT", "/", "h", &[], b"").ends_with(b"Content-Length: 0\r\n\r\n"));
    }
}
