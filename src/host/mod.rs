//! L3: what the machine says of itself.
//!
//! [`cgroup`] reads the limits of the control group that we run in. The only folder with `sysinfo`.
//! May not touch: rooms, sessions, what is done about it.

pub mod cgroup;
