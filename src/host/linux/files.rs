//! Files of the kernel below a root: small, bounded, and whatever bytes somebody put there.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::base::one_line::cut;

/// Bytes read of one file. /proc/stat of 256 cores has 30 KB; what is longer is cut.
const BYTES: usize = 64 * 1024;

/// Bytes of a name or another word.
const WORD: usize = 256;

/// Entries read of one folder; Linux numbers processes up to 2^22, and small machines to 32,768.
const ENTRIES: usize = 32 * 1024;

/// Where the files are, and room to read them into.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    buffer: Vec<u8>,
    path: PathBuf,
}

impl Files {
    /// Files below `root`, which is `/` but in tests.
    pub(super) fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            buffer: vec![0; BYTES],
            path: PathBuf::new(),
        }
    }

    /// Where `path`, which begins without `/`, is.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The first [`BYTES`] of a file; `None` if it cannot be read.
    pub(super) fn bytes(&mut self, path: &str) -> Option<&[u8]> {
        let mut file = self.open(path)?;
        let mut filled = 0;
        while let Some(free @ [_, ..]) = self.buffer.get_mut(filled..) {
            match file.read(free) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        self.buffer.get(..filled)
    }

    /// What one read of a file gives: enough for one line.
    pub(super) fn line(&mut self, path: &str) -> Option<&[u8]> {
        let mut file = self.open(path)?;
        let count = file.read(&mut self.buffer).ok()?;
        self.buffer.get(..count)
    }

    fn open(&mut self, path: &str) -> Option<File> {
        // One path for all, because there is a file for each process.
        self.path.clear();
        self.path.push(&self.root);
        self.path.push(path);
        File::open(&self.path).ok()
    }

    /// A file as text.
    pub(super) fn text(&mut self, path: &str) -> Option<String> {
        self.bytes(path).map(readable)
    }

    /// A file that holds one word or name; `None` if it is empty.
    pub(super) fn word(&mut self, path: &str) -> Option<String> {
        self.bytes(path).and_then(word)
    }

    /// A file that holds one number.
    pub(super) fn number<T: FromStr>(&mut self, path: &str) -> Option<T> {
        self.word(path)?.parse().ok()
    }

    /// The names in a folder, in no order; none if it cannot be read.
    pub(super) fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder))
            .into_iter()
            .flatten()
            .flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.take(ENTRIES).collect()
    }

    /// Where a link leads, as it is written.
    pub(super) fn link(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.path(path)).ok()?;
        word(target.as_os_str().as_encoded_bytes())
    }

    /// Whether there is such a file or folder.
    pub(super) fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }
}

/// The parts of `bytes` that are UTF-8.
pub(super) fn readable(bytes: &[u8]) -> String {
    bytes.utf8_chunks().map(|chunk| chunk.valid()).collect()
}

/// A name: what of `bytes` is UTF-8 and no control character, without space around, at most
/// [`WORD`] bytes of it; `None` if nothing is left.
pub(super) fn word(bytes: &[u8]) -> Option<String> {
    let mut text = readable(bytes.get(..bytes.len().min(4 * WORD))?);
    text.retain(|character| !character.is_control());
    let text = cut(text.trim(), WORD);
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_what_can_be_shown() {
        let check = |bytes: &[u8], expected: Option<&str>| {
            assert_eq!(word(bytes).as_deref(), expected, "{bytes:?}");
        };
        check(b" eth0\n", Some("eth0"));
        check(b"a\xff\xfeb\0\x1b[2J", Some("ab[2J"));
        check(b"\xff\n\0", None);
        check(b"", None);
        check("é".as_bytes(), Some("é"));
        check(&[b'x'; 5000], Some(&"x".repeat(WORD)));
        let long = "é".repeat(WORD);
        check(long.as_bytes(), long.get(..WORD));
    }
}
