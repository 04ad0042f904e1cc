//! Checks of single members: what a room, an event, an idempotency key or a page may be.
//!
//! The same on a socket and over HTTP, so that both refuse the same things in the same words. May
//! not touch: envelopes, message types, sessions.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::base::ids::SessionId;
use crate::base::limits;
use crate::domain::command::{Payload, Since};
use crate::domain::event::check_publishable;
use crate::domain::fault::{Code, Fault};
use crate::domain::position::Epoch;
use crate::domain::room::RoomName;
use crate::wire::json::raw::compact;

/// The size of a page: [`limits::PAGE`] unless said otherwise, `None` if out of bounds.
#[must_use]
pub fn page_limit(asked: Option<u64>) -> Option<usize> {
    let limit = match asked {
        Some(limit) => usize::try_from(limit).ok()?,
        None => limits::PAGE,
    };
    (1..=limits::PAGE).contains(&limit).then_some(limit)
}

// A publication's `RoomSet` has this many bits, one for each of its rooms.
const _: () = assert!(limits::ROOMS_PER_PUBLISH <= 128);

/// Checks the rooms of a publish: 1 to [`limits::ROOMS_PER_PUBLISH`] good names; a name given
/// twice counts once.
///
/// # Errors
/// VALIDATION_FAILED, naming the bad name or the bound.
pub fn publish_rooms(names: &[String]) -> Result<Vec<RoomName>, Fault> {
    if names.is_empty() || names.len() > limits::ROOMS_PER_PUBLISH {
        let most = limits::ROOMS_PER_PUBLISH;
        return Err(invalid(format!(
            "an event is published to 1 to {most} rooms"
        )));
    }
    let mut rooms = Vec::with_capacity(names.len());
    for name in names {
        let room = room(name)?;
        if !rooms.contains(&room) {
            rooms.push(room);
        }
    }
    Ok(rooms)
}

/// Checks an event's name for publishing.
///
/// # Errors
/// VALIDATION_FAILED when it is malformed or reserved for the server.
pub fn publish_event(event: String) -> Result<Box<str>, Fault> {
    check_publishable(&event).map_err(|fault| invalid(fault.to_string()))?;
    Ok(event.into())
}

/// Takes `data` as the publisher spelt it, on one line, or the bytes of `data_base64`; absent is
/// null.
///
/// # Errors
/// VALIDATION_FAILED when both are given, when `data` nests deeper than [`limits::JSON_DEPTH`], or
/// when `data_base64` is not base64 with its padding (RFC 4648 section 4).
pub fn payload(data: Option<&RawValue>, data_base64: Option<String>) -> Result<Payload, Fault> {
    let raw = match (data, data_base64) {
        (Some(_), Some(_)) => return Err(invalid("give data or data_base64, not both")),
        (None, Some(text)) => {
            let bytes = STANDARD
                .decode(text)
                .map_err(|_| invalid("data_base64 must be base64 with its padding"))?;
            return Ok(Payload::Bytes(bytes.into()));
        }
        (Some(data), None) => data.get(),
        (None, None) => "null",
    };
    json(raw)
}

/// Takes valid JSON on one line.
///
/// # Errors
/// VALIDATION_FAILED when it nests deeper than [`limits::JSON_DEPTH`].
pub fn json(raw: &str) -> Result<Payload, Fault> {
    let compacted = compact(raw, limits::JSON_DEPTH).map_err(|fault| invalid(fault.to_string()))?;
    Ok(Payload::Json(compacted.into()))
}

/// Checks a publication's `source`: at most [`limits::SOURCE_BYTES`].
///
/// # Errors
/// VALIDATION_FAILED when it is longer.
pub fn publish_source(source: Option<String>) -> Result<Option<Box<str>>, Fault> {
    match source {
        Some(source) if source.len() > limits::SOURCE_BYTES => {
            let most = limits::SOURCE_BYTES;
            Err(invalid(format!("source must have at most {most} bytes")))
        }
        Some(source) => Ok(Some(source.into())),
        None => Ok(None),
    }
}

/// Checks an idempotency key: 1 to [`limits::IDEMPOTENCY_KEY_BYTES`] bytes.
///
/// # Errors
/// VALIDATION_FAILED when it is empty or longer.
pub fn publish_key(key: Option<String>) -> Result<Option<Box<str>>, Fault> {
    match key {
        Some(key) if key.is_empty() || key.len() > limits::IDEMPOTENCY_KEY_BYTES => {
            let most = limits::IDEMPOTENCY_KEY_BYTES;
            Err(invalid(format!("an idempotency key has 1 to {most} bytes")))
        }
        Some(key) => Ok(Some(key.into())),
        None => Ok(None),
    }
}

/// Reads `except`: one session id or a list of at most [`limits::EXCEPT_SESSIONS`].
///
/// # Errors
/// VALIDATION_FAILED when it is something else.
pub fn except(raw: &RawValue) -> Result<Vec<SessionId>, Fault> {
    let wrong = || invalid("except must be a session id (32 hex digits) or a list of them");
    let names = if raw.get().starts_with('[') {
        serde_json::from_str::<Vec<String>>(raw.get()).map_err(|_| wrong())?
    } else {
        vec![serde_json::from_str::<String>(raw.get()).map_err(|_| wrong())?]
    };
    if names.len() > limits::EXCEPT_SESSIONS {
        let most = limits::EXCEPT_SESSIONS;
        return Err(invalid(format!("except may name at most {most} sessions")));
    }
    names
        .iter()
        .map(|name| SessionId::parse(name).ok_or_else(wrong))
        .collect()
}

/// Reads `since`: an offset, or an epoch with an offset.
///
/// # Errors
/// VALIDATION_FAILED when it is something else.
pub fn since(raw: &RawValue) -> Result<Since, Fault> {
    #[derive(Deserialize)]
    struct Placed {
        epoch: Option<String>,
        offset: u64,
    }
    let wrong = || invalid("since must be an offset, or {\"epoch\":\"…\",\"offset\":…}");
    if let Ok(offset) = serde_json::from_str::<u64>(raw.get()) {
        return Ok(Since {
            epoch: None,
            offset,
        });
    }
    if !raw.get().starts_with('{') {
        return Err(wrong());
    }
    let placed: Placed = serde_json::from_str(raw.get()).map_err(|_| wrong())?;
    // An empty epoch is what a client has that never saw one.
    let epoch = match placed.epoch.as_deref() {
        None | Some("") => None,
        Some(spelt) => Some(epoch(spelt)?),
    };
    Ok(Since {
        epoch,
        offset: placed.offset,
    })
}

/// Reads an epoch.
///
/// # Errors
/// VALIDATION_FAILED when it is not 1 to 32 of `[A-Za-z0-9_-]`.
pub fn epoch(spelt: &str) -> Result<Epoch, Fault> {
    Epoch::parse(spelt).ok_or_else(|| invalid("epoch must be 1 to 32 of A-Z a-z 0-9 _ -"))
}

/// Reads a room's name.
///
/// # Errors
/// VALIDATION_FAILED, saying what is wrong with it.
pub fn room(name: &str) -> Result<RoomName, Fault> {
    RoomName::parse(name).map_err(|fault| {
        invalid(fault.to_string()).with_details(serde_json::json!({ "room": shorten(name) }))
    })
}

/// At most 64 characters of what a client wrote, for messages that quote it.
#[must_use]
pub fn shorten(text: &str) -> String {
    text.chars().take(64).collect()
}

/// VALIDATION_FAILED with this message.
pub(in crate::dialect) fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(Code::ValidationFailed, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn a_payload_is_json_or_bytes_and_not_both() {
        let check = |data: Option<&str>, base64: Option<&str>, expected: Result<Payload, &str>| {
            let data = data.map(raw);
            let found = payload(data.as_deref(), base64.map(str::to_owned));
            let found = found.map_err(|fault| fault.message);
            assert_eq!(
                found,
                expected.map_err(str::to_owned),
                "{data:?} {base64:?}"
            );
        };
        let both = "give data or data_base64, not both";
        let wrong = "data_base64 must be base64 with its padding";
        check(None, None, Ok(Payload::Json("null".into())));
        check(Some("[1, 2]"), None, Ok(Payload::Json("[1, 2]".into())));
        check(
            None,
            Some("AAH/"),
            Ok(Payload::Bytes(vec![0, 1, 255].into())),
        );
        check(None, Some(""), Ok(Payload::Bytes(Vec::new().into())));
        check(Some("null"), Some("AAH/"), Err(both));
        for malformed in ["AA", "A A=", "AA-_", "?"] {
            check(None, Some(malformed), Err(wrong));
        }
    }

    #[test]
    fn except_over_its_bound_says_the_bound() {
        let list = |count| {
            let id = format!("{:032x}", 7);
            raw(&serde_json::to_string(&vec![id; count]).unwrap())
        };
        assert_eq!(except(&list(limits::EXCEPT_SESSIONS)).unwrap().len(), 100);
        let fault = except(&list(limits::EXCEPT_SESSIONS + 1)).unwrap_err();
        assert_eq!(fault.message, "except may name at most 100 sessions");
    }
}
