//! Pages of streams, read beside the writing; for workers, whom it may cost a wait for the disk.
//!
//! Invariant: a page has no gap. What is not there in one piece is not there.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, params};

use crate::base::clock::Wall;
use crate::base::locks::lock;
use crate::config::SlowConsumer;
use crate::dialect::publication::Publication;
use crate::domain::position::Position;
use crate::domain::room::RoomName;
use crate::domain::stream::{Page, Retention};
use crate::store::database::{Store, open_reader};
use crate::store::fault::StoreFault;
use crate::store::row::{COLUMNS, publication, to_i64};
use crate::store::trim::oldest;

/// Reads a store's file; shared by all threads that read.
#[derive(Debug)]
pub struct Readers {
    path: PathBuf,
    /// Connections that nobody uses at the moment: never more than there are threads.
    idle: Mutex<Vec<Connection>>,
}

/// Which part of a stream is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Whose.
    pub room: &'a RoomName,
    /// Where it stood when this was asked; what came later is not wanted.
    pub position: Position,
    /// What is kept of it.
    pub retention: Retention,
    /// The policy that its publications are read with.
    pub slow_consumer: SlowConsumer,
}

impl Store {
    /// What reads this store's file.
    #[must_use]
    pub fn readers(&self) -> Readers {
        Readers {
            path: self.path.clone(),
            idle: Mutex::default(),
        }
    }
}

impl Readers {
    /// What came after the offset `since`, oldest first, at most `limit`; if some of it is gone,
    /// from the oldest that is left.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn after(
        &self,
        wanted: &Wanted<'_>,
        since: u64,
        limit: usize,
        now: Wall,
    ) -> Result<Page<Arc<Publication>>, StoreFault> {
        let last = wanted.position.offset;
        let kept = last.saturating_sub(wanted.retention.count as u64);
        let bounds = (since.max(kept).saturating_add(1), last);
        self.page(wanted, bounds, "ASC", limit, now)
    }

    /// What came before the offset `before`, or all, newest first, at most `limit`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn before(
        &self,
        wanted: &Wanted<'_>,
        before: Option<u64>,
        limit: usize,
        now: Wall,
    ) -> Result<Page<Arc<Publication>>, StoreFault> {
        let last = wanted.position.offset;
        let kept = last.saturating_sub(wanted.retention.count as u64);
        let newest = before.map_or(last, |before| before.saturating_sub(1).min(last));
        self.page(wanted, (kept + 1, newest), "DESC", limit, now)
    }

    fn page(
        &self,
        wanted: &Wanted<'_>,
        (from, to): (u64, u64),
        order: &str,
        limit: usize,
        now: Wall,
    ) -> Result<Page<Arc<Publication>>, StoreFault> {
        let sql = format!(
            "SELECT {COLUMNS} FROM rooms r JOIN publications p ON p.room = r.id
            WHERE r.name = ?1 AND r.epoch = ?2 AND p.offset >= max(r.first, ?3) AND p.offset <= ?4
            AND p.at > ?5 ORDER BY p.offset {order} LIMIT ?6"
        );
        let Position { epoch, .. } = wanted.position;
        let cutoff = oldest(&wanted.retention, now).as_millis();
        let mut items = self.with(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![
                wanted.room.as_str(),
                epoch.as_str(),
                to_i64(from),
                to_i64(to),
                to_i64(cutoff),
                // One more shows whether there are more.
                to_i64(limit as u64 + 1),
            ])?;
            let mut items = Vec::new();
            while let Some(row) = rows.next()? {
                items.push(publication(row, wanted.room, epoch, wanted.slow_consumer)?);
            }
            Ok(items)
        })?;
        let more = items.len() > limit;
        items.truncate(limit);
        // Clocks that were set back make publications seem too old that stand among others.
        let is_whole = |pair: &[(u64, _)]| match pair {
            [(first, _), (second, _)] => first.abs_diff(*second) == 1,
            _ => true,
        };
        if !items.windows(2).all(is_whole) {
            return Err(StoreFault::Value("stream without gaps"));
        }
        Ok(Page { items, more })
    }

    /// Closes the connections that nobody uses, with what they have in memory.
    pub fn release(&self) {
        let idle = std::mem::take(&mut *lock(&self.idle));
        drop(idle);
    }

    /// Uses a connection that nobody else uses.
    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreFault>,
    ) -> Result<T, StoreFault> {
        let idle = lock(&self.idle).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        };
        let outcome = read(&connection)?;
        lock(&self.idle).push(connection);
        Ok(outcome)
    }
}
