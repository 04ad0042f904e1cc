//! A publication as a row, and back.
//!
//! Invariant: what is read is checked like what a peer sends; a bit that fell over on the disk makes
//! a fault, never a panic.

use std::sync::Arc;

use crc32fast::Hasher;
use rusqlite::Row;
use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::base::clock::Wall;
use crate::base::ids::SessionId;
use crate::config::SlowConsumer;
use crate::dialect::publication::{FROM_STORE, Placement, Publication};
use crate::domain::command::Payload;
use crate::domain::position::Epoch;
use crate::domain::room::RoomName;
use crate::store::fault::StoreFault;

/// The columns that [`publication`] reads, in its order.
pub(super) const COLUMNS: &str =
    "p.offset, p.at, p.event, p.payload, p.source, p.uid, p.left_out, p.sum, p.room";

/// What a row's sum covers, which is all of it.
pub(super) struct Summed<'a> {
    pub(super) room: i64,
    pub(super) offset: u64,
    pub(super) at: u64,
    pub(super) event: &'a str,
    pub(super) payload: &'a Payload,
    pub(super) source: Option<&'a str>,
    pub(super) uid: Option<&'a [u8]>,
    pub(super) left_out: &'a [u8],
}

impl Summed<'_> {
    /// The CRC-32 of the row. Each part stands behind its length, so that no byte can move from one
    /// to another unseen.
    pub(super) fn sum(&self) -> i64 {
        let (kind, payload): (u8, &[u8]) = match self.payload {
            Payload::Json(text) => (0, text.as_bytes()),
            Payload::Bytes(bytes) => (1, bytes),
        };
        let mut hasher = Hasher::new();
        hasher.update(&self.room.to_le_bytes());
        hasher.update(&self.offset.to_le_bytes());
        hasher.update(&self.at.to_le_bytes());
        hasher.update(&[
            kind,
            u8::from(self.source.is_some()),
            u8::from(self.uid.is_some()),
        ]);
        let source = self.source.unwrap_or_default().as_bytes();
        let uid = self.uid.unwrap_or_default();
        for part in [self.event.as_bytes(), payload, source, uid, self.left_out] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        i64::from(hasher.finalize())
    }
}

/// JSON as text, bytes as a blob.
pub(super) fn payload(payload: &Payload) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match payload {
        Payload::Json(text) => ValueRef::Text(text.as_bytes()),
        Payload::Bytes(bytes) => ValueRef::Blob(bytes),
    })
}

/// The sessions that were left out, 16 bytes each; `None` if there were none.
pub(super) fn left_out(except: &[SessionId]) -> Option<Vec<u8>> {
    let bytes = except.iter().flat_map(|session| session.0.to_be_bytes());
    (!except.is_empty()).then(|| bytes.collect())
}

/// Numbers are kept as SQLite has them; ours are far below its largest.
pub(super) fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that must not be negative.
pub(super) fn to_u64(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// An epoch as it was written.
pub(super) fn epoch(text: &str) -> Result<Epoch, StoreFault> {
    Epoch::parse(text).ok_or(StoreFault::Value("epoch"))
}

/// The publication of a row, as one of its room alone.
pub(super) fn publication(
    row: &Row<'_>,
    room: &RoomName,
    epoch: Epoch,
    slow_consumer: SlowConsumer,
) -> Result<(u64, Arc<Publication>), StoreFault> {
    let offset = to_u64(row.get(0)?);
    let at = Wall::from_millis(to_u64(row.get(1)?));
    let event: Box<str> = row.get(2)?;
    let payload = match row.get_ref(3)? {
        ValueRef::Text(text) => {
            let text = simdutf8::basic::from_utf8(text);
            Payload::Json(text.map_err(|_| StoreFault::Value("payload"))?.into())
        }
        ValueRef::Blob(bytes) => Payload::Bytes(bytes.to_vec().into()),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => {
            return Err(StoreFault::Value("payload"));
        }
    };
    let source: Option<Box<str>> = row.get(4)?;
    let uid: Option<[u8; 16]> = row.get(5)?;
    let left_out: Option<Vec<u8>> = row.get(6)?;
    let left_out = left_out.unwrap_or_default();
    let sum: Option<i64> = row.get(7)?;
    let summed = Summed {
        room: row.get(8)?,
        offset,
        at: at.as_millis(),
        event: &event,
        payload: &payload,
        source: source.as_deref(),
        uid: uid.as_ref().map(<[u8; 16]>::as_slice),
        left_out: &left_out,
    };
    if sum.is_some_and(|sum| sum != summed.sum()) {
        return Err(StoreFault::Value("checksum"));
    }
    let except = left_out.chunks_exact(16).filter_map(|chunk| {
        let bytes = <[u8; 16]>::try_from(chunk).ok()?;
        Some(SessionId(u128::from_be_bytes(bytes)))
    });
    let placement = Placement {
        room: room.clone(),
        offset,
        epoch,
        slow_consumer,
    };
    let publication = Publication {
        event,
        payload,
        source,
        timestamp: at,
        uid: uid.map_or(0, u128::from_be_bytes),
        has_copies: uid.is_some(),
        placements: [placement].into(),
        sequence: FROM_STORE,
        except: except.collect(),
    };
    Ok((offset, Arc::new(publication)))
}
