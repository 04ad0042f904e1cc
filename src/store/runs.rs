//! What is told of runs that are over, and of what was said in them; read beside the writing, for
//! workers.
//!
//! Invariant: pages are cut by SQLite; nobody's whole history is ever in memory.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use crate::base::clock::Wall;
use crate::config::SlowConsumer;
use crate::dialect::publication::Publication;
use crate::domain::project::ProjectId;
use crate::domain::room::RoomName;
use crate::domain::run::{Run, RunId};
use crate::domain::run_command::Direction;
use crate::store::fault::StoreFault;
use crate::store::reader::Readers;
use crate::store::record::{RUN_COLUMNS, run};
use crate::store::row::{COLUMNS, epoch, publication, to_i64, to_u64};

/// Some runs, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct RunPage {
    /// The runs.
    pub runs: Vec<Run>,
    /// Whether there are older ones.
    pub more: bool,
}

/// Which messages of a room are wanted.
#[derive(Clone, Copy, Debug)]
pub struct WantedMessages<'a> {
    /// Whose.
    pub room: &'a RoomName,
    /// Those later than this.
    pub since: Option<Wall>,
    /// So many of them are left out first.
    pub offset: u64,
    /// At most so many.
    pub limit: usize,
    /// From whom.
    pub direction: Direction,
}

/// Some messages, oldest first.
#[derive(Clone, Debug)]
pub struct MessagePage {
    /// They as they were published: `run.started` holds what was asked, `run.output` what was said.
    pub publications: Vec<Arc<Publication>>,
    /// How many there are in all, on this page or not.
    pub total: u64,
}

/// Which publications of a room are messages; spelt as the index `messages` has it.
const MESSAGES: &str = "p.event IN ('run.started', 'run.output')";

impl Readers {
    /// A run, over or not; `None` if there is none of this id.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn run(&self, id: RunId) -> Result<Option<Run>, StoreFault> {
        let sql = format!("SELECT {RUN_COLUMNS} FROM runs WHERE id = ?1");
        self.with(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([id.to_string()])?;
            rows.next()?.map(run).transpose()
        })
    }

    /// A project's runs, newest first, at most `limit`: all, or those that came before `after`.
    /// `None` if the project has no such run.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn runs(
        &self,
        project: ProjectId,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<Option<RunPage>, StoreFault> {
        let project = project.to_string();
        self.with(|connection| {
            let before = match after {
                None => i64::MAX,
                Some(after) => {
                    let sql = "SELECT number FROM runs WHERE id = ?1 AND project = ?2";
                    let mut statement = connection.prepare_cached(sql)?;
                    let found =
                        statement.query_row([&after.to_string(), &project], |row| row.get(0));
                    match found.optional()? {
                        Some(number) => number,
                        None => return Ok(None),
                    }
                }
            };
            let sql = format!(
                "SELECT {RUN_COLUMNS} FROM runs WHERE project = ?1 AND number < ?2
                ORDER BY number DESC LIMIT ?3"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            // One more shows whether there are more.
            let most = to_i64(limit as u64 + 1);
            let mut rows = statement.query(params![project, before, most])?;
            let mut runs = Vec::new();
            while let Some(row) = rows.next()? {
                runs.push(run(row)?);
            }
            let more = runs.len() > limit;
            runs.truncate(limit);
            Ok(Some(RunPage { runs, more }))
        })
    }

    /// A page of what was said in a project, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn messages(&self, wanted: &WantedMessages<'_>) -> Result<MessagePage, StoreFault> {
        let events = match wanted.direction {
            Direction::All => MESSAGES,
            Direction::Client => "p.event = 'run.started'",
            Direction::Claude => "p.event = 'run.output'",
        };
        let found = format!("{MESSAGES} AND {events} AND p.at > ?2 AND p.offset >= ?3");
        let since = wanted.since.map_or(-1, |since| to_i64(since.as_millis()));
        self.with(|connection| {
            // What is counted is what is paged through.
            let connection = connection.unchecked_transaction()?;
            let sql = "SELECT id, epoch, first FROM rooms WHERE name = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let room = statement.query_row([wanted.room.as_str()], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, i64>(2)?,
                ))
            });
            let Some((room, spelt, first)) = room.optional()? else {
                return Ok(MessagePage {
                    publications: Vec::new(),
                    total: 0,
                });
            };
            let sql = format!("SELECT count(*) FROM publications p WHERE p.room = ?1 AND {found}");
            let mut statement = connection.prepare_cached(&sql)?;
            let total = statement.query_row(params![room, since, first], |row| row.get(0))?;
            let sql = format!(
                "SELECT {COLUMNS} FROM publications p WHERE p.room = ?1 AND p.offset IN
                (SELECT p.offset FROM publications p WHERE p.room = ?1 AND {found}
                ORDER BY p.offset LIMIT ?4 OFFSET ?5) ORDER BY p.offset"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let (limit, offset) = (to_i64(wanted.limit as u64), to_i64(wanted.offset));
            let mut rows = statement.query(params![room, since, first, limit, offset])?;
            let mut publications = Vec::new();
            while let Some(row) = rows.next()? {
                let policy = SlowConsumer::Lag;
                let read = publication(row, wanted.room, epoch(&spelt)?, policy)?;
                publications.push(read.1);
            }
            Ok(MessagePage {
                publications,
                total: to_u64(total),
            })
        })
    }
}
