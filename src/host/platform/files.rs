//! Small files under the root, and what is on the search path.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{FILE_BYTES_MAX, Place};
use crate::os::disk;

impl Place<'_> {
    /// Where `path` is, which is written without its first slash.
    pub(super) fn path(self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// What a file says, without white space and NULs around it; `None` if it is not there or says
    /// nothing. Bytes that are no UTF-8 are replaced.
    pub(super) fn text(self, path: &str) -> Option<String> {
        let bytes = self.bytes(path)?;
        let text = String::from_utf8_lossy(&bytes);
        // The firmware's texts end with NUL.
        let text = text.trim_matches(|end: char| end.is_whitespace() || end == '\0');
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The first bytes of a file.
    pub(super) fn bytes(self, path: &str) -> Option<Vec<u8>> {
        let file = File::open(self.path(path)).ok()?;
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Whether there is anything of this name.
    pub(super) fn exists(self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// A variable that is set to something.
    pub(super) fn variable(self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    /// Whether a program of this name is on the search path, or where execvp(3) looks without one.
    pub(super) fn has_program(self, name: &str) -> bool {
        let path = self.variable("PATH");
        let path = path.as_deref().unwrap_or("/bin:/usr/bin");
        path.split(':').any(|folder| {
            let place = Path::new(folder.trim_start_matches('/')).join(name);
            fs::metadata(self.root.join(place))
                .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        })
    }

    /// Whether files can be made in /tmp.
    pub(super) fn has_temporary(self) -> bool {
        disk::is_writable(&self.path("tmp"))
    }
}
