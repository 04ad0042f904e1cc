//! What the kernel of macOS says of the machine, by name (sysctlbyname(3)).

use std::ffi::CStr;

/// The text called `name`, such as `hw.model`; `None` where there is none, as on every other system.
#[must_use]
pub fn text(name: &CStr) -> Option<String> {
    platform::text(name)
}

#[cfg(target_os = "macos")]
mod platform {
    use std::ffi::CStr;
    use std::ptr;

    /// Models, versions and UUIDs have some 40 characters; what is longer is an error.
    const BYTES: usize = 256;

    pub(super) fn text(name: &CStr) -> Option<String> {
        let mut bytes = [0u8; BYTES];
        let mut length = BYTES;
        // SAFETY: the name ends in 0; the buffer has `length` bytes, of which the call fills some
        // and says how many; nothing is set, so the last two are null and 0.
        let answer = unsafe {
            libc::sysctlbyname(
                name.as_ptr(),
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
        let text = std::str::from_utf8(text).ok()?;
        (!text.is_empty()).then(|| text.to_owned())
    }
}

#[cfg(not(target_os = "macos"))]
mod platform {
    use std::ffi::CStr;

    pub(super) fn text(_: &CStr) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_has_a_release_on_macos_and_unknown_names_have_nothing() {
        let release = text(c"kern.osrelease");
        assert_eq!(release.is_some(), cfg!(target_os = "macos"));
        assert_eq!(text(c"kern.kinglet.nothing"), None);
    }
}
