//! A publication as a row, and back.
//!
//! Invariant: what is read is checked like what a peer sends; a bit that fell over on the disk makes
//! a fault, never a panic.

use std::sync::Arc;

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
pub(super) const COLUMNS: &str = "p.offset, p.at, p.event, p.payload, p.source, p.uid, p.left_out";

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
