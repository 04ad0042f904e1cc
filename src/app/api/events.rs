//! POST /api/v1/events: events of the typed catalogue, checked member by member.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::app::api::publish::{carry_out, idempotency_key};
use crate::app::api::{invalid, text};
use crate::app::http::Call;
use crate::bus::order::Outcome;
use crate::dialect::native::members;
use crate::domain::catalogue::values::Id;
use crate::domain::catalogue::{find, read};
use crate::domain::command::{Payload, Publish};
use crate::domain::fault::Fault;
use crate::wire::http::response::Response;

#[derive(Deserialize)]
struct EventBody<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    source: Option<String>,
    project_id: Option<Id>,
    rooms: Option<Vec<String>>,
    id: Option<String>,
}

/// Publishes the event of the body to the rooms of whoever it concerns, or to those of the body.
///
/// # Errors
/// As `publish`, and VALIDATION_FAILED with the path of the member that is wrong.
pub fn publish(call: &Call<'_>) -> Result<Outcome<Response>, Fault> {
    let key = call.http.head.header("idempotency-key");
    carry_out(check(text(&call.http.body)?, key)?, call)
}

/// What is to be published for an event that is asked for by this text.
pub(super) fn check(body: &str, key_header: Option<&str>) -> Result<Publish, Fault> {
    if !body.trim_ascii_start().starts_with('{') {
        return Err(invalid("a JSON object is expected here"));
    }
    let body: EventBody<'_> = read("", body)?;
    let missing = |name: &str, what: &str| invalid(format!("{name} is missing: {what}"));
    let kind = body
        .kind
        .ok_or_else(|| missing("type", "name the event's type"))?;
    let kind = find(&kind)?;
    let data = body.data.ok_or_else(|| missing("data", kind.about))?;
    let event = kind.check(data.get(), body.project_id)?;
    let source = members::publish_source(body.source)?;
    Ok(Publish {
        rooms: match body.rooms {
            Some(rooms) => members::publish_rooms(&rooms)?,
            None => event.rooms,
        },
        event: event.name.into(),
        payload: Payload::Json(event.data),
        source: source.or_else(|| event.source.map(Into::into)),
        key: idempotency_key(key_header, body.id)?,
        except: Vec::new(),
    })
}
