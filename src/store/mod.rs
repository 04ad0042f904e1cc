//! L3: what outlives the process: durable streams, their idempotency keys, how far users have read
//! them, projects and runs.
//!
//! One SQLite file, `kinglet.db` in the data directory. [`database`] opens it and owns it alone;
//! [`commit`] writes what waited, as one transaction; [`trim`] takes away what a stream need not
//! keep any more; [`reader`] reads pages beside the writing (WAL); [`subscriptions`] are the positions
//! that are kept for users. `record` says how projects and runs are written, [`runs`] reads what is
//! told of them.
//!
//! The only folder with `rusqlite`. No thread, no clock, no queue: whoever calls brings the time and
//! waits for the disk. May not touch: rooms, sessions, what is being delivered.
//! Invariants: what [`commit`] has answered is on disk as the durability asks; what failed has left
//! nothing behind; a stream's offsets on disk have no gap from the first retained to the last.

pub mod commit;
pub mod database;
pub mod fault;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod opening_tests;
pub mod reader;
mod record;
#[cfg(test)]
mod record_tests;
mod row;
pub mod runs;
mod schema;
pub mod subscriptions;
#[cfg(test)]
mod tests;
pub mod trim;
