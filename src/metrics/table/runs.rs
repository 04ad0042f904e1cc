//! The rows of [`COUNTERS`](super::COUNTERS) about projects and runs.

use super::Row;
use crate::metrics::names::Counter;

pub(super) const ROWS: &[Row] = &[
    (
        Counter::ProjectsRefused,
        "kinglet_projects_refused_total",
        "Projects not registered because the limit on projects was reached.",
    ),
    (
        Counter::RunsStarted,
        "kinglet_runs_started_total",
        "Runs whose process was started.",
    ),
    (
        Counter::RunsQueued,
        "kinglet_runs_queued_total",
        "Runs that waited for their project or for a place on the host.",
    ),
    (
        Counter::RunsRefusedBusy,
        "kinglet_runs_refused_busy_total",
        "Runs refused because their project had one already.",
    ),
    (
        Counter::RunsRefusedLimit,
        "kinglet_runs_refused_limit_total",
        "Runs refused because the limit on active runs was reached.",
    ),
    (
        Counter::RunsRefusedQueue,
        "kinglet_runs_refused_queue_total",
        "Runs refused because too many waited already.",
    ),
    (
        Counter::RunsRefusedStore,
        "kinglet_runs_refused_store_total",
        "Runs refused because the store did not take their start.",
    ),
    (
        Counter::RunRequestsRefused,
        "kinglet_run_requests_refused_total",
        "Requests refused because too many waited for the store in one project.",
    ),
    (
        Counter::RunsExited,
        "kinglet_runs_exited_total",
        "Runs that ended well.",
    ),
    (
        Counter::RunsFailed,
        "kinglet_runs_failed_total",
        "Runs that could not be started, or ended with an error.",
    ),
    (
        Counter::RunsCancelled,
        "kinglet_runs_cancelled_total",
        "Runs that somebody cancelled.",
    ),
    (
        Counter::RunsTimedOut,
        "kinglet_runs_timed_out_total",
        "Runs ended because they took too long or were silent for too long.",
    ),
    (
        Counter::RunsLost,
        "kinglet_runs_lost_total",
        "Runs that ended because the server did.",
    ),
    (
        Counter::RunsStalled,
        "kinglet_runs_stalled_total",
        "Times a run was silent for too long.",
    ),
    (
        Counter::RunLines,
        "kinglet_run_lines_total",
        "Lines that runs printed.",
    ),
    (
        Counter::RunLinesTruncated,
        "kinglet_run_lines_truncated_total",
        "Lines that were cut because they were longer than a line may be.",
    ),
    (
        Counter::RunLinesCoalesced,
        "kinglet_run_lines_coalesced_total",
        "Lines that were parts of messages and went to the store together with others.",
    ),
    (
        Counter::RunOutputsPaused,
        "kinglet_run_outputs_paused_total",
        "Times a run's output was not read because the store had not taken what came before.",
    ),
    (
        Counter::RunOutputsCut,
        "kinglet_run_outputs_cut_total",
        "Runs whose output was closed because something still held it after their end.",
    ),
    (
        Counter::RunErrandsRepeated,
        "kinglet_run_errands_repeated_total",
        "Times the store did not take what a run printed, or its end, and was asked again.",
    ),
    (
        Counter::RunInputsRefused,
        "kinglet_run_inputs_refused_total",
        "Inputs not taken because an agent had not read what was said to it before.",
    ),
    (
        Counter::PermissionsRequested,
        "kinglet_permissions_requested_total",
        "Permissions that agents asked for.",
    ),
    (
        Counter::PermissionsResolved,
        "kinglet_permissions_resolved_total",
        "Permissions that somebody granted or denied.",
    ),
    (
        Counter::PermissionsExpired,
        "kinglet_permissions_expired_total",
        "Permissions that nobody decided on in time.",
    ),
    (
        Counter::PermissionsRefused,
        "kinglet_permissions_refused_total",
        "Permissions denied at once because too many waited for an answer.",
    ),
];
