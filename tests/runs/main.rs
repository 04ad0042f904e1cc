//! Runs of the real binary with real children, as clients see them: what is told of them, how they
//! end, and that nothing of them is left.
//!
//! The agent `claude` is the stand-in of tests/stand_in, `shell` a script that the test gives.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod admission;
mod children;
mod commands;
mod crashes;
mod disk;
mod endings;
mod host;
mod many;
mod metrics;
mod permissions;
mod projects;
mod shutdown;
mod watching;
