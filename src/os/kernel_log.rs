//! The kernel's log: /dev/kmsg (Linux, Documentation/ABI/testing/dev-kmsg).
//!
//! Invariant: nothing here waits; what is not written yet is read the next time.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Messages read at a time; the rest stays for the next time.
const MESSAGES: usize = 8192;

/// Bytes of one message, as the kernel bounds them (CONSOLE_EXT_LOG_MAX).
const BYTES: usize = 8192;

/// The log, from its oldest message on.
#[derive(Debug)]
pub struct KernelLog {
    file: File,
}

impl KernelLog {
    /// Opens the log at `path`, which is /dev/kmsg but in tests.
    ///
    /// # Errors
    /// What open(2) answered; most systems let only root read it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)?;
        Ok(Self { file })
    }

    /// Hands `each` what has been written since the last time: the kernel gives one message per
    /// read.
    pub fn read_on(&mut self, mut each: impl FnMut(&[u8])) {
        let mut buffer = vec![0; BYTES];
        for _ in 0..MESSAGES {
            match self.file.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => each(buffer.get(..count).unwrap_or_default()),
                // EPIPE: messages were overwritten before they were read; the next is the oldest.
                Err(error) if is_passing(&error) => {}
                Err(_) => return,
            }
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_was_read_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kmsg");
        fs::write(&path, "one\n").unwrap();
        let mut log = KernelLog::open(&path).unwrap();
        let mut read = || {
            let mut all = Vec::new();
            log.read_on(|message| all.extend_from_slice(message));
            all
        };
        assert_eq!(read(), b"one\n");
        assert_eq!(read(), b"");
        fs::write(&path, "one\ntwo\n").unwrap();
        assert_eq!(read(), b"two\n");
    }

    #[test]
    fn the_log_of_this_machine_ends() {
        // Where it may be read, it is neither waited for nor read twice.
        if let Ok(mut log) = KernelLog::open(Path::new("/dev/kmsg")) {
            let mut messages = 0;
            log.read_on(|_| messages += 1);
            assert!(messages <= MESSAGES);
        }
    }
}
