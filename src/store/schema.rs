//! The tables, and the steps by which files of earlier versions become files of this one.
//!
//! Invariant: a step is never changed once it was released; another one is added.

use rusqlite::{Connection, Error};

/// Marks the file as ours: "king" (see "PRAGMA application_id").
pub(super) const APPLICATION_ID: i64 = 0x6b69_6e67;

/// Step n makes a file of version n into one of version n + 1.
pub(super) const STEPS: [&str; 4] = [
    // Rooms without a row have the epoch of `meta`, so a room need not be written to be known.
    // `first` is the oldest retained offset, and `bytes` what is retained. A row of `publications`
    // is found by room and offset alone, so both are its place in the file. `keys` are numbered in
    // the order in which they came, which is that of their age.
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
     CREATE TABLE rooms (
         id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL,
         offset INTEGER NOT NULL, first INTEGER NOT NULL, bytes INTEGER NOT NULL,
         used_at INTEGER NOT NULL);
     CREATE TABLE publications (
         room INTEGER NOT NULL, offset INTEGER NOT NULL, at INTEGER NOT NULL,
         size INTEGER NOT NULL, event TEXT NOT NULL, payload NOT NULL, source TEXT, uid BLOB,
         left_out BLOB, PRIMARY KEY (room, offset)) WITHOUT ROWID;
     CREATE TABLE keys (
         id INTEGER PRIMARY KEY, owner TEXT NOT NULL, key TEXT NOT NULL, print BLOB NOT NULL,
         at INTEGER NOT NULL, uid BLOB NOT NULL, placements TEXT NOT NULL, UNIQUE (owner, key));",
    // Rooms go by their names, because a room may be forgotten while somebody stays away. `at` is
    // when the subscription was used last, to the day.
    "CREATE TABLE subscriptions (
         owner TEXT NOT NULL, name TEXT NOT NULL, room TEXT NOT NULL, epoch TEXT NOT NULL,
         offset INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (owner, name, room))
         WITHOUT ROWID;
     CREATE INDEX subscriptions_by_age ON subscriptions (at);",
    // Projects and runs. What lies before a room's `floor` is not kept, whatever else is said.
    // `doomed` are the rooms that are gone but for their publications, which go a few at a time.
    // Runs are numbered in the order in which they came. What was said in a project is counted and
    // paged through by `messages`.
    "CREATE TABLE projects (
         id TEXT PRIMARY KEY, path TEXT NOT NULL, name TEXT, state TEXT NOT NULL, error TEXT,
         session_id TEXT, created_at INTEGER NOT NULL, last_active INTEGER NOT NULL, run TEXT)
         WITHOUT ROWID;
     CREATE TABLE runs (
         number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, project TEXT NOT NULL,
         agent TEXT NOT NULL, state TEXT NOT NULL, created_at INTEGER NOT NULL,
         started_at INTEGER, ended_at INTEGER, exit_code INTEGER, signal INTEGER, reason TEXT,
         session_id TEXT, cost_usd REAL, turns INTEGER, usage TEXT, has_result INTEGER NOT NULL,
         first_offset INTEGER, last_offset INTEGER, truncated INTEGER NOT NULL,
         options TEXT, params TEXT, prompt TEXT NOT NULL);
     CREATE INDEX runs_of_project ON runs (project, number);
     CREATE TABLE doomed (room INTEGER PRIMARY KEY);
     ALTER TABLE rooms ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;
     CREATE INDEX messages ON publications (room, offset, event, at)
         WHERE event IN ('run.started', 'run.output');",
    // A bit that fell over on the disk makes a page unreadable, and never another publication. Rows
    // of earlier versions have no sum.
    "ALTER TABLE publications ADD COLUMN sum INTEGER;",
];

/// The version that this program writes.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// Brings a file of `version`, 0 for a new one, to [`VERSION`].
pub(super) fn migrate(connection: &mut Connection, version: i64) -> Result<(), Error> {
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    for (number, step) in STEPS.iter().enumerate().skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", (number + 1) as i64)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Makes an empty file one of an earlier version, as that made it.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) fn make_earlier(connection: &Connection, version: i64) {
    for step in STEPS.iter().take(usize::try_from(version).unwrap()) {
        connection.execute_batch(step).unwrap();
    }
    connection
        .pragma_update(None, "application_id", APPLICATION_ID)
        .unwrap();
    connection
        .pragma_update(None, "user_version", version)
        .unwrap();
}
