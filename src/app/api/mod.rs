//! The handlers of the HTTP API, one file per noun.

pub mod health;
pub mod history;
pub mod publish;
pub mod rooms;
pub mod stats;

use crate::domain::fault::{Code, Fault};
use crate::wire::http::query::pairs;

/// The value of a query parameter, the first if it is repeated.
fn parameter(query: &str, name: &str) -> Option<String> {
    pairs(query)
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.into_owned())
}

/// A query parameter that must be a whole number from 0.
fn number(query: &str, name: &str) -> Result<Option<u64>, Fault> {
    match parameter(query, name) {
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|_| invalid(format!("{name} must be a whole number from 0"))),
        None => Ok(None),
    }
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(Code::ValidationFailed, message)
}

#[cfg(test)]
mod tests;
