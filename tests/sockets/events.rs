//! Event streams as browsers, scripts and proxies meet them: a real EventSource, `curl -N`, TLS.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use kinglet::testkit::client::{Connection, note, post};
use kinglet::testkit::events::EventReader;
use kinglet::testkit::server::{Server, until};
use serde_json::{Value, json};

use crate::clients::{javascript, secure};
use crate::relay::Relay;
use crate::start;

fn say(server: &Server, room: &str, data: impl Into<Value>) {
    let body = json!({"room": room, "event": "said", "data": data.into()});
    assert_eq!(
        post(server.address(), "/api/v1/publish", &body).status(),
        200
    );
}

/// A client in a process of its own, killed when the test is over.
struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    /// Lines up to the first that says `member`.
    fn next_with(&mut self, member: &str) -> Value {
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "the client ended");
            let value: Value = serde_json::from_str(&line).unwrap();
            if value.get(member).is_some() {
                return value;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An EventSource that listens to rooms of the server behind `address`; `None` if there is none,
/// which is said.
fn event_source(base: &str, rooms: &[&str], trusted: &Path) -> Option<Running> {
    match javascript() {
        Ok(folder) => {
            let script = Path::new(&folder).join("events.mjs");
            let mut command = Command::new("node");
            command.arg(script).arg(base).args(rooms);
            command.env("NODE_EXTRA_CA_CERTS", trusted);
            Some(Running::spawn(&mut command))
        }
        Err(reason) => {
            note(&format!("skipped: an EventSource, because {reason}"));
            None
        }
    }
}

/// What an EventSource hears while its connection is cut again and again: every number once.
fn hears_all(server: &Server, base: &str, trusted: &Path, cut: &mut dyn FnMut()) {
    let Some(mut source) = event_source(base, &["a", "b"], trusted) else {
        return;
    };
    let told: Vec<Value> = (0..2).map(|_| source.next_with("type")).collect();
    assert!(told.iter().all(|it| it["type"] == "subscribed"));
    let (mut next, mut recovered) = (0, 0);
    for round in 1..=3 {
        for number in (round - 1) * 10..round * 10 {
            say(server, if number % 2 == 0 { "a" } else { "b" }, number);
            if number % 10 == 5 {
                cut();
            }
        }
        while next < round * 10 {
            let heard = source.next_with("type");
            if heard["type"] == "subscribed" {
                assert_eq!(heard["recovered"], true, "{heard}");
                recovered += 1;
            } else {
                assert_eq!(heard["said"], next, "each once and in order");
                next += 1;
            }
        }
    }
    assert!(recovered >= 2, "{recovered}");
}

#[test]
fn an_eventsource_misses_nothing_when_its_connection_is_cut() {
    let server = start(&[]);
    let relay = Relay::start(server.address());
    let base = relay.url();
    // A page on the relay's address is the server's own, as both are on loopback.
    hears_all(&server, &base, Path::new(""), &mut || relay.cut());
}

#[test]
fn an_eventsource_is_served_over_tls() {
    let (server, data) = secure(&[]);
    let relay = Relay::start(server.address());
    let base = relay.url().replace("http:", "https:");
    let trusted = data.path().join("self-signed.pem");
    let Some(mut source) = event_source(&base, &["a"], &trusted) else {
        return;
    };
    assert_eq!(source.next_with("type")["type"], "subscribed");
    relay.cut();
    assert_eq!(source.next_with("type")["recovered"], true);
}

#[test]
fn an_eventsource_comes_back_to_a_server_that_was_started_anew() {
    let server = start(&[]);
    let relay = Relay::start(server.address());
    let base = relay.url();
    let Some(mut source) = event_source(&base, &["a"], Path::new("")) else {
        return;
    };
    source.next_with("type");
    say(&server, "a", 1);
    assert_eq!(source.next_with("type")["said"], 1);
    let mut server = server;
    server.signal("TERM");
    assert_eq!(server.wait(), 0);
    assert_eq!(source.next_with("error")["gone"], false, "it comes back");
    let server = start(&[]);
    relay.lead_to(Some(server.address()));
    // What was in memory is gone, and the stream says so.
    assert_eq!(source.next_with("type")["recovered"], false);
    say(&server, "a", 2);
    let heard = source.next_with("type");
    assert_eq!((&heard["said"], &heard["offset"]), (&json!(2), &json!(1)));
}

#[test]
fn curl_follows_a_stream_and_goes_on_where_it_stopped() {
    if Command::new("curl").arg("--version").output().is_err() {
        return note("skipped: curl, because it is not installed");
    }
    let server = start(&[]);
    for number in 1..=3 {
        say(&server, "a", number);
    }
    let url = format!("http://{}/api/v1/rooms/a/events", server.address());
    let mut curl =
        Running::spawn(Command::new("curl").args(["-sN", "-H", "Last-Event-ID: 1", &url]));
    let mut data = || {
        loop {
            let line = curl.line();
            assert!(!line.is_empty(), "curl ended");
            if let Some(json) = line.strip_prefix("data: ") {
                return serde_json::from_str::<Value>(json).unwrap();
            }
        }
    };
    assert_eq!(data()["recovered"], true);
    assert_eq!((&data()["data"], &data()["data"]), (&json!(2), &json!(3)));
    say(&server, "a", 4);
    assert_eq!(data()["data"], 4);
}

#[test]
fn a_stream_that_is_closed_leaves_nothing_behind() {
    let server = start(&[]);
    let mut connection = Connection::open(server.address());
    connection.send("GET /api/v1/rooms/a/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut reader = EventReader::default();
    reader.feed(&connection.take_through(b"\"timestamp\""));
    assert!(reader.head.unwrap().contains("text/event-stream"));
    assert_eq!(server.counter("kinglet_event_streams_opened_total"), 1);
    let began = Instant::now();
    drop(connection);
    until("the session ends with its connection", || {
        server.counter("kinglet_sessions_closed_total") == 1
    });
    assert!(began.elapsed().as_secs() < 5, "without a heartbeat's help");
}
