//! The keys of `[socketio]`, one row each.
//!
//! As in `keys.rs`, from which the rest of the configuration is made.

use std::sync::Arc;
use std::time::Duration;

use super::key::{Key, Kind};
use super::keys::{KIB, MIB, key, never_zero};
use super::settings::Config;
use super::socketio::{self, JoinEvents};

/// Bounds of the heartbeat: below, nobody could answer; above, timers of browsers overflow.
const PING_MIN: Duration = Duration::from_millis(10);
const PING_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Where and how Socket.IO is served.
pub(super) static OF_SOCKETIO: &[Key<Config>] = &[
    key(
        "socketio.paths",
        Kind::List(socketio::path, |c, v| c.socketio.paths = v),
        "[\"/socket.io\", \"/ws/socket.io\"]",
        "Paths that Socket.IO is served at, with or without a slash at their end; an empty list \
         switches it off.",
    ),
    key(
        "socketio.namespaces",
        Kind::List(socketio::namespace, |c, v| {
            c.socketio.namespaces = v.into_iter().map(Arc::from).collect();
        }),
        "[\"/\", \"/ws\"]",
        "Namespaces there are; who asks for another one is told \"Invalid namespace\". Who is in \
         one that a reload takes away stays there.",
    ),
    never_zero(
        "without pings nobody would notice a dead peer",
        key(
            "socketio.ping_interval",
            Kind::TimeWithin(PING_MIN, PING_MAX, |c, v| c.socketio.ping_interval = v),
            "25s",
            "Time between a client's pong and the next ping.",
        ),
    ),
    never_zero(
        "no peer can answer in no time",
        key(
            "socketio.ping_timeout",
            Kind::TimeWithin(PING_MIN, PING_MAX, |c, v| c.socketio.ping_timeout = v),
            "20s",
            "Time a client has to answer a ping.",
        ),
    ),
    never_zero(
        "no client can say in no time where it wants to be",
        key(
            "socketio.connect_timeout",
            Kind::Time(|c, v| c.socketio.connect_timeout = v),
            "45s",
            "How long a session may be in no namespace.",
        ),
    ),
    never_zero(
        "no WebSocket opens in no time",
        key(
            "socketio.upgrade_timeout",
            Kind::Time(|c, v| c.socketio.upgrade_timeout = v),
            "10s",
            "Time a WebSocket has to take over from polling.",
        ),
    ),
    never_zero(
        "attachments come after the packet that announces them",
        key(
            "socketio.attachment_timeout",
            Kind::Time(|c, v| c.socketio.attachment_timeout = v),
            "10s",
            "Time the attachments of a packet have to follow it.",
        ),
    ),
    never_zero(
        "it guards memory, so it cannot be lifted",
        key(
            "socketio.max_payload",
            Kind::Size(KIB, 16 * MIB, |c, v| c.socketio.max_payload = v),
            "1000000",
            "A message, or a body that is polled or posted; clients are told.",
        ),
    ),
    key(
        "socketio.recovery",
        Kind::TimeLimit(|c, v| c.socketio.recovery = v),
        "0s",
        "How long a session that lost its connection keeps its rooms and what it misses, for \
         clients that come back (connection state recovery). Mind that clients hand each event's \
         offset to its handlers, as one argument more.",
    ),
    key(
        "socketio.recovery_namespaces",
        Kind::List(socketio::namespace, |c, v| {
            c.socketio.recovery_namespaces = v;
        }),
        "[]",
        "Namespaces with `recovery`; without any, all have it.",
    ),
    never_zero(
        "it guards memory, so it cannot be lifted; recovery = 0 keeps none",
        key(
            "socketio.recovery_sessions",
            Kind::Count(1, 1_000_000, |c, v| c.socketio.recovery_sessions = v),
            "1000",
            "Sessions without a connection that each reactor keeps; beyond them none is kept.",
        ),
    ),
    key(
        "socketio.join_events",
        Kind::List(socketio::join_events, |c, v| {
            let pairs = v.iter().filter_map(|text| JoinEvents::parse(text));
            c.socketio.join_events = pairs.collect();
        }),
        "[]",
        "Events that mean `subscribe` and `unsubscribe` too, in pairs such as `join/leave`.",
    ),
    key(
        "socketio.sessions",
        Kind::Limit(|c, v| c.socketio.sessions = v),
        "10000",
        "Sessions at a time, over all transports.",
    ),
];
