//! Whether a request becomes a stream of Server-Sent Events, in which rooms and from where on.

use crate::app::credentials;
use crate::app::http::fault_response;
use crate::app::opening::{named_rooms, shutting_down};
use crate::app::services::Live;
use crate::base::clock::Wall;
use crate::dialect::events::MEDIA_TYPE;
use crate::dialect::native::members::{self, shorten};
use crate::domain::access::Identity;
use crate::domain::command::Since;
use crate::domain::fault::{Code, Fault};
use crate::domain::room::RoomName;
use crate::wire::http::fields::BodyFraming;
use crate::wire::http::head::Head;
use crate::wire::http::query::pairs;
use crate::wire::http::response::{Response, Status};

/// A stream about to begin.
#[derive(Debug)]
pub struct EventStream {
    /// The rooms in the order asked for, at least one and none twice, each with where the client
    /// stopped hearing.
    pub rooms: Vec<(RoomName, Option<Since>)>,
    /// Whether each event has a line with its name.
    pub is_named: bool,
    /// On whose behalf it is.
    pub identity: Identity,
}

/// Checks a request for a stream: of the room in its path, or of those in its query.
///
/// # Errors
/// The answer that says why not: 400, 401, 429, or 503 while the server shuts down.
pub fn open(
    head: &Head,
    room: Option<&str>,
    draining: bool,
    live: &Live,
    now: Wall,
) -> Result<EventStream, Box<Response>> {
    if draining {
        return Err(Box::new(shutting_down()));
    }
    let opened = || {
        if !matches!(
            head.body_framing(),
            BodyFraming::None | BodyFraming::Length(0)
        ) {
            return Err(invalid("a stream is asked for without a body"));
        }
        let identity = credentials::of_stream(head, live, now)?;
        if identity == Identity::Pending {
            return Err(credentials::nothing_shown());
        }
        let rooms = match room {
            Some(name) => vec![members::room(name)?],
            None => {
                let most = live.config.limits.rooms_per_session;
                named_rooms(head.query(), most.unwrap_or(usize::MAX))?
            }
        };
        if rooms.is_empty() {
            return Err(invalid("name the rooms: ?room=a&room=b"));
        }
        Ok(EventStream {
            rooms: with_positions(rooms, head)?,
            is_named: is_named(head.query())?,
            identity,
        })
    };
    opened().map_err(|fault| Box::new(fault_response(&fault)))
}

/// The answer that a stream follows, for as long as both sides like.
#[must_use]
pub fn response() -> Response {
    // Browsers must not keep it, and nginx must not gather it.
    Response::empty(Status::OK)
        .header("Content-Type", MEDIA_TYPE)
        .header("Cache-Control", "no-store")
        .header("X-Accel-Buffering", "no")
}

/// Each room with its position: from `Last-Event-ID`, which is what a browser has heard since, or
/// from `?last_event_id=`, which is in the address from the start.
fn with_positions(
    rooms: Vec<RoomName>,
    head: &Head,
) -> Result<Vec<(RoomName, Option<Since>)>, Fault> {
    let mut fields = head.header_values("last-event-id");
    let field = fields.next().filter(|value| !value.is_empty());
    if fields.next().is_some() {
        return Err(invalid("Last-Event-ID is there twice"));
    }
    let in_query = pairs(head.query()).find(|(name, _)| name == "last_event_id");
    let in_query = in_query.map(|(_, value)| value);
    let Some(spelt) = field.or(in_query.as_deref().filter(|value| !value.is_empty())) else {
        return Ok(rooms.into_iter().map(|room| (room, None)).collect());
    };
    let positions: Option<Vec<Since>> = match spelt {
        // The beginning is the same place in every room.
        "0" => Since::parse("0").map(|beginning| vec![beginning; rooms.len()]),
        _ => spelt.split(',').map(Since::parse).collect(),
    };
    match positions {
        Some(positions) if positions.len() == rooms.len() => Ok(rooms
            .into_iter()
            .zip(positions.into_iter().map(Some))
            .collect()),
        Some(_) | None => Err(wrong_position(spelt, rooms.len())),
    }
}

fn wrong_position(spelt: &str, rooms: usize) -> Fault {
    let wanted = match rooms {
        1 => "EPOCH:OFFSET or OFFSET".to_owned(),
        _ => format!(
            "{rooms} of EPOCH:OFFSET or OFFSET joined by ',', one for each room in the order asked \
             for"
        ),
    };
    invalid(format!(
        "Last-Event-ID (or ?last_event_id=) must be the id of an event of this stream, which is \
         {wanted}; or 0 for the beginning; it is \"{}\"",
        shorten(spelt)
    ))
}

fn is_named(query: &str) -> Result<bool, Fault> {
    match pairs(query).find(|(name, _)| name == "named") {
        None => Ok(false),
        Some((_, value)) => match &*value {
            "1" | "true" | "" => Ok(true),
            "0" | "false" => Ok(false),
            _ => Err(invalid("named must be 1 or 0")),
        },
    }
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(Code::ValidationFailed, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "event_stream_tests.rs"]
mod tests;
