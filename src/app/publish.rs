//! Publishing, whoever asks: access, idempotency, then the rooms.

use std::net::IpAddr;
use std::sync::Arc;

use crate::app::services::Services;
use crate::base::clock::Now;
use crate::bus::rooms::RoomFault;
use crate::dialect::publication::Placement;
use crate::domain::access::{self, Action, Caller, Identity};
use crate::domain::command::{Payload, Publish};
use crate::domain::fault::{Code, Fault};
use crate::domain::idempotency::{Begin, Fingerprint, Owner, Scope, fingerprint};
use crate::domain::room::RoomName;
use crate::metrics::counters::Counters;
use crate::metrics::names::Counter;

/// What a publisher is told, and told again when it repeats with the same key.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The publication's own id.
    pub uid: u128,
    /// Where it went, in the request's order.
    pub placements: Box<[Placement]>,
}

/// Publishes once, even if asked several times with the same key. The answer comes after the
/// publication is in its rooms' streams.
///
/// # Errors
/// PERMISSION_DENIED; VALIDATION_FAILED for an unknown namespace; RESOURCE_LIMIT for too many
/// rooms; SERVER_BUSY when a mailbox is full; IDEMPOTENCY_MISMATCH. Nothing was published then.
pub fn publish(
    publish: Publish,
    caller_in: impl Fn(&RoomName) -> Caller,
    address: IpAddr,
    services: &Services,
    counters: &Counters,
    now: Now,
) -> Result<Arc<Receipt>, Fault> {
    for room in &publish.rooms {
        // Without options the namespace is unknown, which the rooms themselves refuse.
        let Some(options) = services.config.rooms.options_of_room(room.as_str()) else {
            continue;
        };
        let caller = caller_in(room);
        access::check(
            Identity::Anonymous,
            caller,
            Action::Publish,
            room,
            options.publish,
        )?;
    }
    let Some(key) = &publish.key else {
        return publish_now(publish, services, counters, now);
    };
    // In open mode there is no credential; the address stands for the publisher.
    let scope = Scope::new(Owner::Address(address), key)?;
    let print = print(&publish);
    // The table stays locked until the answer is known, so a repeat that comes meanwhile waits
    // for it; publishing to memory rooms takes microseconds.
    let mut receipts = services.receipts();
    let answer = match receipts.begin(&scope, &print, now.mono) {
        Begin::New => match publish_now(publish, services, counters, now) {
            Ok(receipt) => {
                receipts.finish(&scope, &print, Arc::clone(&receipt), now.mono);
                Ok(receipt)
            }
            Err(fault) => {
                receipts.abandon(&scope);
                Err(fault)
            }
        },
        Begin::Repeat(receipt) => {
            counters.increment(Counter::IdempotentRepeats);
            Ok(receipt)
        }
        Begin::InFlight => Err(Fault::new(
            Code::ServerBusy,
            "the first request with this idempotency key is not answered yet",
        )),
        Begin::Mismatch => Err(Fault::new(
            Code::IdempotencyMismatch,
            "this idempotency key was used for another publication; use a new key",
        )),
    };
    counters.add(Counter::IdempotencyEvicted, receipts.take_evicted());
    answer
}

fn publish_now(
    publish: Publish,
    services: &Services,
    counters: &Counters,
    now: Now,
) -> Result<Arc<Receipt>, Fault> {
    match services.rooms.publish(publish, now) {
        Ok(publication) => {
            counters.increment(Counter::Publications);
            Ok(Arc::new(Receipt {
                uid: publication.uid,
                placements: publication.placements.clone(),
            }))
        }
        Err(fault) => Err(room_fault(&fault, counters)),
    }
}

/// A room's refusal as the fault that a client is told; limits that were hit are counted.
#[must_use]
pub fn room_fault(fault: &RoomFault, counters: &Counters) -> Fault {
    let code = match fault {
        RoomFault::UnknownNamespace { .. } => Code::ValidationFailed,
        RoomFault::TooMany { .. } => {
            counters.increment(Counter::RoomsRefused);
            Code::ResourceLimit
        }
        RoomFault::Busy => {
            counters.increment(Counter::PublicationsRefusedBusy);
            Code::ServerBusy
        }
    };
    Fault::new(code, fault.to_string())
}

/// What makes two publishes the same.
fn print(publish: &Publish) -> Fingerprint {
    let (kind, payload): (&[u8], &[u8]) = match &publish.payload {
        Payload::Json(text) => (b"json", text.as_bytes()),
        Payload::Bytes(bytes) => (b"bytes", bytes),
    };
    let rooms = publish.rooms.len().to_be_bytes();
    let except: Vec<[u8; 16]> = publish.except.iter().map(|id| id.0.to_be_bytes()).collect();
    let source: &[&[u8]] = match &publish.source {
        Some(source) => &[b"from", source.as_bytes()],
        None => &[b"from nobody"],
    };
    let mut parts: Vec<&[u8]> = vec![publish.event.as_bytes(), kind, payload, &rooms];
    parts.extend(publish.rooms.iter().map(|room| room.as_str().as_bytes()));
    parts.extend(source);
    parts.extend(except.iter().map(|id| id.as_slice()));
    fingerprint(&parts)
}
