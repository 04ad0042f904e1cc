//! Durable subscriptions: how far an owner has got in a room, under a name of its choice.
//!
//! A transaction keeps the rows that it touches in memory and writes each once at its end, however
//! many acknowledgements there were. Invariants: within one epoch an offset only grows; an owner has
//! at most as many rows as it may.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::base::clock::Wall;
use crate::base::limits::SUBSCRIPTION_AGE;
use crate::domain::position::Position;
use crate::domain::room::RoomName;
use crate::store::fault::StoreFault;
use crate::store::row::{epoch, to_i64, to_u64};

/// A durable subscription, and what is to be done with it.
#[derive(Clone, Copy, Debug)]
pub struct Keep<'a> {
    /// Whose, spelt so that no two owners are alike.
    pub owner: &'a str,
    /// What its owner calls it.
    pub name: &'a str,
    /// To which room.
    pub room: &'a RoomName,
    /// What is asked.
    pub action: Action,
    /// How many its owner may have.
    pub most: usize,
}

/// What is done with a durable subscription.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// Tell what is kept; this, if nothing is.
    Begin(Position),
    /// Keep this, unless more of the same stream was acknowledged.
    Acknowledge(Position),
    /// Keep it no longer.
    Forget,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This is kept.
    Kept(Position),
    /// Nothing is kept.
    Forgotten,
    /// Nothing is kept, because the owner has as many as it may.
    TooMany,
}

/// The rows that a transaction has touched.
#[derive(Debug, Default)]
pub(super) struct Subscriptions<'a> {
    rows: HashMap<(&'a str, &'a str, &'a RoomName), Option<Row>>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    position: Position,
    /// When it was used last, to the day.
    at: Wall,
    is_changed: bool,
}

/// How exactly it is known when a row was used: those that are only looked at need no writing.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Rows that one sweep removes.
const SLICE: u32 = 256;

impl<'a> Subscriptions<'a> {
    pub(super) fn perform(
        &mut self,
        transaction: &Transaction<'_>,
        keep: &Keep<'a>,
        now: Wall,
    ) -> Result<Outcome, StoreFault> {
        let row = match self.rows.entry((keep.owner, keep.name, keep.room)) {
            Slot::Occupied(slot) => slot.into_mut(),
            Slot::Vacant(slot) => slot.insert(read(transaction, keep)?),
        };
        let wanted = match keep.action {
            Action::Begin(position) | Action::Acknowledge(position) => position,
            Action::Forget => {
                *row = None;
                remove(transaction, keep)?;
                return Ok(Outcome::Forgotten);
            }
        };
        let Some(row) = row else {
            if count(transaction, keep.owner)? >= keep.most {
                return Ok(Outcome::TooMany);
            }
            let new = Row {
                position: wanted,
                at: now,
                is_changed: false,
            };
            write(transaction, (keep.owner, keep.name, keep.room), &new)?;
            *row = Some(new);
            return Ok(Outcome::Kept(wanted));
        };
        let known = row.position;
        let is_newer = wanted.epoch != known.epoch || wanted.offset > known.offset;
        if matches!(keep.action, Action::Acknowledge(_)) && is_newer {
            row.position = wanted;
            row.is_changed = true;
        }
        if now.as_millis().abs_diff(row.at.as_millis()) >= DAY_MS {
            row.at = now;
            row.is_changed = true;
        }
        Ok(Outcome::Kept(row.position))
    }

    /// Writes what has changed.
    pub(super) fn write(&self, transaction: &Transaction<'_>) -> Result<(), StoreFault> {
        for (key, row) in &self.rows {
            if let Some(row) = row.as_ref().filter(|row| row.is_changed) {
                write(transaction, *key, row)?;
            }
        }
        Ok(())
    }
}

fn read(connection: &Connection, keep: &Keep<'_>) -> Result<Option<Row>, StoreFault> {
    let sql = "SELECT epoch, offset, at FROM subscriptions
        WHERE owner = ?1 AND name = ?2 AND room = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let row = statement.query_row([keep.owner, keep.name, keep.room.as_str()], |row| {
        Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
    });
    let Some((spelt, offset, at)) = row.optional()? else {
        return Ok(None);
    };
    Ok(Some(Row {
        position: Position {
            epoch: epoch(&spelt)?,
            offset: to_u64(offset),
        },
        at: Wall::from_millis(to_u64(at)),
        is_changed: false,
    }))
}

fn write(
    transaction: &Transaction<'_>,
    (owner, name, room): (&str, &str, &RoomName),
    row: &Row,
) -> Result<(), StoreFault> {
    let sql = "INSERT OR REPLACE INTO subscriptions (owner, name, room, epoch, offset, at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    transaction.prepare_cached(sql)?.execute(params![
        owner,
        name,
        room.as_str(),
        row.position.epoch.as_str(),
        to_i64(row.position.offset),
        to_i64(row.at.as_millis()),
    ])?;
    Ok(())
}

fn remove(transaction: &Transaction<'_>, keep: &Keep<'_>) -> Result<(), StoreFault> {
    let sql = "DELETE FROM subscriptions WHERE owner = ?1 AND name = ?2 AND room = ?3";
    let mut statement = transaction.prepare_cached(sql)?;
    statement.execute([keep.owner, keep.name, keep.room.as_str()])?;
    Ok(())
}

fn count(transaction: &Transaction<'_>, owner: &str) -> Result<usize, StoreFault> {
    let sql = "SELECT count(*) FROM subscriptions WHERE owner = ?1";
    let mut statement = transaction.prepare_cached(sql)?;
    let count = statement.query_row([owner], |row| row.get(0))?;
    Ok(usize::try_from(to_u64(count)).unwrap_or(usize::MAX))
}

/// Removes some of those that nobody has used for [`SUBSCRIPTION_AGE`]; returns how many.
pub(super) fn sweep(transaction: &Transaction<'_>, now: Wall) -> Result<u64, StoreFault> {
    let age = u64::try_from(SUBSCRIPTION_AGE.as_millis()).unwrap_or(u64::MAX);
    let cutoff = now.as_millis().saturating_sub(age);
    let sql = "DELETE FROM subscriptions WHERE (owner, name, room) IN (SELECT owner, name, room
        FROM subscriptions WHERE at <= ?1 ORDER BY at LIMIT ?2)";
    let mut statement = transaction.prepare_cached(sql)?;
    let removed = statement.execute(params![to_i64(cutoff), SLICE])?;
    Ok(removed as u64)
}

#[cfg(test)]
#[path = "subscriptions_tests.rs"]
mod tests;
