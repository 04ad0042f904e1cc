//! What waited for the disk, as one transaction: all of it, or nothing.
//!
//! Offsets are given here, one by one in the order of the work, so no other order can come of it.
//! Invariant: between two calls no transaction is open.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};

use crate::base::clock::Wall;
use crate::base::limits::IDEMPOTENCY_AGE;
use crate::bus::execution::Record;
use crate::domain::command::Publish;
use crate::domain::idempotency::Fingerprint;
use crate::domain::position::{Epoch, Position};
use crate::domain::room::RoomName;
use crate::domain::stream::Retention;
use crate::store::database::{EPOCH, Store, set};
use crate::store::fault::StoreFault;
use crate::store::row::{Summed, epoch, left_out, payload, to_i64, to_u64};
use crate::store::subscriptions::{Keep, Outcome, Subscriptions};
use crate::store::trim;

/// One thing to be written.
#[derive(Debug)]
pub enum Work<'a> {
    /// A publication into one or several durable rooms.
    Publish(Entry<'a>),
    /// The room's stream begins anew: its history goes, its offsets go on.
    Clear {
        /// Which, and where it stands.
        target: Target<'a>,
        /// Its epoch from now on.
        epoch: Epoch,
    },
    /// Rooms of which nothing is retained are no longer known; those that come after them have
    /// this epoch, so that no offset means two things.
    Forget {
        /// Which.
        rooms: &'a [RoomName],
        /// The epoch of rooms without a row from now on.
        fresh: Epoch,
    },
    /// A durable subscription is begun, acknowledged or given up.
    Keep(Keep<'a>),
    /// A project or a run as it stands now.
    Record {
        /// What.
        record: &'a Record,
        /// The room of its project.
        target: Target<'a>,
        /// The epoch of rooms without a row from now on, if the project is gone.
        fresh: Epoch,
    },
}

/// A publication on its way to the disk.
#[derive(Debug)]
pub struct Entry<'a> {
    /// What is published.
    pub publish: &'a Publish,
    /// Its durable rooms, in the request's order.
    pub targets: Vec<Target<'a>>,
    /// Marks its copies.
    pub uid: u128,
    /// When it was published.
    pub at: Wall,
    /// Under which key it can be repeated without harm.
    pub key: Option<Key<'a>>,
}

/// A durable room that is written to.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its name.
    pub room: &'a RoomName,
    /// Where its stream stands, for one of which nothing is stored yet.
    pub base: Position,
    /// What is kept of it.
    pub retention: Retention,
}

/// An idempotency key with its owner.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// Whose, spelt so that no two owners are alike.
    pub owner: &'a str,
    /// The key.
    pub key: &'a str,
    /// What was asked with it.
    pub print: &'a Fingerprint,
}

/// What became of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// The publication has these positions, in the order of its targets.
    Published(Vec<Position>),
    /// It was published before under its key: its uid and its durable rooms.
    Repeat(u128, Vec<(RoomName, Position)>),
    /// Its key was used for another publication.
    Mismatch,
    /// The stream stands there now.
    Cleared(Position),
    /// The rooms are forgotten.
    Forgotten,
    /// What became of the durable subscription.
    Kept(Outcome),
    /// The project or run is on disk, and remembers this offset if it was to remember one.
    Recorded(Option<u64>),
}

/// What came of a transaction.
#[derive(Debug)]
pub struct Committed {
    /// What became of each thing, in order.
    pub done: Vec<Done>,
    /// Publications that were taken out of histories.
    pub trimmed: u64,
}

impl Store {
    /// Writes all of `work` in one transaction, which is on disk as the durability asks when this
    /// returns. At most `keys_max` idempotency keys are kept.
    ///
    /// # Errors
    /// Nothing of it was written.
    pub fn commit(
        &mut self,
        work: &[Work<'_>],
        keys_max: usize,
        now: Wall,
    ) -> Result<Committed, StoreFault> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut batch = Batch {
            transaction,
            heads: HashMap::new(),
            subscriptions: Subscriptions::default(),
            trimmed: 0,
            now,
        };
        let mut done = Vec::with_capacity(work.len());
        for work in work {
            done.push(batch.perform(work)?);
        }
        batch.write_heads()?;
        batch.subscriptions.write(&batch.transaction)?;
        batch.forget_keys(keys_max)?;
        let trimmed = batch.trimmed;
        batch.transaction.commit()?;
        Ok(Committed { done, trimmed })
    }
}

/// A transaction in progress, which is rolled back if it is dropped.
pub(super) struct Batch<'a, 'w> {
    pub(super) transaction: Transaction<'a>,
    /// The rooms that were touched.
    pub(super) heads: HashMap<RoomName, Head>,
    subscriptions: Subscriptions<'w>,
    trimmed: u64,
    now: Wall,
}

/// A room's row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) id: i64,
    pub(super) epoch: Epoch,
    pub(super) offset: u64,
    /// The oldest retained offset, one more than `offset` if there is none.
    pub(super) first: u64,
    /// Bytes of what is retained.
    pub(super) bytes: u64,
    /// What lies before this offset need not be retained.
    pub(super) floor: u64,
}

impl<'w> Batch<'_, 'w> {
    fn perform(&mut self, work: &Work<'w>) -> Result<Done, StoreFault> {
        match work {
            Work::Publish(entry) => self.publish(entry),
            Work::Clear { target, epoch } => {
                let head = self.head(target)?;
                head.epoch = *epoch;
                head.first = head.offset + 1;
                head.bytes = 0;
                Ok(Done::Cleared(Position {
                    epoch: *epoch,
                    offset: head.offset,
                }))
            }
            Work::Forget { rooms, fresh } => {
                let sql = "DELETE FROM rooms WHERE name = ?1 AND first > offset";
                let mut statement = self.transaction.prepare_cached(sql)?;
                for room in *rooms {
                    statement.execute([room.as_str()])?;
                    self.heads.remove(room);
                }
                set(&self.transaction, EPOCH, fresh.as_str())?;
                Ok(Done::Forgotten)
            }
            Work::Keep(keep) => {
                let kept = self
                    .subscriptions
                    .perform(&self.transaction, keep, self.now)?;
                Ok(Done::Kept(kept))
            }
            Work::Record {
                record,
                target,
                fresh,
            } => self.record(record, target, fresh).map(Done::Recorded),
        }
    }

    fn publish(&mut self, entry: &Entry<'_>) -> Result<Done, StoreFault> {
        if let Some(key) = &entry.key
            && let Some(known) = self.known(key)?
        {
            return Ok(known);
        }
        let Publish {
            event,
            payload: data,
            source,
            ..
        } = entry.publish;
        let has_copies = entry.publish.rooms.len() > 1;
        let uid = has_copies.then(|| entry.uid.to_be_bytes());
        let left_out = left_out(&entry.publish.except);
        let size = entry.publish.retained_bytes() as u64;
        let mut positions = Vec::with_capacity(entry.targets.len());
        for target in &entry.targets {
            let head = self.head(target)?;
            head.offset += 1;
            head.bytes += size;
            let (id, position) = (head.id, head.position());
            let at = entry.at.as_millis();
            let summed = Summed {
                room: id,
                offset: position.offset,
                at,
                event,
                payload: data,
                source: source.as_deref(),
                uid: uid.as_ref().map(<[u8; 16]>::as_slice),
                left_out: left_out.as_deref().unwrap_or_default(),
            };
            let sql = "INSERT INTO publications
                (room, offset, at, size, event, payload, source, uid, left_out, sum)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
            self.transaction.prepare_cached(sql)?.execute(params![
                id,
                to_i64(position.offset),
                to_i64(at),
                to_i64(size),
                event,
                payload(data),
                source,
                uid,
                left_out,
                summed.sum(),
            ])?;
            if let Some(head) = self.heads.get_mut(target.room) {
                let retention = &target.retention;
                self.trimmed += trim::after_publish(&self.transaction, head, retention, self.now)?;
            }
            positions.push(position);
        }
        if let Some(key) = &entry.key {
            self.note(key, entry, &positions)?;
        }
        Ok(Done::Published(positions))
    }

    /// The room's row, as this transaction has it so far.
    pub(super) fn head(&mut self, target: &Target<'_>) -> Result<&mut Head, StoreFault> {
        match self.heads.entry(target.room.clone()) {
            Slot::Occupied(slot) => Ok(slot.into_mut()),
            Slot::Vacant(slot) => {
                let head = match read_head(&self.transaction, target.room)? {
                    Some(head) => head,
                    None => make_head(&self.transaction, target)?,
                };
                Ok(slot.insert(head))
            }
        }
    }

    fn write_heads(&self) -> Result<(), StoreFault> {
        for head in self.heads.values() {
            head.write(&self.transaction, self.now)?;
        }
        Ok(())
    }

    /// What a key was used for in the last five minutes.
    fn known(&self, key: &Key<'_>) -> Result<Option<Done>, StoreFault> {
        let sql = "SELECT id, print, at, uid, placements FROM keys WHERE owner = ?1 AND key = ?2";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let mut rows = statement.query([key.owner, key.key])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let at = to_u64(row.get(2)?);
        if self.now.as_millis().saturating_sub(at) >= KEY_AGE_MS {
            let id: i64 = row.get(0)?;
            drop(rows);
            let sql = "DELETE FROM keys WHERE id = ?1";
            self.transaction.prepare_cached(sql)?.execute([id])?;
            return Ok(None);
        }
        let print: [u8; 32] = row.get(1)?;
        if print != *key.print {
            return Ok(Some(Done::Mismatch));
        }
        let uid: [u8; 16] = row.get(3)?;
        let placements: String = row.get(4)?;
        let placements = placements.lines().map(read_placement);
        let placements = placements.collect::<Option<Vec<_>>>();
        let placements = placements.ok_or(StoreFault::Value("answer"))?;
        Ok(Some(Done::Repeat(u128::from_be_bytes(uid), placements)))
    }

    /// Remembers the answer to a publication with a key.
    fn note(&self, key: &Key<'_>, entry: &Entry<'_>, at: &[Position]) -> Result<(), StoreFault> {
        let mut placements = String::new();
        for (target, position) in entry.targets.iter().zip(at) {
            let Position { epoch, offset } = position;
            placements.push_str(&format!("{} {offset} {epoch}\n", target.room));
        }
        let sql = "INSERT INTO keys (owner, key, print, at, uid, placements)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.transaction.prepare_cached(sql)?.execute(params![
            key.owner,
            key.key,
            key.print,
            to_i64(self.now.as_millis()),
            entry.uid.to_be_bytes(),
            placements,
        ])?;
        Ok(())
    }

    /// Forgets the oldest keys: aged ones, and those above the limit; a few more than can come.
    fn forget_keys(&self, keys_max: usize) -> Result<(), StoreFault> {
        let cutoff = self.now.as_millis().saturating_sub(KEY_AGE_MS);
        let most = i64::try_from(keys_max).unwrap_or(i64::MAX);
        let sql = "DELETE FROM keys WHERE id IN (SELECT id FROM keys ORDER BY id LIMIT ?1)
            AND (at <= ?2 OR id <= (SELECT max(id) FROM keys) - ?3)";
        self.transaction.prepare_cached(sql)?.execute(params![
            KEYS_FORGOTTEN,
            to_i64(cutoff),
            most
        ])?;
        Ok(())
    }
}

/// How long a key is remembered.
const KEY_AGE_MS: u64 = IDEMPOTENCY_AGE.as_millis() as u64;

/// Keys that one transaction forgets at most: more than it can add.
const KEYS_FORGOTTEN: i64 = 512;

impl Head {
    pub(super) fn position(&self) -> Position {
        Position {
            epoch: self.epoch,
            offset: self.offset,
        }
    }

    pub(super) fn write(&self, transaction: &Transaction<'_>, now: Wall) -> Result<(), StoreFault> {
        let sql = "UPDATE rooms SET epoch = ?2, offset = ?3, first = ?4, bytes = ?5, used_at = ?6,
            floor = ?7 WHERE id = ?1";
        transaction.prepare_cached(sql)?.execute(params![
            self.id,
            self.epoch.as_str(),
            to_i64(self.offset),
            to_i64(self.first),
            to_i64(self.bytes),
            to_i64(now.as_millis()),
            to_i64(self.floor),
        ])?;
        Ok(())
    }
}

pub(super) fn read_head(
    transaction: &Transaction<'_>,
    room: &RoomName,
) -> Result<Option<Head>, StoreFault> {
    let sql = "SELECT id, epoch, offset, first, bytes, floor FROM rooms WHERE name = ?1";
    let mut statement = transaction.prepare_cached(sql)?;
    let row = statement.query_row([room.as_str()], |row| {
        let numbers = (row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?);
        Ok((row.get(0)?, row.get::<_, String>(1)?, numbers))
    });
    let Some((id, spelt, (offset, first, bytes, floor))) = row.optional()? else {
        return Ok(None);
    };
    Ok(Some(Head {
        id,
        epoch: epoch(&spelt)?,
        offset: to_u64(offset),
        first: to_u64(first),
        bytes: to_u64(bytes),
        floor: to_u64(floor),
    }))
}

fn make_head(transaction: &Transaction<'_>, target: &Target<'_>) -> Result<Head, StoreFault> {
    let Position { epoch, offset } = target.base;
    let first = offset + 1;
    // A doomed room's number is not given again while publications stand under it.
    let sql = "INSERT INTO rooms (id, name, epoch, offset, first, bytes, used_at)
        VALUES (max(coalesce((SELECT max(id) FROM rooms), 0),
            coalesce((SELECT max(room) FROM doomed), 0)) + 1, ?1, ?2, ?3, ?4, 0, 0)";
    transaction.prepare_cached(sql)?.execute(params![
        target.room.as_str(),
        epoch.as_str(),
        to_i64(offset),
        to_i64(first),
    ])?;
    Ok(Head {
        id: transaction.last_insert_rowid(),
        epoch,
        offset,
        first,
        bytes: 0,
        floor: 0,
    })
}

fn read_placement(line: &str) -> Option<(RoomName, Position)> {
    let mut parts = line.split(' ');
    let room = RoomName::parse(parts.next()?).ok()?;
    let offset = parts.next()?.parse().ok()?;
    let epoch = Epoch::parse(parts.next()?)?;
    Some((room, Position { epoch, offset }))
}
