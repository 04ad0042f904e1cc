//! A file system of its own that is soon full, if whoever runs the tests may make one.
//!
//! May not touch: any other mount. Invariant: it is unmounted with its value.
#![allow(clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::testkit::world::Disk;

/// A small disk in memory.
#[derive(Debug)]
pub struct SmallDisk(Disk);

impl SmallDisk {
    /// Mounts one of so many MiB; `None` if that is not allowed here.
    ///
    /// # Panics
    /// When there is no place to mount it at.
    #[must_use]
    pub fn mount(mebibytes: usize) -> Option<Self> {
        let directory = Disk::default();
        fs::create_dir_all(directory.path()).expect("a folder can be made");
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(directory.path())
            .output();
        let is_mounted = mounted.is_ok_and(|output| output.status.success());
        is_mounted.then(|| Self(directory))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the space that is left; removing the file that is returned gives it back.
    ///
    /// # Panics
    /// When it has more space than that.
    #[must_use]
    pub fn fill(&self) -> PathBuf {
        let filler = self.path().join("filler");
        let taken = fs::write(&filler, vec![0; 64 << 20]);
        assert!(taken.is_err(), "the disk is small");
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What is left of it goes with the machine.
        let _ = Command::new("umount").arg(self.path()).output();
    }
}
