//! A client's event in a namespace of Socket.IO: from its name and arguments to what it asks for.
//!
//! The same in every namespace. Nothing a client sends is taken for granted: an argument may be
//! missing or of any kind. Invariant: nothing is allocated beyond what has arrived, but for
//! attachments that stand inside of `data` and grow by a third.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::JoinEvents;
use crate::dialect::native::decode::publish_object;
use crate::dialect::native::encode;
use crate::dialect::native::members::{self, invalid};
use crate::domain::command::{Payload, Publish};
use crate::domain::fault::Fault;
use crate::domain::room::RoomName;
use crate::wire::socket_io::array::EventPayload;
use crate::wire::socket_io::placeholder::{attachment, fill};

/// What an event asks for.
#[derive(Debug)]
pub enum Asked {
    /// To hear a room.
    Subscribe(RoomName),
    /// To hear it no more.
    Unsubscribe(RoomName),
    /// To be answered.
    Ping,
    /// Which rooms the session hears; a question that is there for debugging.
    Rooms,
    /// To publish.
    Publish(Box<Publish>),
    /// Nothing known.
    Unknown,
}

/// What P3's clients are told that name no room.
const NO_ROOM: &str = "Room not specified";

/// Reads an event, whose placeholders stand for `attachments`.
///
/// # Errors
/// VALIDATION_FAILED for an argument that is missing or wrong, with P3's words for a missing room.
pub fn decode(
    payload: &EventPayload<'_>,
    attachments: &[Bytes],
    join_events: &[JoinEvents],
) -> Result<Asked, Fault> {
    let argument = payload.argument(0);
    match payload.name() {
        "subscribe" => room(argument).map(Asked::Subscribe),
        "unsubscribe" => room(argument).map(Asked::Unsubscribe),
        "ping" => Ok(Asked::Ping),
        "debug:rooms" => Ok(Asked::Rooms),
        "publish" => publish(argument, attachments),
        name => {
            if join_events.iter().any(|events| events.join == name) {
                room(argument).map(Asked::Subscribe)
            } else if join_events.iter().any(|events| events.leave == name) {
                room(argument).map(Asked::Unsubscribe)
            } else {
                Ok(Asked::Unknown)
            }
        }
    }
}

/// Reads a room from its name, or from an object that names it.
fn room(argument: Option<&str>) -> Result<RoomName, Fault> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(default)]
        room: Option<String>,
    }
    let wrong = || invalid("the argument must be the room's name or {\"room\":\"…\"}");
    let Some(argument) = argument else {
        return Err(invalid(NO_ROOM));
    };
    let name = match argument.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(argument).map_err(|_| wrong())?,
        // A derived Deserialize would take an array for a struct, too.
        Some(b'{') => {
            let named: Named = serde_json::from_str(argument).map_err(|_| wrong())?;
            named.room.unwrap_or_default()
        }
        Some(b'n') => String::new(),
        Some(_) | None => return Err(wrong()),
    };
    match &*name {
        "" => Err(invalid(NO_ROOM)),
        name => members::room(name),
    }
}

/// Reads a publish: one object with the members of the native command. `data` that is an attachment
/// is published as bytes; attachments inside of it as JSON spells bytes.
fn publish(argument: Option<&str>, attachments: &[Bytes]) -> Result<Asked, Fault> {
    let Some(object) = argument.filter(|json| json.starts_with('{')) else {
        return Err(invalid(
            "publish takes one object: {\"room\":\"…\",\"event\":\"…\",\"data\":…}",
        ));
    };
    let attached = |data: &RawValue| {
        if let Some(bytes) = attachment(data.get(), attachments) {
            return Ok(Some(Payload::Bytes(bytes.clone())));
        }
        match fill(data.get(), attachments, encode::bytes) {
            Cow::Borrowed(_) => Ok(None),
            Cow::Owned(filled) => members::json(&filled).map(Some),
        }
    };
    let publish = publish_object(object, attached)?;
    Ok(Asked::Publish(Box::new(publish)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "decode_tests.rs"]
mod tests;
