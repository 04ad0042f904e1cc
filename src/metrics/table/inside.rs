//! The rows of [`COUNTERS`](super::COUNTERS) about what happens inside: the store, the workers, the
//! configuration, the log. They come last.

use super::Row;
use crate::metrics::names::Counter;

pub(super) const ROWS: &[Row] = &[
    // The store.
    (
        Counter::StorePublications,
        "kinglet_store_publications_total",
        "Publications that were written to the store.",
    ),
    (
        Counter::StoreCommits,
        "kinglet_store_commits_total",
        "Transactions of the store: what waited together is written together.",
    ),
    (
        Counter::StoreFailures,
        "kinglet_store_failures_total",
        "Times the disk did not take what the store wrote.",
    ),
    (
        Counter::StoreRefusedBusy,
        "kinglet_store_refused_busy_total",
        "Requests refused with 503 STORE_BUSY because the store's queue was full.",
    ),
    (
        Counter::StoreRefusedUnavailable,
        "kinglet_store_refused_unavailable_total",
        "Publications and acknowledgements refused with 503 STORE_UNAVAILABLE because the disk did \
         not take them.",
    ),
    (
        Counter::StoreTrimmed,
        "kinglet_store_trimmed_total",
        "Publications removed from the store because a history need not keep them.",
    ),
    (
        Counter::StoreReads,
        "kinglet_store_reads_total",
        "Pages read from the store because they were not in memory.",
    ),
    (
        Counter::StoreReadsFailed,
        "kinglet_store_reads_failed_total",
        "Pages that could not be read.",
    ),
    (
        Counter::Acknowledgements,
        "kinglet_acknowledgements_total",
        "Acknowledgements of durable subscriptions that were written.",
    ),
    (
        Counter::DurableSubscriptionsRefused,
        "kinglet_durable_subscriptions_refused_total",
        "Durable subscriptions refused because their user has too many.",
    ),
    (
        Counter::DurableSubscriptionsExpired,
        "kinglet_durable_subscriptions_expired_total",
        "Durable subscriptions forgotten because nobody used them for 90 days.",
    ),
    (
        Counter::RunRequestsRefusedBusy,
        "kinglet_run_requests_refused_busy_total",
        "Requests about runs refused with 503 SERVER_BUSY because the executor's queue was full.",
    ),
    // Inside.
    (
        Counter::MailboxFull,
        "kinglet_mailbox_full_total",
        "Times a command found a shard's mailbox full.",
    ),
    (
        Counter::HostSamples,
        "kinglet_host_samples_total",
        "Samples taken of the machine.",
    ),
    (
        Counter::HostPublicationsDropped,
        "kinglet_host_publications_dropped_total",
        "Publications about the machine that could not enter their room, and were dropped.",
    ),
    (
        Counter::JobsDone,
        "kinglet_jobs_done_total",
        "Jobs done by the workers.",
    ),
    (
        Counter::JobsWaited,
        "kinglet_jobs_waited_total",
        "Times a job found the workers' queue full and had to wait.",
    ),
    (
        Counter::HandlerPanics,
        "kinglet_handler_panics_total",
        "Jobs that ended in a panic, which was caught and answered.",
    ),
    (
        Counter::Reloads,
        "kinglet_reloads_total",
        "Configurations that were read again and are in force.",
    ),
    (
        Counter::ReloadsFailed,
        "kinglet_reloads_failed_total",
        "Configurations that were read again and had faults; the old one stayed.",
    ),
    (
        Counter::SessionsRefusedResource,
        "kinglet_sessions_refused_resource_total",
        "Sessions refused because the server was over a limit on its resources.",
    ),
    (
        Counter::RunsRefusedResource,
        "kinglet_runs_refused_resource_total",
        "Runs refused because the server was over a limit on its resources.",
    ),
    (
        Counter::ResourcesNear,
        "kinglet_resources_near_total",
        "Times a resource came near its limit.",
    ),
    (
        Counter::ResourcesOver,
        "kinglet_resources_over_total",
        "Times a resource went over its limit.",
    ),
    (
        Counter::CachesReleased,
        "kinglet_caches_released_total",
        "Times memory was given back because the server was over its limit on it.",
    ),
    (
        Counter::HistoryReleased,
        "kinglet_history_released_total",
        "Publications dropped from the histories of rooms that nobody was in, to free memory.",
    ),
    (
        Counter::LogLinesDropped,
        "kinglet_log_lines_dropped_total",
        "Log lines dropped because the queue was full or the log could not be written.",
    ),
    (
        Counter::StatsdPacketsSent,
        "kinglet_statsd_packets_sent_total",
        "Packets sent to StatsD.",
    ),
    (
        Counter::StatsdPacketsFailed,
        "kinglet_statsd_packets_failed_total",
        "Packets for StatsD that could not be sent.",
    ),
    // Redis.
    (
        Counter::EmitterMessages,
        "kinglet_emitter_messages_total",
        "Messages of emitters that came by way of Redis.",
    ),
    (
        Counter::EmitterPublished,
        "kinglet_emitter_published_total",
        "Messages of emitters that were published, or done with a session.",
    ),
    (
        Counter::EmitterRefused,
        "kinglet_emitter_refused_total",
        "Messages of emitters that were refused: unreadable, too large, or not to be published.",
    ),
    (
        Counter::EmitterIgnored,
        "kinglet_emitter_ignored_total",
        "Messages of emitters that ask for nothing that this server does.",
    ),
    (
        Counter::EmitterReconnects,
        "kinglet_emitter_reconnects_total",
        "Times Redis was there again after it was gone.",
    ),
];
