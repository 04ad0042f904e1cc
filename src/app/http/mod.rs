//! HTTP requests: which are welcome, which route serves them, and the chain around it.

pub mod admit;
pub mod routes;

use crate::app::chain;
use crate::app::services::Context;
use crate::bus::job::HttpCall;
use crate::bus::order::Outcome;
use crate::domain::fault::{Code, Fault};
use crate::metrics::names::Counter;
use crate::wire::http::fault::HttpFault;
use crate::wire::http::response::{Response, Status};

/// What a route's handler gets.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The request.
    pub http: &'a HttpCall,
    /// What it works with.
    pub context: Context<'a>,
}

/// Answers a request whose route is an API route, or says what the store is to do first.
#[must_use]
pub fn call(http: &HttpCall, context: Context<'_>) -> Outcome<Response> {
    let Some(api) = routes::api(http.route) else {
        return Outcome::Done(error_response(
            Status::INTERNAL_SERVER_ERROR,
            Code::InternalError,
            "the route has no handler",
        ));
    };
    let name = routes::table::ROUTES
        .get(http.route)
        .map_or("", |route| route.path);
    let outcome = chain::guard(name, http.address, || api.run.call(&Call { http, context }));
    outcome.unwrap_or_else(|fault| {
        match fault.code {
            Code::InternalError => context.counters.increment(Counter::HandlerPanics),
            Code::Unauthorized | Code::PermissionDenied => {
                context.counters.increment(Counter::CredentialsRefused);
            }
            _ => {}
        }
        Outcome::Done(fault_response(&fault))
    })
}

/// The answer to a request that failed; those to be tried again say when.
#[must_use]
pub fn fault_response(fault: &Fault) -> Response {
    let status = Status::from_code(fault.code.http_status());
    let response = Response::error(
        status,
        fault.code.as_str(),
        &fault.message,
        fault.details.clone(),
    );
    match status {
        Status::UNAUTHORIZED => response.header("WWW-Authenticate", "Bearer"),
        Status::TOO_MANY_REQUESTS | Status::SERVICE_UNAVAILABLE => {
            response.header("Retry-After", "1")
        }
        _ => response,
    }
}

/// The answer to a request that broke the protocol.
#[must_use]
pub fn protocol_fault_response(fault: HttpFault) -> Response {
    let status = fault.status();
    let code = match status {
        Status::CONTENT_TOO_LARGE | Status::HEADERS_TOO_LARGE | Status::URI_TOO_LONG => {
            Code::MessageSizeLimit
        }
        _ => Code::ValidationFailed,
    };
    error_response(status, code, &fault.to_string())
}

/// The answer to a request without TLS on a port that speaks nothing else.
#[must_use]
pub fn https_expected_response() -> Response {
    let message = "this port speaks https: write https:// in place of http://, wss:// in place of \
                   ws://";
    error_response(Status::BAD_REQUEST, Code::ValidationFailed, message)
}

/// The answer to a TLS handshake on a port that does not speak TLS. Its client cannot read it and
/// says so, most often as "wrong version number".
#[must_use]
pub fn http_expected_response() -> Response {
    let message = "this port speaks http, without TLS: write http:// in place of https://";
    error_response(Status::BAD_REQUEST, Code::ValidationFailed, message)
}

/// The answer to a request that did not arrive in time.
#[must_use]
pub fn timeout_response() -> Response {
    let message = "the request did not arrive within limits.handshake_timeout";
    Response::error(Status::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", message, None)
}

/// An error answer without details.
#[must_use]
pub fn error_response(status: Status, code: Code, message: &str) -> Response {
    Response::error(status, code.as_str(), message, None)
}
