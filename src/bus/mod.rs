//! L2: who may send what to whom.
//!
//! [`mail`] goes into a shard through its [`mailbox`]; a [`job`] goes to the workers, an [`order`] to
//! the store; a session goes from shard to shard as [`reclaim`] says; [`rooms`] assigns offsets and tells every shard that has members; [`presence`] remembers
//! who came and went until it is told. Invariant: threads share nothing but
//! what this folder defines, and every queue here has a bound.

pub mod execution;
pub mod job;
pub mod mail;
pub mod mailbox;
pub mod order;
pub mod presence;
pub mod reclaim;
pub mod room;
pub mod rooms;
