//! The handlers of the HTTP API, one file per noun.

pub mod connections;
pub mod descriptions;
pub mod errors;
pub mod events;
pub mod health;
pub mod history;
pub mod host;
pub mod metrics;
pub mod presence;
pub mod projects;
pub mod publish;
pub mod rooms;
pub mod runs;
pub mod server;
pub mod stats;
pub mod tokens;
pub mod users;
pub mod webhooks;

use serde::Deserialize;

use crate::app::http::Call;
use crate::base::limits;
use crate::dialect::native::members;
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

/// How many entries a page may have, as `?limit=` says.
fn page_limit(query: &str) -> Result<usize, Fault> {
    members::page_limit(number(query, "limit")?)
        .ok_or_else(|| invalid(format!("limit must be from 1 to {}", limits::PAGE)))
}

/// The one open segment of the path, decoded.
fn segment<'a>(call: &Call<'a>) -> &'a str {
    call.http.parameters.first().map_or("", String::as_str)
}

/// A JSON object of the body.
fn body<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Fault> {
    parse(text(bytes)?)
}

/// The body as text.
fn text(bytes: &[u8]) -> Result<&str, Fault> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| invalid("the body must be JSON in UTF-8"))
}

/// The same where nothing need be said.
fn body_or_empty<'a, T: Deserialize<'a> + Default>(bytes: &'a [u8]) -> Result<T, Fault> {
    if bytes.is_empty() {
        return Ok(T::default());
    }
    body(bytes)
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Fault> {
    // A derived Deserialize would take an array for a struct, too.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(invalid("a JSON object is expected here"));
    }
    serde_json::from_str(text).map_err(|error| invalid(format!("the body is wrong: {error}")))
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(Code::ValidationFailed, message)
}

#[cfg(test)]
mod event_tests;
#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod webhook_tests;
