//! Which boot of the machine this is: whether it went down since a file was written.
//!
//! Linux: /proc/sys/kernel/random/boot_id (random(4)). macOS: kern.bootsessionuuid. Invariant: the
//! answer is the same from the start of the machine to its end, and another one after that.

/// The boot's own name, a UUID; `None` where there is none to be had, such as in a sandbox without
/// /proc.
#[must_use]
pub fn id() -> Option<String> {
    let id = platform::id()?;
    let id = id.trim();
    (!id.is_empty()).then(|| id.to_owned())
}

#[cfg(target_os = "macos")]
mod platform {
    use std::ptr;

    /// A UUID has 36 characters.
    const BYTES: usize = 64;

    pub(super) fn id() -> Option<String> {
        let mut bytes = [0u8; BYTES];
        let mut length = BYTES;
        // SAFETY: the name ends in 0; the buffer has `length` bytes, of which the call fills some
        // and says how many; nothing is set, so the last two are null and 0.
        let answer = unsafe {
            libc::sysctlbyname(
                c"kern.bootsessionuuid".as_ptr(),
                bytes.as_mut_ptr().cast(),
                &raw mut length,
                ptr::null_mut(),
                0,
            )
        };
        if answer != 0 {
            return None;
        }
        let text = bytes.get(..length)?.split(|byte| *byte == 0).next()?;
        std::str::from_utf8(text).ok().map(str::to_owned)
    }
}

#[cfg(not(target_os = "macos"))]
mod platform {
    use std::fs;

    pub(super) fn id() -> Option<String> {
        fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_has_one_name() {
        let id = id();
        assert_eq!(id, super::id());
        if let Some(id) = id {
            assert!(
                id.len() <= 64 && !id.contains(char::is_whitespace),
                "{id:?}"
            );
        }
    }
}
