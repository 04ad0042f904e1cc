//! HTTP/1.1 (RFC 9110, RFC 9112): requests and their exact answers, one row each.
//!
//! Each row is sent whole and byte by byte. What holds of every answer is checked for every row
//! ([`reader`]): the status line, one Date, the length, `Connection: close` exactly when the
//! connection ends. Answers are read by hand: the server's own parser vouches for nothing.

mod bodies;
mod messages;
mod methods;
mod reader;
mod upgrades;

use std::fmt::Write;

use kinglet::testkit::world::{End, Options, World};

use reader::Reply;

/// Rows with one thing in common.
pub struct Table {
    pub title: &'static str,
    pub rows: Vec<Row>,
}

/// A request, or some of them, and what they are answered with.
pub struct Row {
    /// What is sent, in words.
    pub sent: &'static str,
    pub request: String,
    pub answers: Vec<Answer>,
    pub then: Then,
}

/// What happens to the connection behind the last answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It serves the next request.
    Stays,
    /// The server ends it, and looks at nothing that follows.
    Closes,
    /// It is a WebSocket.
    Switches,
    /// It waits for the rest of the request.
    Waits,
}

/// One answer.
pub struct Answer {
    pub status: u16,
    /// Headers by name and value; `None` says that there is none of the name.
    pub headers: Vec<(&'static str, Option<&'static str>)>,
    pub body: Body,
}

/// What is in the body.
pub enum Body {
    Empty,
    /// An error object with this code.
    Error(&'static str),
    /// A JSON object that contains this text.
    Has(&'static str),
}

impl Row {
    fn new(
        sent: &'static str,
        request: impl Into<String>,
        answers: Vec<Answer>,
        then: Then,
    ) -> Self {
        Self {
            sent,
            request: request.into(),
            answers,
            then,
        }
    }

    /// A request that is refused, and the connection with it.
    fn refused(sent: &'static str, request: impl Into<String>, status: u16) -> Self {
        let code = match status {
            413 | 414 | 431 => "MESSAGE_SIZE_LIMIT",
            _ => "VALIDATION_FAILED",
        };
        Self::new(sent, request, vec![error(status, code)], Then::Closes)
    }

    /// A request that the server's health answers.
    fn healthy(sent: &'static str, request: impl Into<String>) -> Self {
        Self::new(sent, request, vec![health()], Then::Stays)
    }
}

impl Answer {
    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, Some(value)));
        self
    }

    fn without(mut self, name: &'static str) -> Self {
        self.headers.push((name, None));
        self
    }
}

fn answer(status: u16, body: Body) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        body,
    }
}

fn error(status: u16, code: &'static str) -> Answer {
    answer(status, Body::Error(code))
}

fn health() -> Answer {
    answer(200, Body::Has("\"healthy\""))
}

/// A request for the server's health with these header lines beside Host.
fn get(lines: &str) -> String {
    format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

pub fn tables() -> Vec<Table> {
    let mut tables = messages::tables();
    tables.extend(methods::tables());
    tables.extend(bodies::tables());
    tables.extend(upgrades::tables());
    tables
}

/// Small limits, so that rows stay short where they go over one.
const CONFIG: &str = "\
    [server]\nallowed_origins = [\"https://app.example\"]\n\
    [limits]\nhead_bytes = \"1KiB\"\nheaders = 20\nmessage_bytes = \"1KiB\"\n\
    [debug]\necho = true\n";

/// Would show itself by its answer if it were served.
const NEXT: &str = "GET /api/v1/rooms HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn each_request_has_its_answer() {
    for table in tables() {
        for row in &table.rows {
            for cut in [usize::MAX, 1] {
                play(
                    row,
                    cut,
                    &format!("{}: {}, cut at {cut}", table.title, row.sent),
                );
            }
        }
    }
}

fn play(row: &Row, cut: usize, what: &str) {
    let mut world = World::new(Options {
        config: CONFIG,
        ..Options::default()
    });
    let id = world.open();
    world.client(id).keep_raw();
    let mut bytes = row.request.clone().into_bytes();
    if row.then != Then::Waits && row.then != Then::Switches {
        bytes.extend_from_slice(NEXT.as_bytes());
    }
    for piece in bytes.chunks(cut.min(bytes.len())) {
        world.client(id).send(piece);
        world.turn();
    }
    world.settle();
    let received = world.client(id).take_raw();
    let mut rest = &received[..];
    let methods = reader::methods(&row.request);
    let mut replies = Vec::new();
    while !rest.is_empty() {
        // An interim answer is followed by another one to the same request.
        let answered = replies.iter().filter(|reply: &&Reply| reply.status >= 200);
        let method = methods.get(answered.count());
        let is_head = method.is_some_and(|method| method == "HEAD");
        replies.push(reader::read(&mut rest, is_head, what));
        if row.then == Then::Switches {
            break; // What follows are frames.
        }
    }
    let next = match row.then {
        Then::Stays => Some(replies.pop().unwrap_or_else(|| panic!("{what}: no answer"))),
        Then::Closes | Then::Switches | Then::Waits => None,
    };
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    let expected: Vec<u16> = row.answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, expected, "{what}: {replies:?}");
    for (index, (reply, answer)) in replies.iter().zip(&row.answers).enumerate() {
        let is_last = index + 1 == replies.len();
        let closes = is_last && row.then == Then::Closes;
        reader::check(reply, answer, closes, what);
    }
    match next {
        Some(next) => assert_eq!(next.status, 200, "{what}: what follows is served"),
        None if row.then == Then::Closes => {}
        None => {
            assert_eq!(world.client(id).end, None, "{what}");
            return;
        }
    }
    assert_eq!(world.client(id).end, Some(End::Finished), "{what}");
    assert_eq!(world.connections(), 0, "{what}");
}

/// Appends the tables to docs/conformance.md.
pub fn render(page: &mut String) {
    page.push_str(
        "\n## HTTP/1.1 (RFC 9110, RFC 9112)\n\n\
         Each request is sent whole and byte by byte, with another one behind it: a connection \
         that *stays*\nserves that one, a connection that *closes* does not. Every answer has one \
         Date, and `Connection: close`\nif and only if it is the last. Limits are small here: 1 \
         KiB for heads and bodies, 20 header lines.\n",
    );
    for table in tables() {
        write!(page, "\n### {}\n\n", table.title).unwrap();
        page.push_str("| Sent | Answer | Connection |\n|---|---|---|\n");
        for row in &table.rows {
            let answers: Vec<String> = row.answers.iter().map(describe).collect();
            let then = match row.then {
                Then::Stays => "stays",
                Then::Closes => "closes",
                Then::Switches => "is a WebSocket",
                Then::Waits => "waits",
            };
            let answers = match &answers[..] {
                [] => "nothing yet".to_owned(),
                answers => answers.join(", then "),
            };
            let sent = row.sent;
            writeln!(page, "| {sent} | {answers} | {then} |").unwrap();
        }
    }
}

fn describe(answer: &Answer) -> String {
    let mut words = answer.status.to_string();
    for (name, value) in &answer.headers {
        match value {
            Some(value) => write!(words, ", `{name}: {value}`").unwrap(),
            None => write!(words, ", no {name}").unwrap(),
        }
    }
    if let Body::Error(code) = answer.body {
        write!(words, ", {code}").unwrap();
    }
    words
}
