//! Whether an upgrade request becomes a session, and with which dialect and first rooms.

use crate::app::credentials::{self, BEARER_SUBPROTOCOL};
use crate::app::http::{error_response, fault_response};
use crate::app::services::Live;
use crate::base::clock::Wall;
use crate::dialect::Dialect;
use crate::dialect::device::channel;
use crate::dialect::native::members;
use crate::domain::access::Identity;
use crate::domain::fault::{Code, Fault};
use crate::domain::room::RoomName;
use crate::wire::http::fields::{BodyFraming, Version};
use crate::wire::http::head::{Head, Method};
use crate::wire::http::query::strict_pairs;
use crate::wire::http::response::{Response, Status};
use crate::wire::websocket::extension::{Agreement, MalformedExtensions, negotiate};
use crate::wire::websocket::handshake::{Accepted, HandshakeFault, HandshakeRequest, check};

/// A path that WebSockets connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/ws`.
    Native,
    /// `/ws/echo`.
    Echo,
    /// `/ws/metrics`.
    Device,
}

/// The subprotocol that switches on the hello and kinglet's own spellings.
pub const KINGLET_V1: &str = "kinglet.v1";

/// A session about to begin.
#[derive(Debug)]
pub struct Opening {
    /// The value of Sec-WebSocket-Accept.
    pub accept: String,
    /// The subprotocol selected.
    pub subprotocol: Option<&'static str>,
    /// What will be spoken.
    pub dialect: Dialect,
    /// The rooms it is in from the start, or once it has shown a token.
    pub rooms: Vec<RoomName>,
    /// On whose behalf it is.
    pub identity: Identity,
    /// What of the offered compression is agreed on.
    pub compression: Option<Agreement>,
}

/// Checks an upgrade request.
///
/// # Errors
/// The answer that says why not: 400, 401, 426, or 503 while the server shuts down.
pub fn open(
    endpoint: Endpoint,
    head: &Head,
    draining: bool,
    live: &Live,
    now: Wall,
) -> Result<Opening, Box<Response>> {
    if draining {
        return Err(Box::new(shutting_down()));
    }
    let accepted = handshake(head)?;
    let is_bearer = |offered: &&str| offered.starts_with(BEARER_SUBPROTOCOL);
    if !accepted.offered.is_empty() && accepted.offered.iter().all(is_bearer) {
        // A browser fails a connection that selects none of what it offered; a token is no
        // protocol to select.
        return Err(Box::new(error_response(
            Status::BAD_REQUEST,
            Code::WebsocketError,
            "offer the subprotocol kinglet.v1 beside bearer.<token>; it is the one selected",
        )));
    }
    let identity = identify(endpoint, head, &accepted.offered, live, now)
        .map_err(|fault| Box::new(fault_response(&fault)))?;
    let extensions = head.header_values("sec-websocket-extensions");
    let configured = &live.config.compression;
    // Inflating is work that only those get done who have said who they are.
    let compression = negotiate(extensions, configured.takeover)
        .map_err(|fault| Box::new(malformed(&fault)))?
        .filter(|_| configured.enabled && identity != Identity::Pending);
    // A browser that shows its token among its subprotocols needs one to be selected, even where
    // it changes nothing.
    let selects_v1 = endpoint != Endpoint::Echo && accepted.offered.contains(&KINGLET_V1);
    let dialect = match endpoint {
        Endpoint::Echo => Dialect::Echo,
        Endpoint::Device => Dialect::Device,
        Endpoint::Native if selects_v1 => Dialect::NativeV1,
        Endpoint::Native => Dialect::Native,
    };
    let rooms = match endpoint {
        Endpoint::Echo => Vec::new(),
        Endpoint::Device => channel::room(channel::FIRST).into_iter().collect(),
        Endpoint::Native => first_rooms(
            head.query(),
            live.config.limits.rooms_per_session.unwrap_or(usize::MAX),
        )
        .map_err(|fault| Box::new(fault_response(&fault)))?,
    };
    let subprotocol = selects_v1.then_some(KINGLET_V1);
    Ok(Opening {
        accept: accepted.accept,
        subprotocol,
        dialect,
        rooms,
        identity,
        compression,
    })
}

/// Checks that a request is the handshake of a WebSocket, and nothing more; the value of its
/// Sec-WebSocket-Accept.
///
/// # Errors
/// The answer that says why not: 400 or 426.
pub fn accept(head: &Head) -> Result<String, Box<Response>> {
    handshake(head).map(|accepted| accepted.accept)
}

fn handshake(head: &Head) -> Result<Accepted<'_>, Box<Response>> {
    let upgrade: Vec<&str> = head.header_values("upgrade").collect();
    let connection: Vec<&str> = head.header_values("connection").collect();
    let key: Vec<&str> = head.header_values("sec-websocket-key").collect();
    let version: Vec<&str> = head.header_values("sec-websocket-version").collect();
    let protocol: Vec<&str> = head.header_values("sec-websocket-protocol").collect();
    check(&HandshakeRequest {
        is_get: head.method() == Method::Get,
        is_http11: head.version() == Version::Http11,
        has_body: !matches!(
            head.body_framing(),
            BodyFraming::None | BodyFraming::Length(0)
        ),
        upgrade: &upgrade,
        connection: &connection,
        key: &key,
        version: &version,
        protocol: &protocol,
    })
    .map_err(|fault| Box::new(refusal(&fault)))
}

/// The answer to those who come while the server goes.
pub fn shutting_down() -> Response {
    let (status, code) = (Status::SERVICE_UNAVAILABLE, Code::ServerBusy);
    error_response(status, code, "the server is shutting down").header("Retry-After", "5")
}

/// On whose behalf a session would be that offers these subprotocols.
fn identify(
    endpoint: Endpoint,
    head: &Head,
    offered: &[&str],
    live: &Live,
    now: Wall,
) -> Result<Identity, Fault> {
    let identity = credentials::of_upgrade(head, offered, live, now)?;
    let takes_token_later = match endpoint {
        Endpoint::Native => true,
        // No message there shows one.
        Endpoint::Echo | Endpoint::Device => false,
    };
    if identity == Identity::Pending && !takes_token_later {
        return Err(credentials::nothing_shown());
    }
    Ok(identity)
}

/// The rooms that the query names; `global` if it names none.
fn first_rooms(query: &str, most: usize) -> Result<Vec<RoomName>, Fault> {
    let mut rooms = named_rooms(query, most)?;
    if rooms.is_empty() {
        rooms.push(members::room("global")?);
    }
    Ok(rooms)
}

/// The rooms named by `?project_id=`, `?board_id=` and `?room=`, each repeatable. One without a
/// value names nothing: a page that has no project yet sends `?project_id=`.
pub(super) fn named_rooms(query: &str, most: usize) -> Result<Vec<RoomName>, Fault> {
    let mut rooms = Vec::new();
    for (name, value) in strict_pairs(query) {
        let namespace = match &*name {
            "room" => "",
            "project_id" => "project:",
            "board_id" => "board:",
            _ => continue,
        };
        let Some(value) = value else {
            return Err(Fault::new(
                Code::ValidationFailed,
                format!("the query parameter {name} is not percent-encoded UTF-8"),
            ));
        };
        if value.is_empty() {
            continue;
        }
        let room = members::room(&format!("{namespace}{value}"))?;
        if rooms.contains(&room) {
            continue;
        }
        if rooms.len() >= most {
            return Err(Fault::new(
                Code::ResourceLimit,
                format!("a session may be in {most} rooms (limits.rooms_per_session)"),
            ));
        }
        rooms.push(room);
    }
    Ok(rooms)
}

fn malformed(fault: &MalformedExtensions) -> Response {
    error_response(
        Status::BAD_REQUEST,
        Code::WebsocketError,
        &fault.to_string(),
    )
}

fn refusal(fault: &HandshakeFault) -> Response {
    let status = Status::from_code(fault.status());
    let mut response = error_response(status, Code::WebsocketError, &fault.to_string());
    if status == Status::UPGRADE_REQUIRED {
        // Upgrade speaks of this connection only (RFC 9110 section 7.8).
        response = response.header("Connection", "upgrade");
    }
    for (name, value) in fault.answer_headers() {
        response = response.header(name, *value);
    }
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testkit::world::{Options, World};
    use crate::wire::http::scan::HeadLimits;
    use crate::wire::websocket::handshake::client_request;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn opened(request: &[u8], endpoint: Endpoint, draining: bool) -> Result<Opening, u16> {
        let world = World::new(Options {
            config: "[limits]\nrooms_per_session = 2\n",
            ..Options::default()
        });
        let limits = HeadLimits {
            bytes: 16 * 1024,
            headers: 20,
        };
        let head = Head::parse(request, &limits).unwrap();
        open(
            endpoint,
            &head,
            draining,
            &world.services.live(),
            world.now().wall,
        )
        .map_err(|refusal| refusal.status.code())
    }

    fn native(query: &str, protocols: &[&str]) -> Result<Opening, u16> {
        let target = format!("/ws{query}");
        let request = client_request("localhost", &target, KEY, protocols, &[]);
        opened(&request, Endpoint::Native, false)
    }

    #[test]
    fn the_query_names_the_first_rooms() {
        let check = |query: &str, expected: Result<&[&str], u16>| {
            let found = native(query, &[]).map(|opening| {
                let names = opening.rooms.iter().map(|room| room.as_str().to_owned());
                names.collect::<Vec<_>>()
            });
            let expected = expected.map(|names| names.iter().map(|n| (*n).to_owned()).collect());
            assert_eq!(found, expected, "{query}");
        };
        check("", Ok(&["global"]));
        check("?other=1", Ok(&["global"]));
        check("?room=a&room=a&room=b", Ok(&["a", "b"]));
        check("?project_id=7&board_id=x", Ok(&["project:7", "board:x"]));
        check("?room=a%3Ab", Ok(&["a:b"]));
        check("?room=&project_id=&board_id", Ok(&["global"]));
        check("?project_id=&room=a", Ok(&["a"]));
        for parameter in ["room", "project_id", "board_id"] {
            check(&format!("?{parameter}=%ff"), Err(400));
            check(&format!("?room=a&{parameter}=%zz"), Err(400));
        }
        check("?room=a%20b", Err(400));
        check("?room=a&room=b&room=c", Err(429));
    }

    #[test]
    fn the_subprotocol_and_the_path_choose_the_dialect() {
        let check = |protocols: &[&str], dialect: Dialect, selected: Option<&str>| {
            let opening = native("", protocols).unwrap();
            assert_eq!((opening.dialect, opening.subprotocol), (dialect, selected));
        };
        check(&[], Dialect::Native, None);
        check(&["kinglet.v1"], Dialect::NativeV1, Some("kinglet.v1"));
        check(
            &["other", "kinglet.v1"],
            Dialect::NativeV1,
            Some("kinglet.v1"),
        );
        check(&["other"], Dialect::Native, None);
        let request = client_request("localhost", "/ws/echo", KEY, &["kinglet.v1"], &[]);
        let echo = opened(&request, Endpoint::Echo, false).unwrap();
        assert_eq!((echo.dialect, echo.subprotocol), (Dialect::Echo, None));
        assert!(echo.rooms.is_empty());
    }

    #[test]
    fn a_device_is_in_its_first_channel_whatever_the_query_says() {
        let target = "/ws/metrics?room=a&type=global";
        let request = client_request("localhost", target, KEY, &["kinglet.v1"], &[]);
        let device = opened(&request, Endpoint::Device, false).unwrap();
        let told = (device.dialect, device.subprotocol);
        assert_eq!(told, (Dialect::Device, Some("kinglet.v1")));
        let rooms: Vec<&str> = device.rooms.iter().map(RoomName::as_str).collect();
        assert_eq!(rooms, ["metrics"]);
    }

    #[test]
    fn what_is_no_handshake_is_refused_with_its_status() {
        let good = client_request("localhost", "/ws", KEY, &[], &[]);
        assert_eq!(opened(&good, Endpoint::Native, true).err(), Some(503));
        let good = String::from_utf8(good).unwrap();
        let check = |from: &str, to: &str, status: u16| {
            let request = good.replace(from, to);
            assert_ne!(request, good, "{from}");
            let found = opened(request.as_bytes(), Endpoint::Native, false);
            assert_eq!(found.err(), Some(status), "{from} to {to}");
        };
        check("Upgrade: websocket\r\n", "", 426);
        check("Version: 13", "Version: 12", 426);
        check("Connection: Upgrade", "Connection: close", 400);
        check(KEY, "short", 400);
        check("GET", "POST", 400);
    }
}
