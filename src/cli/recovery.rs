//! What happened before: pages of a room's history, and entries spelt as live publications are.
//!
//! May not touch: sockets that stay open. Invariant: offsets only grow; a gap is said on standard
//! error before what follows it is printed.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::comeback::Ended;
use crate::cli::http_client::{Answer, exchange};
use crate::cli::output::{self, Sink};
use crate::cli::server::Server;
use crate::cli::transport::TransportFault;
use crate::domain::command::Since;
use crate::domain::position::Epoch;
use crate::domain::room::RoomName;
use crate::wire::json::object::Object;

/// One entry of a history page or of a recovery: a publication without its room.
#[derive(Deserialize)]
pub(super) struct Entry<'a> {
    pub(super) offset: u64,
    #[serde(rename = "type")]
    event: String,
    timestamp: String,
    #[serde(borrow)]
    data: &'a RawValue,
    source: Option<String>,
    uid: Option<String>,
}

impl Entry<'_> {
    /// The entry as it would have been received live in `room`.
    pub(super) fn as_live(&self, room: &RoomName) -> String {
        let mut out = Vec::with_capacity(160 + self.data.get().len());
        Object::begin(&mut out)
            .string("type", &self.event)
            .string("room", room.as_str())
            .number("offset", self.offset)
            .string("timestamp", &self.timestamp)
            .raw("data", self.data.get())
            .string_if("source", self.source.as_deref())
            .string_if("uid", self.uid.as_deref())
            .string_if("project_id", room.project_id())
            .end();
        // Everything put in was text.
        String::from_utf8(out).unwrap_or_default()
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    epoch: String,
    #[serde(borrow)]
    publications: Vec<Entry<'a>>,
    more: bool,
}

/// What came of printing a history.
pub(super) enum Printed {
    /// All that is retained.
    All,
    /// The room does not exist, or its stream began anew: there is nothing more to page through.
    NoStream(Answer),
}

/// Tells what `room` retains after `reached`, page by page, and moves `reached` along, so that
/// nothing is told twice should a page fail.
pub(super) fn print_history(
    server: &Server,
    room: &RoomName,
    reached: &mut Since,
    sink: &mut dyn Sink,
) -> Result<Printed, Ended> {
    loop {
        let answer = exchange(server, "GET", &page_path(room, reached), b"")?;
        match answer.status {
            200 => {}
            404 | 409 if answer.error_code().is_some() => return Ok(Printed::NoStream(answer)),
            _ => return Err(answer.refusal().into()),
        }
        let page: Page<'_> = serde_json::from_str(&answer.body)
            .map_err(|_| TransportFault::NotKinglet("the answer is no page of a history"))?;
        for entry in &page.publications {
            if let Some(gap) = gap(room, reached.offset, entry.offset) {
                output::warning(&gap);
            }
            sink.event(&entry.as_live(room))?;
            reached.offset = entry.offset;
        }
        // From now on the stream is known, and another one under the same name would show.
        reached.epoch = Epoch::parse(&page.epoch).or(reached.epoch);
        if !page.more || page.publications.is_empty() {
            return Ok(Printed::All);
        }
    }
}

fn page_path(room: &RoomName, since: &Since) -> String {
    let room = utf8_percent_encode(room.as_str(), NON_ALPHANUMERIC);
    let offset = since.offset;
    match &since.epoch {
        Some(epoch) => format!("/api/v1/rooms/{room}/history?since={offset}&epoch={epoch}"),
        None => format!("/api/v1/rooms/{room}/history?since={offset}"),
    }
}

/// What to say when `next` does not follow `last`.
fn gap(room: &RoomName, last: u64, next: u64) -> Option<String> {
    let first = last + 1;
    (next > first).then(|| {
        let gone = next - 1;
        format!("{room}: offsets {first} to {gone} are no longer kept")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn room(name: &str) -> RoomName {
        RoomName::parse(name).unwrap()
    }

    #[test]
    fn spells_an_entry_as_a_live_publication() {
        let check = |name: &str, entry: &str, expected: &str| {
            let entry: Entry<'_> = serde_json::from_str(entry).unwrap();
            assert_eq!(entry.as_live(&room(name)), expected);
        };
        check(
            "a",
            r#"{"offset":7,"type":"e","timestamp":"t","data":{"b":1.0,"a":1e400}}"#,
            r#"{"type":"e","room":"a","offset":7,"timestamp":"t","data":{"b":1.0,"a":1e400}}"#,
        );
        check(
            "project:p",
            r#"{"offset":7,"type":"\"","timestamp":"t","data":null,"uid":"u","source":"s","x":1}"#,
            r#"{"type":"\"","room":"project:p","offset":7,"timestamp":"t","data":null,"source":"s","uid":"u","project_id":"p"}"#,
        );
    }

    #[test]
    fn names_a_gap() {
        assert_eq!(gap(&room("a"), 2, 3), None);
        let said = gap(&room("a"), 2, 9).unwrap();
        assert_eq!(said, "a: offsets 3 to 8 are no longer kept");
    }

    #[test]
    fn any_room_fits_a_path() {
        let since = |epoch| Since { epoch, offset: 5 };
        let path = page_path(&room("a/b?c#%"), &since(Epoch::parse("e-1")));
        let expected = "/api/v1/rooms/a%2Fb%3Fc%23%25/history?since=5&epoch=e-1";
        assert_eq!(path, expected);
        let path = page_path(&room("a"), &since(None));
        assert_eq!(path, "/api/v1/rooms/a/history?since=5");
    }
}
