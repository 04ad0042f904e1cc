//! Descriptors across exec: what a new program is given by number, and that it has no others.
//!
//! Invariant: [`take_inherited`] and [`take_passed`] give each number out once, so no descriptor has
//! two owners. A process of tests cannot give its own away, so this is tested with the binary
//! (`tests/keeper`, `tests/manager`).

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// The first descriptor behind standard input, output and error.
const FIRST: RawFd = 3;

/// Whether the descriptors were given out already.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes the descriptors 3, 4, ... that this process was started with, and closes all after them.
/// Those taken close on exec. To be called first thing, once: nobody else may have opened any.
///
/// # Errors
/// `AlreadyExists` the second time; what fcntl(2) answered when one of them is not open.
pub fn take_inherited<const COUNT: usize>() -> io::Result<[OwnedFd; COUNT]> {
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    for number in (FIRST..).take(COUNT) {
        close_on_exec(number)?;
    }
    let taken = std::array::from_fn(|index| {
        let number = FIRST.saturating_add(RawFd::try_from(index).unwrap_or(RawFd::MAX));
        // SAFETY: it is open, as was seen above, and this is the only place that takes it.
        unsafe { OwnedFd::from_raw_fd(number) }
    });
    close_from(FIRST.saturating_add(RawFd::try_from(COUNT).unwrap_or(RawFd::MAX)));
    Ok(taken)
}

/// Takes the descriptors 3, 4, ... that a service manager passed on, as sd_listen_fds(3) does; all of
/// them close on exec. To be called first thing, once: nobody else may have opened any.
///
/// # Errors
/// `AlreadyExists` the second time; what fcntl(2) answered when one of them is not open, with its
/// number.
pub fn take_passed(count: usize) -> io::Result<Vec<OwnedFd>> {
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    for number in (FIRST..).take(count) {
        close_on_exec(number).map_err(|error| {
            let problem = format!("descriptor {number}: {error}");
            io::Error::new(error.kind(), problem)
        })?;
    }
    // SAFETY: they are open, as was seen above, and this is the only place that takes them.
    let own = |number| unsafe { OwnedFd::from_raw_fd(number) };
    Ok((FIRST..).take(count).map(own).collect())
}

fn close_on_exec(number: RawFd) -> io::Result<()> {
    // SAFETY: F_SETFD touches no memory; a number that is not open is an error.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Closes all from this number on. Linux: close_range(2), since 5.9.
fn close_from(first: RawFd) {
    #[cfg(target_os = "linux")]
    // SAFETY: close_range touches no memory; the caller says that nobody owns these.
    if unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) } == 0 {
        return;
    }
    let Ok(entries) = std::fs::read_dir("/dev/fd") else {
        return;
    };
    let number = |entry: io::Result<std::fs::DirEntry>| {
        let name = entry.ok()?.file_name();
        name.to_str()?.parse::<RawFd>().ok()
    };
    // Collected first, so that the directory's own descriptor is closed by its owner.
    let numbers: Vec<RawFd> = entries.filter_map(number).collect();
    for number in numbers.into_iter().filter(|number| *number >= first) {
        // SAFETY: as above.
        unsafe { libc::close(number) };
    }
}

/// Standard input, output and error become /dev/null: whoever was given their other ends sees that
/// this process holds them no longer.
///
/// # Errors
/// When /dev/null cannot be opened, or what dup2(2) answered.
pub fn let_go_of_standard_streams() -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let null = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    for number in 0..FIRST {
        // SAFETY: dup2 touches no memory. The standard streams are owned by nobody: the standard
        // library only borrows them.
        if unsafe { libc::dup2(null.as_raw_fd(), number) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
