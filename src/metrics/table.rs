//! The table of counters: each with the name that it is exported under, and what it counts.
//!
//! Invariant: one row per [`Counter`], in the order of its variants; the tests of
//! [`crate::metrics::names`] hold it.

use crate::metrics::names::Counter;

mod inside;
mod runs;
mod socket_io;

/// A counter, its Prometheus name and its meaning.
pub(super) type Row = (Counter, &'static str, &'static str);

/// Every counter with its Prometheus name and its meaning, in the order of [`Counter`].
pub const COUNTERS: &[Row] = &{
    const PARTS: [&[Row]; 4] = [OF_CLIENTS, socket_io::ROWS, runs::ROWS, inside::ROWS];
    const COUNT: usize =
        OF_CLIENTS.len() + socket_io::ROWS.len() + runs::ROWS.len() + inside::ROWS.len();
    let mut rows = [OF_CLIENTS[0]; COUNT];
    let (mut at, mut part, mut within) = (0, 0, 0);
    while at < rows.len() {
        if within == PARTS[part].len() {
            (part, within) = (part + 1, 0);
        }
        rows[at] = PARTS[part][within];
        (at, within) = (at + 1, within + 1);
    }
    rows
};

/// What clients do and are told.
const OF_CLIENTS: &[Row] = &[
    // Connections.
    (
        Counter::ConnectionsAccepted,
        "kinglet_connections_accepted_total",
        "TCP connections accepted.",
    ),
    (
        Counter::ConnectionsRefusedLimit,
        "kinglet_connections_refused_limit_total",
        "Connections refused because a limit on connections was reached.",
    ),
    (
        Counter::ConnectionsRefusedClient,
        "kinglet_connections_refused_client_total",
        "Connections refused because their client had as many as it may have.",
    ),
    (
        Counter::ConnectionsRefusedRate,
        "kinglet_connections_refused_rate_total",
        "Connections refused because their client connected too often.",
    ),
    (
        Counter::ConnectionsRefusedResource,
        "kinglet_connections_refused_resource_total",
        "Connections refused because the server was over a limit on its resources.",
    ),
    (
        Counter::ReservedRefused,
        "kinglet_reserved_refused_total",
        "Requests refused on a connection kept for health checks and administration.",
    ),
    (
        Counter::AcceptPauses,
        "kinglet_accept_pauses_total",
        "Times accepting paused because too many handshakes were in progress.",
    ),
    (
        Counter::ConnectionsClosed,
        "kinglet_connections_closed_total",
        "TCP connections closed, by either side.",
    ),
    (
        Counter::ConnectionsMoved,
        "kinglet_connections_moved_total",
        "Connections that went to another reactor, where the session is that a request named.",
    ),
    (
        Counter::AcceptBackoffs,
        "kinglet_accept_backoffs_total",
        "Times accepting rested for want of descriptors or kernel memory.",
    ),
    (
        Counter::EventsStale,
        "kinglet_events_stale_total",
        "Readiness events and replies for a peer that was already gone.",
    ),
    (
        Counter::WriteStalls,
        "kinglet_write_stalls_total",
        "Connections dropped because the socket took no byte for too long.",
    ),
    // TLS.
    (
        Counter::TlsHandshakesFull,
        "kinglet_tls_handshakes_full_total",
        "TLS handshakes done with a certificate and a signature.",
    ),
    (
        Counter::TlsHandshakesResumed,
        "kinglet_tls_handshakes_resumed_total",
        "TLS handshakes done with the ticket of an earlier session.",
    ),
    (
        Counter::TlsHandshakesDelayed,
        "kinglet_tls_handshakes_delayed_total",
        "Times a TLS handshake waited for the next turn because this one had enough of them.",
    ),
    (
        Counter::TlsFailedHttp,
        "kinglet_tls_failed_http_total",
        "Requests without TLS on a port that speaks TLS, answered with 400.",
    ),
    (
        Counter::TlsFailedGarbage,
        "kinglet_tls_failed_garbage_total",
        "TLS handshakes that failed because what came was no TLS.",
    ),
    (
        Counter::TlsFailedIncompatible,
        "kinglet_tls_failed_incompatible_total",
        "TLS handshakes that failed because the peer offered no version or cipher of ours.",
    ),
    (
        Counter::TlsFailedProtocol,
        "kinglet_tls_failed_protocol_total",
        "TLS handshakes that failed because the peer offered protocols without http/1.1.",
    ),
    (
        Counter::TlsFailedAlert,
        "kinglet_tls_failed_alert_total",
        "TLS handshakes that the peer ended with an alert, such as for our certificate.",
    ),
    (
        Counter::TlsFailedBroken,
        "kinglet_tls_failed_broken_total",
        "TLS handshakes that failed because the peer broke the protocol.",
    ),
    (
        Counter::TlsFailedGone,
        "kinglet_tls_failed_gone_total",
        "TLS handshakes whose peer went away.",
    ),
    (
        Counter::TlsRecordsBroken,
        "kinglet_tls_records_broken_total",
        "TLS connections closed after their handshake because of what the peer sent.",
    ),
    (
        Counter::TlsTruncated,
        "kinglet_tls_truncated_total",
        "TLS connections whose peer went away without saying so (close_notify).",
    ),
    (
        Counter::TlsOnPlainPort,
        "kinglet_tls_on_plain_port_total",
        "TLS handshakes on a port that does not speak TLS, answered with 400.",
    ),
    // HTTP and handshakes.
    (
        Counter::HttpRequests,
        "kinglet_http_requests_total",
        "HTTP requests whose head was read, upgrades included.",
    ),
    (
        Counter::HttpFaults,
        "kinglet_http_faults_total",
        "HTTP requests answered with an error because they were malformed or too large.",
    ),
    (
        Counter::HeadsTooLarge,
        "kinglet_heads_too_large_total",
        "HTTP requests answered with 431 or 414 because their head was too large.",
    ),
    (
        Counter::BodiesTooLarge,
        "kinglet_bodies_too_large_total",
        "HTTP requests answered with 413 because their body was too large.",
    ),
    (
        Counter::HandshakeTimeouts,
        "kinglet_handshake_timeouts_total",
        "Connections dropped because their first request took too long.",
    ),
    (
        Counter::HandshakeFailures,
        "kinglet_handshake_failures_total",
        "WebSocket upgrades and event streams refused.",
    ),
    // Sessions.
    (
        Counter::SessionsOpened,
        "kinglet_sessions_opened_total",
        "Sessions opened.",
    ),
    (
        Counter::EventStreamsOpened,
        "kinglet_event_streams_opened_total",
        "Sessions opened that are streams of Server-Sent Events.",
    ),
    (
        Counter::SessionsClosed,
        "kinglet_sessions_closed_total",
        "Sessions ended, for whatever reason.",
    ),
    (
        Counter::MessagesReceived,
        "kinglet_messages_received_total",
        "Messages received from sessions.",
    ),
    (
        Counter::MessagesSent,
        "kinglet_messages_sent_total",
        "Messages sent: one per delivery, reply, control frame and HTTP answer.",
    ),
    (
        Counter::BytesReceived,
        "kinglet_bytes_received_total",
        "Bytes read from sockets.",
    ),
    (
        Counter::BytesSent,
        "kinglet_bytes_sent_total",
        "Bytes written to sockets.",
    ),
    (
        Counter::TokensExpired,
        "kinglet_tokens_expired_total",
        "Sessions closed with 4001 because their token expired without a newer one.",
    ),
    (
        Counter::TokensMissing,
        "kinglet_tokens_missing_total",
        "Sessions closed with 4500 because they showed no good token.",
    ),
    (
        Counter::TokensRefused,
        "kinglet_tokens_refused_total",
        "Tokens in messages that were not accepted.",
    ),
    (
        Counter::CredentialsRefused,
        "kinglet_credentials_refused_total",
        "HTTP requests answered with 401 or 403 because of who asked.",
    ),
    (
        Counter::MembershipsRevoked,
        "kinglet_memberships_revoked_total",
        "Memberships ended because a newer token does not open the room.",
    ),
    (
        Counter::SessionsDisconnected,
        "kinglet_sessions_disconnected_total",
        "Sessions closed by an operator.",
    ),
    (
        Counter::PongTimeouts,
        "kinglet_pong_timeouts_total",
        "Sessions closed because no pong came in time.",
    ),
    (
        Counter::IdleCloses,
        "kinglet_idle_closes_total",
        "Sessions in no room closed because they were idle.",
    ),
    (
        Counter::SlowConsumersClosed,
        "kinglet_slow_consumers_closed_total",
        "Sessions closed with 4000 because their queue was full.",
    ),
    (
        Counter::MessagesDropped,
        "kinglet_messages_dropped_total",
        "Messages dropped unsent because their session was closed as a slow consumer.",
    ),
    (
        Counter::OldestDropped,
        "kinglet_oldest_dropped_total",
        "Publications dropped unsent by the policy drop_oldest, once per session.",
    ),
    (
        Counter::LatestReplaced,
        "kinglet_latest_replaced_total",
        "Publications not sent by the policy latest because a newer one replaced them, once per \
         session.",
    ),
    (
        Counter::FellBehind,
        "kinglet_fell_behind_total",
        "Times a session fell behind in a room whose policy is lag or latest.",
    ),
    (
        Counter::Refilled,
        "kinglet_refilled_total",
        "Publications sent to sessions that were behind, once per session.",
    ),
    (
        Counter::LagClosedGone,
        "kinglet_lag_closed_gone_total",
        "Sessions closed with 4000 because what they had still to get had left the history.",
    ),
    (
        Counter::LagClosedReset,
        "kinglet_lag_closed_reset_total",
        "Sessions closed with 4002 because a stream they were behind in began anew.",
    ),
    (
        Counter::OutboxPauses,
        "kinglet_outbox_pauses_total",
        "Times reading from a peer paused because it did not read its answers.",
    ),
    (
        Counter::ProtocolFaults,
        "kinglet_protocol_faults_total",
        "Sessions closed because the peer broke the WebSocket protocol.",
    ),
    (
        Counter::MessagesTooLarge,
        "kinglet_messages_too_large_total",
        "Sessions closed with 1009 because a message was too large or had too many fragments.",
    ),
    (
        Counter::CommandErrors,
        "kinglet_command_errors_total",
        "Commands answered with an error.",
    ),
    (
        Counter::DeviceMessagesIgnored,
        "kinglet_device_messages_ignored_total",
        "Messages of devices that asked for nothing known and were ignored.",
    ),
    (
        Counter::DeviceChannelsRefused,
        "kinglet_device_channels_refused_total",
        "Channels of devices refused because there were too many or their names were too long.",
    ),
    (
        Counter::SessionsClosedForErrors,
        "kinglet_sessions_closed_for_errors_total",
        "Sessions closed with 4503 after too many errors in a row.",
    ),
    // Compression.
    (
        Counter::SessionsCompressed,
        "kinglet_sessions_compressed_total",
        "Sessions opened with compression agreed on.",
    ),
    (
        Counter::MessagesInflated,
        "kinglet_messages_inflated_total",
        "Compressed messages received from sessions.",
    ),
    (
        Counter::InflatedBytesBefore,
        "kinglet_inflated_bytes_before_total",
        "Bytes of compressed messages received.",
    ),
    (
        Counter::InflatedBytesAfter,
        "kinglet_inflated_bytes_after_total",
        "Bytes of the same messages once inflated.",
    ),
    (
        Counter::InflatedTooLarge,
        "kinglet_inflated_too_large_total",
        "Sessions closed with 1009 because a compressed message was too large once inflated.",
    ),
    (
        Counter::MessagesDeflated,
        "kinglet_messages_deflated_total",
        "Messages compressed: publications once for all who agreed on the same window.",
    ),
    (
        Counter::DeflatedBytesBefore,
        "kinglet_deflated_bytes_before_total",
        "Bytes of messages before they were compressed.",
    ),
    (
        Counter::DeflatedBytesAfter,
        "kinglet_deflated_bytes_after_total",
        "Bytes of the same messages as sent: uncompressed if that is smaller.",
    ),
    (
        Counter::ContextsMade,
        "kinglet_contexts_made_total",
        "Compression contexts made for one connection; less those freed, they are in use.",
    ),
    (
        Counter::ContextsFreed,
        "kinglet_contexts_freed_total",
        "Compression contexts freed because their connection ended.",
    ),
    (
        Counter::ContextsRefused,
        "kinglet_contexts_refused_total",
        "Sessions served without compression contexts because too many had some.",
    ),
    // Rates.
    (
        Counter::RatePaused,
        "kinglet_rate_paused_total",
        "Times reading from a session paused because it was over its message rate.",
    ),
    (
        Counter::RateClosed,
        "kinglet_rate_closed_total",
        "Sessions closed with 4003 because they stayed over their message rate.",
    ),
    (
        Counter::RateLimitedRequests,
        "kinglet_rate_limited_requests_total",
        "HTTP requests answered with 429 because their address was over its rate.",
    ),
    (
        Counter::RateAddressesForgotten,
        "kinglet_rate_addresses_forgotten_total",
        "Addresses whose HTTP rate was forgotten before its time because there were too many.",
    ),
    (
        Counter::RateLimitedUsers,
        "kinglet_rate_limited_users_total",
        "Commands and HTTP requests refused because their user was over its rate.",
    ),
    (
        Counter::RateUsersForgotten,
        "kinglet_rate_users_forgotten_total",
        "Users whose rate was forgotten before its time because there were too many.",
    ),
    // Rooms and publications.
    (
        Counter::Publications,
        "kinglet_publications_total",
        "Publications that entered a room's stream.",
    ),
    (
        Counter::PublicationsRefusedBusy,
        "kinglet_publications_refused_busy_total",
        "Publications refused with 503 because a shard's mailbox was full.",
    ),
    (
        Counter::RoomsRefused,
        "kinglet_rooms_refused_total",
        "Rooms not opened because the limit on rooms was reached.",
    ),
    (
        Counter::SessionRoomsRefused,
        "kinglet_session_rooms_refused_total",
        "Rooms not joined because the session was in as many as it may.",
    ),
    (
        Counter::RecoveriesRefused,
        "kinglet_recoveries_refused_total",
        "Recoveries answered with recovered false because what was missed was gone or too much.",
    ),
    (
        Counter::PresenceTold,
        "kinglet_presence_told_total",
        "Publications that told who came or went, or which room was occupied or vacated.",
    ),
    (
        Counter::PresenceUntold,
        "kinglet_presence_untold_total",
        "Such publications that the limit on rooms or the disk kept from being made.",
    ),
    (
        Counter::PresenceHurried,
        "kinglet_presence_hurried_total",
        "Changes of presence that were told before they had lasted, because too many waited.",
    ),
    (
        Counter::HistoryEvicted,
        "kinglet_history_evicted_total",
        "Publications dropped from histories because they were too old.",
    ),
    (
        Counter::IdempotentRepeats,
        "kinglet_idempotent_repeats_total",
        "Publications answered from the memory of an earlier one with the same key.",
    ),
    (
        Counter::IdempotencyEvicted,
        "kinglet_idempotency_evicted_total",
        "Idempotency keys forgotten before their time because there were too many.",
    ),
];
