//! Whether a request is welcome, decided on its head alone, before any of its body is taken.
//!
//! In order: the Host it names (a page on another name that resolves to us must not reach us,
//! DNS rebinding), the Origin it comes from, preflights, the route.

use crate::app::engine_io;
use crate::app::http::error_response;
use crate::app::http::routes::table::ROUTES;
use crate::app::http::routes::{Kind, NoRoute, api, resolve};
use crate::app::opening::Endpoint;
use crate::app::services::{Live, Services};
use crate::base::ids::SessionId;
use crate::dialect::native::members::shorten;
use crate::domain::fault::Code;
use crate::domain::origin::{Asked, OriginVerdict, check_host, check_origin};
use crate::wire::engine_io::handshake::Transport;
use crate::wire::engine_io::query::EngineRequest;
use crate::wire::http::head::{Head, Method};
use crate::wire::http::response::{Response, Status};

/// What is said of a path that leads nowhere.
const NOTHING_HERE: &str = "nothing is here; GET /api/docs lists the paths, and the README says \
                            what became of those of the systems that kinglet replaces";

/// What a welcome request leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Destination {
    /// The API route of this index.
    Api {
        /// Index into [`ROUTES`].
        route: usize,
        /// The path's open segments, decoded.
        parameters: Vec<String>,
    },
    /// What begins a session.
    Session(Beginning),
}

/// What a session begins with.
#[derive(Debug, PartialEq, Eq)]
pub enum Beginning {
    /// The upgrade to a WebSocket.
    Upgrade(Endpoint),
    /// A stream of Server-Sent Events, of the room in the path if there is one.
    Events(Option<String>),
    /// A request of Engine.IO, which begins a session or belongs to one.
    Engine(EngineRequest),
}

impl Beginning {
    /// The session that has begun already and that it belongs to.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Self::Engine(EngineRequest::Handshake(_)) | Self::Upgrade(_) | Self::Events(_) => None,
            Self::Engine(
                EngineRequest::Poll(sid) | EngineRequest::Post(sid) | EngineRequest::Attach(sid),
            ) => Some(*sid),
        }
    }

    /// Whether the connection is one client's from then on.
    #[must_use]
    pub fn keeps_connection(&self) -> bool {
        match self {
            Self::Upgrade(_) | Self::Events(_) => true,
            Self::Engine(asked) => match asked {
                EngineRequest::Handshake(transport) => *transport == Transport::WebSocket,
                EngineRequest::Attach(_) => true,
                EngineRequest::Poll(_) | EngineRequest::Post(_) => false,
            },
        }
    }
}

impl Destination {
    /// Whether it is for those who look after a full server.
    #[must_use]
    pub fn is_essential(&self) -> bool {
        match self {
            Self::Api { route, .. } => api(*route).is_some_and(|api| api.is_essential),
            Self::Session(_) => false,
        }
    }
}

/// How a request came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// A trusted proxy sent it.
    pub is_proxied: bool,
    /// It came over TLS that ends here.
    pub is_secure: bool,
}

/// Decides on a head that came by `way`. The first value is the origin that
/// CORS headers are due to, whatever the answer.
pub fn admit(
    head: &Head,
    way: Way,
    live: &Live,
    services: &Services,
) -> (Option<Box<str>>, Result<Destination, Box<Response>>) {
    let server = &live.config.server;
    let is_health = head.path() == "/health" || head.path().starts_with("/health/");
    let mode = live.config.auth.mode;
    let is_ours = || {
        check_host(
            head.host(),
            mode,
            &services.listening,
            &server.allowed_hosts,
        )
    };
    if !is_health && !is_ours() {
        let message = format!(
            "this server is not known by the Host \"{}\"; if it should be, add the name to \
             server.allowed_hosts",
            shorten(head.host())
        );
        let (status, code) = (Status::MISDIRECTED_REQUEST, Code::MisdirectedRequest);
        return (None, Err(Box::new(error_response(status, code, &message))));
    }
    let origins: Vec<&str> = head.header_values("origin").collect();
    let joined = origins.join(",");
    let origin = (!origins.is_empty()).then_some(joined.as_str());
    // The page knows the server by the name that its proxy was asked for.
    let named = head.header_values("x-forwarded-host").next_back();
    let believed = named
        .filter(|_| way.is_proxied)
        .and_then(|hosts| hosts.rsplit(',').next());
    let host = believed.map_or(head.host(), str::trim);
    let asked = match way.is_secure && !is_forwarded(head, way) {
        true => Asked::Https,
        false => Asked::Either,
    };
    let verdict = match check_origin(origin, host, asked, &server.allowed_origins) {
        Ok(verdict) => verdict,
        Err(fault) => {
            let mut message = fault.to_string();
            if named.is_some() && !way.is_proxied {
                message.push_str("; X-Forwarded-Host is believed only from server.trusted_proxies");
            }
            let response = match engine_io::is_asked(head, live) {
                true => engine_io::forbidden(&message),
                false => error_response(Status::FORBIDDEN, Code::PermissionDenied, &message),
            };
            return (None, Err(Box::new(response)));
        }
    };
    let cors_origin = match verdict {
        OriginVerdict::Listed => origin.map(Box::from),
        OriginVerdict::SameOrigin | OriginVerdict::Absent => None,
    };
    let is_cors = cors_origin.is_some();
    (cors_origin, route(head, is_cors, live))
}

/// Whether a trusted proxy passed it on for somebody; one without these fields is a client itself,
/// as loopback addresses are trusted by default.
fn is_forwarded(head: &Head, way: Way) -> bool {
    const FIELDS: [&str; 3] = ["x-forwarded-host", "x-forwarded-for", "x-forwarded-proto"];
    way.is_proxied && FIELDS.iter().any(|field| head.header(field).is_some())
}

fn route(head: &Head, is_cors: bool, live: &Live) -> Result<Destination, Box<Response>> {
    let is_engine = engine_io::is_asked(head, live);
    match head.method() {
        Method::Options => return Err(Box::new(options(head, is_engine, is_cors))),
        Method::Other => return Err(Box::new(unknown_method())),
        Method::Get
        | Method::Head
        | Method::Post
        | Method::Put
        | Method::Patch
        | Method::Delete => {}
    }
    let codings = head.header_values("content-encoding");
    if codings
        .into_iter()
        .any(|coding| !coding.eq_ignore_ascii_case("identity"))
    {
        return Err(Box::new(encoded_body()));
    }
    if is_engine {
        let asked = engine_io::understand(head)?;
        return Ok(Destination::Session(Beginning::Engine(asked)));
    }
    match resolve(head.method(), head.path()) {
        Ok((index, parameters)) => Ok(match ROUTES.get(index).map(|route| &route.kind) {
            Some(Kind::Upgrade(Endpoint::Echo)) if !live.config.debug_echo => {
                return Err(Box::new(not_found("/ws/echo needs debug.echo = true")));
            }
            Some(Kind::Upgrade(endpoint)) => Destination::Session(Beginning::Upgrade(*endpoint)),
            Some(Kind::Events) => {
                Destination::Session(Beginning::Events(parameters.into_iter().next()))
            }
            Some(Kind::Api(_)) | None => Destination::Api {
                route: index,
                parameters,
            },
        }),
        Err(NoRoute::Path) => Err(Box::new(not_found(NOTHING_HERE))),
        Err(NoRoute::Encoding) => Err(Box::new(error_response(
            Status::BAD_REQUEST,
            Code::ValidationFailed,
            "the path is not percent-encoded UTF-8",
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
fn options(head: &Head, is_engine: bool, is_cors: bool) -> Response {
    let allow = match resolve(Method::Options, head.path()) {
        _ if is_engine => engine_io::METHODS.to_owned(),
        Err(NoRoute::Method(allow)) => allow,
        _ if head.path() == "*" => "GET, HEAD, POST, DELETE, OPTIONS".to_owned(),
        _ => return not_found(NOTHING_HERE),
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

/// Methods without a meaning here are another fault than those that a path does not know
/// (RFC 9110 section 15.6.2).
fn unknown_method() -> Response {
    let message = "this server knows the methods GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS";
    error_response(Status::NOT_IMPLEMENTED, Code::ValidationFailed, message)
}

/// Bodies are read as they are (RFC 9110 section 15.5.16).
fn encoded_body() -> Response {
    let (status, code) = (Status::UNSUPPORTED_MEDIA_TYPE, Code::ValidationFailed);
    let message = "a body must come without Content-Encoding";
    error_response(status, code, message).header("Accept-Encoding", "identity")
}

fn not_found(message: &str) -> Response {
    error_response(Status::NOT_FOUND, Code::NotFound, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testkit::world::{Options, World};
    use crate::wire::http::scan::HeadLimits;

    const CONFIG: &str = "[server]\nallowed_origins = [\"https://app.example\"]\n\
                          allowed_hosts = [\"kinglet.example\"]\n";

    /// The status of the refusal, 0 for a welcome, and the origin that CORS headers are due to.
    fn verdict(method: &str, path: &str, headers: &str, is_proxied: bool) -> (u16, Option<String>) {
        let way = Way {
            is_proxied,
            is_secure: false,
        };
        verdict_by(method, path, headers, way)
    }

    fn verdict_by(method: &str, path: &str, headers: &str, way: Way) -> (u16, Option<String>) {
        let world = World::new(Options {
            config: CONFIG,
            ..Options::default()
        });
        let limits = HeadLimits {
            bytes: 16 * 1024,
            headers: 20,
        };
        let request = format!("{method} {path} HTTP/1.1\r\n{headers}\r\n");
        let head = Head::parse(request.as_bytes(), &limits).unwrap();
        let (cors, admission) = admit(&head, way, &world.services.live(), &world.services);
        let status = admission.map_or_else(|refusal| refusal.status.code(), |_| 0);
        (status, cors.map(String::from))
    }

    fn check(method: &str, path: &str, headers: &str, status: u16, cors: Option<&str>) {
        let expected = (status, cors.map(str::to_owned));
        assert_eq!(
            verdict(method, path, headers, false),
            expected,
            "{method} {path} {headers}"
        );
    }

    #[test]
    fn a_host_that_is_not_ours_is_misdirected_except_for_health() {
        for host in [
            "localhost",
            "127.0.0.1:8080",
            "[::1]:1",
            "kinglet.example:99",
        ] {
            check("GET", "/", &format!("Host: {host}\r\n"), 0, None);
        }
        for host in ["evil.example", "kinglet.example.evil.example", "10.0.0.1"] {
            check("GET", "/", &format!("Host: {host}\r\n"), 421, None);
            check("GET", "/health/live", &format!("Host: {host}\r\n"), 0, None);
            check("GET", "/healthy", &format!("Host: {host}\r\n"), 421, None);
        }
    }

    #[test]
    fn origins_are_ours_or_listed() {
        let check = |origin: &str, status: u16, cors: Option<&str>| {
            let headers = format!("Host: localhost:8080\r\nOrigin: {origin}\r\n");
            check("GET", "/ws", &headers, status, cors);
            check("POST", "/api/v1/publish", &headers, status, cors);
        };
        check("http://localhost:8080", 0, None);
        check("https://app.example", 0, Some("https://app.example"));
        check("http://app.example", 403, None);
        check("https://app.example.evil.example", 403, None);
        check("null", 403, None);
        check(
            "https://app.example\r\nOrigin: https://app.example",
            403,
            None,
        );
    }

    #[test]
    fn a_trusted_proxy_says_which_host_a_page_asked() {
        let check = |headers: &str, is_proxied: bool, status: u16| {
            let headers =
                format!("Host: localhost:8080\r\nOrigin: https://chat.example\r\n{headers}\r\n");
            let (found, _) = verdict("GET", "/ws", &headers, is_proxied);
            assert_eq!(found, status, "{headers} {is_proxied}");
        };
        check("X-Forwarded-Host: chat.example", true, 0);
        check("X-Forwarded-Host: chat.example", false, 403);
        check("X-Forwarded-Host: chat.example:443", true, 0);
        check("X-Forwarded-Host: chat.example:8443", true, 403);
        check("X-Forwarded-Host: evil.example, chat.example", true, 0);
        check("X-Forwarded-Host: chat.example, evil.example", true, 403);
        check("X-Forwarded-Host: ", true, 403);
    }

    #[test]
    fn a_body_comes_as_it_is() {
        let check = |coding: &str, status: u16| {
            let headers = format!("Host: localhost\r\nContent-Encoding: {coding}\r\n");
            check("POST", "/api/v1/publish", &headers, status, None);
        };
        check("identity", 0);
        check("gzip", 415);
        check("identity, br", 415);
    }

    #[test]
    fn over_tls_a_page_without_it_is_foreign_unless_a_proxy_passed_it_on() {
        let check = |scheme: &str, further: &str, is_proxied: bool, status: u16| {
            let origin = format!("{scheme}://localhost:8080");
            let headers = format!("Host: localhost:8080\r\nOrigin: {origin}\r\n{further}");
            let way = Way {
                is_proxied,
                is_secure: true,
            };
            let (found, cors) = verdict_by("GET", "/ws", &headers, way);
            assert_eq!((found, cors), (status, None), "{headers} {is_proxied}");
        };
        check("https", "", false, 0);
        check("https", "", true, 0);
        check("http", "", false, 403);
        // A browser on this machine looks like a trusted proxy.
        check("http", "", true, 403);
        check("http", "X-Forwarded-For: 192.0.2.1\r\n", true, 0);
        check("http", "X-Forwarded-For: 192.0.2.1\r\n", false, 403);
    }

    #[test]
    fn paths_and_methods_are_those_of_the_table() {
        let check = |method: &str, path: &str, status: u16| {
            check(method, path, "Host: localhost\r\n", status, None);
        };
        check("GET", "/ws", 0);
        check("GET", "/ws/echo", 404);
        check("GET", "/nowhere", 404);
        check("DELETE", "/api/v1/publish", 405);
        check("PUT", "/api/v1/publish", 405);
        for path in ["/api/v1/publish", "/nowhere", "/ws"] {
            check("BREW", path, 501);
            check("get", path, 501);
        }
        check("OPTIONS", "/api/v1/publish", 204);
        check("OPTIONS", "*", 204);
        check("OPTIONS", "/nowhere", 404);
    }
}
