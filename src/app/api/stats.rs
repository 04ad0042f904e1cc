//! GET /api/v1/ws/stats and /api/v1/websocket/stats: the two shapes that clients of the replaced
//! systems know.

use crate::app::http::Call;
use crate::base::clock::Wall;
use crate::base::limits;
use crate::bus::mail::{SessionSummary, list_sessions};
use crate::domain::fault::Fault;
use crate::metrics::names::{COUNTERS, Counter};
use crate::wire::http::response::{Response, Status};
use crate::wire::json::object::{Object, array, string};

/// How many sessions there are, and who the first thousand are. Waits for the shards: for workers
/// only.
///
/// # Errors
/// None.
pub fn sessions(call: &Call<'_>) -> Result<Response, Fault> {
    let mut listed: Vec<SessionSummary> = Vec::new();
    for mailbox in call.services.mailboxes.iter() {
        let limit = limits::STATS_SESSIONS.saturating_sub(listed.len());
        listed.extend(list_sessions(mailbox, limit));
    }
    let mut out = Vec::new();
    Object::begin(&mut out)
        .number("connectedClients", call.services.sessions())
        .value("clients", |out| {
            array(out, &listed, |out, session| client(session, out));
        })
        .end();
    Ok(Response::raw_json(Status::OK, out.into()))
}

fn client(session: &SessionSummary, out: &mut Vec<u8>) {
    Object::begin(out)
        .string("id", &session.id.to_string())
        .string(
            "connectedAt",
            &Wall::from_millis(session.connected_at_ms).to_rfc3339(),
        )
        .string("dialect", session.dialect)
        .value("subscribedChannels", |out| {
            array(out, &session.rooms, |out, room| string(room.as_str(), out));
        })
        .end();
}

/// How many connections and rooms there are, the members of the first thousand rooms, and what
/// the server has counted since its start.
///
/// # Errors
/// None.
pub fn rooms(call: &Call<'_>) -> Result<Response, Fault> {
    let services = call.services;
    let (listed, _) = services.rooms.list("", "", limits::STATS_ROOMS);
    let mut out = Vec::new();
    Object::begin(&mut out)
        .number("connections", services.sessions())
        .value("rooms", |out| {
            let mut object = Object::begin(out);
            for room in listed.iter().filter(|room| room.members > 0) {
                object = object.number(room.room.as_str(), room.members);
            }
            object.end();
        })
        .number("rooms_total", services.rooms.count() as u64)
        .number("events_emitted", services.total(Counter::Publications))
        .number("uptime_seconds", services.uptime(call.now).as_secs())
        .value("counters", |out| {
            let mut object = Object::begin(out);
            for (counter, name, _) in COUNTERS {
                object = object.number(name, services.total(*counter));
            }
            object.end();
        })
        .end();
    Ok(Response::raw_json(Status::OK, out.into()))
}
