//! Why the store cannot be opened, and why it cannot do something now.

use std::io;
use std::path::PathBuf;

/// Why the store cannot be opened; the server does not start then.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    /// The directory cannot be made or written to.
    #[error("cannot use the data directory {path}: {error} (server.data_dir)")]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// The file cannot be made or written to.
    #[error("cannot write to {path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// Another process has it.
    #[error(
        "another kinglet uses the data directory {path}; stop it, or give this one a directory of \
         its own (server.data_dir)"
    )]
    Taken {
        /// Which.
        path: PathBuf,
    },
    /// It is a database, but none of ours.
    #[error("{path} is a database of another program; move it away")]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// A later version wrote it.
    #[error(
        "{path} was written by a newer kinglet (schema {found}; this one knows up to {known}); \
         start that one, or move the file away"
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// It is damaged, or no database at all.
    #[error(
        "{path} is damaged ({detail}); restore a copy, or move it and its -wal and -shm files away \
         to begin with empty streams"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// Anything else, such as a file that cannot be written to.
    #[error("cannot open {path}: {error}")]
    Other {
        /// Which file.
        path: PathBuf,
        /// What SQLite says.
        error: rusqlite::Error,
    },
}

impl OpenFault {
    /// Whether the file system is why: there is nothing wrong with a file, nor is another process
    /// at it.
    #[must_use]
    pub const fn is_unwritable(&self) -> bool {
        match self {
            Self::Directory { .. } | Self::File { .. } | Self::Other { .. } => true,
            Self::Taken { .. }
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::Damaged { .. } => false,
        }
    }
}

/// Why the store did not do something. Nothing was changed; trying again later may help.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// What SQLite says: a full disk, an error of the disk, a damaged file.
    #[error("the disk does not take it: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// What was read is not what we write.
    #[error("the store holds a {0} that is none")]
    Value(&'static str),
}
