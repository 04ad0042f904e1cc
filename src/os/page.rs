//! The size of a page of memory, in which the kernel counts: sysconf(3).

/// Bytes of a page: 4,096 on most machines, 16,384 on a Raspberry Pi 5 and on Apple's processors.
#[must_use]
pub fn bytes() -> u64 {
    // SAFETY: sysconf touches no memory of ours.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    // It is -1 only for a name that it does not know.
    u64::try_from(bytes).unwrap_or(4096).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_a_power_of_two() {
        assert!(bytes().is_power_of_two() && bytes() >= 4096, "{}", bytes());
    }
}
