//! The server's side of the Socket.IO dialect: publications as frames.
//!
//! Times are RFC 3339 in UTC with milliseconds. Invariant: what is written is valid JSON on one
//! line, with no more placeholders than bytes that follow it.

use std::sync::Arc;

use crate::base::clock::Wall;
use crate::dialect::frame::{Frame, Messages};
use crate::dialect::publication::{FROM_STORE, Publication};
use crate::dialect::socket_io::namespace::Namespace;
use crate::domain::command::Payload;
use crate::wire::engine_io::packet::MESSAGE;
use crate::wire::json::object::{Object, string};
use crate::wire::socket_io::encode::{EventText, event, placeholder};

/// What sessions must have in common to share the frame of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PacketForm {
    /// The namespace that they are in.
    pub namespace: Namespace,
    /// Their clients were told a `pid`, so each event ends with an offset: see [`offset_of`].
    pub has_offset: bool,
}

/// A publication as an event, the same for every session whatever rooms it is heard in. Bytes make
/// a second message, in the same frame, so that nothing can come between.
#[must_use]
pub fn publication(publication: &Publication, form: PacketForm) -> Arc<Frame> {
    let mut data = Vec::new();
    let (json, bytes) = match &publication.payload {
        Payload::Json(json) => (&**json, None),
        Payload::Bytes(bytes) => {
            placeholder(0, &mut data);
            (text(&data), Some(bytes))
        }
    };
    let mut envelope = Vec::new();
    let arguments = match form.namespace.is_enveloped() {
        false => json,
        true => {
            let source = publication.source.as_deref();
            let about = (&*publication.event, publication.timestamp);
            write_envelope(about, source, json, &mut envelope);
            text(&envelope)
        }
    };
    let offset = form.has_offset.then(|| offset_of(publication));
    let told = EventText {
        name: &publication.event,
        arguments,
        attachments: bytes.iter().len(),
        id: None,
        offset: offset.as_deref(),
    };
    let mut packet = Vec::with_capacity(arguments.len() + 96);
    packet.push(MESSAGE);
    event(form.namespace.as_str(), &told, &mut packet);
    let mut messages = Messages::default();
    messages.text(&packet);
    if let Some(bytes) = bytes {
        messages.binary(bytes);
    }
    messages.finish()
}

/// What a client that comes back calls the last event it heard: the same for every session that
/// hears the publication, and another one for any other publication that a session may hear while
/// the server runs. Publications of this run are told apart by their number among all of them, those
/// from the store by room and place. After a restart nobody may come back, so nothing in it says
/// which run it was.
#[must_use]
pub fn offset_of(publication: &Publication) -> String {
    // One from the store stands in one room.
    let Some(place) = publication.placements.first() else {
        debug_assert!(false, "a publication is in at least one room");
        return String::new();
    };
    let epoch = place.epoch.as_str();
    match publication.sequence {
        FROM_STORE => format!("{epoch}:{}:{}", place.offset, place.room),
        sequence => format!("{epoch}:{sequence:x}"),
    }
}

/// P3's envelope around `data`, which is JSON.
fn write_envelope(
    (kind, timestamp): (&str, Wall),
    source: Option<&str>,
    data: &str,
    out: &mut Vec<u8>,
) {
    Object::begin(out)
        .string("type", kind)
        .string("timestamp", &timestamp.to_rfc3339())
        .value("source", |out| match source {
            Some(source) => string(source, out),
            None => out.extend_from_slice(b"null"),
        })
        .raw("data", data)
        .end();
}

/// JSON that was just written.
fn text(json: &[u8]) -> &str {
    let text = str::from_utf8(json);
    debug_assert!(text.is_ok(), "JSON is text");
    text.unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "encode_tests.rs"]
mod tests;
