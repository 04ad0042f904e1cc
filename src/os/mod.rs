//! L0: what only the operating system can do, behind safe functions: signals, limits, sockets,
//! processes and what they use, locks on files, room on disks, memory given back, the kernel's log,
//! the boot, what service managers pass on.
//!
//! The only folder with `unsafe` and `libc`. Each block states why it is sound, each file has a
//! test, and where macOS differs from Linux the two cases stand side by side.
//! May not touch: anything of ours.

pub mod boot;
pub mod code_signing;
pub mod descriptor_limit;
pub mod descriptors;
pub mod disk;
pub mod environment;
pub mod file_lock;
#[cfg(target_os = "linux")]
pub mod kernel_log;
pub mod launchd;
pub mod memory;
pub mod monotonic;
pub mod page;
pub mod process;
pub mod process_tree;
pub mod process_usage;
pub mod resource_limits;
pub mod signals;
pub mod socket;
pub mod spawn;
pub mod sysctl;
