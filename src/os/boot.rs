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
    use crate::os::sysctl;

    pub(super) fn id() -> Option<String> {
        sysctl::text(c"kern.bootsessionuuid")
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
