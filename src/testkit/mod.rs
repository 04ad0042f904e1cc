//! What tests, benches and fuzz targets share, once: the real binary as a child, blocking clients
//! that talk to it, oracles of the wire readers, the whole core in virtual time.
//!
//! Built with the feature `testkit` only, which the package turns on for its own tests; nothing of
//! it is in a released binary. Helpers panic where a test would have to fail anyway, so that tests
//! read as what they check. Invariant: nothing outside this folder depends on it, but for tests.

pub mod choices;
pub mod client;
pub mod deflate;
pub mod events;
pub mod inflate;
pub mod link;
pub mod operations;
pub mod oracles;
pub mod processes;
pub mod records;
pub mod server;
pub mod simulation;
pub mod small_disk;
pub mod socket;
pub mod socket_io;
pub mod tls;
pub mod tokens;
pub mod world;
