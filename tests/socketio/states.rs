//! Every request in every state of a session: what is answered, and whether the session lives on.

use kinglet::testkit::client::{Arrival, Connection};
use kinglet::testkit::server::Server;
use kinglet::testkit::socket::{Received, Socket};
use kinglet::wire::http::client::encode_request;

use crate::session::{Session, still_serves, text};
use crate::{echoing, reference};

/// What a session can be in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody is meant.
    None,
    /// Somebody is meant whom nobody knows.
    Unknown,
    /// It is polled, and no request is there.
    Polled,
    /// A GET hangs.
    Parked,
    /// A POST has arrived in part.
    Posting,
    /// A WebSocket is there and has said nothing.
    Attached,
    /// The WebSocket is probed.
    Probed,
    /// It has gone over to the WebSocket.
    Upgraded,
    /// It is over.
    Over,
}

const STATES: [State; 9] = [
    State::None,
    State::Unknown,
    State::Polled,
    State::Parked,
    State::Posting,
    State::Attached,
    State::Probed,
    State::Upgraded,
    State::Over,
];

/// For each request, what is answered in each state: a status, and with it the code that is in the
/// body, if it matters; `open` or `closed` for a WebSocket. Behind it `+` if the session serves on,
/// `-` if it is over; a bar means or.
///
/// A second GET beside one that hangs, and a second POST beside one that arrives, are left out: which
/// of two comes first is for the network to say, so they are a subject of their own.
const TABLE: &str = "method  transport         none   unknown polled  parked  posting  attached  probed  upgraded  over
GET     polling           200    400:1   200+    .       200+     200+      200+    400:3+    400:1-
POST    polling           400:2  400:1   200+    200+    .        200+      200+    400:3+    400:1-
PUT     polling           400:2  400:1   400:3+  400:3+  400:3+   400:3+    400:3+  400:3+    400-
DELETE  polling           400:2  400:1   400:3+  400:3+  400:3+   400:3+    400:3+  400:3+    400-
HEAD    polling           400    400     400+    400+    400+     400+      400+    400+      400-
OPTIONS polling           200    200     200+    200+    200+     200+      200+    200+      200-
GET     websocket         400:3  400:1   400:3+  400:3+  400:3+   400:3+    400:3+  400:3+    400-
POST    websocket         400    400:1   400:3+  400:3+  400:3+   400:3+    400:3+  400:3+    400-
GET     upgrade:websocket open   400     open+   open+   open+    closed+   closed+ closed+   400-|closed-
GET     upgrade:polling   400    400     400+    400+    400+     400+      400+    400+      400-
GET     version           400:5  400     400+    400+    400+     400+      400+    400+      400-
GET     missing           400:0  400:0   400:0+  400:0+  400:0+   400:0+    400:0+  400:0+    400:0-
GET     unknown           400:0  400:0   400:0+  400:0+  400:0+   400:0+    400:0+  400:0+    400:0-
GET     repeated          400:3  400     400+    400+    400+     400+      400+    400+      400-
GET     jsonp             400:3  400     400+    400+    400+     400+      400+    400+      400-
";

/// Requests for which the reference does otherwise, or nothing at all.
const NOT_OF_THE_REFERENCE: [(&str, &str); 10] = [
    ("PUT", "polling"),
    ("DELETE", "polling"),
    ("HEAD", "polling"),
    ("OPTIONS", "polling"),
    ("GET", "websocket"),
    ("POST", "websocket"),
    ("GET", "upgrade:polling"),
    ("GET", "version"),
    ("GET", "repeated"),
    ("GET", "jsonp"),
];

/// A session in a state, and what keeps it there.
struct Subject {
    session: Option<Session>,
    socket: Option<Socket>,
    parked: Option<Connection>,
    posting: Option<Connection>,
}

const MESSAGE: &str = "42[\"message\",1]";
const BACK: &str = "42[\"message-back\",1]";

impl Subject {
    fn bring(server: &Server, state: State) -> Self {
        let mut subject = Self {
            session: None,
            socket: None,
            parked: None,
            posting: None,
        };
        if matches!(state, State::None | State::Unknown) {
            return subject;
        }
        let session = Session::connected(server);
        match state {
            State::None | State::Unknown | State::Polled => {}
            State::Parked => {
                subject.parked = Some(send(&session, "GET", b""));
            }
            State::Posting => {
                let mut connection = Connection::open(session.address);
                let request = request(&connection, &session, "POST", MESSAGE.as_bytes());
                connection.send(&request[..request.len() - 3]);
                subject.posting = Some(connection);
            }
            State::Attached => subject.socket = Some(session.attach()),
            State::Probed => subject.socket = Some(session.probe()),
            State::Upgraded => {
                let mut socket = session.upgrade();
                crate::session::echoes(&mut socket);
                subject.socket = Some(socket);
            }
            State::Over => {
                session.says("1");
                session.is_over();
            }
        }
        subject.session = Some(session);
        subject
    }

    /// Has the server say something to the session, so that no GET has to hang.
    fn nudge(&mut self, state: State) {
        let Some(session) = &self.session else { return };
        match (state, &mut self.posting, &mut self.socket) {
            (State::Posting, Some(posting), _) => {
                posting.send(&MESSAGE.as_bytes()[MESSAGE.len() - 3..]);
            }
            (State::Upgraded, _, Some(socket)) => socket.text(MESSAGE),
            _ => {
                session.post(MESSAGE);
            }
        }
    }

    /// Whether it is still served.
    fn lives(&mut self, state: State) -> bool {
        match (state, &mut self.session, &mut self.socket) {
            (_, None, _) => true,
            (State::Upgraded, _, Some(socket)) => {
                matches!(socket.receive(), Received::Text(text) if text == BACK)
            }
            (_, Some(session), _) => session.post("3").status() == 200,
        }
    }
}

fn request(connection: &Connection, session: &Session, method: &str, body: &[u8]) -> Vec<u8> {
    let target = session.target("polling");
    encode_request(method, &target, &connection.host(), &[], body)
}

fn send(session: &Session, method: &str, body: &[u8]) -> Connection {
    let mut connection = Connection::open(session.address);
    let request = request(&connection, session, method, body);
    connection.send(request);
    connection
}

/// The query that means the session, over `transport`; `upgrade` is no part of it.
fn query(subject: &Subject, state: State, transport: &str) -> String {
    let sid = match (&subject.session, state) {
        (Some(session), _) => format!("&sid={}", session.sid),
        (None, State::Unknown) => "&sid=nobodys".to_owned(),
        (None, _) => String::new(),
    };
    let version = match transport {
        "version" => "EIO=3&transport=polling",
        "missing" => "EIO=4",
        "unknown" => "EIO=4&transport=abc",
        "repeated" => "EIO=4&transport=polling&transport=polling",
        "jsonp" => "EIO=4&transport=polling&j=0",
        "websocket" => "EIO=4&transport=websocket",
        _ => "EIO=4&transport=polling",
    };
    format!("/socket.io/?{version}{sid}")
}

/// What comes of one request in one state.
fn outcome(server: &Server, state: State, method: &str, transport: &str) -> String {
    let mut subject = Subject::bring(server, state);
    let target = query(&subject, state, transport.trim_start_matches("upgrade:"));
    let mut connection = Connection::open(server.address());
    let mut outcome = if transport.starts_with("upgrade:") {
        let opened = Socket::handshake(connection, &target, &[], &[]);
        subject.nudge(state);
        match opened {
            Err(answer) => answered(answer.status(), &text(&answer)),
            Ok(mut socket) => {
                socket.text("2probe");
                match socket.receive() {
                    Received::Text(_) => "open".to_owned(),
                    Received::Close(..) | Received::None(Arrival::End | Arrival::Reset) => {
                        "closed".to_owned()
                    }
                    other => format!("{other:?}"),
                }
            }
        }
    } else {
        let host = connection.host();
        let body: &[u8] = if method == "POST" { b"3" } else { b"" };
        connection.send(encode_request(method, &target, &host, &[], body));
        subject.nudge(state);
        match connection.answer(method == "HEAD") {
            Ok(answer) => answered(answer.status(), &text(&answer)),
            Err(end) => format!("{end:?}"),
        }
    };
    if subject.session.is_some() {
        outcome.push(if subject.lives(state) { '+' } else { '-' });
    }
    outcome
}

fn answered(status: u16, body: &str) -> String {
    let code = body
        .strip_prefix("{\"code\":")
        .and_then(|rest| rest.get(..1));
    match (status, code) {
        (204, _) => "200".to_owned(),
        (_, Some(code)) => format!("{status}:{code}"),
        _ => status.to_string(),
    }
}

/// Holds a server to [`TABLE`]; `is_asked` says of each request whether it is part of it.
fn check(server: &Server, is_asked: impl Fn(&str, &str) -> bool) {
    let mut faults = String::new();
    for line in TABLE.lines().skip(1) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let (method, transport) = (cells[0], cells[1]);
        if !is_asked(method, transport) {
            continue;
        }
        for (state, expected) in STATES.into_iter().zip(&cells[2..]) {
            if *expected == "." {
                continue;
            }
            let found = outcome(server, state, method, transport);
            if !expected.split('|').any(|expected| is_as(&found, expected)) {
                faults += &format!("\n{method} {transport}, {state:?}: {found}, not {expected}");
            }
        }
    }
    assert_eq!(faults, "");
    still_serves(server);
}

/// Whether the two are equal; a code that is not expected does not matter.
fn is_as(found: &str, expected: &str) -> bool {
    let (Some(colon), false) = (found.find(':'), expected.contains(':')) else {
        return found == expected;
    };
    let without: String = [&found[..colon], &found[colon + 2..]].concat();
    without == expected
}

#[test]
fn every_request_is_answered_alike_in_every_state() {
    check(&echoing(&[]), |_, _| true);
}

#[test]
fn the_reference_does_the_same() {
    if let Some(server) = reference(&[]) {
        check(&server, |method, transport| {
            !NOT_OF_THE_REFERENCE.contains(&(method, transport))
        });
    }
}
