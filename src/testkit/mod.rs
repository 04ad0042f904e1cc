//! What tests share, once: the real binary as a child, and blocking clients that talk to it.
//!
//! Built with the feature `testkit` only, which the package turns on for its own tests; nothing of
//! it is in a released binary. Helpers panic where a test would have to fail anyway, so that tests
//! read as what they check.

pub mod client;
pub mod server;
pub mod socket;
