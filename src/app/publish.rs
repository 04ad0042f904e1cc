//! Publishing, whoever asks: access, idempotency, then the rooms.

use std::net::IpAddr;
use std::sync::Arc;

use crate::app::services::{Context, Live, Services};
use crate::bus::order::{Commission, Form, Order, Outcome, Step};
use crate::bus::rooms::RoomFault;
use crate::config::NamespaceOptions;
use crate::dialect::publication::{Placement, Publication};
use crate::domain::access::{self, Action, Caller, Identity};
use crate::domain::command::{Payload, Publish};
use crate::domain::fault::{Code, Fault};
use crate::domain::idempotency::{Begin, Fingerprint, Owner, Scope, fingerprint};
use crate::domain::room::RoomName;
use crate::metrics::counters::Counters;
use crate::metrics::histograms::Histogram;
use crate::metrics::names::Counter;

/// What a publisher is told, and told again when it repeats with the same key.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The publication's own id.
    pub uid: u128,
    /// Where it went, in the request's order.
    pub placements: Box<[Placement]>,
}

/// A publication that may be made. Large, because most are made where they are checked.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Checked {
    /// All its rooms are in memory: [`publish`] makes it at once.
    Memory(Commission),
    /// The store writes it down first.
    Durable(Box<Commission>),
    /// It was made before, with the same key.
    Repeat(Arc<Receipt>),
}

/// Checks who publishes where, and what a durable publication's key says.
///
/// # Errors
/// PERMISSION_DENIED; VALIDATION_FAILED for an unknown namespace; IDEMPOTENCY_MISMATCH.
pub fn check(
    publish: Publish,
    caller_in: impl Fn(&RoomName) -> Caller,
    identity: &Identity,
    address: IpAddr,
    context: Context<'_>,
) -> Result<Checked, Fault> {
    let mut is_durable = false;
    for room in &publish.rooms {
        let options = options(room, context.services, context.live, context.counters)?;
        let caller = caller_in(room);
        access::check(identity, caller, Action::Publish, room, options.publish)?;
        let projects = &context.services.projects;
        projects.check_room(room, identity, &context.live.config)?;
        is_durable |= options.durable;
    }
    let key = match &publish.key {
        Some(key) => Some((Scope::new(owner(identity, address), key)?, print(&publish))),
        None => None,
    };
    if !is_durable {
        return Ok(Checked::Memory(Commission { publish, key }));
    }
    if let Some((scope, print)) = &key {
        // The store knows its own keys; those of memory rooms are only here.
        let receipts = context.services.receipts();
        match receipts.recall(scope, print, context.now.mono) {
            Begin::New | Begin::InFlight => {}
            Begin::Repeat(receipt) => {
                context.counters.increment(Counter::IdempotentRepeats);
                return Ok(Checked::Repeat(receipt));
            }
            Begin::Mismatch => return Err(mismatch()),
        }
    }
    Ok(Checked::Durable(Box::new(Commission { publish, key })))
}

/// Publishes once, even if asked several times with the same key. The answer comes after the
/// publication is in its rooms' streams; where one of them is durable, the store is asked first,
/// and answers in this form.
///
/// # Errors
/// As [`check`]; RESOURCE_LIMIT for too many rooms; SERVER_BUSY when a mailbox is full. Nothing was
/// published then.
pub fn publish(
    checked: Checked,
    form: impl FnOnce() -> Form,
    context: Context<'_>,
) -> Result<Outcome<Arc<Receipt>>, Fault> {
    match checked {
        Checked::Memory(commission) => publish_once(commission, context).map(Outcome::Done),
        Checked::Repeat(receipt) => Ok(Outcome::Done(receipt)),
        Checked::Durable(commission) => Ok(Outcome::Order(Order {
            steps: vec![Step::Publish(commission)],
            form: form(),
        })),
    }
}

/// Publishes to memory rooms.
///
/// # Errors
/// As [`publish`].
pub(super) fn publish_once(
    commission: Commission,
    context: Context<'_>,
) -> Result<Arc<Receipt>, Fault> {
    let Commission { publish, key } = commission;
    let Context {
        services,
        counters,
        now,
        ..
    } = context;
    let Some((scope, print)) = key else {
        return publish_now(publish, context);
    };
    // The table stays locked until the answer is known, so a repeat that comes meanwhile waits
    // for it; publishing to memory rooms takes microseconds.
    let mut receipts = services.receipts();
    let answer = match receipts.begin(&scope, &print, now.mono) {
        Begin::New => match publish_now(publish, context) {
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
        Begin::Mismatch => Err(mismatch()),
    };
    counters.add(Counter::IdempotencyEvicted, receipts.take_evicted());
    answer
}

/// The refusal of a key that was used for something else.
pub(super) fn mismatch() -> Fault {
    Fault::new(
        Code::IdempotencyMismatch,
        "this idempotency key was used for another publication; use a new key",
    )
}

/// Whose idempotency keys they are: where there is no credential, the address stands for it.
pub(super) fn owner(identity: &Identity, address: IpAddr) -> Owner {
    match identity {
        Identity::Anonymous | Identity::Pending => Owner::Address(address),
        Identity::User(user) => Owner::Credential(format!("user {}", user.id).into()),
        Identity::Key(key) => Owner::Credential(format!("key {}", key.name).into()),
    }
}

/// Publishes, without asking who may or whether it was done before.
///
/// # Errors
/// As [`publish`], but for what those questions would refuse.
pub(super) fn publish_now(publish: Publish, context: Context<'_>) -> Result<Arc<Receipt>, Fault> {
    match context.services.rooms.publish(publish, context.now) {
        Ok(publication) => {
            note_published(&publication, context.counters);
            Ok(Arc::new(Receipt {
                uid: publication.uid,
                placements: publication.placements.clone(),
            }))
        }
        Err(fault) => Err(room_fault(&fault, context.counters)),
    }
}

/// Counts a publication that entered its rooms.
pub(super) fn note_published(publication: &Publication, counters: &Counters) {
    counters.increment(Counter::Publications);
    let bytes = publication.retained_bytes() as u64;
    counters.observe(Histogram::PublicationBytes, bytes);
}

/// The options of a room, whether it exists or not: one that was made before its namespace became
/// unknown is closed.
///
/// # Errors
/// VALIDATION_FAILED for an unknown namespace.
pub fn options(
    room: &RoomName,
    services: &Services,
    live: &Live,
    counters: &Counters,
) -> Result<Arc<NamespaceOptions>, Fault> {
    let namespaces = &live.config.rooms;
    let options = services.rooms.options_of(room, namespaces);
    options.ok_or_else(|| room_fault(&RoomFault::unknown_namespace(room, namespaces), counters))
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::base::clock::Now;
    use crate::testkit::world::{Options, World};

    fn asked(room: &str, data: &str, key: Option<&str>) -> Publish {
        Publish {
            rooms: vec![RoomName::parse(room).unwrap()],
            event: "said".into(),
            payload: Payload::Json(data.into()),
            source: None,
            key: key.map(Into::into),
            except: Vec::new(),
        }
    }

    fn world(config: &str) -> World {
        World::new(Options {
            config,
            ..Options::default()
        })
    }

    /// The offset it got, or the code of its fault.
    fn put(
        world: &World,
        asked: Publish,
        caller: Caller,
        last_byte: u8,
        now: Now,
    ) -> Result<u64, Code> {
        let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last_byte));
        let services = &world.services;
        let counters = services.counters_of_workers();
        let live = services.live();
        let context = services.context(&live, &counters, now);
        let checked = check(asked, |_| caller, &Identity::Anonymous, address, context);
        let receipt = checked.and_then(|checked| publish(checked, || Form::Http, context));
        let offset = |receipt: Outcome<Arc<Receipt>>| receipt.done().unwrap().placements[0].offset;
        receipt.map(offset).map_err(|fault| fault.code)
    }

    #[test]
    fn a_repeat_with_its_key_gets_the_first_answer_and_publishes_nothing() {
        let world = world("");
        let put = |data, key, address, seconds| {
            let mut now = world.now();
            now.mono = now.mono + Duration::from_secs(seconds);
            put(&world, asked("a", data, key), Caller::Api, address, now)
        };
        assert_eq!(put("1", Some("k"), 1, 0), Ok(1));
        assert_eq!(put("1", Some("k"), 1, 299), Ok(1));
        assert_eq!(put("2", Some("k"), 1, 299), Err(Code::IdempotencyMismatch));
        assert_eq!(
            put("2", Some("k"), 2, 299),
            Ok(2),
            "a key is its address's own"
        );
        assert_eq!(put("1", None, 1, 299), Ok(3));
        assert_eq!(
            put("1", Some("k"), 1, 301),
            Ok(4),
            "forgotten after five minutes"
        );
        assert_eq!(world.total(Counter::IdempotentRepeats), 1);
    }

    #[test]
    fn a_publish_that_failed_may_be_tried_again_with_its_key() {
        let world = world("[limits]\nrooms = 1\n");
        let now = world.now();
        let put = |room, key| put(&world, asked(room, "1", key), Caller::Api, 1, now);
        assert_eq!(put("a", None), Ok(1));
        assert_eq!(put("b", Some("k")), Err(Code::ResourceLimit));
        assert_eq!(
            put("b", Some("k")),
            Err(Code::ResourceLimit),
            "not a repeat"
        );
        assert_eq!(world.total(Counter::RoomsRefused), 2);
    }

    #[test]
    fn who_may_publish_is_the_namespaces_choice() {
        let world =
            world("[rooms.club]\npublish = \"members\"\n[rooms.news]\npublish = \"server\"\n");
        let stranger = Caller::Session { is_member: false };
        let member = Caller::Session { is_member: true };
        let check = |room: &str, caller: Caller, is_welcome: bool| {
            let found = put(&world, asked(room, "1", None), caller, 1, world.now());
            let expected = if is_welcome {
                None
            } else {
                Some(Code::PermissionDenied)
            };
            assert_eq!(found.err(), expected, "{room} {caller:?}");
        };
        check("any", stranger, true);
        check("club:1", stranger, false);
        check("club:1", member, true);
        check("club:1", Caller::Api, true);
        check("news:1", member, false);
        check("metrics", member, false);
        check("news:1", Caller::Api, true);
    }
}
