//! An HTTP/1.1 conversation: one request after the other, each answered before the next is read.
//!
//! The exchange finds the head, asks its owner whether the request is welcome before it takes any
//! body, reads the body and hands the request out; it knows what connection handling the answer
//! must carry. Invariants: no body byte is kept before the head has been admitted; after a fault
//! no further request is read (what follows cannot be framed with certainty, RFC 9112 section
//! 11.2).

use crate::wire::http::body::BodyReader;
use crate::wire::http::fault::HttpFault;
use crate::wire::http::fields::{BodyFraming, Version};
use crate::wire::http::head::{Head, Method};
use crate::wire::http::response::Encoding;
use crate::wire::http::scan::{HeadLimits, HeadScanner};

/// The conversation of one connection.
#[derive(Debug, Default)]
pub struct HttpExchange {
    state: State,
    requests: u64,
}

#[derive(Debug)]
enum State {
    /// The next request's head.
    AwaitHead(HeadScanner),
    /// The owner's word on whether the request is welcome.
    AwaitVerdict(Box<Head>),
    /// The rest of the body.
    AwaitBody(Box<Head>, BodyReader, Vec<u8>),
    /// The owner's answer.
    AwaitAnswer(AnswerForm),
    /// Nothing: the connection ends after what was answered.
    Finished,
}

impl Default for State {
    fn default() -> Self {
        Self::AwaitHead(HeadScanner::default())
    }
}

/// How the answer to the current request must be framed.
#[derive(Clone, Copy, Debug)]
pub struct AnswerForm {
    head_only: bool,
    keep_alive: bool,
    http10: bool,
}

/// What a piece of input led to.
#[derive(Debug)]
pub enum Step {
    /// What is left of the input must be kept until more arrives.
    More,
    /// A head is complete: look at [`HttpExchange::head`] and call [`HttpExchange::admit`], or
    /// answer at once with [`HttpExchange::answer`].
    Head,
    /// The client waits for leave to send its body: send `100 Continue`.
    Continue,
    /// A request is complete; answer it.
    Request(Box<Head>, Vec<u8>),
    /// The peer broke the protocol; answer and close.
    Fault(HttpFault),
}

impl HttpExchange {
    /// How many heads this connection has sent.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Whether the next thing to come is a head. Part of it may wait with the owner already, as a
    /// head is taken whole.
    #[must_use]
    pub fn awaits_head(&self) -> bool {
        matches!(self.state, State::AwaitHead(_))
    }

    /// Whether the answer to a request is awaited.
    #[must_use]
    pub fn awaits_answer(&self) -> bool {
        matches!(self.state, State::AwaitAnswer(_))
    }

    /// Whether no further request will be read.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.state, State::Finished)
    }

    /// The head that waits for a verdict.
    #[must_use]
    pub fn head(&self) -> Option<&Head> {
        match &self.state {
            State::AwaitVerdict(head) => Some(head),
            State::AwaitHead(_)
            | State::AwaitBody(..)
            | State::AwaitAnswer(_)
            | State::Finished => None,
        }
    }

    /// Takes bytes from the front of `input` and returns how many. A head is taken whole or not at
    /// all: the owner keeps what was not taken and gives it again with more behind it.
    pub fn receive(&mut self, input: &[u8], limits: &HeadLimits) -> (usize, Step) {
        match &mut self.state {
            State::AwaitHead(scanner) => match scanner.scan(input, limits) {
                Ok(None) => (0, Step::More),
                Ok(Some(length)) => {
                    let bytes = input.get(..length).unwrap_or(input);
                    match Head::parse(bytes, limits) {
                        Ok(head) => {
                            self.requests += 1;
                            self.state = State::AwaitVerdict(Box::new(head));
                            (length, Step::Head)
                        }
                        Err(fault) => self.fault(fault),
                    }
                }
                // A target without an end has a status of its own (RFC 9112 section 3).
                Err(HttpFault::HeadTooLarge { limit }) if scanner.is_in_first_line() => {
                    self.fault(HttpFault::RequestLineTooLong { limit })
                }
                Err(fault) => self.fault(fault),
            },
            State::AwaitBody(_, reader, body) => match reader.feed(input, body) {
                Ok(progress) if progress.done => {
                    let State::AwaitBody(head, _, body) = std::mem::take(&mut self.state) else {
                        return (progress.consumed, Step::More);
                    };
                    self.state = State::AwaitAnswer(answer_form(&head));
                    (progress.consumed, Step::Request(head, body))
                }
                Ok(progress) => (progress.consumed, Step::More),
                Err(fault) => self.fault(fault),
            },
            State::AwaitVerdict(_) | State::AwaitAnswer(_) => (0, Step::More),
            State::Finished => (input.len(), Step::More),
        }
    }

    /// Lets the request in whose head waits; its body may have at most `body_bytes`. If the
    /// request has no body it is returned whole.
    pub fn admit(&mut self, body_bytes: usize) -> Step {
        let State::AwaitVerdict(head) = std::mem::take(&mut self.state) else {
            debug_assert!(false, "only a head that waits can be admitted");
            return Step::More;
        };
        let framing = head.body_framing();
        if framing == BodyFraming::None || framing == BodyFraming::Length(0) {
            self.state = State::AwaitAnswer(answer_form(&head));
            return Step::Request(head, Vec::new());
        }
        match BodyReader::new(framing, body_bytes) {
            Ok(reader) => {
                let wants_leave = head.expects_continue();
                self.state = State::AwaitBody(head, reader, Vec::new());
                if wants_leave {
                    Step::Continue
                } else {
                    Step::More
                }
            }
            Err(fault) => self.fault(fault).1,
        }
    }

    /// How to frame the answer to the current request, or to a refused head. The connection can
    /// serve another request only if the current one was read to its end.
    pub fn answer(&mut self, stay: bool) -> AnswerForm {
        let form = match &self.state {
            State::AwaitAnswer(form) => *form,
            State::AwaitVerdict(head) => {
                let form = answer_form(head);
                // What would follow is the body of the refused request.
                let has_body = !matches!(
                    head.body_framing(),
                    BodyFraming::None | BodyFraming::Length(0)
                );
                AnswerForm {
                    keep_alive: form.keep_alive && !has_body,
                    ..form
                }
            }
            State::AwaitHead(_) | State::AwaitBody(..) | State::Finished => AnswerForm {
                head_only: false,
                keep_alive: false,
                http10: false,
            },
        };
        let form = AnswerForm {
            keep_alive: form.keep_alive && stay,
            ..form
        };
        self.state = if form.keep_alive {
            State::default()
        } else {
            State::Finished
        };
        form
    }

    /// Ends the conversation: nothing further is read.
    pub fn finish(&mut self) {
        self.state = State::Finished;
    }

    fn fault(&mut self, fault: HttpFault) -> (usize, Step) {
        self.state = State::Finished;
        (0, Step::Fault(fault))
    }
}

impl AnswerForm {
    /// Whether the connection goes on after this answer.
    #[must_use]
    pub fn keep_alive(self) -> bool {
        self.keep_alive
    }

    /// The encoder's view of it; `date` is the Date header's value.
    #[must_use]
    pub fn encoding(self, date: &str) -> Encoding<'_> {
        let Self {
            head_only,
            keep_alive,
            http10,
        } = self;
        Encoding {
            head_only,
            keep_alive,
            http10,
            date,
        }
    }
}

fn answer_form(head: &Head) -> AnswerForm {
    AnswerForm {
        head_only: head.method() == Method::Head,
        keep_alive: head.keep_alive(),
        http10: head.version() == Version::Http10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits {
        bytes: 200,
        headers: 5,
    };

    /// What an owner sees that admits bodies up to ten bytes and answers at once, one line a step.
    fn converse(input: &[u8], step: usize) -> Vec<String> {
        let (mut exchange, mut log) = (HttpExchange::default(), Vec::new());
        let mut kept: Vec<u8> = Vec::new();
        for piece in input.chunks(step) {
            kept.extend_from_slice(piece);
            loop {
                let (taken, mut found) = exchange.receive(&kept, &LIMITS);
                kept.drain(..taken);
                if matches!(found, Step::Head) {
                    let path = exchange.head().map_or("", Head::path).to_owned();
                    log.push(format!("head {path}"));
                    if path == "/refused" {
                        log.push(format!("keep {}", exchange.answer(true).keep_alive()));
                        continue;
                    }
                    found = exchange.admit(10);
                    if matches!(found, Step::More) {
                        continue;
                    }
                }
                match found {
                    Step::More | Step::Head => break,
                    Step::Continue => log.push("continue".to_owned()),
                    Step::Request(_, body) => {
                        assert!(exchange.awaits_answer());
                        let body = String::from_utf8_lossy(&body).into_owned();
                        let form = exchange.answer(true);
                        let (keep, head_only) = (form.keep_alive(), form.head_only);
                        log.push(format!("body {body:?} keep {keep} head_only {head_only}"));
                    }
                    Step::Fault(fault) => {
                        log.push(format!("fault {}", fault.status().code()));
                        assert!(exchange.is_finished());
                    }
                }
                if exchange.is_finished() {
                    return log;
                }
            }
        }
        log
    }

    fn check(input: &str, expected: &[&str]) {
        for step in [input.len(), 1, 7] {
            assert_eq!(converse(input.as_bytes(), step), expected, "{step} {input}");
        }
    }

    #[test]
    fn requests_follow_each_other_on_a_connection_that_stays() {
        check(
            "GET /a HTTP/1.1\r\nHost: h\r\n\r\nPOST /b HTTP/1.1\r\nHost: h\r\n\
             Content-Length: 3\r\n\r\nxyzHEAD /c HTTP/1.1\r\nHost: h\r\n\r\n",
            &[
                "head /a",
                "body \"\" keep true head_only false",
                "head /b",
                "body \"xyz\" keep true head_only false",
                "head /c",
                "body \"\" keep true head_only true",
            ],
        );
        check(
            "POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nab\r\n1\r\nc\r\n0\r\n\r\nGET /d HTTP/1.1\r\nHost: h\r\n\r\n",
            &[
                "head /b",
                "body \"abc\" keep true head_only false",
                "head /d",
                "body \"\" keep true head_only false",
            ],
        );
    }

    #[test]
    fn nothing_is_read_behind_a_last_request_or_a_fault() {
        check(
            "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
            &["head /a", "body \"\" keep false head_only false"],
        );
        check(
            "GET /a HTTP/1.0\r\n\r\nGET /b",
            &["head /a", "body \"\" keep false head_only false"],
        );
        check("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n", &["fault 400"]);
        check(
            "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world",
            &["head /a", "fault 413"],
        );
        let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(300));
        check(&long, &["fault 414"]);
        let wide = format!("GET / HTTP/1.1\r\nX: {}\r\n", "a".repeat(300));
        check(&wide, &["fault 431"]);
    }

    #[test]
    fn leave_to_send_a_body_is_given_once_the_head_is_admitted() {
        check(
            "POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
            &[
                "head /a",
                "continue",
                "body \"ok\" keep true head_only false",
            ],
        );
    }

    #[test]
    fn a_refused_request_ends_the_connection_only_if_its_body_would_follow() {
        check(
            "GET /refused HTTP/1.1\r\nHost: h\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n",
            &[
                "head /refused",
                "keep true",
                "head /a",
                "body \"\" keep true head_only false",
            ],
        );
        check(
            "POST /refused HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nGET /a HT",
            &["head /refused", "keep false"],
        );
    }

    #[test]
    fn an_owner_that_must_close_says_so() {
        let mut exchange = HttpExchange::default();
        let (taken, _) = exchange.receive(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", &LIMITS);
        assert_eq!((taken, exchange.requests()), (27, 1));
        assert!(!exchange.awaits_head());
        assert!(!exchange.answer(false).keep_alive());
        assert!(exchange.is_finished());
        assert_eq!(
            exchange.receive(b"GET /", &LIMITS).0,
            5,
            "the rest is dropped"
        );
    }
}
