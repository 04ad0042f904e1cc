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

    /// Whether a request has begun that is not answered: `partial` says if bytes of one wait.
    #[must_use]
    pub fn is_between_requests(&self, partial: bool) -> bool {
        matches!(self.state, State::AwaitHead(_)) && !partial
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
