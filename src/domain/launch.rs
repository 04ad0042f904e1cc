//! What is to be executed for a run: checked, whole, and not yet started.
//!
//! Invariant: nothing in it is interpreted by a shell, and each element of [`Launch::argv`] was
//! checked as the one element that it is.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::AgentKind;

/// A command with all that its process gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// How it speaks.
    pub kind: AgentKind,
    /// The program as an absolute path, then its arguments.
    pub argv: Vec<OsString>,
    /// Where in `argv` the argument goes that resumes the project's session; `None` for agents that
    /// have no sessions.
    pub resume_at: Option<usize>,
    /// The working directory, absolute.
    pub directory: PathBuf,
    /// The whole environment: nothing is inherited.
    pub environment: Vec<(OsString, OsString)>,
    /// What is written to its standard input first.
    pub input: Vec<u8>,
    /// Whether standard input stays open after that, for what people say meanwhile.
    pub interactive: bool,
    /// What the process may use.
    pub limits: ProcessLimits,
    /// How long it may take; `None` for as long as it wants.
    pub timeout: Option<Duration>,
    /// How long it may be silent before that is told; `None` for ever.
    pub stall_after: Option<Duration>,
    /// Whether silence ends it.
    pub stall_cancels: bool,
}

/// What a process may use; `None` is what kinglet itself may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Time of a processor, for each process of the run (RLIMIT_CPU).
    pub cpu: Option<Duration>,
    /// Bytes of address space, for each process of the run (RLIMIT_AS).
    pub memory: Option<u64>,
    /// Open files of each process (RLIMIT_NOFILE).
    pub files: Option<u64>,
    /// Processes of kinglet's user (RLIMIT_NPROC counts them all, those of the run or not).
    pub processes: Option<u64>,
}
