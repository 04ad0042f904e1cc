//! The rows of [`COUNTERS`](super::COUNTERS) about Engine.IO and Socket.IO.

use super::Row;
use crate::metrics::names::Counter;

pub(super) const ROWS: &[Row] = &[
    (
        Counter::EngineSessionsOpened,
        "kinglet_engine_sessions_opened_total",
        "Sessions of Engine.IO that began.",
    ),
    (
        Counter::EngineSessionsClosed,
        "kinglet_engine_sessions_closed_total",
        "Sessions of Engine.IO that ended.",
    ),
    (
        Counter::EngineSessionsRefused,
        "kinglet_engine_sessions_refused_total",
        "Sessions of Engine.IO refused because there were too many (socketio.sessions).",
    ),
    (
        Counter::EngineRequestsRefused,
        "kinglet_engine_requests_refused_total",
        "Requests refused that made no sense for their session of Engine.IO.",
    ),
    (
        Counter::EngineUpgrades,
        "kinglet_engine_upgrades_total",
        "Sessions of Engine.IO that went over from polling to a WebSocket.",
    ),
    (
        Counter::NamespacesRefused,
        "kinglet_namespaces_refused_total",
        "CONNECTs of Socket.IO that were refused.",
    ),
    (
        Counter::EventsIgnored,
        "kinglet_events_ignored_total",
        "Events of Socket.IO clients that ask for nothing known and were ignored.",
    ),
    (
        Counter::SessionsDetached,
        "kinglet_sessions_detached_total",
        "Sessions of Socket.IO that were kept when their connection was lost.",
    ),
    (
        Counter::SessionsNotKept,
        "kinglet_sessions_not_kept_total",
        "Sessions of Socket.IO that were not kept because there were too many (socketio.recovery_sessions).",
    ),
    (
        Counter::SessionsRecovered,
        "kinglet_sessions_recovered_total",
        "Sessions of Socket.IO whose clients came back to them.",
    ),
    (
        Counter::SessionsReclaimed,
        "kinglet_sessions_reclaimed_total",
        "Sessions of Socket.IO whose clients came back to them in another reactor.",
    ),
    (
        Counter::SessionsNotRecovered,
        "kinglet_sessions_not_recovered_total",
        "Clients of Socket.IO that came back and got a new session.",
    ),
];
