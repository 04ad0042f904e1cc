//! Keepers of the real binary: what an agent is given, what is told of it, and that nothing of a
//! run outlives it, whoever is killed.
//!
//! Processes of a run are found by the mark in their environment, so tests can run side by side.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crashes;
mod ending;
mod leaks;
mod run;
mod start;
