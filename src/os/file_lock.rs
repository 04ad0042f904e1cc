//! A lock on a file that ends with the process that holds it, however it ends.
//!
//! flock(2), which belongs to the open file: it is gone when the last descriptor of it is, and
//! kill -9 closes them all. May not be taken on a file that SQLite locks, whose own locks are of
//! another kind (fcntl) and would go when any descriptor of the file is closed.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Locks `file` for this process alone; false if another holds it. It stays locked until `file` is
/// dropped.
///
/// # Errors
/// What the operating system answered, such as for a file system without locks.
pub fn try_lock(file: &File) -> io::Result<bool> {
    // SAFETY: the descriptor is open for as long as `file` is borrowed; flock touches no memory.
    let answer = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
    if answer == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::WouldBlock {
        return Ok(false);
    }
    Err(error)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_file_is_locked_for_others_until_it_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let open = || {
            let mut options = File::options();
            options.create(true).truncate(false).write(true);
            options.open(&path).unwrap()
        };
        let (first, second) = (open(), open());
        assert!(try_lock(&first).unwrap());
        assert!(!try_lock(&second).unwrap());
        drop(first);
        assert!(try_lock(&second).unwrap());
    }
}
