//! How our own program is signed: macOS gives its permissions to signatures.
//!
//! csops(2), which has no manual page; its numbers are those of xnu's bsd/sys/codesign.h. Everywhere
//! else there is no such thing.

/// The signature of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// There is none, or it does not fit the program.
    None,
    /// Made by the linker for this one build, by nobody in particular: permissions that were given
    /// to the program are lost with the next build.
    AdHoc,
    /// By somebody with a certificate.
    Certificate,
}

impl Signing {
    /// The word for the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::AdHoc => "ad-hoc",
            Self::Certificate => "certificate",
        }
    }

    /// What the kernel's flags mean.
    #[cfg(any(target_os = "macos", test))]
    const fn of_flags(flags: u32) -> Self {
        const VALID: u32 = 0x1;
        const ADHOC: u32 = 0x2;
        if flags & VALID == 0 {
            Self::None
        } else if flags & ADHOC != 0 {
            Self::AdHoc
        } else {
            Self::Certificate
        }
    }
}

/// How the program of this process is signed; `None` where that means nothing.
#[cfg(target_os = "macos")]
#[must_use]
pub fn own() -> Option<Signing> {
    const STATUS: libc::c_uint = 0;
    unsafe extern "C" {
        fn csops(
            pid: libc::pid_t,
            operation: libc::c_uint,
            answer: *mut libc::c_void,
            size: libc::size_t,
        ) -> libc::c_int;
    }
    let mut flags = 0u32;
    // SAFETY: 0 stands for this process; the pointer is to a live integer of the size given, which
    // the call fills.
    let answer = unsafe { csops(0, STATUS, (&raw mut flags).cast(), size_of::<u32>()) };
    (answer == 0).then(|| Signing::of_flags(flags))
}

/// How the program of this process is signed; `None` where that means nothing.
#[cfg(not(target_os = "macos"))]
#[must_use]
pub const fn own() -> Option<Signing> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_who_signed() {
        let check = |flags, name| assert_eq!(Signing::of_flags(flags).name(), name, "{flags:#x}");
        check(0, "none");
        check(0x2, "none");
        check(0x2002_0003, "ad-hoc");
        check(0x2001_2001, "certificate");
        assert_eq!(own().is_some(), cfg!(target_os = "macos"));
    }
}
