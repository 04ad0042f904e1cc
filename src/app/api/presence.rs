//! GET /api/v1/rooms/{room}/presence.

use crate::app::api::segment;
use crate::app::http::Call;
use crate::app::presence;
use crate::dialect::native::{encode, members};
use crate::domain::access::Caller;
use crate::domain::fault::Fault;
use crate::wire::http::response::{Response, Status};
use crate::wire::json::object::Object;

/// Who is in a room.
///
/// # Errors
/// VALIDATION_FAILED, PERMISSION_DENIED; SERVER_BUSY when a shard does not answer in time.
pub fn read(call: &Call<'_>) -> Result<Response, Fault> {
    let room = members::room(segment(call))?;
    let present = presence::read(&room, Caller::Api, &call.http.identity, call.context)?;
    let mut out = Vec::new();
    encode::presence_fields(&present, Object::begin(&mut out)).end();
    Ok(Response::raw_json(Status::OK, out.into()))
}
