//! GET /health, /health/live, /health/ready and /.
//!
//! Live says that the process answers; ready, that new clients are welcome; health sums both up.
//! They cost nothing, are charged to no rate and are never refused for their Host.

use crate::app::http::Call;
use crate::app::services::Services;
use crate::domain::fault::Fault;
use crate::wire::http::response::{Response, Status};
use crate::wire::json::object::Object;

/// The name in health answers.
const SERVICE: &str = "kinglet";

/// Everything at once; 503 only when unhealthy.
///
/// # Errors
/// None.
pub fn health(call: &Call<'_>) -> Result<Response, Fault> {
    Ok(report(call, Status::OK, false))
}

/// That the process answers, which is all that a restart could mend.
///
/// # Errors
/// None.
pub fn live(_: &Call<'_>) -> Result<Response, Fault> {
    let mut out = Vec::new();
    Object::begin(&mut out)
        .string("status", "healthy")
        .string("service", SERVICE)
        .end();
    Ok(Response::raw_json(Status::OK, out.into()))
}

/// Whether new clients should be sent here: 503 while the server shuts down, or while the disk takes
/// nothing and some namespace's rooms are durable.
///
/// # Errors
/// None.
pub fn ready(call: &Call<'_>) -> Result<Response, Fault> {
    let services = call.context.services;
    let needs_disk = call.context.live.config.rooms.any_durable();
    let is_failing = needs_disk && store_state(services) == Some(FAILING);
    if services.is_draining() || is_failing {
        return Ok(report(call, Status::SERVICE_UNAVAILABLE, true).header("Retry-After", "5"));
    }
    Ok(report(call, Status::OK, true))
}

/// What a browser or a probe finds at the root.
///
/// # Errors
/// None.
pub fn root(_: &Call<'_>) -> Result<Response, Fault> {
    let mut out = Vec::new();
    Object::begin(&mut out)
        .string("status", "ok")
        .string("service", SERVICE)
        .string("version", env!("CARGO_PKG_VERSION"))
        .string("socket", "/ws")
        .string("publish", "/api/v1/publish")
        .string("health", "/health")
        .end();
    Ok(Response::raw_json(Status::OK, out.into()))
}

/// What is said of a store that the disk takes nothing from.
const FAILING: &str = "failing";

/// How the store is; `None` if there is none.
fn store_state(services: &Services) -> Option<&'static str> {
    let store = services.store.as_ref()?;
    Some(if store.is_failing() { FAILING } else { "ok" })
}

fn report(call: &Call<'_>, status: Status, with_details: bool) -> Response {
    let services = call.context.services;
    let draining = services.is_draining();
    let busy = !services.rooms.has_room_for_mail();
    let store = store_state(services);
    let state = if draining || busy || store == Some(FAILING) {
        "degraded"
    } else {
        "healthy"
    };
    let mut out = Vec::new();
    let object = Object::begin(&mut out)
        .string("status", state)
        .string("service", SERVICE)
        .string("version", env!("CARGO_PKG_VERSION"))
        .number("connections", services.connections())
        .number("uptime", services.uptime(call.context.now).as_secs())
        .value("checks", |out| {
            Object::begin(out)
                .string("accepting", if draining { "shutting down" } else { "ok" })
                .string("mailboxes", if busy { "full" } else { "ok" })
                .string_if("store", store)
                .end();
        });
    let object = if with_details {
        object.value("details", |out| {
            let object = Object::begin(out)
                .number("sessions", services.sessions())
                .number("rooms", services.rooms.count() as u64)
                .boolean("draining", draining);
            let object = match (&services.store, &services.executor) {
                (None, _) => object.string("runs", "no data directory"),
                (Some(_), None) => object.string("runs", "off"),
                (Some(_), Some(_)) => object.string("runs", "ok"),
            };
            match &services.store {
                Some(store) => object.number("store_queue", store.queue.len() as u64).end(),
                None => object.end(),
            }
        })
    } else {
        object
    };
    object.end();
    Response::raw_json(status, out.into())
}
