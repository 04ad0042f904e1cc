//! GET /metrics: everything that is measured, for Prometheus.

use crate::app::http::Call;
use crate::domain::fault::Fault;
use crate::metrics::exposition::{self, CONTENT_TYPE};
use crate::wire::http::response::{Response, Status};

/// The page. Waits for the locks of rooms: for workers only.
///
/// # Errors
/// None.
pub fn page(call: &Call<'_>) -> Result<Response, Fault> {
    let reading = call.context.services.reading(call.context.now);
    let mut response = Response::empty(Status::OK).header("Content-Type", CONTENT_TYPE);
    response.body = exposition::page(&reading).into();
    Ok(response)
}
