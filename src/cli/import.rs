//! `import`: events from lines of JSON, as `export` and `subscribe` print them, into rooms.
//!
//! One after the other, so that a room gets them in the order of the lines. Invariant: a line is
//! published once, however often it is sent: its key is made of what it says and where it stands.
//! So an import that was interrupted is run again as it was.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::base::backoff::Backoff;
use crate::base::rng::Rng;
use crate::cli::arguments::ImportArguments;
use crate::cli::comeback::{Comeback, Ended};
use crate::cli::http_client::Connection;
use crate::cli::server::Server;
use crate::cli::transport::TransportFault;
use crate::cli::{Exit, Failure, output};
use crate::domain::room::RoomName;
use crate::wire::json::object::Object;

/// Bytes of a line: the most that any server's limits.message_bytes allows.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How often one line is sent before the import gives up: the server may be starting anew.
const ATTEMPTS: usize = 8;

/// The first delay between two attempts is at most this.
const FIRST_DELAY_MAX: Duration = Duration::from_millis(200);

/// Delays grow up to this.
const DELAY_MAX: Duration = Duration::from_secs(10);

/// One line: what a live publication says. Other members of it are left out, its offset and its
/// timestamp among them: both are made anew.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type", alias = "event")]
    event: String,
    room: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    source: Option<String>,
}

/// Publishes line by line, up to the first that is refused, and prints how many there were.
pub(super) fn run(asked: ImportArguments) -> Result<Exit, Failure> {
    let server = Server::new(asked.server)?;
    let mut importing = Importing {
        connection: Connection::open(&server)?,
        server: &server,
        rng: Rng::from_os().map_err(TransportFault::from)?,
        published: 0,
    };
    let mut lines = open(asked.file.as_deref())?;
    let (mut number, mut line) = (0u64, Vec::new());
    loop {
        line.clear();
        let mut one = (&mut lines).take(LINE_BYTES_MAX);
        let count = one.read_until(b'\n', &mut line).map_err(|error| {
            Failure::Failed(format!("cannot read line {}: {error}", number + 1))
        })?;
        if count == 0 {
            break;
        }
        number += 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        if let Err(failure) = importing.line(&line, number, asked.room.as_ref()) {
            return Err(importing.stopped(number, failure));
        }
    }
    output::line(&format!("{{\"published\":{}}}", importing.published))?;
    Ok(Exit::Done)
}

fn open(file: Option<&Path>) -> Result<Box<dyn BufRead>, Failure> {
    let Some(path) = file else {
        return Ok(Box::new(io::stdin().lock()));
    };
    let file = File::open(path)
        .map_err(|error| Failure::Misuse(format!("cannot read {}: {error}", path.display())))?;
    Ok(Box::new(BufReader::new(file)))
}

/// An import on its way.
struct Importing<'a> {
    server: &'a Server,
    connection: Connection,
    rng: Rng,
    published: u64,
}

impl Importing<'_> {
    /// Publishes one line, to `room` or to the one that it names.
    fn line(&mut self, line: &[u8], number: u64, room: Option<&RoomName>) -> Result<(), Failure> {
        let body = body(line, number, room).map_err(Failure::Misuse)?;
        let mut backoff = Backoff::new(FIRST_DELAY_MAX, DELAY_MAX);
        for attempt in 1.. {
            let ended = match self.publish(&body) {
                Ok(()) => break,
                Err(fault) => Ended::Lost(fault),
            };
            match ended.comeback() {
                Comeback::After(least) if attempt < ATTEMPTS => {
                    thread::sleep(least + backoff.next_delay(&mut self.rng));
                }
                Comeback::After(_) | Comeback::Never => return Err(ended.into()),
            }
        }
        self.published += 1;
        Ok(())
    }

    fn publish(&mut self, body: &[u8]) -> Result<(), TransportFault> {
        let asked = |connection: &mut Connection| {
            connection.ask(self.server, "POST", "/api/v1/publish", body)
        };
        let answer = match asked(&mut self.connection) {
            Ok(answer) => answer,
            // Perhaps the server had enough of this connection alone.
            Err(_) => {
                self.connection = Connection::open(self.server)?;
                asked(&mut self.connection)?
            }
        };
        match answer.status {
            200 => Ok(()),
            _ => Err(answer.refusal()),
        }
    }

    /// Why the import ended at a line.
    fn stopped(&self, number: u64, failure: Failure) -> Failure {
        let say = |reason: String| {
            let published = self.published;
            format!(
                "line {number}: {reason}; {published} lines before it are published, and are not \
                 published again if the same import is run again within five minutes"
            )
        };
        match failure {
            Failure::Misuse(reason) => Failure::Failed(say(reason)),
            Failure::Failed(reason) => Failure::Failed(say(reason)),
            Failure::OutputClosed => Failure::OutputClosed,
        }
    }
}

/// The publish that a line asks for.
fn body(line: &[u8], number: u64, room: Option<&RoomName>) -> Result<Vec<u8>, String> {
    if line.len() as u64 == LINE_BYTES_MAX && !line.ends_with(b"\n") {
        return Err("the line is longer than 16 MiB, the most a message may have".to_owned());
    }
    let wrong = |error: serde_json::Error| {
        format!("a JSON object with type, data and room is expected ({error})")
    };
    let said: Line<'_> = serde_json::from_slice(line).map_err(wrong)?;
    let named = room.map(RoomName::as_str).or(said.room.as_deref());
    let room = named.ok_or("it names no room; say which: kinglet import ROOM")?;
    let mut body = Vec::with_capacity(line.len() + 128);
    Object::begin(&mut body)
        .string("room", room)
        .string("event", &said.event)
        .raw("data", said.data.map_or("null", RawValue::get))
        .string_if("source", said.source.as_deref())
        .end();
    let key = format!("import-{number}-{:016x}", digest(&body));
    // Before the closing brace.
    body.pop();
    body.extend_from_slice(format!(",\"id\":\"{key}\"}}").as_bytes());
    Ok(body)
}

/// FNV-1a of 64 bits: the same everywhere and for ever, and nothing secret rests on it.
fn digest(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn made(line: &str, number: u64, room: Option<&str>) -> Result<Value, String> {
        let room = room.map(|name| RoomName::parse(name).unwrap());
        let body = body(line.as_bytes(), number, room.as_ref())?;
        let mut body: Value = serde_json::from_slice(&body).unwrap();
        let id = body.as_object_mut().unwrap().remove("id").unwrap();
        assert!(
            id.as_str()
                .unwrap()
                .starts_with(&format!("import-{number}-"))
        );
        Ok(body)
    }

    #[test]
    fn a_line_says_what_is_published_and_where() {
        let line = r#"{"type":"e","room":"a","offset":7,"timestamp":"t","data":{"b":1},"uid":"u"}"#;
        let into = |room: &str| json!({"room": room, "event": "e", "data": {"b": 1}});
        assert_eq!(made(line, 1, None), Ok(into("a")));
        assert_eq!(made(line, 1, Some("b")), Ok(into("b")));
        let line = r#"{"event":"e","source":"s"}"#;
        let expected = json!({"room": "b", "event": "e", "data": null, "source": "s"});
        assert_eq!(made(line, 9, Some("b")), Ok(expected));
        for (line, words) in [
            (r#"{"event":"e"}"#, "kinglet import ROOM"),
            (r#"{"room":"a"}"#, "type"),
            ("[]", "a JSON object"),
            ("no", "a JSON object"),
        ] {
            let reason = made(line, 1, None).unwrap_err();
            assert!(reason.contains(words), "{line}: {reason}");
        }
    }

    #[test]
    fn a_key_is_that_of_its_line() {
        let key = |line: &str, number, room: &str| {
            let room = RoomName::parse(room).unwrap();
            body(line.as_bytes(), number, Some(&room)).unwrap()
        };
        let one = key(r#"{"type":"e","data":1}"#, 1, "a");
        assert_eq!(one, key(r#"{"type":"e","data":1}"#, 1, "a"));
        assert_eq!(
            String::from_utf8(one).unwrap(),
            r#"{"room":"a","event":"e","data":1,"id":"import-1-15b0e136ef3eda83"}"#
        );
    }
}
