//! L3: the machine that kinglet runs on, as plain data and as JSON.
//!
//! ```text
//!   /proc, /sys, sysinfo ── Machine ──▶ Sample ──▶ json      Plan: what is due, and when
//! ```
//!
//! [`platform`] says what kind of machine it is, [`cgroup`] what our control group may use.
//!
//! What the kernel says is read from files below a root that tests choose, where sysinfo does not
//! say it or takes too long; other systems are read through sysinfo alone. All of it counts as
//! untrusted bytes: reads are bounded, what is no UTF-8 is left out, and each part that cannot be
//! read has its own neutral value. May not touch: rooms, sessions, threads, clocks.

mod addresses;
pub mod cgroup;
pub mod json;
#[cfg(target_os = "linux")]
mod linux;
pub mod plan;
pub mod platform;
#[cfg(any(test, not(target_os = "linux")))]
mod portable;
mod rates;
pub mod sample;

#[cfg(target_os = "linux")]
pub use linux::Machine;
#[cfg(not(target_os = "linux"))]
pub use portable::Machine;
