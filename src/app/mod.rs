//! L3: what the server does for those who ask: who may connect, and on whose behalf; publish,
//! history, presence, rooms, administration, statistics, health.
//!
//! Functions of a request, the [`services`] and `now`; the shard calls those that cannot block,
//! the workers the others, both through the same [`chain`]. May not touch: sockets, sessions,
//! outboxes; joining and leaving are the shard's.

pub mod admission;
pub mod api;
pub mod chain;
pub mod commands;
pub mod credentials;
pub mod dashboard;
pub mod durable;
pub mod emitters;
pub mod engine_io;
pub mod event_stream;
pub mod health;
pub mod host;
pub mod http;
pub mod monitor;
pub mod opening;
pub mod presence;
pub mod projects;
pub mod publish;
pub mod runs;
pub mod server_stats;
pub mod services;
pub mod statistics;
pub mod user_rates;
