//! GET /api/v1/metrics: the machine, as its room `metrics` is told.

use crate::app::host;
use crate::app::http::Call;
use crate::config::PublishPolicy;
use crate::domain::access::{self, Action, Caller};
use crate::domain::fault::{Code, Fault};
use crate::host::json;
use crate::host::plan::Topic;
use crate::wire::http::response::{Response, Status};

/// A sample that is not older than `host.interval`, for whoever may subscribe to the room. Waits
/// for it up to a second: for workers only.
///
/// # Errors
/// PERMISSION_DENIED; SERVER_BUSY before the first sample.
pub fn read(call: &Call<'_>) -> Result<Response, Fault> {
    let context = call.context;
    if let Some(room) = host::room(Topic::Metrics) {
        let policy = PublishPolicy::Grant;
        let identity = &call.http.identity;
        access::check(identity, Caller::Api, Action::Subscribe, &room, policy)?;
    }
    let config = &context.live.config.host;
    let sample = context
        .services
        .host
        .fresh(config.interval, context.now.mono);
    let sample = sample.ok_or_else(|| {
        Fault::new(
            Code::ServerBusy,
            "the machine has not been measured yet; try again in a second",
        )
    })?;
    let mut out = Vec::with_capacity(4096);
    json::system_metrics(&sample, config.top_processes, &mut out)
        .string("uptime_formatted", &json::uptime(sample.uptime))
        .end();
    Ok(Response::raw_json(Status::OK, out.into()))
}
