//! GET and DELETE /api/v1/rooms/{room}/history.

use crate::app::api::{invalid, number, page_limit, parameter, segment};
use crate::app::commands;
use crate::app::http::Call;
use crate::bus::order::{Form, Order, Outcome, Step};
use crate::dialect::native::{encode, members};
use crate::domain::access::Caller;
use crate::domain::command::HistoryQuery;
use crate::domain::fault::Fault;
use crate::domain::position::Position;
use crate::domain::room::RoomName;
use crate::wire::http::response::{Response, Status};
use crate::wire::json::object::Object;

/// A page of what a room retains.
///
/// # Errors
/// VALIDATION_FAILED, NOT_FOUND, or STREAM_RESET (409) when `?epoch=` is not the current one.
pub fn read(call: &Call<'_>) -> Result<Response, Fault> {
    let query = call.http.head.query();
    let epoch = match parameter(query, "epoch") {
        Some(spelt) => Some(members::epoch(&spelt)?),
        None => None,
    };
    let limit = page_limit(query)?;
    let reverse = match parameter(query, "reverse").as_deref() {
        None | Some("false" | "0") => false,
        Some("true" | "1" | "") => true,
        Some(_) => return Err(invalid("reverse must be true or false")),
    };
    let asked = HistoryQuery {
        room: members::room(segment(call))?,
        epoch,
        since: number(query, "since")?,
        limit,
        reverse,
    };
    let page = commands::history(&asked, Caller::Api, &call.http.identity, call.context)?;
    let mut out = Vec::new();
    encode::history_fields(&page, Object::begin(&mut out)).end();
    Ok(Response::raw_json(Status::OK, out.into()))
}

/// Forgets what a room retains; its stream begins anew under another epoch.
///
/// # Errors
/// VALIDATION_FAILED or NOT_FOUND.
pub fn clear(call: &Call<'_>) -> Result<Outcome<Response>, Fault> {
    let room = members::room(segment(call))?;
    let rooms = &call.context.services.rooms;
    if rooms.existing(&room).is_some_and(|room| room.is_durable()) {
        return Ok(Outcome::Order(Order {
            steps: vec![Step::Clear(room)],
            form: Form::Http,
        }));
    }
    let position = rooms
        .clear_history(&room)
        .ok_or_else(|| commands::no_room(room.as_str()))?;
    let mut out = Vec::new();
    cleared(&room, &position, &mut out);
    let response = Response::raw_json(Status::OK, out.into());
    Ok(Outcome::Done(response))
}

/// Where a room's stream begins anew.
pub(in crate::app) fn cleared(room: &RoomName, position: &Position, out: &mut Vec<u8>) {
    Object::begin(out)
        .string("room", room.as_str())
        .string("epoch", position.epoch.as_str())
        .number("offset", position.offset)
        .end();
}
