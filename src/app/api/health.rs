//! GET /health, /health/live, /health/ready and /; on sockets, the command `health_check`.
//!
//! Live says that the process answers; ready, that new clients are welcome; health sums both up.
//! They cost nothing, are charged to no rate and are never refused for their Host.

use crate::app::http::Call;
use crate::app::services::{Context, Services};
use crate::dialect::native::decode::Correlation;
use crate::dialect::native::projects;
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

/// The reply to `health_check`, in P1's shape: a status for the whole and one for each check. It
/// says what the server knows of itself; processor, memory, disk and the Claude CLI are not looked
/// at.
pub fn check(name: &str, to: &Correlation, context: Context<'_>, out: &mut Vec<u8>) {
    let checks = Checks::of(context.services);
    let each = |out: &mut Vec<u8>| {
        let mut object = Object::begin(out);
        for (name, status) in checks.each() {
            object = object.value(name, |out| {
                Object::begin(out).string("status", status).end();
            });
        }
        object.end();
    };
    let (state, names) = (checks.state(), context.live.config.reply_names);
    projects::health(name, to, state, each, names, context.now.wall, out);
}

/// What the server looks at when it is asked how it is.
struct Checks {
    draining: bool,
    busy: bool,
    store: Option<&'static str>,
}

impl Checks {
    fn of(services: &Services) -> Self {
        Self {
            draining: services.is_draining(),
            busy: !services.rooms.has_room_for_mail(),
            store: store_state(services),
        }
    }

    fn state(&self) -> &'static str {
        match self.draining || self.busy || self.store == Some(FAILING) {
            true => "degraded",
            false => "healthy",
        }
    }

    /// Each with its name.
    fn each(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let accepting = if self.draining { "shutting down" } else { "ok" };
        let mailboxes = if self.busy { "full" } else { "ok" };
        let own = [("accepting", accepting), ("mailboxes", mailboxes)];
        let store = self.store.map(|state| ("store", state));
        own.into_iter().chain(store)
    }
}

fn report(call: &Call<'_>, status: Status, with_details: bool) -> Response {
    let services = call.context.services;
    let checks = Checks::of(services);
    let mut out = Vec::new();
    let object = Object::begin(&mut out)
        .string("status", checks.state())
        .string("service", SERVICE)
        .string("version", env!("CARGO_PKG_VERSION"))
        .number("connections", services.connections())
        .number("uptime", services.uptime(call.context.now).as_secs())
        .value("checks", |out| {
            let mut object = Object::begin(out);
            for (name, status) in checks.each() {
                object = object.string(name, status);
            }
            object.end();
        });
    let object = if with_details {
        object.value("details", |out| {
            let object = Object::begin(out)
                .number("sessions", services.sessions())
                .number("rooms", services.rooms.count() as u64)
                .boolean("draining", checks.draining);
            let object = match (&services.store, &services.executor) {
                (None, _) => object.string("runs", "no data directory"),
                (Some(_), None) => object.string("runs", "off"),
                (Some(_), Some(_)) => object.string("runs", "ok"),
            };
            let missing = call.context.live.missing_agents.join(",");
            let missing = Some(&*missing).filter(|names| !names.is_empty());
            let object = object.string_if("missing_agents", missing);
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
