//! GET /api/v1/errors: what the log had to warn of lately.

use crate::app::api::page_limit;
use crate::app::http::Call;
use crate::domain::fault::Fault;
use crate::wire::http::response::{Response, Status};
use crate::wire::json::object::{Object, array};

/// The last warnings and errors of the log, newest first; `?limit=` as elsewhere.
///
/// # Errors
/// VALIDATION_FAILED for a limit that is none.
pub fn list(call: &Call<'_>) -> Result<Response, Fault> {
    let limit = page_limit(call.http.head.query())?;
    let (lines, more) = call.context.services.recent.newest(limit);
    let mut out = Vec::new();
    Object::begin(&mut out)
        .value("errors", |out| {
            array(out, &lines, |out, line| {
                Object::begin(out)
                    .string("at", &line.at.to_rfc3339())
                    .string("level", line.severity.word())
                    .string("message", &line.message)
                    .end();
            });
        })
        .boolean("more", more)
        .end();
    Ok(Response::raw_json(Status::OK, out.into()))
}
