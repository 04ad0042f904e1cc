//! GET /api/v1/ws/stats and /api/v1/websocket/stats: the two shapes that clients of the replaced
//! systems know.

use crate::app::api::connections;
use crate::app::http::Call;
use crate::base::limits;
use crate::bus::mail::{SessionPage, SessionSummary};
use crate::dialect::Dialect;
use crate::dialect::device::channel;
use crate::domain::fault::Fault;
use crate::metrics::names::Counter;
use crate::metrics::table::COUNTERS;
use crate::wire::http::response::{Response, Status};
use crate::wire::json::object::{Object, array, string};

/// How many sessions there are, and who the first thousand are. Waits for the shards: for workers
/// only.
///
/// # Errors
/// SERVER_BUSY when a shard does not answer in time.
pub fn sessions(call: &Call<'_>) -> Result<Response, Fault> {
    let page = SessionPage {
        limit: limits::STATS_SESSIONS,
        ..SessionPage::default()
    };
    let listed = connections::sessions(call, &page)?;
    let mut out = Vec::new();
    Object::begin(&mut out)
        .number("connectedClients", call.context.services.sessions())
        .value("clients", |out| {
            array(out, &listed, |out, session| client(session, out));
        })
        .end();
    Ok(Response::raw_json(Status::OK, out.into()))
}

fn client(session: &SessionSummary, out: &mut Vec<u8>) {
    Object::begin(out)
        .string("id", &session.id.to_string())
        .string("connectedAt", &session.connected_at.to_rfc3339())
        .string("dialect", session.dialect.name())
        .value("subscribedChannels", |out| {
            array(out, channels(session), |out, channel| string(channel, out));
        })
        .end();
}

/// What a session hears: rooms, which devices know as channels, some of them as nothing else.
fn channels(session: &SessionSummary) -> impl Iterator<Item = &str> {
    let rooms = session.rooms.iter().map(|room| match session.dialect {
        Dialect::Device => channel::name(room).unwrap_or(room.as_str()),
        Dialect::Native
        | Dialect::NativeV1
        | Dialect::Echo
        | Dialect::Events
        | Dialect::SocketIo
        | Dialect::SocketIoEnveloped => room.as_str(),
    });
    rooms.chain(session.channels.iter().map(|channel| &**channel))
}

/// How many connections and rooms there are, the members of the first thousand rooms, and what
/// the server has counted since its start.
///
/// # Errors
/// None.
pub fn rooms(call: &Call<'_>) -> Result<Response, Fault> {
    let services = call.context.services;
    let (listed, _) = services.rooms.list("", "", limits::STATS_ROOMS, |_| true);
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
        .number(
            "uptime_seconds",
            services.uptime(call.context.now).as_secs(),
        )
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use super::channels;
    use crate::app::http;
    use crate::app::http::routes::resolve;
    use crate::app::services::Live;
    use crate::app::services::Services;
    use crate::base::clock::{Mono, Now, Wall};
    use crate::base::ids::SessionId;
    use crate::base::rng::Rng;
    use crate::bus::job::HttpCall;
    use crate::bus::mail::SessionSummary;
    use crate::bus::mailbox::Mailbox;
    use crate::config::Config;
    use crate::dialect::Dialect;
    use crate::domain::access::Identity;
    use crate::domain::room::RoomName;
    use crate::wire::http::head::{Head, Method};
    use crate::wire::http::response::Encoding;
    use crate::wire::http::scan::HeadLimits;

    #[test]
    fn a_device_is_in_channels_and_others_in_rooms() {
        let check = |dialect, expected: &[&str]| {
            let rooms = ["metrics:processes", "metrics"];
            let session = SessionSummary {
                id: SessionId(1),
                user: None,
                expires: None,
                address: IpAddr::from([127, 0, 0, 1]),
                connected_at: Wall::from_millis(0),
                dialect,
                rooms: rooms.map(|room| RoomName::parse(room).unwrap()).into(),
                channels: vec!["logs".into()],
            };
            assert_eq!(channels(&session).collect::<Vec<_>>(), expected);
        };
        check(Dialect::Device, &["processes", "metrics", "logs"]);
        check(Dialect::Native, &["metrics:processes", "metrics", "logs"]);
    }

    #[test]
    fn a_shard_that_cannot_answer_is_503_and_not_an_empty_list() {
        // No mail is welcome in it, as in one that is full.
        let mailbox = Arc::new(Mailbox::new(0, Box::new(|| ())));
        let now = Now {
            mono: Mono::ZERO,
            wall: Wall::from_millis(0),
        };
        let services = Services::new(
            Live::of(Config::default()).unwrap(),
            Arc::from([mailbox]),
            Vec::new(),
            Rng::from_seed(1),
            now,
        );
        let path = "/api/v1/ws/stats";
        let (route, parameters) = resolve(Method::Get, path).unwrap();
        let limits = HeadLimits {
            bytes: 1024,
            headers: 8,
        };
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let asked = HttpCall {
            head: Head::parse(head.as_bytes(), &limits).unwrap(),
            body: Vec::new(),
            route,
            parameters,
            address: IpAddr::from([127, 0, 0, 1]),
            identity: Identity::Anonymous,
        };
        let response = http::call(
            &asked,
            services.context(&services.live(), &services.counters_of_workers(), now),
        );
        let response = response.done().unwrap();
        let form = Encoding {
            head_only: false,
            keep_alive: true,
            http10: false,
            date: "",
        };
        let mut out = Vec::new();
        response.encode(&form, &mut out);
        let text = String::from_utf8(out).unwrap();
        for part in ["HTTP/1.1 503 ", "Retry-After: 1\r\n", "SERVER_BUSY"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
