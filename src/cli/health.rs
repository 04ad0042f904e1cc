//! `health`: whether a server is well, for scripts and for a container's health check.

use crate::cli::arguments::ServerArgument;
use crate::cli::http_client::exchange;
use crate::cli::server::Server;
use crate::cli::{Exit, Failure, output};

/// Prints what the server says of itself; fails if it is unhealthy, or says nothing.
pub(super) fn run(asked: ServerArgument) -> Result<Exit, Failure> {
    let server = Server::new(asked)?;
    let answer = exchange(&server, "GET", "/health", b"")?;
    output::line(&output::one_line(&answer.body))?;
    Ok(match answer.status {
        200 => Exit::Done,
        _ => Exit::Failed,
    })
}
