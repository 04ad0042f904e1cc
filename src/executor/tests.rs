//! The executor with a shell and a store of its own, in virtual time.

#![allow(clippy::unwrap_used, clippy::panic)]

mod endings;
mod model;
mod people;
mod projects;
mod queueing;
mod streams;
mod world;
