//! How much room is left on a disk (statvfs(3)), and whether anything can be put there (access(2)).

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The room on a disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What nobody has taken.
    pub free: u64,
    /// What of that a program without privileges may take.
    pub available: u64,
}

/// Bytes that a program without privileges can still write on the disk that `path` is on.
///
/// # Errors
/// As [`space`].
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    space(path).map(|space| space.available)
}

/// The room on the disk that `path` is on.
///
/// # Errors
/// What `statvfs` answered, such as for a path that is not there; `InvalidInput` for one with a NUL.
pub fn space(path: &Path) -> io::Result<Space> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut answer = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with NUL, and the pointer is to room for the struct that is filled.
    if unsafe { libc::statvfs(path.as_ptr(), answer.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it has filled the struct, which is plain integers anyway.
    let disk = unsafe { answer.assume_init() };
    // The widths of both differ between systems.
    #[allow(clippy::useless_conversion)]
    let [size, total, free, available] = [
        u64::from(disk.f_frsize),
        u64::from(disk.f_blocks),
        u64::from(disk.f_bfree),
        u64::from(disk.f_bavail),
    ];
    Ok(Space {
        total: total.saturating_mul(size),
        free: free.saturating_mul(size),
        available: available.saturating_mul(size),
    })
}

/// Whether files can be made in a directory, as far as its permissions and its disk say.
#[must_use]
pub fn is_writable(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: the path ends with NUL.
    unsafe { libc::access(path.as_ptr(), libc::W_OK | libc::X_OK) == 0 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_room_and_a_missing_path_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_bytes(folder.path()).unwrap() > 0);
        let space = space(folder.path()).unwrap();
        assert!(space.available <= space.free && space.free < space.total);
        let missing = free_bytes(&folder.path().join("missing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let nul = free_bytes(Path::new("a\0b")).unwrap_err();
        assert_eq!(nul.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_directory_is_writable_and_a_missing_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_writable(folder.path()));
        assert!(!is_writable(&folder.path().join("missing")));
        assert!(!is_writable(Path::new("a\0b")));
    }
}
