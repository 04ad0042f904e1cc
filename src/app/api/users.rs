//! POST /api/v1/users/{user}/disconnect, /subscribe and /unsubscribe: the same for all sessions of
//! a user. A user who is not connected is no error: nobody is, and the answer says so.

use serde::Deserialize;

use crate::app::api::{body, connections, invalid, segment};
use crate::app::http::Call;
use crate::app::publish::options;
use crate::bus::mail::{Manage, Who};
use crate::dialect::native::members;
use crate::domain::access::UserId;
use crate::domain::fault::Fault;
use crate::domain::room::RoomName;
use crate::wire::http::response::{Response, Status};
use crate::wire::json::object::Object;

/// Closes all sessions of a user; an optional body `{code, reason}` says how.
///
/// # Errors
/// VALIDATION_FAILED; SERVER_BUSY when a shard does not answer in time.
pub fn disconnect(call: &Call<'_>) -> Result<Response, Fault> {
    let what = connections::disconnection(call)?;
    manage(call, &what)
}

/// Puts all sessions of a user into the room of the body `{room}`, whatever their own rights;
/// `refused` counts those for whom there is no place.
///
/// # Errors
/// VALIDATION_FAILED; SERVER_BUSY when a shard does not answer in time.
pub fn subscribe(call: &Call<'_>) -> Result<Response, Fault> {
    let room = room(call)?;
    let context = call.context;
    options(&room, context.services, context.live, context.counters)?;
    manage(call, &Manage::Subscribe(room))
}

/// Takes all sessions of a user out of the room of the body `{room}`, also when its namespace is
/// no longer one of the configuration's.
///
/// # Errors
/// VALIDATION_FAILED; SERVER_BUSY when a shard does not answer in time.
pub fn unsubscribe(call: &Call<'_>) -> Result<Response, Fault> {
    manage(call, &Manage::Unsubscribe(room(call)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoomBody {
    room: String,
}

fn room(call: &Call<'_>) -> Result<RoomName, Fault> {
    let asked: RoomBody = body(&call.http.body)?;
    members::room(&asked.room)
}

fn manage(call: &Call<'_>, what: &Manage) -> Result<Response, Fault> {
    let spelt = segment(call);
    let user = UserId::parse(spelt).map_err(|fault| invalid(fault.to_string()))?;
    let managed = connections::manage(call, &Who::User(user.as_str().into()), what)?;
    let mut out = Vec::new();
    let object = Object::begin(&mut out)
        .string("user", user.as_str())
        .number("sessions", managed.done as u64);
    match what {
        Manage::Subscribe(_) => object.number("refused", managed.refused as u64).end(),
        Manage::Unsubscribe(_) | Manage::Disconnect { .. } => object.end(),
    }
    Ok(Response::raw_json(Status::OK, out.into()))
}
