//! Everything that is counted, by the names that the code uses.
//!
//! Invariants: a refusal by another limit is another counter; each has its row in
//! [`crate::metrics::table`] and in `docs/metrics.md`, which tests hold.

/// What is counted. The discriminant is the row in
/// [`COUNTERS`](crate::metrics::table::COUNTERS) and the slot in
/// [`Counters`](crate::metrics::counters::Counters).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counter {
    /// TCP connections accepted.
    ConnectionsAccepted,
    /// Connections refused because a limit on connections was reached.
    ConnectionsRefusedLimit,
    /// Connections refused because their client had too many.
    ConnectionsRefusedClient,
    /// Connections refused because their client connected too often.
    ConnectionsRefusedRate,
    /// Connections refused because the server was over a limit on its resources.
    ConnectionsRefusedResource,
    /// Requests refused on a connection kept for health checks and administration.
    ReservedRefused,
    /// Times accepting paused because too many handshakes were in progress.
    AcceptPauses,
    /// TCP connections closed, by either side.
    ConnectionsClosed,
    /// Connections that went to another reactor, where the session is that a request named.
    ConnectionsMoved,
    /// Times accepting rested for want of descriptors or kernel memory.
    AcceptBackoffs,
    /// Readiness events and replies for a peer that was already gone.
    EventsStale,
    /// Connections dropped because the socket took no byte for too long.
    WriteStalls,
    /// TLS handshakes done with a certificate and a signature.
    TlsHandshakesFull,
    /// TLS handshakes done with the ticket of an earlier session.
    TlsHandshakesResumed,
    /// Times a TLS handshake waited for the next turn because this one had enough of them.
    TlsHandshakesDelayed,
    /// Requests without TLS on a port that speaks TLS, answered with 400.
    TlsFailedHttp,
    /// TLS handshakes that failed because what came was no TLS.
    TlsFailedGarbage,
    /// TLS handshakes that failed because the peer offered no version or cipher of ours.
    TlsFailedIncompatible,
    /// TLS handshakes that failed because the peer offered protocols without http/1.1.
    TlsFailedProtocol,
    /// TLS handshakes that the peer ended with an alert, such as for our certificate.
    TlsFailedAlert,
    /// TLS handshakes that failed because the peer broke the protocol.
    TlsFailedBroken,
    /// TLS handshakes whose peer went away.
    TlsFailedGone,
    /// TLS connections closed after their handshake because of what the peer sent.
    TlsRecordsBroken,
    /// TLS connections whose peer went away without saying so (close_notify).
    TlsTruncated,
    /// TLS handshakes on a port that does not speak TLS, answered with 400.
    TlsOnPlainPort,
    /// HTTP requests whose head was read, upgrades included.
    HttpRequests,
    /// HTTP requests answered with an error because they were malformed or too large.
    HttpFaults,
    /// HTTP requests answered with 431 or 414 because their head was too large.
    HeadsTooLarge,
    /// HTTP requests answered with 413 because their body was too large.
    BodiesTooLarge,
    /// Connections dropped because their first request took too long.
    HandshakeTimeouts,
    /// WebSocket upgrades and event streams refused.
    HandshakeFailures,
    /// Sessions opened.
    SessionsOpened,
    /// Of these, streams of Server-Sent Events.
    EventStreamsOpened,
    /// Sessions ended, for whatever reason.
    SessionsClosed,
    /// Messages received from sessions.
    MessagesReceived,
    /// Messages sent: one per delivery, reply, control frame and HTTP answer.
    MessagesSent,
    /// Bytes read from sockets.
    BytesReceived,
    /// Bytes written to sockets.
    BytesSent,
    /// Sessions closed with 4001 because their token expired without a newer one.
    TokensExpired,
    /// Sessions closed with 4500 because they showed no good token.
    TokensMissing,
    /// Tokens in messages that were not accepted.
    TokensRefused,
    /// HTTP requests answered with 401 or 403 because of who asked.
    CredentialsRefused,
    /// Memberships ended because a newer token does not open the room.
    MembershipsRevoked,
    /// Sessions closed by an operator.
    SessionsDisconnected,
    /// Sessions closed because no pong came in time.
    PongTimeouts,
    /// Sessions in no room closed because they were idle.
    IdleCloses,
    /// Sessions closed with 4000 because their queue was full.
    SlowConsumersClosed,
    /// Messages dropped unsent because their session was closed as a slow consumer.
    MessagesDropped,
    /// Publications dropped unsent by the policy drop_oldest, once per session.
    OldestDropped,
    /// Publications not sent by the policy latest because a newer one replaced them, once per
    /// session.
    LatestReplaced,
    /// Times a session fell behind in a room whose policy is lag or latest.
    FellBehind,
    /// Publications sent to sessions that were behind, once per session.
    Refilled,
    /// Sessions closed with 4000 because what they had still to get had left the history.
    LagClosedGone,
    /// Sessions closed with 4002 because a stream they were behind in began anew.
    LagClosedReset,
    /// Times reading from a peer paused because it did not read its answers.
    OutboxPauses,
    /// Sessions closed because the peer broke the WebSocket protocol.
    ProtocolFaults,
    /// Sessions closed with 1009 because a message was too large or had too many fragments.
    MessagesTooLarge,
    /// Commands answered with an error.
    CommandErrors,
    /// Messages of devices that asked for nothing known and were ignored.
    DeviceMessagesIgnored,
    /// Channels of devices refused because there were too many or their names were too long.
    DeviceChannelsRefused,
    /// Sessions closed with 4503 after too many errors in a row.
    SessionsClosedForErrors,
    /// Sessions opened with compression agreed on.
    SessionsCompressed,
    /// Compressed messages received from sessions.
    MessagesInflated,
    /// Bytes of compressed messages received.
    InflatedBytesBefore,
    /// Bytes of the same messages once inflated.
    InflatedBytesAfter,
    /// Sessions closed with 1009 because a compressed message was too large once inflated.
    InflatedTooLarge,
    /// Messages compressed: publications once for all who agreed on the same window.
    MessagesDeflated,
    /// Bytes of messages before they were compressed.
    DeflatedBytesBefore,
    /// Bytes of the same messages as sent: uncompressed if that is smaller.
    DeflatedBytesAfter,
    /// Compression contexts made for one connection; less those freed, they are in use.
    ContextsMade,
    /// Compression contexts freed because their connection ended.
    ContextsFreed,
    /// Sessions served without compression contexts because too many had some.
    ContextsRefused,
    /// Times reading from a session paused because it was over its message rate.
    RatePaused,
    /// Sessions closed with 4003 because they stayed over their message rate.
    RateClosed,
    /// HTTP requests answered with 429 because their address was over its rate.
    RateLimitedRequests,
    /// Addresses whose HTTP rate was forgotten before its time because there were too many.
    RateAddressesForgotten,
    /// Commands and HTTP requests refused because their user was over its rate.
    RateLimitedUsers,
    /// Users whose rate was forgotten before its time because there were too many.
    RateUsersForgotten,
    /// Publications that entered a room's stream.
    Publications,
    /// Publications refused with 503 because a shard's mailbox was full.
    PublicationsRefusedBusy,
    /// Rooms not opened because the limit on rooms was reached.
    RoomsRefused,
    /// Rooms not joined because the session was in as many as it may.
    SessionRoomsRefused,
    /// Recoveries answered with recovered false because what was missed was gone or too much.
    RecoveriesRefused,
    /// Publications that told who came or went, or which room was occupied or vacated.
    PresenceTold,
    /// Such publications that the limit on rooms or the disk kept from being made.
    PresenceUntold,
    /// Changes of presence that were told before they had lasted, because too many waited.
    PresenceHurried,
    /// Publications dropped from histories because they were too old.
    HistoryEvicted,
    /// Publications answered from the memory of an earlier one with the same key.
    IdempotentRepeats,
    /// Idempotency keys forgotten before their time because there were too many.
    IdempotencyEvicted,
    // Socket.IO.
    /// Sessions of Engine.IO that began.
    EngineSessionsOpened,
    /// Sessions of Engine.IO that ended.
    EngineSessionsClosed,
    /// Sessions of Engine.IO refused because there were too many (socketio.sessions).
    EngineSessionsRefused,
    /// Requests refused that made no sense for their session of Engine.IO.
    EngineRequestsRefused,
    /// Sessions of Engine.IO that went over from polling to a WebSocket.
    EngineUpgrades,
    /// CONNECTs of Socket.IO that were refused.
    NamespacesRefused,
    /// Events of Socket.IO clients that ask for nothing known and were ignored.
    EventsIgnored,
    /// Sessions of Socket.IO that were kept when their connection was lost.
    SessionsDetached,
    /// Sessions of Socket.IO that were not kept because there were too many (socketio.recovery_sessions).
    SessionsNotKept,
    /// Sessions of Socket.IO whose clients came back to them.
    SessionsRecovered,
    /// Sessions of Socket.IO whose clients came back to them in another reactor.
    SessionsReclaimed,
    /// Clients of Socket.IO that came back and got a new session.
    SessionsNotRecovered,
    /// Projects not registered because the limit on projects was reached.
    ProjectsRefused,
    /// Runs whose process was started.
    RunsStarted,
    /// Runs that waited for their project or for a place on the host.
    RunsQueued,
    /// Runs refused because their project had one already.
    RunsRefusedBusy,
    /// Runs refused because the limit on active runs was reached.
    RunsRefusedLimit,
    /// Runs refused because too many waited already.
    RunsRefusedQueue,
    /// Runs refused because the store did not take their start.
    RunsRefusedStore,
    /// Requests refused because too many waited for the store in one project.
    RunRequestsRefused,
    /// Runs that ended well.
    RunsExited,
    /// Runs that could not be started, or ended with an error.
    RunsFailed,
    /// Runs that somebody cancelled.
    RunsCancelled,
    /// Runs ended because they took too long or were silent for too long.
    RunsTimedOut,
    /// Runs that ended because the server did.
    RunsLost,
    /// Times a run was silent for too long.
    RunsStalled,
    /// Lines that runs printed.
    RunLines,
    /// Lines that were cut because they were longer than a line may be.
    RunLinesTruncated,
    /// Lines that were parts of messages and went to the store together with others.
    RunLinesCoalesced,
    /// Times a run's output was not read because the store had not taken what came before.
    RunOutputsPaused,
    /// Runs whose output was closed because something still held it after their end.
    RunOutputsCut,
    /// Times the store did not take what a run printed, or its end, and was asked again.
    RunErrandsRepeated,
    /// Inputs not taken because an agent had not read what was said to it before.
    RunInputsRefused,
    /// Permissions that agents asked for.
    PermissionsRequested,
    /// Permissions that somebody granted or denied.
    PermissionsResolved,
    /// Permissions that nobody decided on in time.
    PermissionsExpired,
    /// Permissions denied at once because too many waited for an answer.
    PermissionsRefused,
    /// Publications that were written to the store.
    StorePublications,
    /// Transactions of the store: what waited together is written together.
    StoreCommits,
    /// Times the disk did not take what the store wrote.
    StoreFailures,
    /// Requests refused with 503 STORE_BUSY because the store's queue was full.
    StoreRefusedBusy,
    /// Publications and acknowledgements refused with 503 STORE_UNAVAILABLE, which the disk did
    /// not take.
    StoreRefusedUnavailable,
    /// Publications removed from the store because a history need not keep them.
    StoreTrimmed,
    /// Pages read from the store because they were not in memory.
    StoreReads,
    /// Pages that could not be read.
    StoreReadsFailed,
    /// Acknowledgements of durable subscriptions that were written.
    Acknowledgements,
    /// Durable subscriptions refused because their user has too many.
    DurableSubscriptionsRefused,
    /// Durable subscriptions forgotten because nobody used them for 90 days.
    DurableSubscriptionsExpired,
    /// Requests about runs refused with 503 SERVER_BUSY because the executor's queue was full.
    RunRequestsRefusedBusy,
    /// Times a command found a shard's mailbox full.
    MailboxFull,
    /// Samples taken of the machine.
    HostSamples,
    /// Publications about the machine that could not enter their room, and were dropped.
    HostPublicationsDropped,
    /// Jobs done by the workers.
    JobsDone,
    /// Times a job found the workers' queue full and had to wait.
    JobsWaited,
    /// Jobs that ended in a panic, which was caught and answered.
    HandlerPanics,
    /// Configurations that were read again and are in force.
    Reloads,
    /// Configurations that were read again and had faults; the old one stayed.
    ReloadsFailed,
    /// Sessions refused because the server was over a limit on its resources.
    SessionsRefusedResource,
    /// Runs refused because the server was over a limit on its resources.
    RunsRefusedResource,
    /// Times a resource came near its limit.
    ResourcesNear,
    /// Times a resource went over its limit.
    ResourcesOver,
    /// Times memory was given back because the server was over its limit on it.
    CachesReleased,
    /// Publications dropped from the histories of rooms that nobody was in, to free memory.
    HistoryReleased,
    /// Log lines dropped because the queue was full or the log could not be written.
    LogLinesDropped,
    /// Packets sent to StatsD.
    StatsdPacketsSent,
    /// Packets for StatsD that could not be sent.
    StatsdPacketsFailed,
    /// Messages of emitters that came by way of Redis.
    EmitterMessages,
    /// Messages of emitters that were published, or done with a session.
    EmitterPublished,
    /// Messages of emitters that were refused: unreadable, too large, or not to be published.
    EmitterRefused,
    /// Messages of emitters that ask for nothing that this server does.
    EmitterIgnored,
    /// Times Redis was there again after it was gone.
    EmitterReconnects,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::metrics::table::COUNTERS;

    /// The variants as the source lists them, because an enum cannot list itself.
    fn variants() -> Vec<&'static str> {
        let source = include_str!("names.rs");
        let (_, body) = source.split_once("pub enum Counter {").unwrap();
        let (body, _) = body.split_once("\n}").unwrap();
        body.lines()
            .filter_map(|line| line.trim().strip_suffix(','))
            .filter(|line| line.chars().all(char::is_alphanumeric))
            .collect()
    }

    #[test]
    fn the_table_has_every_variant_in_order() {
        let rows: Vec<String> = COUNTERS.iter().map(|row| format!("{:?}", row.0)).collect();
        assert_eq!(rows, variants());
        for (index, (counter, _, _)) in COUNTERS.iter().enumerate() {
            assert_eq!(*counter as usize, index);
        }
    }

    #[test]
    fn a_name_is_the_variant_in_snake_case_with_prefix_and_suffix() {
        for (counter, name, meaning) in COUNTERS {
            let mut spelt = String::from("kinglet");
            for letter in format!("{counter:?}").chars() {
                if letter.is_ascii_uppercase() {
                    spelt.push('_');
                }
                spelt.push(letter.to_ascii_lowercase());
            }
            assert_eq!(*name, format!("{spelt}_total"));
            assert!(meaning.ends_with('.'), "{name} has no full sentence");
        }
    }
}
