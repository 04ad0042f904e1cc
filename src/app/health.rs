//! How the server is, and the machine it is on: checks by name, each with a state.
//!
//! Everything was looked at by somebody else before: a check costs a few locks and waits for nothing.
//! May not touch: how they are spelt over HTTP and on sockets, beyond the members of each.

use crate::app::emitters::LinkState;
use crate::app::monitor::Seen;
use crate::app::services::{Live, Services};
use crate::domain::claude_cli::ClaudeCli;
use crate::domain::monitor::Level;
use crate::host::sample::Sample;
use crate::wire::json::object::Object;

/// How a check stands, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it should be.
    Healthy,
    /// Nobody has looked yet, or can; nothing is concluded from it.
    Unknown,
    /// It works and needs somebody's attention.
    Warning,
    /// It works no more, or soon will not.
    Critical,
}

impl State {
    /// Its name on the wire, as clients of P0 know it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// What the worst of all checks says of the whole.
    #[must_use]
    pub const fn of_all(self) -> &'static str {
        match self {
            Self::Healthy | Self::Unknown => "healthy",
            Self::Warning => "degraded",
            Self::Critical => "unhealthy",
        }
    }

    /// Warning above 90 per cent, critical above `critical`.
    fn of_percent(percent: f64, critical: f64) -> Self {
        if percent > critical {
            Self::Critical
        } else if percent > 90.0 {
            Self::Warning
        } else {
            Self::Healthy
        }
    }
}

/// One check.
#[derive(Clone, Debug)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
    /// What is the matter, in a word or a sentence; `None` if nothing is.
    pub message: Option<String>,
    /// What was measured.
    pub measured: Measured,
}

/// The members of a check beside its status.
#[derive(Clone, Debug)]
pub enum Measured {
    /// None.
    Nothing,
    /// Per cent of all processors' time, and how many processors there are.
    Cpu(f64, usize),
    /// Bytes of memory, and how many a new program could have.
    Memory(u64, u64),
    /// A disk: something on it, its bytes, and how many are free.
    Disk(String, u64, u64),
    /// The Claude CLI: as configured and as found.
    Claude(Box<ClaudeCli>),
}

/// What clients of P0 ask for: processor, memory, disk and the Claude CLI.
#[must_use]
pub fn of_machine(services: &Services, live: &Live) -> [Check; 4] {
    let sample = services.host.latest();
    [
        cpu(sample.as_deref()),
        memory(sample.as_deref()),
        disk(services.resources.seen(), live),
        claude(services),
    ]
}

/// What the server says of itself.
#[must_use]
pub fn of_server(services: &Services) -> Vec<Check> {
    let own = |name, problem: Option<&str>| Check {
        name,
        state: problem.map_or(State::Healthy, |_| State::Warning),
        message: problem.map(str::to_owned),
        measured: Measured::Nothing,
    };
    let draining = services.is_draining().then_some("shutting down");
    let full = (!services.rooms.has_room_for_mail()).then_some("full");
    let (level, resource) = services.resources.status().worst();
    let limits = match level {
        Level::Normal => None,
        Level::Near => Some(format!("near the limit on {}", resource.word())),
        Level::Over => Some(format!("over the limit on {}", resource.word())),
    };
    let mut checks = vec![
        own("accepting", draining),
        own("mailboxes", full),
        own("limits", limits.as_deref()),
    ];
    if let Some(store) = &services.store {
        checks.push(own("store", store.is_failing().then_some("failing")));
    }
    match services.emitters.state() {
        LinkState::Off => {}
        LinkState::Down => checks.push(own("redis", Some("not connected"))),
        LinkState::Up => checks.push(own("redis", None)),
    }
    checks
}

/// The worst of some checks.
pub fn worst<'a>(checks: impl IntoIterator<Item = &'a Check>) -> State {
    let states = checks.into_iter().map(|check| check.state);
    states.max().unwrap_or(State::Healthy)
}

impl Check {
    /// Writes its members, status first.
    pub fn write(&self, out: &mut Vec<u8>) {
        let object = Object::begin(out).string("status", self.state.word());
        let object = match &self.measured {
            Measured::Nothing => object,
            Measured::Cpu(usage, cores) => object
                .raw("usage_percent", &format!("{usage:.1}"))
                .number("cores", *cores as u64),
            Measured::Memory(total, available) => object
                .number("total_mb", total >> 20)
                .number("available_mb", available >> 20)
                .raw("used_percent", &used_percent(*total, *available)),
            Measured::Disk(path, total, free) => object
                .string("path", path)
                .raw("total_gb", &gigabytes(*total))
                .raw("free_gb", &gigabytes(*free))
                .raw("used_percent", &used_percent(*total, *free)),
            Measured::Claude(claude) => {
                let resolved = claude.found.as_deref().ok();
                let resolved = resolved.map(|path| path.to_string_lossy());
                let version = claude.version.as_ref();
                let error = match &claude.found {
                    Err(error) => Some(&**error),
                    Ok(_) => version.and_then(|version| version.as_ref().err().map(String::as_str)),
                };
                object
                    .string("path", &claude.program)
                    .string("resolved_path", resolved.as_deref().unwrap_or_default())
                    .string_if("version", version.and_then(|v| v.as_deref().ok()))
                    .string_if("error", error)
            }
        };
        object.string_if("message", self.message.as_deref()).end();
    }
}

fn cpu(sample: Option<&Sample>) -> Check {
    let (usage, cores) = sample.map_or((0.0, 0), |sample| {
        (sample.cpu.usage, sample.cpu.cores.len())
    });
    let state = match cores {
        0 => State::Unknown,
        _ => State::of_percent(usage, f64::INFINITY),
    };
    Check {
        name: "cpu",
        state,
        message: message(state, "the processors are busy", ""),
        measured: Measured::Cpu(usage, cores),
    }
}

fn memory(sample: Option<&Sample>) -> Check {
    let memory = sample.map(|sample| sample.memory).unwrap_or_default();
    let (total, available) = (memory.total, memory.available);
    let state = match total {
        0 => State::Unknown,
        _ => State::of_percent(used(total, available), 95.0),
    };
    Check {
        name: "memory",
        state,
        message: message(state, "memory is short", "there is hardly any memory left"),
        measured: Measured::Memory(total, available),
    }
}

/// Critical below so many free bytes, or below a tenth of a disk that is smaller than ten times that.
const DISK_CRITICAL: u64 = 1 << 30;

fn disk(seen: Seen, live: &Live) -> Check {
    let (total, free) = seen
        .disk
        .map_or((0, 0), |disk| (disk.total, disk.available));
    let state = if total == 0 {
        State::Unknown
    } else if free < DISK_CRITICAL.min(total / 10) {
        State::Critical
    } else {
        State::of_percent(used(total, free), f64::INFINITY)
    };
    let path = &live.config.server.data_dir;
    Check {
        name: "disk",
        state,
        message: message(
            state,
            "the disk is nearly full",
            "the disk is full or soon will be",
        ),
        measured: Measured::Disk(path.to_string_lossy().into_owned(), total, free),
    }
}

fn claude(services: &Services) -> Check {
    let found = services.resources.claude();
    let (state, problem) = match found.as_deref() {
        None => (State::Unknown, None),
        Some(claude) => match (&claude.found, &claude.version) {
            (Err(_), _) => (
                State::Critical,
                Some("the Claude CLI was not found; runs of it are refused"),
            ),
            (Ok(_), Some(Err(_))) => (State::Warning, Some("the Claude CLI says no version")),
            (Ok(_), Some(Ok(_)) | None) => (State::Healthy, None),
        },
    };
    let nothing_known = || ClaudeCli {
        program: String::new(),
        found: Err("nobody has looked yet".to_owned()),
        version: None,
    };
    Check {
        name: "claude_cli",
        state,
        message: problem.map(str::to_owned),
        measured: Measured::Claude(Box::new(
            found.map_or_else(nothing_known, |found| (*found).clone()),
        )),
    }
}

fn message(state: State, warning: &str, critical: &str) -> Option<String> {
    match state {
        State::Healthy => None,
        State::Unknown => Some("not measured yet".to_owned()),
        State::Warning => Some(warning.to_owned()),
        State::Critical => Some(critical.to_owned()),
    }
}

/// What is not free, in per cent.
#[allow(clippy::cast_precision_loss)] // Nobody counts bytes by the per cent.
fn used(total: u64, free: u64) -> f64 {
    match total {
        0 => 0.0,
        _ => total.saturating_sub(free) as f64 * 100.0 / total as f64,
    }
}

fn used_percent(total: u64, free: u64) -> String {
    format!("{:.1}", used(total, free))
}

#[allow(clippy::cast_precision_loss)]
fn gigabytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / (1u64 << 30) as f64)
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
