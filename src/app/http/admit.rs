//! Whether a request is welcome, decided on its head alone, before any of its body is taken.
//!
//! In order: the Host it names (a page on another name that resolves to us must not reach us,
//! DNS rebinding), the Origin it comes from, preflights, the route.

use crate::app::http::error_response;
use crate::app::http::routes::{Kind, NoRoute, ROUTES, resolve};
use crate::app::opening::Endpoint;
use crate::app::services::Services;
use crate::domain::fault::Code;
use crate::domain::origin::{OriginVerdict, check_host, check_origin};
use crate::wire::http::head::{Head, Method};
use crate::wire::http::response::{Response, Status};

/// What a welcome request leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// The API route of this index.
    Api {
        /// Index into [`ROUTES`].
        route: usize,
        /// The path's open segments, decoded.
        parameters: Vec<String>,
    },
    /// A WebSocket.
    Upgrade(Endpoint),
}

/// Decides on a head. The first value is the origin that CORS headers are due to, whatever the
/// answer.
pub fn admit(
    head: &Head,
    services: &Services,
) -> (Option<Box<str>>, Result<Admission, Box<Response>>) {
    let server = &services.config.server;
    let is_health = head.path() == "/health" || head.path().starts_with("/health/");
    if !is_health && !check_host(head.host(), &services.listening, &server.allowed_hosts) {
        return (
            None,
            Err(Box::new(error_response(
                Status::MISDIRECTED_REQUEST,
                Code::MisdirectedRequest,
                "this server is not known by the name in Host; add the name to server.allowed_hosts",
            ))),
        );
    }
    let origins: Vec<&str> = head.header_values("origin").collect();
    let joined = origins.join(",");
    let origin = (!origins.is_empty()).then_some(joined.as_str());
    let verdict = match check_origin(origin, head.host(), &server.allowed_origins) {
        Ok(verdict) => verdict,
        Err(fault) => {
            let message = format!("{fault}");
            let response = error_response(Status::FORBIDDEN, Code::PermissionDenied, &message);
            return (None, Err(Box::new(response)));
        }
    };
    let cors_origin = match verdict {
        OriginVerdict::Listed => origin.map(Box::from),
        OriginVerdict::SameOrigin | OriginVerdict::Absent => None,
    };
    let is_cors = cors_origin.is_some();
    (cors_origin, route(head, is_cors, services))
}

fn route(head: &Head, is_cors: bool, services: &Services) -> Result<Admission, Box<Response>> {
    if head.method() == Method::Options {
        return Err(Box::new(options(head, is_cors)));
    }
    match resolve(head.method(), head.path()) {
        Ok((index, parameters)) => Ok(match ROUTES.get(index).map(|route| &route.kind) {
            Some(Kind::Upgrade(Endpoint::Echo)) if !services.config.debug_echo => {
                return Err(Box::new(not_found("/ws/echo needs debug.echo = true")));
            }
            Some(Kind::Upgrade(endpoint)) => Admission::Upgrade(*endpoint),
            Some(Kind::Api { .. }) | None => Admission::Api {
                route: index,
                parameters,
            },
        }),
        Err(NoRoute::Path) => Err(Box::new(not_found(
            "nothing is here; the README lists the paths, and what became of those of the \
             systems that kinglet replaces",
        ))),
        Err(NoRoute::Method(allow)) => {
            let message = format!("this path knows the methods {allow}");
            let response =
                error_response(Status::METHOD_NOT_ALLOWED, Code::MethodNotAllowed, &message);
            Err(Box::new(response.header("Allow", allow)))
        }
    }
}

/// Answers OPTIONS: a preflight from a listed origin, or the methods of a path.
fn options(head: &Head, is_cors: bool) -> Response {
    let allow = match resolve(Method::Options, head.path()) {
        Err(NoRoute::Method(allow)) => allow,
        _ if head.path() == "*" => "GET, HEAD, POST, DELETE, OPTIONS".to_owned(),
        _ => return not_found("nothing is here"),
    };
    let response = Response::empty(Status::NO_CONTENT).header("Allow", allow.clone());
    if is_cors && head.header("access-control-request-method").is_some() {
        return response
            .header("Access-Control-Allow-Methods", allow)
            .header(
                "Access-Control-Allow-Headers",
                "Authorization, Content-Type, Idempotency-Key, X-API-Key, Last-Event-ID",
            )
            .header("Access-Control-Max-Age", "600");
    }
    response
}

fn not_found(message: &str) -> Response {
    error_response(Status::NOT_FOUND, Code::NotFound, message)
}
