//! Which path leads where: what a route is, and how a request finds its own in the one table.

use crate::app::credentials::nothing_shown;
use crate::app::http::Call;
use crate::app::http::routes::table::ROUTES;
use crate::app::opening::Endpoint;
use crate::bus::order::Outcome;
use crate::config::Config;
use crate::dialect::native::decode::Place;
use crate::domain::access::Identity;
use crate::domain::fault::{Code, Fault};
use crate::wire::http::head::Method;
use crate::wire::http::query::decode_segment;
use crate::wire::http::response::Response;

pub mod table;

/// One path with one method.
#[derive(Debug)]
pub struct Route {
    /// The method; GET serves HEAD, too.
    pub method: Method,
    /// The path; a segment in braces takes any one segment.
    pub path: &'static str,
    /// What happens.
    pub kind: Kind,
}

/// What a route leads to.
#[derive(Debug)]
pub enum Kind {
    /// A handler that answers.
    Api(Api),
    /// A WebSocket.
    Upgrade(Endpoint),
    /// A stream of Server-Sent Events.
    Events,
}

/// A handler, and what must hold before it is called.
#[derive(Debug)]
pub struct Api {
    /// Who may call it.
    pub access: Access,
    /// Where it runs.
    pub place: Place,
    /// Whether the address's API rate is charged for it.
    pub is_metered: bool,
    /// Whether it is served on the places kept for health checks and administration.
    pub is_essential: bool,
    /// The handler.
    pub run: Run,
}

/// What a route does.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// It answers.
    Answer(Handler),
    /// It answers, or says what the store is to do first.
    Order(fn(&Call<'_>) -> Result<Outcome<Response>, Fault>),
}

impl Run {
    /// Does it.
    ///
    /// # Errors
    /// The handler's.
    pub fn call(self, call: &Call<'_>) -> Result<Outcome<Response>, Fault> {
        match self {
            Self::Answer(handler) => handler(call).map(Outcome::Done),
            Self::Order(handler) => handler(call),
        }
    }
}

/// What answers a request.
pub type Handler = fn(&Call<'_>) -> Result<Response, Fault>;

/// Who may call a route; open mode asks nobody who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// Whoever shows a credential; what it grants is checked room by room.
    Rooms,
    /// Admins.
    Admin,
    /// Anybody; admins if `metrics.require_auth` is on.
    Metrics,
    /// Admins; in open mode nobody, if other machines can reach the server.
    Administration,
}

impl Access {
    /// Whether `identity` may call a route of this kind.
    ///
    /// # Errors
    /// UNAUTHORIZED or PERMISSION_DENIED.
    pub fn check(self, identity: &Identity, config: &Config) -> Result<(), Fault> {
        let shows_nothing = *identity == Identity::Pending;
        match self {
            Self::Public => Ok(()),
            Self::Metrics => match config.metrics.require_auth {
                true => Self::Admin.check(identity, config),
                false => Ok(()),
            },
            Self::Rooms | Self::Admin | Self::Administration if shows_nothing => {
                Err(nothing_shown())
            }
            Self::Rooms => Ok(()),
            Self::Administration
                if *identity == Identity::Anonymous && config.insecure && !config.insecure_runs =>
            {
                Err(Fault::new(
                    Code::PermissionDenied,
                    "administration is closed while anybody who reaches the server could use it; \
                     use auth.mode = \"token\", or the flag --insecure-runs",
                ))
            }
            Self::Admin | Self::Administration if identity.is_admin() => Ok(()),
            Self::Admin | Self::Administration => Err(Fault::new(
                Code::PermissionDenied,
                "this needs the role admin, or an API key without grants",
            )),
        }
    }
}

/// The handler of the route at `index`; `None` for what begins a session.
#[must_use]
pub fn api(index: usize) -> Option<&'static Api> {
    match &ROUTES.get(index)?.kind {
        Kind::Api(api) => Some(api),
        Kind::Upgrade(_) | Kind::Events => None,
    }
}

/// Why no route serves a request.
#[derive(Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// Nothing is at this path.
    Path,
    /// Something is, with other methods: the value of Allow.
    Method(String),
    /// A route is, but an open segment of the path is not percent-encoded UTF-8.
    Encoding,
}

/// The route of a request, as an index into [`ROUTES`], with the path's open segments decoded.
///
/// # Errors
/// When nothing is at the path, nothing with this method, or the path cannot be decoded.
pub fn resolve(method: Method, path: &str) -> Result<(usize, Vec<String>), NoRoute> {
    let mut allowed: Vec<&str> = Vec::new();
    for (index, route) in ROUTES.iter().enumerate() {
        let Some(open) = matches(route.path, path) else {
            continue;
        };
        // A WebSocket begins with GET only (RFC 6455 section 4.1), and a stream without its body is
        // none.
        let serves_head = route.method == Method::Get && matches!(route.kind, Kind::Api(_));
        if route.method == method || (serves_head && method == Method::Head) {
            let decoded: Option<Vec<String>> = open.into_iter().map(decode_segment).collect();
            return decoded
                .map(|parameters| (index, parameters))
                .ok_or(NoRoute::Encoding);
        }
        allowed.push(route.method.as_str());
        if serves_head {
            allowed.push("HEAD");
        }
    }
    if allowed.is_empty() {
        return Err(NoRoute::Path);
    }
    allowed.push("OPTIONS");
    Err(NoRoute::Method(allowed.join(", ")))
}

/// The open segments of `path` as they were sent, if it is of the `pattern`.
fn matches<'a>(pattern: &str, path: &'a str) -> Option<Vec<&'a str>> {
    let mut open = Vec::new();
    let mut segments = path.split('/');
    for expected in pattern.split('/') {
        let segment = segments.next()?;
        if expected.starts_with('{') {
            if segment.is_empty() {
                return None;
            }
            open.push(segment);
        } else if expected != segment {
            return None;
        }
    }
    segments.next().is_none().then_some(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, path: &str, expected: Result<(&str, &[&str]), NoRoute>) {
        let found = resolve(method, path)
            .map(|(index, parameters)| (ROUTES.get(index).map_or("", |r| r.path), parameters));
        let expected = expected.map(|(path, list)| {
            (
                path,
                list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>(),
            )
        });
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn finds_routes_and_says_what_else_a_path_allows() {
        let rooms = "/api/v1/rooms/{room}";
        check(Method::Get, "/ws", Ok(("/ws", &[])));
        check(Method::Head, "/health", Ok(("/health", &[])));
        check(
            Method::Get,
            "/api/v1/rooms/project:42",
            Ok((rooms, &["project:42"])),
        );
        check(
            Method::Get,
            "/api/v1/rooms/a%2Fb%2541",
            Ok((rooms, &["a/b%41"])),
        );
        for malformed in ["%zz", "%FF", "a%4"] {
            let path = format!("/api/v1/rooms/{malformed}");
            check(Method::Get, &path, Err(NoRoute::Encoding));
            check(Method::Delete, &(path + "/history"), Err(NoRoute::Encoding));
        }
        check(Method::Get, "/api/v1/rooms/", Err(NoRoute::Path));
        check(Method::Get, "/api/v1/rooms/a/b", Err(NoRoute::Path));
        check(Method::Get, "/nope", Err(NoRoute::Path));
        for method in [Method::Post, Method::Head] {
            check(method, "/ws", Err(NoRoute::Method("GET, OPTIONS".into())));
        }
        check(
            Method::Post,
            "/api/v1/rooms/a/history",
            Err(NoRoute::Method("GET, HEAD, DELETE, OPTIONS".into())),
        );
        check(
            Method::Get,
            "/api/v1/publish",
            Err(NoRoute::Method("POST, OPTIONS".into())),
        );
    }
}
