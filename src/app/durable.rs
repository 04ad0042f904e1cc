//! Durable rooms: what the store is asked to do, what follows when it is on disk, and the answers.
//!
//! ```text
//!   Order ──▶ Clerk::commit ──one transaction──▶ Settled ──apply──▶ rooms, mailboxes ──▶ Answer
//! ```
//!
//! The thread that calls this is the sequencer of all durable rooms. Invariant: nothing enters a
//! room or is answered before its transaction was committed, and both happen in that order.

mod answers;
mod clerk;
mod records;
mod reserved;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use clerk::{Clerk, Settled};

use crate::app::durable::answers::{Told, answer};
use crate::app::publish::options;
use crate::app::services::{Context, Live};
use crate::base::ids::{PeerId, ShardId};
use crate::bus::execution::Ticket;
use crate::bus::job::{Answer, ReadPurpose, StreamRead};
use crate::bus::order::{Asker, Commission, Errand, Form, Order, Step, StoreQueue, Unsent, Waiter};
use crate::bus::room::Missed;
use crate::config::NamespaceOptions;
use crate::dialect::publication::Publication;
use crate::domain::command::Publish;
use crate::domain::fault::{Code, Fault};
use crate::domain::position::Position;
use crate::domain::room::RoomName;
use crate::domain::stream::{Page, Retention};
use crate::metrics::names::Counter;
use crate::store::reader::{Readers, Wanted};

/// What the rest of the server has of the store.
#[derive(Debug)]
pub struct StoreAccess {
    /// Where orders go.
    pub queue: StoreQueue,
    /// What reads its file.
    pub readers: Readers,
    /// The disk did not take the last transaction.
    is_failing: AtomicBool,
    /// Its thread is to give memory back.
    is_to_release: AtomicBool,
}

impl StoreAccess {
    /// Access to a store that works.
    #[must_use]
    pub fn new(queue: StoreQueue, readers: Readers) -> Self {
        Self {
            queue,
            readers,
            is_failing: AtomicBool::new(false),
            is_to_release: AtomicBool::new(false),
        }
    }

    /// Has memory given back that the store can do without: by the readers at once, by its thread
    /// within a second.
    pub fn release(&self) {
        self.readers.release();
        self.is_to_release.store(true, Ordering::Relaxed);
    }

    /// Whether durable publications are refused at the moment, because the disk takes none.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }
}

/// Hands the order of a peer to the store. It waits for the answer.
///
/// # Errors
/// The answer at once, when the store cannot take it.
pub fn submit(
    order: Order,
    shard: ShardId,
    peer: PeerId,
    context: Context<'_>,
) -> Result<(), Answer> {
    let Order { steps, form } = order;
    let waiter = Waiter::Peer(Asker { shard, peer, form });
    offer(Errand { steps, waiter }, context).map_err(|refused| {
        let (Errand { steps, waiter }, fault) = *refused;
        let told = steps.into_iter().map(|step| match step {
            Step::Publish(_) | Step::Clear(_) | Step::Keep(_) | Step::Record(_) => {
                Err(fault.clone())
            }
            Step::Refused(fault) => Err(fault),
            Step::Answered(json) => Ok(Told::Text(json)),
        });
        let form = match waiter {
            Waiter::Peer(asker) => asker.form,
            Waiter::Nobody | Waiter::Emitter | Waiter::Executor(_) => Form::Http,
        };
        answer(form, told.collect(), context)
    })
}

/// Has the store publish what nobody waits for: what the server says by itself, or an emitter. When
/// it is written, or is not, that is counted.
///
/// # Errors
/// STORE_BUSY and STORE_UNAVAILABLE, when the store cannot take it.
pub(super) fn submit_own(
    publish: Publish,
    waiter: Waiter,
    context: Context<'_>,
) -> Result<(), Fault> {
    let commission = Commission { publish, key: None };
    let errand = Errand {
        steps: vec![Step::Publish(Box::new(commission))],
        waiter,
    };
    offer(errand, context).map_err(|refused| refused.1)
}

/// Has the store do something for the executor, all of it or nothing; what came of it is put into
/// the executor's queue.
///
/// # Errors
/// STORE_BUSY and STORE_UNAVAILABLE, when the store cannot take it; nothing is told of it then.
pub fn submit_for_executor(
    steps: Vec<Step>,
    ticket: Ticket,
    context: Context<'_>,
) -> Result<(), Fault> {
    let waiter = Waiter::Executor(ticket);
    offer(Errand { steps, waiter }, context).map_err(|refused| refused.1)
}

/// Puts an errand into the store's queue, or gives it back and says why.
fn offer(errand: Errand, context: Context<'_>) -> Result<(), Box<(Errand, Fault)>> {
    let Some(store) = &context.services.store else {
        return Err(Box::new((errand, unavailable("there is no store"))));
    };
    let refused = |unsent| match unsent {
        Unsent::Full(errand) => {
            context.counters.increment(Counter::StoreRefusedBusy);
            let message = "the disk is behind (store.queue); try again in a second";
            (errand, Fault::new(Code::StoreBusy, message))
        }
        Unsent::Gone(errand) => (errand, unavailable("the server is shutting down")),
    };
    let submitted = store.queue.submit(errand);
    submitted.map_err(|unsent| Box::new(refused(unsent)))
}

fn unavailable(why: &str) -> Fault {
    Fault::new(
        Code::StoreUnavailable,
        format!("nothing was written: {why}"),
    )
}

/// The fault of whoever wants a position kept in a room that is in memory: its offsets mean nothing
/// after a restart.
#[must_use]
pub fn not_durable(room: &RoomName) -> Fault {
    let message = "the room is not durable: only in namespaces with durable = true does a position \
        outlive the server";
    let details = serde_json::json!({ "room": room.as_str() });
    Fault::new(Code::ValidationFailed, message).with_details(details)
}

/// The fault of whoever has as many durable subscriptions as it may.
#[must_use]
pub fn too_many(live: &Live) -> Fault {
    let most = live
        .config
        .limits
        .durable_subscriptions
        .unwrap_or(usize::MAX);
    let message = format!(
        "a user has {most} durable subscriptions, by name and room (limits.durable_subscriptions); \
         forget one"
    );
    Fault::new(Code::ResourceLimit, message)
}

/// The part of a durable room's stream that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Where the stream stood when it was asked for; what came later is not wanted.
    pub position: Position,
    /// After this offset, or before it if `reverse`; `None` is the end to begin from.
    pub since: Option<u64>,
    /// At most so many publications.
    pub limit: usize,
    /// Newest first.
    pub reverse: bool,
}

/// Reads a page of a durable room's stream from the disk: for workers.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub fn read(
    room: &RoomName,
    options: &NamespaceOptions,
    asked: Asked,
    context: Context<'_>,
) -> Result<Page<Arc<Publication>>, Fault> {
    let fault = |why: String| Fault::new(Code::StoreUnavailable, format!("cannot read: {why}"));
    let Some(store) = &context.services.store else {
        return Err(fault("there is no store".to_owned()));
    };
    context.counters.increment(Counter::StoreReads);
    let wanted = Wanted {
        room,
        position: asked.position,
        retention: Retention::of(options),
        slow_consumer: options.slow_consumer,
    };
    let (limit, now) = (asked.limit, context.now.wall);
    let page = if asked.reverse {
        store.readers.before(&wanted, asked.since, limit, now)
    } else {
        let since = asked.since.unwrap_or(0);
        store.readers.after(&wanted, since, limit, now)
    };
    page.map_err(|found| {
        log::error!("store_read_failed room={room} fault=\"{found}\"");
        context.counters.increment(Counter::StoreReadsFailed);
        fault(found.to_string())
    })
}

/// Reads what a session waits for; `None` if it is not there as it is wanted: all of it for one that
/// recovers, the next for one that is behind.
#[must_use]
pub fn answer_read(read: &StreamRead, context: Context<'_>) -> Missed {
    let options = options(&read.room, context.services, context.live, context.counters).ok()?;
    let missing = read.position.offset.checked_sub(read.since)?;
    let missing = usize::try_from(missing).ok()?;
    let (limit, least) = match read.purpose {
        ReadPurpose::Recovery(_) | ReadPurpose::Stream => (missing, missing),
        ReadPurpose::Refill => (missing.min(REFILL), 1),
    };
    let asked = Asked {
        position: read.position,
        since: Some(read.since),
        limit,
        reverse: false,
    };
    let page = self::read(&read.room, &options, asked, context).ok()?;
    let first = page.items.first().map(|(offset, _)| *offset);
    let follows = first.is_none_or(|first| first == read.since + 1);
    (follows && page.items.len() >= least).then_some(page.items)
}

/// Publications that are read at once for a session that is behind: half of an outbox.
const REFILL: usize = 128;
