//! What the configuration says of runs: where projects may be, how many there are, and what is
//! executed for an agent.

use std::path::PathBuf;

use crate::app::services::Context;
use crate::config::Config;
use crate::domain::fault::{Code, Fault};
use crate::domain::launch::Launch;
use crate::domain::project::Project;
use crate::domain::run_command::Start;

/// Directories that projects may be in.
pub(super) fn roots(_: &Config) -> Vec<PathBuf> {
    Vec::new()
}

/// Projects that may be.
pub(super) const fn projects_max(_: &Config) -> Option<usize> {
    Some(100)
}

/// Whether a run of a busy project waits.
pub(super) const fn waits(_: &Config) -> bool {
    false
}

/// Runs that may be active on the host.
pub(super) const fn runs_max(_: &Config) -> Option<usize> {
    Some(10)
}

/// What is executed for a run.
///
/// # Errors
/// VALIDATION_FAILED for an agent that is not configured.
pub(super) fn of(asked: &Start, _: &Project, _: Context<'_>) -> Result<Launch, Fault> {
    let message = format!("no agent \"{}\" is configured", asked.agent);
    Err(Fault::new(Code::ValidationFailed, message))
}
