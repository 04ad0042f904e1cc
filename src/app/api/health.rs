//! GET /health, /health/live, /health/ready and /; on sockets, the command `health_check`.
//!
//! Live says that the process answers; ready, that new clients are welcome; health sums both up.
//! They cost nothing, are charged to no rate and are never refused for their Host.

use crate::app::durable::StoreAccess;
use crate::app::health::{Check, State, of_machine, of_server, worst};
use crate::app::http::Call;
use crate::app::services::Context;
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
    let checks = Checks::of(call.context);
    let status = match checks.state() {
        State::Critical => Status::SERVICE_UNAVAILABLE,
        State::Healthy | State::Unknown | State::Warning => Status::OK,
    };
    Ok(report(call, &checks, status, false))
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

/// Whether new clients should be sent here: 503 while the server shuts down, while it refuses them
/// because it is over a limit on its resources, or while the disk takes nothing and some namespace's
/// rooms are durable.
///
/// # Errors
/// None.
pub fn ready(call: &Call<'_>) -> Result<Response, Fault> {
    let services = call.context.services;
    let needs_disk = call.context.live.config.rooms.any_durable();
    let is_failing = needs_disk && services.store.as_ref().is_some_and(StoreAccess::is_failing);
    let checks = Checks::of(call.context);
    if services.is_draining() || is_failing || services.refuses_connections().is_some() {
        let response = report(call, &checks, Status::SERVICE_UNAVAILABLE, true);
        return Ok(response.header("Retry-After", "5"));
    }
    Ok(report(call, &checks, Status::OK, true))
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

/// The reply to `health_check`, in P0's shape: a status for the whole, and one with its members for
/// each check. The machine's come first, as its clients know them; the server's own follow.
pub fn check(name: &str, to: &Correlation, context: Context<'_>, out: &mut Vec<u8>) {
    let checks = Checks::of(context);
    let each = |out: &mut Vec<u8>| {
        let mut object = Object::begin(out);
        for check in checks.machine.iter().chain(&checks.server) {
            object = object.value(check.name, |out| check.write(out));
        }
        object.end();
    };
    let state = worst(checks.machine.iter().chain(&checks.server)).of_all();
    projects::health(
        name,
        to,
        state,
        each,
        context.live.config.reply_names,
        context.now.wall,
        out,
    );
}

/// What is looked at when the server is asked how it is.
struct Checks {
    server: Vec<Check>,
    machine: [Check; 4],
}

impl Checks {
    fn of(context: Context<'_>) -> Self {
        Self {
            server: of_server(context.services),
            machine: of_machine(context.services, context.live),
        }
    }

    /// How the whole is for those who probe it. A busy processor is no fault, and a server whose
    /// Claude CLI is missing has rooms and other agents to serve: both are told and count for nothing.
    fn state(&self) -> State {
        let [_cpu, memory, disk, _claude] = &self.machine;
        worst(self.server.iter().chain([memory, disk]))
    }

    /// Each with its name and a word.
    fn each(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let word = |check: &Check| match check.state {
            State::Healthy => "ok",
            State::Unknown | State::Warning | State::Critical => check.state.word(),
        };
        let own = self.server.iter().map(move |check| {
            let problem = check.message.as_deref();
            (check.name, problem.unwrap_or_else(|| word(check)))
        });
        own.chain(
            self.machine
                .iter()
                .map(move |check| (check.name, word(check))),
        )
    }
}

fn report(call: &Call<'_>, checks: &Checks, status: Status, with_details: bool) -> Response {
    let services = call.context.services;
    let mut out = Vec::new();
    let object = Object::begin(&mut out)
        .string("status", checks.state().of_all())
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
                .boolean("draining", services.is_draining());
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
