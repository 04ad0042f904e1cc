//! The Claude CLI on this machine, as it was found.

use std::path::PathBuf;

/// What is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaudeCli {
    /// Its program as the configuration names it.
    pub program: String,
    /// Where that is, or why it cannot be run.
    pub found: Result<PathBuf, String>,
    /// What it says of its version: one line, or why it says nothing. `None` if it was not asked.
    pub version: Option<Result<String, String>>,
}
