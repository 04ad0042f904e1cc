//! L3: the machine that kinglet runs on.
//!
//! [`platform`] says what kind of machine it is, [`cgroup`] what our control group may use. The only
//! folder with `sysinfo`. May not touch: rooms, sessions, threads, clocks, what is done about it.

pub mod cgroup;
pub mod platform;
