//! GET /api/v1/rooms and /api/v1/rooms/{room}.

use crate::app::api::{page_limit, parameter, segment};
use crate::app::commands::no_room;
use crate::app::http::Call;
use crate::bus::room::RoomSummary;
use crate::config::PublishPolicy;
use crate::dialect::native::members;
use crate::domain::access::{self, Action, Caller};
use crate::domain::fault::Fault;
use crate::domain::room::RoomName;
use crate::wire::http::response::{Response, Status};
use crate::wire::json::object::{Object, array};

/// The rooms by name, those that the caller may see: `?prefix=` narrows, `?limit=` and `?after=`
/// page.
///
/// # Errors
/// VALIDATION_FAILED for a limit out of bounds.
pub fn list(call: &Call<'_>) -> Result<Response, Fault> {
    let query = call.http.head.query();
    let prefix = parameter(query, "prefix").unwrap_or_default();
    let after = parameter(query, "after").unwrap_or_default();
    let limit = page_limit(query)?;
    let may_see = |room: &RoomName| may_see(room, call);
    let (rooms, more) = call
        .context
        .services
        .rooms
        .list(&prefix, &after, limit, may_see);
    let mut out = Vec::new();
    Object::begin(&mut out)
        .value("rooms", |out| {
            array(out, &rooms, |out, room| summary(room, out));
        })
        .boolean("more", more)
        .end();
    Ok(Response::raw_json(Status::OK, out.into()))
}

/// One room.
///
/// # Errors
/// VALIDATION_FAILED for a bad name, NOT_FOUND if the room does not exist now.
pub fn one(call: &Call<'_>) -> Result<Response, Fault> {
    let name = members::room(segment(call))?;
    check(&name, call)?;
    let found = call
        .context
        .services
        .rooms
        .summary(&name)
        .ok_or_else(|| no_room(name.as_str()))?;
    let mut out = Vec::new();
    summary(&found, &mut out);
    Ok(Response::raw_json(Status::OK, out.into()))
}

fn may_see(room: &RoomName, call: &Call<'_>) -> bool {
    check(room, call).is_ok()
}

/// Who is in a room, and how much happens there, is for those who may know who is present.
fn check(room: &RoomName, call: &Call<'_>) -> Result<(), Fault> {
    let policy = PublishPolicy::Grant;
    let identity = &call.http.identity;
    access::check(identity, Caller::Api, Action::Presence, room, policy)?;
    let projects = &call.context.services.projects;
    projects.check_room(room, identity, &call.context.live.config)
}

fn summary(room: &RoomSummary, out: &mut Vec<u8>) {
    Object::begin(out)
        .string("room", room.room.as_str())
        .number("members", room.members)
        .number("offset", room.position.offset)
        .string("epoch", room.position.epoch.as_str())
        .end();
}
