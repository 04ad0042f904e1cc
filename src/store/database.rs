//! The one file: opened, owned alone, brought to this version, marked while it is in use.
//!
//! The mark says in which boot of the machine it was opened and whether it was closed. With
//! `durability = "process"` the last transactions may be lost when the machine itself goes down; if
//! it did while the file was open, all streams take another epoch, so that nobody is told that an
//! offset is still what it was. Invariant: one process has the file, by a lock beside it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use crate::config::Durability;
use crate::domain::position::{Epoch, Position};
use crate::domain::project::Project;
use crate::domain::room::RoomName;
use crate::domain::run::Run;
use crate::os::file_lock;
use crate::store::fault::{OpenFault, StoreFault};
use crate::store::record;
use crate::store::row::{epoch, to_u64};
use crate::store::schema::{APPLICATION_ID, VERSION, migrate};

/// The file's name in the data directory.
pub const FILE: &str = "kinglet.db";

/// The name of the file that is locked, because SQLite's own locks are lost when somebody else in
/// the process closes the database.
const LOCK_FILE: &str = "kinglet.lock";

/// Files up to so many bytes are read through when they are opened, to find damage then and not in
/// the middle of a night; some 100 ms.
const CHECKED_BYTES: u64 = 64 << 20;

/// Bytes of the write-ahead log that are kept for the next transactions.
const WAL_BYTES: i64 = 16 << 20;

/// The store of one server.
#[derive(Debug)]
pub struct Store {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    /// Where the sweep has come to: a room's id.
    pub(super) swept: i64,
    /// Held while the file is open.
    _lock: File,
}

/// What is needed to open a store.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// The data directory, made if need be.
    pub directory: &'a Path,
    /// What an acknowledged publication survives.
    pub durability: Durability,
    /// Which boot of the machine this is; `None` if nobody can say.
    pub boot: Option<&'a str>,
    /// An epoch that no stream had before.
    pub fresh: Epoch,
}

/// A store that was opened, and what was in it.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// What was in it.
    pub kept: Kept,
    /// All streams took another epoch, because the machine went down.
    pub began_anew: bool,
}

/// What was in a store.
#[derive(Debug)]
pub struct Kept {
    /// Its rooms, and where their streams stand.
    pub rooms: Vec<(RoomName, Position)>,
    /// The epoch of rooms of which nothing is stored.
    pub epoch: Epoch,
    /// The projects.
    pub projects: Vec<Project>,
    /// The runs that are not over: whoever had them is gone.
    pub unfinished: Vec<Run>,
}

impl Store {
    /// Opens the store in a directory, making what is not there.
    ///
    /// # Errors
    /// An [`OpenFault`] that says what to do.
    pub fn open(opening: &Opening<'_>) -> Result<Opened, OpenFault> {
        let lock = own(opening.directory)?;
        let path = opening.directory.join(FILE);
        let fault = |error: rusqlite::Error| open_fault(&path, error);
        make_private(&path)?;
        let mut connection = Connection::open(&path).map_err(fault)?;
        check_and_migrate(&mut connection, &path)?;
        let mark = mark(&mut connection, opening).map_err(fault)?;
        let mut opened = Opened {
            store: Self {
                connection,
                path: path.clone(),
                swept: 0,
                _lock: lock,
            },
            kept: Kept {
                rooms: Vec::new(),
                epoch: opening.fresh,
                projects: Vec::new(),
                unfinished: Vec::new(),
            },
            began_anew: mark,
        };
        let (store, kept) = (&opened.store, &mut opened.kept);
        let known = store.rooms().and_then(|rooms| {
            kept.rooms = rooms;
            kept.projects = record::projects(&store.connection)?;
            kept.unfinished = record::unfinished(&store.connection)?;
            store.meta(EPOCH)
        });
        let damaged = |detail: String| OpenFault::Damaged {
            path: path.clone(),
            detail,
        };
        let known = known.map_err(|fault| damaged(fault.to_string()))?;
        let known = known.and_then(|known| Epoch::parse(&known));
        opened.kept.epoch = known.ok_or_else(|| damaged("it has no epoch".to_owned()))?;
        Ok(opened)
    }

    /// Closes the store, marked as whole.
    ///
    /// # Errors
    /// When that cannot be written; after a restart of the machine streams begin anew then.
    pub fn close(self) -> Result<(), StoreFault> {
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        set(&self.connection, CLOSED, "yes")?;
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// Writes something that changes nothing, to see whether the disk takes it.
    ///
    /// # Errors
    /// It does not.
    pub fn probe(&self) -> Result<(), StoreFault> {
        set(&self.connection, CLOSED, "no")?;
        Ok(())
    }

    /// Gives back what SQLite holds in memory and can read again.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn release(&self) -> Result<(), StoreFault> {
        self.connection.flush_prepared_statement_cache();
        Ok(self.connection.execute_batch("PRAGMA shrink_memory")?)
    }

    fn rooms(&self) -> Result<Vec<(RoomName, Position)>, StoreFault> {
        let mut statement = self
            .connection
            .prepare("SELECT name, epoch, offset FROM rooms")?;
        let mut rows = statement.query([])?;
        let mut rooms = Vec::new();
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            let spelt: String = row.get(1)?;
            let position = Position {
                epoch: epoch(&spelt)?,
                offset: to_u64(row.get(2)?),
            };
            let name = RoomName::parse(&name).map_err(|_| StoreFault::Value("room name"))?;
            rooms.push((name, position));
        }
        Ok(rooms)
    }

    fn meta(&self, name: &str) -> Result<Option<String>, StoreFault> {
        Ok(get(&self.connection, name)?)
    }
}

/// The epoch of rooms without a row.
pub(super) const EPOCH: &str = "epoch";

/// Which boot the file was opened in last.
const BOOT: &str = "boot";

/// Whether it was closed after that.
const CLOSED: &str = "closed";

/// With which durability it was opened last.
const DURABILITY: &str = "durability";

/// Makes the file if it is not there, for its owner alone; SQLite gives its companions the same
/// rights.
fn make_private(path: &Path) -> Result<(), OpenFault> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    let opened = options.open(path).map(drop);
    opened.map_err(|error| OpenFault::File {
        path: path.to_owned(),
        error,
    })
}

/// Makes the directory and takes it for this process alone.
fn own(directory: &Path) -> Result<File, OpenFault> {
    let fault = |error: io::Error| OpenFault::Directory {
        path: directory.to_owned(),
        error,
    };
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory);
    made.map_err(fault)?;
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(directory.join(LOCK_FILE))
        .map_err(fault)?;
    if file_lock::try_lock(&lock).map_err(fault)? {
        Ok(lock)
    } else {
        Err(OpenFault::Taken {
            path: directory.to_owned(),
        })
    }
}

/// Refuses a file that is not ours, not whole or from the future, and makes it one of today.
fn check_and_migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenFault> {
    let fault = |error: rusqlite::Error| open_fault(path, error);
    let number = |connection: &Connection, pragma: &str| {
        let value = connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        value.map_err(fault)
    };
    let version = number(connection, "user_version")?;
    let application = number(connection, "application_id")?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(fault)?;
    let is_new = version == 0 && application == 0 && tables == 0;
    if !is_new && application != APPLICATION_ID {
        return Err(OpenFault::Foreign {
            path: path.to_owned(),
        });
    }
    if version > VERSION {
        return Err(OpenFault::Newer {
            path: path.to_owned(),
            found: version,
            known: VERSION,
        });
    }
    if fs::metadata(path).map_or(0, |file| file.len()) <= CHECKED_BYTES {
        let found: String = connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(fault)?;
        if found != "ok" {
            return Err(OpenFault::Damaged {
                path: path.to_owned(),
                detail: found.replace('\n', " "),
            });
        }
    }
    let prepared = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
        .and_then(|()| connection.pragma_update(None, "synchronous", "FULL"))
        .and_then(|()| connection.pragma_update(None, "journal_size_limit", WAL_BYTES));
    prepared.map_err(fault)?;
    connection.set_prepared_statement_cache_capacity(64);
    migrate(connection, version).map_err(fault)
}

/// Notes that the file is in use in this boot, on the disk itself. True if all streams had to take
/// another epoch.
fn mark(connection: &mut Connection, opening: &Opening<'_>) -> Result<bool, rusqlite::Error> {
    let transaction = connection.transaction()?;
    let boot = opening.boot.unwrap_or_default();
    let is_other_boot = boot.is_empty() || get(&transaction, BOOT)?.as_deref() != Some(boot);
    let was_open = get(&transaction, CLOSED)?.as_deref() == Some("no");
    let could_lose = get(&transaction, DURABILITY)?.as_deref() != Some(POWER);
    let began_anew = is_other_boot && was_open && could_lose;
    if began_anew {
        let fresh = opening.fresh.as_str();
        transaction.execute("UPDATE rooms SET epoch = ?1", [fresh])?;
    }
    if began_anew || get(&transaction, EPOCH)?.is_none() {
        set(&transaction, EPOCH, opening.fresh.as_str())?;
    }
    let (durability, synchronous) = match opening.durability {
        Durability::Process => ("process", "NORMAL"),
        Durability::Power => (POWER, "FULL"),
    };
    set(&transaction, BOOT, boot)?;
    set(&transaction, CLOSED, "no")?;
    set(&transaction, DURABILITY, durability)?;
    transaction.commit()?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    Ok(began_anew)
}

/// How the durability that loses nothing is written.
const POWER: &str = "power";

fn get(connection: &Connection, name: &str) -> Result<Option<String>, rusqlite::Error> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

pub(super) fn set(connection: &Connection, name: &str, value: &str) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?
        .execute([name, value])
        .map(drop)
}

/// Opens the same file for reading, beside the store.
pub(super) fn open_reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // Half a megabyte is a few pages of history; the kernel keeps the rest.
    connection.pragma_update(None, "cache_size", -512)?;
    Ok(connection)
}

fn open_fault(path: &Path, error: rusqlite::Error) -> OpenFault {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => OpenFault::Damaged {
            path,
            detail: error.to_string(),
        },
        _ => OpenFault::Other { path, error },
    }
}
