//! Takes away what a stream need not keep any more, a few rows at a time.
//!
//! A publication takes along what is too much by then, in its own transaction; what has only become
//! too old is found by [`Store::sweep`], which looks at a few rooms whenever there is time. Readers
//! go by count and age themselves, so it does not matter to them how far this has come. Invariant:
//! one call removes at most `SLICE` rows of a room.

use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};

use crate::base::clock::Wall;
use crate::domain::room::RoomName;
use crate::domain::stream::Retention;
use crate::store::commit::Head;
use crate::store::database::Store;
use crate::store::fault::StoreFault;
use crate::store::row::{epoch, to_i64, to_u64};
use crate::store::subscriptions;

/// Rows that one call removes of one room: some 300 µs.
const SLICE: u32 = 256;

/// Publications more than wanted that a stream may hold, so that most need not look.
const SLACK: u64 = 64;

/// Rows that one sweep removes before it leaves the rest to the next: what waits for the disk waits
/// a few milliseconds longer at most.
const ROWS_PER_SWEEP: u64 = 1024;

/// Rooms that one sweep looks at.
const ROOMS_PER_SWEEP: i64 = 64;

/// What a sweep found.
#[derive(Debug, Default)]
pub struct Swept {
    /// Publications that were removed.
    pub trimmed: u64,
    /// Rooms of which nothing has been retained for as long as they would keep it.
    pub empty: Vec<RoomName>,
    /// Durable subscriptions that were removed.
    pub subscriptions: u64,
    /// There was more to do in one of them than one sweep may.
    pub more: bool,
}

impl Store {
    /// Looks at the next few rooms, going round. `retention` says what is kept of a room; `None`
    /// for one that is no longer durable, which is left as it is.
    ///
    /// # Errors
    /// Nothing was removed.
    pub fn sweep(
        &mut self,
        retention: impl Fn(&RoomName) -> Option<Retention>,
        now: Wall,
    ) -> Result<Swept, StoreFault> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let rooms = next_rooms(&transaction, self.swept)?;
        let mut swept = Swept {
            subscriptions: subscriptions::sweep(&transaction, now)?,
            ..Swept::default()
        };
        let mut last = 0;
        for Resting {
            name,
            head,
            used_at,
        } in &rooms
        {
            if swept.trimmed >= ROWS_PER_SWEEP {
                swept.more = true;
                break;
            }
            last = head.id;
            let Some(retention) = retention(name) else {
                continue;
            };
            let mut head = *head;
            let leftovers = clear_leftovers(&transaction, &head)?;
            let retired = retire(&transaction, &mut head, &retention, now)?;
            if retired > 0 {
                // When it was used last stays as it was: removing is no use.
                head.write(&transaction, *used_at)?;
            }
            swept.trimmed += leftovers + retired;
            swept.more |= leftovers.max(retired) >= u64::from(SLICE);
            let idle = now.as_millis().saturating_sub(used_at.as_millis());
            let is_old = u128::from(idle) >= retention.age.as_millis();
            if head.first > head.offset && leftovers == 0 && is_old {
                swept.empty.push(name.clone());
            }
        }
        let buried = bury(&transaction)?;
        swept.trimmed += buried;
        swept.more |= buried >= u64::from(SLICE);
        transaction.commit()?;
        let was_last = rooms.last().is_none_or(|room| room.head.id == last);
        let is_round = was_last && (rooms.len() as i64) < ROOMS_PER_SWEEP;
        self.swept = if is_round { 0 } else { last };
        Ok(swept)
    }
}

/// A room that a sweep looks at.
struct Resting {
    name: RoomName,
    head: Head,
    used_at: Wall,
}

fn next_rooms(transaction: &Transaction<'_>, after: i64) -> Result<Vec<Resting>, StoreFault> {
    let sql =
        "SELECT id, name, epoch, offset, first, bytes, used_at, floor FROM rooms WHERE id > ?1
        ORDER BY id LIMIT ?2";
    let mut statement = transaction.prepare_cached(sql)?;
    let mut rows = statement.query([after, ROOMS_PER_SWEEP])?;
    let mut resting = Vec::new();
    while let Some(row) = rows.next()? {
        let (name, spelt): (String, String) = (row.get(1)?, row.get(2)?);
        resting.push(Resting {
            name: RoomName::parse(&name).map_err(|_| StoreFault::Value("room name"))?,
            head: Head {
                id: row.get(0)?,
                epoch: epoch(&spelt)?,
                offset: to_u64(row.get(3)?),
                first: to_u64(row.get(4)?),
                bytes: to_u64(row.get(5)?),
                floor: to_u64(row.get(7)?),
            },
            used_at: Wall::from_millis(to_u64(row.get(6)?)),
        });
    }
    Ok(resting)
}

/// Removes what is too much after a publication, if it is enough to be worth it.
pub(super) fn after_publish(
    transaction: &Transaction<'_>,
    head: &mut Head,
    retention: &Retention,
    now: Wall,
) -> Result<u64, StoreFault> {
    let count = head.offset + 1 - head.first;
    let is_long = count >= (retention.count as u64).saturating_add(SLACK);
    if is_long || head.bytes > retention.bytes as u64 || head.first < head.floor {
        return retire(transaction, head, retention, now);
    }
    Ok(0)
}

/// Removes the oldest of what a room need not retain; returns how many.
fn retire(
    transaction: &Transaction<'_>,
    head: &mut Head,
    retention: &Retention,
    now: Wall,
) -> Result<u64, StoreFault> {
    let began = head.first;
    let cutoff = oldest(retention, now).as_millis();
    let sql = "SELECT offset, size, at FROM publications WHERE room = ?1 AND offset >= ?2
        ORDER BY offset LIMIT ?3";
    let mut statement = transaction.prepare_cached(sql)?;
    let mut rows = statement.query(params![head.id, to_i64(began), SLICE])?;
    while let Some(row) = rows.next()? {
        let offset = to_u64(row.get(0)?);
        let is_too_many = head.offset + 1 - offset > retention.count as u64;
        let is_too_large = head.bytes > retention.bytes as u64;
        let is_wanted = offset >= head.floor && to_u64(row.get(2)?) > cutoff;
        if !is_too_many && !is_too_large && is_wanted {
            break;
        }
        head.first = offset + 1;
        head.bytes = head.bytes.saturating_sub(to_u64(row.get(1)?));
    }
    drop(rows);
    if head.first == began {
        return Ok(0);
    }
    let sql = "DELETE FROM publications WHERE room = ?1 AND offset >= ?2 AND offset < ?3";
    let mut statement = transaction.prepare_cached(sql)?;
    let removed = statement.execute(params![head.id, to_i64(began), to_i64(head.first)])?;
    Ok(removed as u64)
}

/// Removes some of what a stream left behind that began anew.
fn clear_leftovers(transaction: &Transaction<'_>, head: &Head) -> Result<u64, StoreFault> {
    let sql = "DELETE FROM publications WHERE room = ?1 AND offset IN (SELECT offset
        FROM publications WHERE room = ?1 AND offset < ?2 ORDER BY offset LIMIT ?3)";
    let mut statement = transaction.prepare_cached(sql)?;
    let removed = statement.execute(params![head.id, to_i64(head.first), SLICE])?;
    Ok(removed as u64)
}

/// Removes some of what a room left behind that is gone.
fn bury(transaction: &Transaction<'_>) -> Result<u64, StoreFault> {
    let sql = "SELECT room FROM doomed LIMIT 1";
    let room = transaction
        .prepare_cached(sql)?
        .query_row([], |row| row.get::<_, i64>(0))
        .optional()?;
    let Some(room) = room else {
        return Ok(0);
    };
    let sql = "DELETE FROM publications WHERE room = ?1 AND offset IN (SELECT offset
        FROM publications WHERE room = ?1 ORDER BY offset LIMIT ?2)";
    let mut statement = transaction.prepare_cached(sql)?;
    let removed = statement.execute(params![room, SLICE])?;
    if removed < SLICE as usize {
        let sql = "DELETE FROM doomed WHERE room = ?1";
        transaction.prepare_cached(sql)?.execute([room])?;
    }
    Ok(removed as u64)
}

/// What was published up to this moment is too old to be kept.
pub(super) fn oldest(retention: &Retention, now: Wall) -> Wall {
    let age = u64::try_from(retention.age.as_millis()).unwrap_or(u64::MAX);
    Wall::from_millis(now.as_millis().saturating_sub(age))
}
