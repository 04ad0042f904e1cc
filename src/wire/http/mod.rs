//! HTTP/1.1 without input or output: request heads, bodies, responses, and the client's side of it.
//!
//! Bytes come in as slices and go out into a `Vec`; whoever owns the socket decides when.
//! `httparse` is used here and nowhere else, and only for whole heads whose lines
//! [`scan::HeadScanner`] has already checked: it accepts bare line feeds, we do not.
//! [`content_coding`] makes bodies smaller for those who ask.
//!
//! ```text
//! socket -> HeadScanner -> Head -> BodyReader -> (handler) -> Response -> socket
//! ```
//!
//! Invariants: nothing here reads a clock or a configuration; every buffer grows by bytes that have
//! arrived, never by a declared size; what a request means does not depend on how its bytes were
//! split; a message that two parsers could read differently is refused, not repaired, because that
//! difference is what request smuggling lives on (RFC 9112 section 11.2).

pub mod body;
pub mod client;
pub mod content_coding;
pub mod fault;
pub mod fields;
pub mod head;
#[cfg(test)]
mod head_tests;
pub mod query;
pub mod response;
pub mod scan;
mod target;
