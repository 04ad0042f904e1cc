//! The server's side of the native dialect: replies, errors, the hello, publications.
//!
//! Everything appends one JSON object to a buffer; framing is not done here. Replies carry their
//! fields at the top level, errors and publications carry theirs in `data`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::base::clock::Wall;
use crate::base::ids::SessionId;
use crate::dialect::native::decode::Correlation;
use crate::dialect::native::projects;
use crate::dialect::publication::{Placement, Publication, RoomSet};
use crate::domain::access::{Identity, UserId};
use crate::domain::command::Payload;
use crate::domain::durable::DurableName;
use crate::domain::fault::Fault;
use crate::domain::position::Position;
use crate::domain::presence::{Presence, Present};
use crate::domain::room::RoomName;
use crate::domain::run::PendingPermission;
use crate::wire::json::object::{Object, array, string};

/// A live publication, as sessions in the rooms of `set` see it: the first of those rooms in the
/// request's order is `room`, the others stand in `also`.
pub fn publication(publication: &Publication, set: RoomSet, out: &mut Vec<u8>) {
    let mut rooms = publication.placements_in(set);
    let Some(first) = rooms.next() else {
        debug_assert!(false, "a recipient is in at least one of the rooms");
        return;
    };
    let also: Vec<&Placement> = rooms.collect();
    let mut object = Object::begin(out)
        .string("type", &publication.event)
        .string("room", first.room.as_str())
        .number("offset", first.offset);
    object = body(publication, object);
    if let Some(project) = first.room.project_id() {
        object = object.string("project_id", project);
    }
    if !also.is_empty() {
        object = object.value("also", |out| {
            array(out, also, |out, placement| {
                Object::begin(out)
                    .string("room", placement.room.as_str())
                    .number("offset", placement.offset)
                    .end();
            });
        });
    }
    object.end();
}

/// One entry of a history page or a recovery: the publication without its room.
pub fn history_entry(publication: &Publication, offset: u64, out: &mut Vec<u8>) {
    let object = Object::begin(out)
        .number("offset", offset)
        .string("type", &publication.event);
    body(publication, object).end();
}

fn body<'a>(publication: &Publication, object: Object<'a>) -> Object<'a> {
    let object = object
        .string("timestamp", &publication.timestamp.to_rfc3339())
        .value("data", |out| payload(&publication.payload, out))
        .string_if("source", publication.source.as_deref());
    if publication.has_copies {
        object.string("uid", &spell_uid(publication.uid))
    } else {
        object
    }
}

/// How a publication's uid is spelt everywhere: 32 hex digits.
#[must_use]
pub fn spell_uid(uid: u128) -> String {
    format!("{uid:032x}")
}

/// What was published, as JSON of any dialect spells it.
pub(in crate::dialect) fn payload(payload: &Payload, out: &mut Vec<u8>) {
    match payload {
        Payload::Json(json) => out.extend_from_slice(json.as_bytes()),
        Payload::Bytes(bytes) => self::bytes(bytes, out),
    }
}

/// Bytes, as JSON spells them.
pub(in crate::dialect) fn bytes(bytes: &[u8], out: &mut Vec<u8>) {
    Object::begin(out)
        .string("base64", &STANDARD.encode(bytes))
        .end();
}

/// The first message under `kinglet.v1`.
pub fn hello(
    session: SessionId,
    user: Option<&UserId>,
    ping_interval_ms: u64,
    rooms: &[(RoomName, Position)],
    now: Wall,
    out: &mut Vec<u8>,
) {
    Object::begin(out)
        .string("type", "connected")
        .string("session", &session.to_string())
        .value("user", |out| optional(user.map(UserId::as_str), out))
        .string("version", env!("CARGO_PKG_VERSION"))
        .number("ping_interval_ms", ping_interval_ms)
        .value("rooms", |out| {
            array(out, rooms, |out, (room, position)| {
                let object = Object::begin(out).string("room", room.as_str());
                place(position, object).end();
            });
        })
        .string("timestamp", &now.to_rfc3339())
        .end();
}

/// The reply to a token: whose it is and until when.
pub fn authenticated(to: &Correlation, identity: &Identity, now: Wall, out: &mut Vec<u8>) {
    let expires = identity.expires().map(Wall::to_rfc3339);
    let object = reply("authenticated", to, out)
        .value("user", |out| {
            optional(identity.user_id().map(UserId::as_str), out);
        })
        .value("expires", |out| optional(expires.as_deref(), out));
    finish(object, now);
}

/// A text, or null.
pub(in crate::dialect) fn optional(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => string(text, out),
        None => out.extend_from_slice(b"null"),
    }
}

/// What a subscribe with `since` brings back.
#[derive(Debug)]
pub enum Recovery {
    /// The client did not ask.
    NotAsked,
    /// It cannot be told everything it missed, so it is told nothing.
    Lost,
    /// Everything after its offset, oldest first; nothing if it missed nothing.
    Complete(Vec<(u64, Arc<Publication>)>),
}

/// The reply to `subscribe`, one per room; `acknowledged` is how far a durable one had got, `pending`
/// what agents ask permission for there.
#[allow(clippy::too_many_arguments)]
pub fn subscribed(
    to: &Correlation,
    room: &RoomName,
    position: &Position,
    recovery: &Recovery,
    acknowledged: Option<u64>,
    pending: &[Arc<PendingPermission>],
    now: Wall,
    out: &mut Vec<u8>,
) {
    let object = reply("subscribed", to, out).string("room", room.as_str());
    let object = place(position, object);
    let object = match acknowledged {
        Some(offset) => object.number("acknowledged", offset),
        None => object,
    };
    let object = match recovery {
        Recovery::NotAsked => object,
        Recovery::Lost => object.boolean("recovered", false).raw("publications", "[]"),
        Recovery::Complete(publications) => {
            object
                .boolean("recovered", true)
                .value("publications", |out| {
                    array(out, publications, |out, (offset, entry)| {
                        history_entry(entry, *offset, out);
                    });
                })
        }
    };
    finish(with_pending(object, pending), now);
}

/// Adds what agents ask permission for, if they do.
fn with_pending<'a>(object: Object<'a>, pending: &[Arc<PendingPermission>]) -> Object<'a> {
    match pending {
        [] => object,
        _ => object.value("pending", |out| projects::permissions(pending, out)),
    }
}

/// The same where what was missed comes after it: whether all of it does, if the client asked.
pub fn subscribed_without(
    room: &RoomName,
    position: &Position,
    recovered: Option<bool>,
    pending: &[Arc<PendingPermission>],
    now: Wall,
    out: &mut Vec<u8>,
) {
    let object = reply("subscribed", &Correlation::default(), out).string("room", room.as_str());
    let object = place(position, object);
    let object = match recovered {
        Some(recovered) => object.boolean("recovered", recovered),
        None => object,
    };
    finish(with_pending(object, pending), now);
}

/// The reply to `unsubscribe`, one per room.
pub fn unsubscribed(to: &Correlation, room: &RoomName, now: Wall, out: &mut Vec<u8>) {
    finish(
        reply("unsubscribed", to, out).string("room", room.as_str()),
        now,
    );
}

/// The reply to `ack`: how far the durable subscription has got.
pub fn acknowledged(
    to: &Correlation,
    room: &RoomName,
    durable: &DurableName,
    offset: u64,
    now: Wall,
    out: &mut Vec<u8>,
) {
    let object = reply("acknowledged", to, out)
        .string("room", room.as_str())
        .string("durable", durable.as_str())
        .number("offset", offset);
    finish(object, now);
}

/// The reply to `publish`.
pub fn published(to: &Correlation, placements: &[Placement], now: Wall, out: &mut Vec<u8>) {
    let mut object = reply("published", to, out).value("results", |out| results(placements, out));
    if let Some(first) = placements.first() {
        object = object
            .string("room", first.room.as_str())
            .number("offset", first.offset)
            .string("epoch", first.epoch.as_str());
    }
    finish(object, now);
}

/// `[{room, offset, epoch}]`: where a publication went; also in the HTTP answer.
pub fn results(placements: &[Placement], out: &mut Vec<u8>) {
    array(out, placements, |out, placement| {
        Object::begin(out)
            .string("room", placement.room.as_str())
            .number("offset", placement.offset)
            .string("epoch", placement.epoch.as_str())
            .end();
    });
}

/// One page of a room's retained publications.
#[derive(Debug)]
pub struct HistoryPage {
    /// Whose.
    pub room: RoomName,
    /// Where its stream stands.
    pub position: Position,
    /// The entries in the order asked for.
    pub publications: Vec<(u64, Arc<Publication>)>,
    /// Whether the next page holds something.
    pub more: bool,
}

/// The reply to `history`.
pub fn history(to: &Correlation, page: &HistoryPage, now: Wall, out: &mut Vec<u8>) {
    finish(history_fields(page, reply("history", to, out)), now);
}

/// The members of a history answer, on a socket and over HTTP.
pub fn history_fields<'a>(page: &HistoryPage, object: Object<'a>) -> Object<'a> {
    place(&page.position, object.string("room", page.room.as_str()))
        .value("publications", |out| {
            array(out, &page.publications, |out, (offset, entry)| {
                history_entry(entry, *offset, out);
            });
        })
        .boolean("more", page.more)
}

/// The reply to `presence`.
pub fn presence(to: &Correlation, presence: &Presence, now: Wall, out: &mut Vec<u8>) {
    finish(presence_fields(presence, reply("presence", to, out)), now);
}

/// The members of an answer about presence, on a socket and over HTTP.
pub fn presence_fields<'a>(presence: &Presence, object: Object<'a>) -> Object<'a> {
    let mut object = object.string("room", presence.room.as_str());
    if let Some(position) = &presence.position {
        object = place(position, object);
    }
    object = object
        .number("users", presence.users as u64)
        .number("sessions", presence.sessions as u64)
        .value("members", |out| {
            array(out, &presence.members, |out, each| present(each, out));
        });
    match presence.is_truncated() {
        true => object.boolean("truncated", true),
        false => object,
    }
}

fn present(present: &Present, out: &mut Vec<u8>) {
    let identity = &present.identity;
    let object = Object::begin(out)
        .string_if("user", identity.user_id().map(UserId::as_str))
        .string("session", &present.session.to_string())
        .string("since", &present.since.to_rfc3339());
    info(identity, object).end();
}

/// Adds what a token says of its user, if it does.
fn info<'a>(identity: &Identity, object: Object<'a>) -> Object<'a> {
    match identity.info() {
        Some(info) => object.raw("info", info.as_str()),
        None => object,
    }
}

/// The reply to `ping`.
pub fn pong(to: &Correlation, now: Wall, out: &mut Vec<u8>) {
    finish(reply("pong", to, out), now);
}

/// The reply to a command that failed; the text stands at the top too, where P2's clients read it.
pub fn error(to: &Correlation, fault: &Fault, now: Wall, out: &mut Vec<u8>) {
    let mut object = reply("error", to, out);
    object = object.string_if("project_id", to.project_id.as_deref());
    object = object.string("error", &fault.message).value("data", |out| {
        Object::begin(out)
            .string("code", fault.code.as_str())
            .string("message", &fault.message)
            .value("details", |out| match &fault.details {
                // Writing JSON to a Vec cannot fail.
                Some(details) => drop(serde_json::to_writer(out, details)),
                None => out.extend_from_slice(b"{}"),
            })
            .end();
    });
    finish(object, now);
}

/// Begins a reply of this type.
pub(super) fn reply<'a>(kind: &str, to: &Correlation, out: &'a mut Vec<u8>) -> Object<'a> {
    let object = Object::begin(out).string("type", kind);
    match &to.id {
        Some((key, raw)) => object.raw(key.name(), raw),
        None => object,
    }
}

fn place<'a>(position: &Position, object: Object<'a>) -> Object<'a> {
    object
        .string("epoch", position.epoch.as_str())
        .number("offset", position.offset)
}

/// Ends a message that was made now.
pub(super) fn finish(object: Object<'_>, now: Wall) {
    object.string("timestamp", &now.to_rfc3339()).end();
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
