//! What can be said of the server at one moment: the names, and room for the values.
//!
//! Nothing is kept here from one moment to the next: whoever shows gauges derives them from what
//! exists. Invariant: labels are ours, never a peer's, so the number of series is fixed.

/// What is looked at. The discriminant is the row in [`GAUGES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Each is what its row says.
pub enum Gauge {
    BuildInfo,
    Connections,
    ConnectionsLimit,
    Sessions,
    Rooms,
    Members,
    HistoryPublications,
    HistoryBytes,
    MailboxMail,
    ProjectsIdle,
    ProjectsExecuting,
    ProjectsError,
    RunsQueued,
    RunsRunning,
    RunsStalled,
    StoreQueue,
    StoreUp,
    Draining,
    ProcessCpuSecondsTotal,
    ProcessResidentMemoryBytes,
    ProcessVirtualMemoryBytes,
    ProcessThreads,
    ProcessOpenFds,
    ProcessMaxFds,
    ProcessStartTimeSeconds,
    HostCpuUsageRatio,
    HostTemperatureCelsius,
    HostUndervolted,
    NodeLoad1,
    NodeLoad5,
    NodeLoad15,
    NodeMemTotal,
    NodeMemAvailable,
    NodeSwapTotal,
    NodeSwapFree,
    HostStorageBytes,
    HostStorageAvailableBytes,
}

/// What a series has beside its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// Nothing.
    None,
    /// `state`, one of a few.
    State(&'static str),
    /// `version` and `target` of this program.
    Build,
}

/// A gauge, the name that it is exported under, its label and its meaning.
pub type Row = (Gauge, &'static str, Label, &'static str);

const PROJECTS: &str = "Projects, by state.";
const RUNS: &str = "Runs that are not over, by state.";

/// Every gauge, in the order of [`Gauge`]; those of one name stand together.
pub const GAUGES: &[Row] = &[
    (
        Gauge::BuildInfo,
        "kinglet_build_info",
        Label::Build,
        "Always 1; its labels say which version runs, and what it was built for.",
    ),
    (
        Gauge::Connections,
        "kinglet_connections",
        Label::None,
        "Connections open, WebSockets and HTTP alike.",
    ),
    (
        Gauge::ConnectionsLimit,
        "kinglet_connections_limit",
        Label::None,
        "Connections that may be open; absent without a limit.",
    ),
    (
        Gauge::Sessions,
        "kinglet_sessions",
        Label::None,
        "Sessions open: WebSockets and event streams.",
    ),
    (Gauge::Rooms, "kinglet_rooms", Label::None, "Rooms."),
    (
        Gauge::Members,
        "kinglet_members",
        Label::None,
        "Memberships: one for each session in each room.",
    ),
    (
        Gauge::HistoryPublications,
        "kinglet_history_publications",
        Label::None,
        "Publications that rooms retain in memory; one in several rooms counts in each.",
    ),
    (
        Gauge::HistoryBytes,
        "kinglet_history_bytes",
        Label::None,
        "Bytes of these publications.",
    ),
    (
        Gauge::MailboxMail,
        "kinglet_mailbox_mail",
        Label::None,
        "Pieces of mail that wait in the fullest mailbox of a shard.",
    ),
    (
        Gauge::ProjectsIdle,
        "kinglet_projects",
        Label::State("idle"),
        PROJECTS,
    ),
    (
        Gauge::ProjectsExecuting,
        "kinglet_projects",
        Label::State("executing"),
        PROJECTS,
    ),
    (
        Gauge::ProjectsError,
        "kinglet_projects",
        Label::State("error"),
        PROJECTS,
    ),
    (
        Gauge::RunsQueued,
        "kinglet_runs",
        Label::State("queued"),
        RUNS,
    ),
    (
        Gauge::RunsRunning,
        "kinglet_runs",
        Label::State("running"),
        RUNS,
    ),
    (
        Gauge::RunsStalled,
        "kinglet_runs",
        Label::State("stalled"),
        RUNS,
    ),
    (
        Gauge::StoreQueue,
        "kinglet_store_queue",
        Label::None,
        "Requests that wait for the store; absent without a store.",
    ),
    (
        Gauge::StoreUp,
        "kinglet_store_up",
        Label::None,
        "Whether the disk takes what the store writes; absent without a store.",
    ),
    (
        Gauge::Draining,
        "kinglet_draining",
        Label::None,
        "Whether the server shuts down.",
    ),
    (
        Gauge::ProcessCpuSecondsTotal,
        "process_cpu_seconds_total",
        Label::None,
        "Processor time used, user and system, in seconds.",
    ),
    (
        Gauge::ProcessResidentMemoryBytes,
        "process_resident_memory_bytes",
        Label::None,
        "Bytes of memory that are in RAM.",
    ),
    (
        Gauge::ProcessVirtualMemoryBytes,
        "process_virtual_memory_bytes",
        Label::None,
        "Bytes of address space.",
    ),
    (
        Gauge::ProcessThreads,
        "process_threads",
        Label::None,
        "Threads.",
    ),
    (
        Gauge::ProcessOpenFds,
        "process_open_fds",
        Label::None,
        "Descriptors open.",
    ),
    (
        Gauge::ProcessMaxFds,
        "process_max_fds",
        Label::None,
        "Descriptors that may be open.",
    ),
    (
        Gauge::ProcessStartTimeSeconds,
        "process_start_time_seconds",
        Label::None,
        "When the process was started, in seconds since 1970.",
    ),
    (
        Gauge::HostCpuUsageRatio,
        "kinglet_host_cpu_usage_ratio",
        Label::None,
        "How busy the machine's processors are, 0 to 1.",
    ),
    (
        Gauge::HostTemperatureCelsius,
        "kinglet_host_temperature_celsius",
        Label::None,
        "The processor's temperature; absent where nobody knows.",
    ),
    (
        Gauge::HostUndervolted,
        "kinglet_host_undervolted",
        Label::None,
        "Whether the machine's supply is too weak, or was since its start.",
    ),
    (
        Gauge::NodeLoad1,
        "node_load1",
        Label::None,
        "Tasks that ran or waited, mean of one minute.",
    ),
    (
        Gauge::NodeLoad5,
        "node_load5",
        Label::None,
        "Tasks that ran or waited, mean of 5 minutes.",
    ),
    (
        Gauge::NodeLoad15,
        "node_load15",
        Label::None,
        "Tasks that ran or waited, mean of 15 minutes.",
    ),
    (
        Gauge::NodeMemTotal,
        "node_memory_MemTotal_bytes",
        Label::None,
        "The machine's memory.",
    ),
    (
        Gauge::NodeMemAvailable,
        "node_memory_MemAvailable_bytes",
        Label::None,
        "What of it a new program could have.",
    ),
    (
        Gauge::NodeSwapTotal,
        "node_memory_SwapTotal_bytes",
        Label::None,
        "The machine's swap.",
    ),
    (
        Gauge::NodeSwapFree,
        "node_memory_SwapFree_bytes",
        Label::None,
        "What of it is free.",
    ),
    (
        Gauge::HostStorageBytes,
        "kinglet_host_storage_bytes",
        Label::None,
        "Size of the file system that data is on.",
    ),
    (
        Gauge::HostStorageAvailableBytes,
        "kinglet_host_storage_available_bytes",
        Label::None,
        "What a program without privileges may still take of it.",
    ),
];

/// The values of one moment; of what is not there, none.
#[derive(Clone, Debug, PartialEq)]
pub struct Gauges {
    values: [Option<f64>; GAUGES.len()],
}

impl Default for Gauges {
    fn default() -> Self {
        Self {
            values: [None; GAUGES.len()],
        }
    }
}

impl Gauges {
    /// Notes a value; one that is no number is none.
    pub fn set(&mut self, gauge: Gauge, value: f64) {
        // In bounds: a test below holds that the table has a row for every variant, in order.
        self.values[gauge as usize] = Some(value).filter(|value| value.is_finite());
    }

    /// Notes how many there are.
    #[allow(clippy::cast_precision_loss)] // Nothing here is counted to 2^53.
    pub fn count(&mut self, gauge: Gauge, count: u64) {
        self.set(gauge, count as f64);
    }

    /// What was noted.
    #[must_use]
    pub fn value(&self, gauge: Gauge) -> Option<f64> {
        self.values[gauge as usize]
    }

    /// Every row with its value, if there is one.
    pub fn rows(&self) -> impl Iterator<Item = (&'static Row, f64)> + '_ {
        let rows = GAUGES.iter().zip(&self.values);
        rows.filter_map(|(row, value)| Some((row, (*value)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_variant_in_order_and_families_together() {
        let mut families: Vec<&str> = Vec::new();
        for (index, (gauge, name, label, meaning)) in GAUGES.iter().enumerate() {
            assert_eq!(*gauge as usize, index);
            assert!(meaning.ends_with('.'), "{name}");
            if families.last() != Some(name) {
                assert!(!families.contains(name), "{name} is torn apart");
                families.push(name);
            } else {
                assert!(matches!(label, Label::State(_)), "{name} is there twice");
            }
        }
        let last = Gauge::HostStorageAvailableBytes as usize;
        assert_eq!(GAUGES.len(), last + 1);
    }

    #[test]
    fn only_numbers_are_shown() {
        let mut gauges = Gauges::default();
        gauges.count(Gauge::Rooms, 3);
        gauges.set(Gauge::Members, f64::NAN);
        assert_eq!(gauges.value(Gauge::Members), None);
        let shown: Vec<_> = gauges.rows().map(|(row, value)| (row.0, value)).collect();
        assert_eq!(shown, [(Gauge::Rooms, 3.0)]);
    }
}
