//! Projects and runs as rows, and back.
//!
//! Invariants: what is read is checked like what a peer sends, as with a publication; a project's
//! runs go with it, and what its room held goes later, a little at a time ([`super::trim`]).

use rusqlite::{Connection, Row, Transaction, params};
use serde::de::IgnoredAny;

use crate::base::clock::Wall;
use crate::base::limits::RUNS_KEPT;
use crate::bus::execution::{Mark, Record};
use crate::domain::position::Epoch;
use crate::domain::project::{Project, ProjectId, ProjectState};
use crate::domain::run::{Run, RunId, RunResult, RunState};
use crate::store::commit::{Batch, Target, read_head};
use crate::store::database::{EPOCH, set};
use crate::store::fault::StoreFault;
use crate::store::row::{to_i64, to_u64};

/// Runs that one end of a run takes away at most: more than end at a time.
const RUNS_FORGOTTEN: u32 = 16;

/// The states of runs that are not over, as SQL.
const UNFINISHED: &str = "state IN ('queued', 'running', 'stalled')";

/// The columns that [`run`] reads, in its order.
pub(super) const RUN_COLUMNS: &str = "id, project, agent, state, prompt, options, params, \
    created_at, started_at, ended_at, exit_code, signal, reason, session_id, has_result, cost_usd, \
    turns, usage, first_offset, last_offset, truncated";

impl Batch<'_, '_> {
    /// Writes what is to be kept of a project or a run; the offset that a run remembers of its room,
    /// if it was to remember one.
    pub(super) fn record(
        &mut self,
        record: &Record,
        target: &Target<'_>,
        fresh: &Epoch,
    ) -> Result<Option<u64>, StoreFault> {
        match record {
            Record::Project(project) => {
                write_project(&self.transaction, project)?;
                Ok(None)
            }
            Record::ProjectDeleted(id) => {
                self.delete(*id, target, fresh)?;
                Ok(None)
            }
            Record::Run(run, mark) => {
                let offset = match mark {
                    Mark::None => None,
                    Mark::First | Mark::Last => Some(self.head(target)?.offset),
                };
                write_run(&self.transaction, run, *mark, offset)?;
                if run.state.is_over() {
                    self.forget_runs(run.project, target)?;
                }
                Ok(offset)
            }
            // A run that the server does not survive asks nothing any more.
            Record::Permissions(..) => Ok(None),
        }
    }

    fn delete(
        &mut self,
        id: ProjectId,
        target: &Target<'_>,
        fresh: &Epoch,
    ) -> Result<(), StoreFault> {
        let known = self.heads.remove(target.room);
        let known = known.map_or_else(
            || read_head(&self.transaction, target.room),
            |h| Ok(Some(h)),
        );
        if let Some(head) = known? {
            let execute = |sql| self.transaction.prepare_cached(sql)?.execute([head.id]);
            execute("DELETE FROM rooms WHERE id = ?1")?;
            execute("INSERT INTO doomed (room) VALUES (?1)")?;
        }
        let execute = |sql| {
            self.transaction
                .prepare_cached(sql)?
                .execute([id.to_string()])
        };
        execute("DELETE FROM runs WHERE project = ?1")?;
        execute("DELETE FROM projects WHERE id = ?1")?;
        set(&self.transaction, EPOCH, fresh.as_str())?;
        Ok(())
    }

    /// Forgets the oldest runs that are over, but for the newest hundred; what the room holds of
    /// them is let go.
    fn forget_runs(&mut self, project: ProjectId, target: &Target<'_>) -> Result<(), StoreFault> {
        let id = project.to_string();
        let sql = format!(
            "DELETE FROM runs WHERE number IN (SELECT number FROM runs
            WHERE project = ?1 AND NOT {UNFINISHED} ORDER BY number DESC LIMIT ?2 OFFSET ?3)"
        );
        let kept = to_i64(RUNS_KEPT as u64);
        let mut statement = self.transaction.prepare_cached(&sql)?;
        let forgotten = statement.execute(params![id, RUNS_FORGOTTEN, kept])?;
        drop(statement);
        if forgotten == 0 {
            return Ok(());
        }
        let sql = "SELECT min(first_offset) FROM runs WHERE project = ?1";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let floor: Option<i64> = statement.query_row([id], |row| row.get(0))?;
        drop(statement);
        let head = self.head(target)?;
        head.floor = head.floor.max(floor.map_or(0, to_u64));
        Ok(())
    }
}

fn write_project(transaction: &Transaction<'_>, project: &Project) -> Result<(), StoreFault> {
    let sql = "INSERT OR REPLACE INTO projects
        (id, path, name, state, error, session_id, created_at, last_active, run)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    transaction.prepare_cached(sql)?.execute(params![
        project.id.to_string(),
        project.path,
        project.name,
        project.state.word(),
        project.error,
        project.session_id,
        to_i64(project.created_at.as_millis()),
        to_i64(project.last_active.as_millis()),
        project.run.map(|run| run.to_string()),
    ])?;
    Ok(())
}

/// Writes a run. What was asked for never changes, and an offset that is known stays.
fn write_run(
    transaction: &Transaction<'_>,
    run: &Run,
    mark: Mark,
    offset: Option<u64>,
) -> Result<(), StoreFault> {
    let sql = "INSERT INTO runs (id, project, agent, state, prompt, options, params, created_at,
            started_at, ended_at, exit_code, signal, reason, session_id, has_result, cost_usd,
            turns, usage, first_offset, last_offset, truncated)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
            ?19, ?20, ?21)
        ON CONFLICT (id) DO UPDATE SET state = ?4, started_at = ?9, ended_at = ?10,
            exit_code = ?11, signal = ?12, reason = ?13, session_id = ?14, has_result = ?15,
            cost_usd = ?16, turns = ?17, usage = ?18,
            first_offset = coalesce(first_offset, ?19), last_offset = coalesce(?20, last_offset),
            truncated = ?21";
    let time = |time: Option<Wall>| time.map(|time| to_i64(time.as_millis()));
    let first = run.first_offset.or(offset.filter(|_| mark == Mark::First));
    let last = offset.filter(|_| mark == Mark::Last).or(run.last_offset);
    let result = run.result.as_ref();
    transaction.prepare_cached(sql)?.execute(params![
        run.id.to_string(),
        run.project.to_string(),
        run.agent,
        run.state.word(),
        run.prompt,
        run.options,
        run.params,
        to_i64(run.created_at.as_millis()),
        time(run.started_at),
        time(run.ended_at),
        run.exit_code,
        run.signal,
        run.reason,
        run.session_id,
        result.is_some(),
        result.and_then(|result| result.cost_usd),
        result.and_then(|result| result.turns).map(to_i64),
        result.and_then(|result| result.usage.as_deref()),
        first.map(to_i64),
        last.map(to_i64),
        run.truncated,
    ])?;
    Ok(())
}

/// All projects.
pub(super) fn projects(connection: &Connection) -> Result<Vec<Project>, StoreFault> {
    let sql = "SELECT id, path, name, state, error, session_id, created_at, last_active, run
        FROM projects";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut projects = Vec::new();
    while let Some(row) = rows.next()? {
        projects.push(project(row)?);
    }
    Ok(projects)
}

/// All runs that are not over, in the order in which they came.
pub(super) fn unfinished(connection: &Connection) -> Result<Vec<Run>, StoreFault> {
    let sql = format!("SELECT {RUN_COLUMNS} FROM runs WHERE {UNFINISHED} ORDER BY number");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(run(row)?);
    }
    Ok(runs)
}

fn project(row: &Row<'_>) -> Result<Project, StoreFault> {
    let state: String = row.get(3)?;
    let run: Option<String> = row.get(8)?;
    Ok(Project {
        id: project_id(&row.get::<_, String>(0)?)?,
        path: row.get(1)?,
        name: row.get(2)?,
        state: ProjectState::parse(&state).ok_or(StoreFault::Value("project's state"))?,
        error: row.get(4)?,
        session_id: row.get(5)?,
        created_at: time(row.get(6)?),
        last_active: time(row.get(7)?),
        run: run.as_deref().map(run_id).transpose()?,
    })
}

/// The run of a row with [`RUN_COLUMNS`].
pub(super) fn run(row: &Row<'_>) -> Result<Run, StoreFault> {
    let state: String = row.get(3)?;
    let moment = |column| Ok::<_, StoreFault>(row.get::<_, Option<i64>>(column)?.map(time));
    let offset = |column| Ok::<_, StoreFault>(row.get::<_, Option<i64>>(column)?.map(to_u64));
    let object = |column| json_object(row.get(column)?);
    let has_result: bool = row.get(14)?;
    let result = RunResult {
        cost_usd: row.get(15)?,
        turns: offset(16)?,
        usage: object(17)?,
    };
    Ok(Run {
        id: run_id(&row.get::<_, String>(0)?)?,
        project: project_id(&row.get::<_, String>(1)?)?,
        agent: row.get(2)?,
        state: RunState::parse(&state).ok_or(StoreFault::Value("run's state"))?,
        prompt: row.get(4)?,
        options: object(5)?,
        params: object(6)?,
        created_at: time(row.get(7)?),
        started_at: moment(8)?,
        ended_at: moment(9)?,
        exit_code: row.get(10)?,
        signal: row.get(11)?,
        reason: row.get(12)?,
        session_id: row.get(13)?,
        result: has_result.then_some(result),
        first_offset: offset(18)?,
        last_offset: offset(19)?,
        truncated: row.get(20)?,
    })
}

/// Text that is spelt into answers as it is must be what it was.
fn json_object(text: Option<Box<str>>) -> Result<Option<Box<str>>, StoreFault> {
    let is_object =
        |text: &str| text.starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok();
    match text {
        Some(text) if !is_object(&text) => Err(StoreFault::Value("JSON object")),
        text => Ok(text),
    }
}

fn time(millis: i64) -> Wall {
    Wall::from_millis(to_u64(millis))
}

fn project_id(text: &str) -> Result<ProjectId, StoreFault> {
    ProjectId::parse(text).ok_or(StoreFault::Value("project id"))
}

fn run_id(text: &str) -> Result<RunId, StoreFault> {
    RunId::parse(text).ok_or(StoreFault::Value("run id"))
}
