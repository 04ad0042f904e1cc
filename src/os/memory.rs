//! Gives memory that was freed back to the system: malloc_trim(3), malloc_zone_pressure_relief(3).
//!
//! An allocator keeps what is freed for the next one who asks, so a server that was busy once looks
//! large for ever. Where neither of the two exists (musl), nothing is done: its allocator gives
//! large pieces back by itself.

/// Gives back what the allocator holds and nobody uses; some milliseconds, in which others who
/// allocate may have to wait. Returns whether there was anything, as far as the system tells.
pub fn release_unused() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: it takes the allocator's own locks, and 0 is how much it may keep at the top.
        unsafe { libc::malloc_trim(0) == 1 }
    }
    #[cfg(target_os = "macos")]
    {
        unsafe extern "C" {
            fn malloc_zone_pressure_relief(zone: *mut libc::c_void, goal: usize) -> usize;
        }
        // SAFETY: null means all zones and 0 as much as there is; it takes their locks itself.
        unsafe { malloc_zone_pressure_relief(std::ptr::null_mut(), 0) > 0 }
    }
    #[cfg(not(any(all(target_os = "linux", target_env = "gnu"), target_os = "macos")))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::process_usage;

    #[test]
    fn what_was_freed_is_given_back() {
        const PIECES: usize = 64 * 1024;
        const BYTES: usize = 1024;
        // Many small pieces lie in the allocator's own memory; large ones would be given back alone.
        let pieces: Vec<Box<[u8; BYTES]>> = (0..PIECES).map(|_| Box::new([1; BYTES])).collect();
        let resident = || process_usage::own().usage.resident_bytes;
        // The last one stays, so that the memory before it cannot shrink away by itself.
        let full = resident();
        let last = pieces.into_iter().next_back();
        let has_released = release_unused();
        let half = (PIECES * BYTES / 2) as u64;
        if cfg!(all(target_os = "linux", target_env = "gnu")) {
            assert!(has_released);
            // Other tests of this process allocate meanwhile, but not that much.
            assert!(
                resident() + half < full,
                "{} of {full} are left",
                resident()
            );
        }
        drop(last);
    }
}
