//! `export`: everything that a room retains, one event a line, page by page over HTTP.

use crate::cli::arguments::ExportArguments;
use crate::cli::output::Lines;
use crate::cli::recovery::{Printed, print_history};
use crate::cli::server::Server;
use crate::cli::{Exit, Failure};
use crate::domain::command::Since;

/// Prints the room's history and ends; what is published meanwhile is printed as far as it goes.
pub(super) fn run(asked: ExportArguments) -> Result<Exit, Failure> {
    let server = Server::new(asked.server)?;
    let mut reached = asked.since.unwrap_or(Since {
        epoch: None,
        offset: 0,
    });
    match print_history(&server, &asked.room, &mut reached, &mut Lines)? {
        Printed::All => Ok(Exit::Done),
        Printed::NoStream(answer) => Err(answer.refusal().into()),
    }
}
