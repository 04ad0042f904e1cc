//! L2: what rooms, publications and callers mean, as pure values and rules.
//!
//! May not touch: sockets, threads, clocks, sessions, the spelling of a dialect. Time and
//! randomness are arguments; nothing here holds a lock.

pub mod access;
mod aged_map;
pub mod client_address;
pub mod command;
pub mod durable;
pub mod event;
pub mod fault;
pub mod idempotency;
pub mod origin;
pub mod position;
pub mod presence;
pub mod rate_limit;
pub mod room;
pub mod stream;
pub mod token;
