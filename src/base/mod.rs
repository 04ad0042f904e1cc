//! L0: what every layer may use: ids, clock, fixed limits, networks, the slab, randomness, delays,
//! locks.
//!
//! May not touch: sockets, threads, configuration. `clock.rs` is the one place that asks the
//! operating system for the time.

pub mod backoff;
pub mod clock;
pub mod ids;
pub mod limits;
pub mod locks;
pub mod network;
pub mod one_line;
pub mod rng;
pub mod slab;
pub mod uuid;
