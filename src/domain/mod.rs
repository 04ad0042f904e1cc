//! L2: what rooms, publications and callers mean, as pure values and rules.
//!
//! May not touch: sockets, threads, clocks, sessions, the spelling of a dialect. Time and
//! randomness are arguments; nothing here holds a lock.

pub mod access;
mod aged_map;
pub mod agent;
pub mod catalogue;
pub mod claude_cli;
pub mod client_address;
pub mod command;
pub mod durable;
pub mod event;
pub mod fault;
pub mod github;
pub mod idempotency;
pub mod launch;
pub mod line_splitter;
pub mod monitor;
pub mod origin;
pub mod position;
pub mod presence;
pub mod project;
pub mod project_path;
pub mod rate_limit;
pub mod room;
pub mod run;
pub mod run_command;
pub mod run_reply;
pub mod stream;
pub mod token;
