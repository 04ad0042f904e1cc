//! The server's side of the Socket.IO dialect: publications as frames, and what a session is told
//! by itself as JSON, which the caller puts into a packet: the one argument of an acknowledgement or
//! of an event.
//!
//! Acknowledgements have P3's words in every namespace. Times are RFC 3339 in UTC with milliseconds.
//! Invariant: what is written is valid JSON, with no more placeholders than bytes that follow it.

use std::sync::Arc;

use crate::base::clock::Wall;
use crate::dialect::Dialect;
use crate::dialect::frame::{Frame, Messages};
use crate::dialect::native::encode::{optional, results};
use crate::dialect::publication::{FROM_STORE, Placement, Publication};
use crate::dialect::socket_io::namespace::Namespace;
use crate::domain::access::UserId;
use crate::domain::command::Payload;
use crate::domain::fault::{Code, Fault};
use crate::domain::room::RoomName;
use crate::wire::engine_io::packet::MESSAGE;
use crate::wire::json::object::{Object, array, string};
use crate::wire::socket_io::encode::{self as packet, EventText, event, placeholder};

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
            let write = |out: &mut Vec<u8>| out.extend_from_slice(json.as_bytes());
            let source = publication.source.as_deref();
            let at = publication.timestamp;
            write_envelope(&publication.event, at, source, write, &mut envelope);
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
    let mut message = Vec::with_capacity(arguments.len() + 96);
    message.push(MESSAGE);
    event(form.namespace.as_str(), &told, &mut message);
    let mut messages = Messages::default();
    messages.text(&message);
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

/// P3's envelope around the JSON that `data` writes.
fn write_envelope(
    kind: &str,
    timestamp: Wall,
    source: Option<&str>,
    data: impl FnOnce(&mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    Object::begin(out)
        .string("type", kind)
        .string("timestamp", &timestamp.to_rfc3339())
        .value("source", |out| optional(source, out))
        .value("data", data)
        .end();
}

/// The name of the event that follows the answer to a CONNECT in P3's namespace; its envelope
/// calls it otherwise.
pub const HELLO: &str = "connection_established";

/// The argument of [`HELLO`].
pub fn hello(connection_id: &str, user: Option<&UserId>, now: Wall, out: &mut Vec<u8>) {
    let data = |out: &mut Vec<u8>| {
        Object::begin(out)
            .string("connection_id", connection_id)
            .value("user_id", |out| optional(user.map(UserId::as_str), out))
            .string("timestamp", &now.to_rfc3339())
            .string("protocol_version", "1.0")
            .end();
    };
    write_envelope("connection.established", now, None, data, out);
}

/// The argument of the event `kind` that tells a session that an operator has put it into a room or
/// taken it out: `subscribed` or `unsubscribed`.
pub fn placed(kind: &str, room: &RoomName, dialect: Dialect, now: Wall, out: &mut Vec<u8>) {
    let data = |out: &mut Vec<u8>| Object::begin(out).string("room", room.as_str()).end();
    match dialect == Dialect::SocketIoEnveloped {
        true => write_envelope(kind, now, None, data, out),
        false => data(out),
    }
}

/// The packet that does not let a client in.
pub fn connect_error(namespace: &str, fault: &Fault, out: &mut Vec<u8>) {
    let mut data = Vec::new();
    let code = fault.code.as_str();
    Object::begin(&mut data).string("code", code).end();
    packet::connect_error(namespace, &fault.message, Some(text(&data)), out);
}

/// Acknowledges `subscribe` and `unsubscribe`.
pub fn subscription(room: &RoomName, out: &mut Vec<u8>) {
    success(out).string("room", room.as_str()).end();
}

/// Acknowledges `ping`.
pub fn pong(out: &mut Vec<u8>) {
    Object::begin(out).string("status", "pong").end();
}

/// Acknowledges `debug:rooms` with the session's rooms.
pub fn rooms<'a>(names: impl IntoIterator<Item = &'a RoomName>, out: &mut Vec<u8>) {
    let write = |out: &mut Vec<u8>| array(out, names, |out, name| string(name.as_str(), out));
    success(out).value("rooms", write).end();
}

/// Acknowledges `publish`: where it went, and first of all where it went first.
pub fn published(placements: &[Placement], out: &mut Vec<u8>) {
    let mut object = success(out);
    if let Some(first) = placements.first() {
        object = object
            .string("room", first.room.as_str())
            .number("offset", first.offset)
            .string("epoch", first.epoch.as_str());
    }
    object
        .value("results", |out| results(placements, out))
        .end();
}

/// What P3's clients compare messages with.
const REFUSALS: [(Code, &str); 2] = [
    (Code::PermissionDenied, "Access denied"),
    (Code::Unauthorized, "Unauthorized"),
];

/// Acknowledges what was not done.
pub fn refused(fault: &Fault, out: &mut Vec<u8>) {
    let words = REFUSALS.iter().find(|(code, _)| *code == fault.code);
    let message = words.map_or(&*fault.message, |(_, words)| words);
    Object::begin(out)
        .string("status", "error")
        .string("message", message)
        .string("code", fault.code.as_str())
        .end();
}

fn success(out: &mut Vec<u8>) -> Object<'_> {
    Object::begin(out).string("status", "success")
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
