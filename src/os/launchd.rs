//! Sockets that launchd listens on for us (launch_activate_socket(3)).

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

/// The sockets under `name` in the `Sockets` of our property list, which close on exec; none if
/// launchd did not start us or knows no such name, and on every other system. Once per process.
///
/// # Errors
/// What launchd answered otherwise.
#[cfg(target_os = "macos")]
pub fn sockets(name: &CStr) -> io::Result<Vec<OwnedFd>> {
    use std::os::fd::FromRawFd;

    unsafe extern "C" {
        fn launch_activate_socket(
            name: *const libc::c_char,
            descriptors: *mut *mut libc::c_int,
            count: *mut libc::size_t,
        ) -> libc::c_int;
    }
    let mut descriptors: *mut libc::c_int = std::ptr::null_mut();
    let mut count: libc::size_t = 0;
    // SAFETY: the name ends in 0; the call sets both others, the first to an array of `count`
    // integers that is ours to free.
    let answer =
        unsafe { launch_activate_socket(name.as_ptr(), &raw mut descriptors, &raw mut count) };
    match answer {
        0 => {}
        libc::ESRCH | libc::ENOENT => return Ok(Vec::new()),
        code => return Err(io::Error::from_raw_os_error(code)),
    }
    if descriptors.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: launchd says that there are so many, and has given them to us, each once.
    let sockets = unsafe {
        let numbers = std::slice::from_raw_parts(descriptors, count);
        let own = |number: &libc::c_int| {
            libc::fcntl(*number, libc::F_SETFD, libc::FD_CLOEXEC);
            OwnedFd::from_raw_fd(*number)
        };
        numbers.iter().map(own).collect()
    };
    // SAFETY: it was allocated for us, and the slice is not used any more.
    unsafe { libc::free(descriptors.cast()) };
    Ok(sockets)
}

/// The sockets under `name` in the `Sockets` of our property list, which close on exec; none if
/// launchd did not start us or knows no such name, and on every other system. Once per process.
///
/// # Errors
/// What launchd answered otherwise.
#[cfg(not(target_os = "macos"))]
pub fn sockets(_: &CStr) -> io::Result<Vec<OwnedFd>> {
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_launchd_did_not_start_has_no_sockets() {
        assert!(sockets(c"Listeners").is_ok_and(|sockets| sockets.is_empty()));
    }
}
