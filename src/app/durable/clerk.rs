//! The one who writes: errands in, one transaction, and what follows from it.
//!
//! Invariant: what [`Clerk::commit`] returns is applied before it is called again, so that a room
//! stands in memory where it stands on disk whenever work is made.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::app::durable::answers::{Told, answer};
use crate::app::durable::reserved::{Reserved, reserve_all};
use crate::app::durable::{StoreAccess, records, too_many, unavailable};
use crate::app::publish::{Receipt, mismatch, note_published, publish_once};
use crate::app::services::Context;
use crate::app::{emitters, presence};
use crate::base::clock::Now;
use crate::base::ids::ShardId;
use crate::bus::execution::{Record, Settlement};
use crate::bus::job::Kept;
use crate::bus::mail::Mail;
use crate::bus::order::{Asker, Commission, Errand, Keep, Keeping, Step, Waiter};
use crate::bus::room::Room;
use crate::config::SlowConsumer;
use crate::dialect::publication::Placement;
use crate::domain::fault::Fault;
use crate::domain::idempotency::Begin;
use crate::domain::room::RoomName;
use crate::domain::stream::Retention;
use crate::metrics::names::Counter;
use crate::store::commit::{Committed, Done, Work};
use crate::store::database::Store;
use crate::store::fault::StoreFault;
use crate::store::subscriptions::Outcome;

/// Whoever writes durable rooms down.
#[derive(Debug)]
pub struct Clerk {
    store: Store,
    /// The disk takes nothing.
    #[cfg(any(test, feature = "testkit"))]
    pub is_broken: bool,
}

/// An errand whose transaction is over.
#[derive(Debug)]
pub struct Settled {
    errand: Errand,
    /// When it was written.
    now: Now,
    /// What became of each step.
    steps: Vec<Ruling>,
}

/// What became of a step, and what is needed to go on with it.
#[derive(Debug)]
pub(super) enum Ruling {
    /// It is on disk.
    Done(Done, Reserved),
    /// The store has no part in it: all its rooms are in memory.
    Elsewhere,
    /// It was not done.
    Refused(Fault),
}

impl Clerk {
    /// Whoever writes into this store.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self {
            store,
            #[cfg(any(test, feature = "testkit"))]
            is_broken: false,
        }
    }

    fn write(&mut self, work: &[Work<'_>], context: Context<'_>) -> Result<Committed, StoreFault> {
        #[cfg(any(test, feature = "testkit"))]
        if self.is_broken {
            return Err(StoreFault::Value("fault on purpose"));
        }
        let keys_max = context.live.config.limits.idempotency_keys;
        self.store.commit(work, keys_max, context.now.wall)
    }

    /// Writes what these errands ask for, as one transaction. What comes of it must be applied in
    /// the same order, before the next call.
    pub fn commit(&mut self, errands: Vec<Errand>, context: Context<'_>) -> Vec<Settled> {
        let mut gone = HashSet::new();
        let reserved = errands.iter();
        let reserved: Vec<_> = reserved
            .map(|errand| reserve_all(errand, &mut gone, context))
            .collect();
        let most = context.live.config.limits.durable_subscriptions;
        let most = most.unwrap_or(usize::MAX);
        let mut work = Vec::new();
        for (errand, reserved) in errands.iter().zip(&reserved) {
            for (step, reserved) in errand.steps.iter().zip(reserved) {
                work.extend(reserved.work(step, most, context.now.wall));
            }
        }
        let asked = work
            .iter()
            .filter(|work| matches!(work, Work::Publish(_) | Work::Keep(_)));
        let asked = asked.count() as u64;
        let outcome = if work.is_empty() {
            Ok(Vec::new())
        } else {
            let committed = self.write(&work, context);
            note(&committed, context);
            committed.map(|committed| {
                context.counters.increment(Counter::StoreCommits);
                context
                    .counters
                    .add(Counter::StoreTrimmed, committed.trimmed);
                committed.done
            })
        };
        drop(work);
        if outcome.is_err() {
            context
                .counters
                .add(Counter::StoreRefusedUnavailable, asked);
        }
        let mut done = outcome
            .map(Vec::into_iter)
            .map_err(|fault| unavailable(&fault.to_string()));
        let mut settled = Vec::with_capacity(errands.len());
        for (errand, reserved) in errands.into_iter().zip(reserved) {
            let steps = reserved.into_iter().map(|reserved| match reserved {
                Reserved::Nothing => Ruling::Elsewhere,
                Reserved::Refused(fault) => Ruling::Refused(fault),
                Reserved::Publish { .. }
                | Reserved::Clear { .. }
                | Reserved::Keep(_)
                | Reserved::Record { .. } => match &mut done {
                    Ok(done) => match done.next() {
                        Some(done) => Ruling::Done(done, reserved),
                        None => Ruling::Refused(unavailable("the store lost count")),
                    },
                    Err(fault) => Ruling::Refused(fault.clone()),
                },
            });
            let steps = steps.collect();
            settled.push(Settled {
                errand,
                now: context.now,
                steps,
            });
        }
        settled
    }

    /// Looks after what is too old, and after a disk that did not take the last transaction. True
    /// if there is more of it to do at once.
    pub fn rest(&mut self, context: Context<'_>) -> bool {
        let services = context.services;
        let access = services.store.as_ref();
        if access.is_some_and(|access| access.is_to_release.swap(false, Ordering::Relaxed))
            && let Err(fault) = self.store.release()
        {
            log::warn!("store_not_released fault=\"{fault}\"");
        }
        if access.is_some_and(StoreAccess::is_failing) {
            note(&self.store.probe(), context);
            return false;
        }
        let namespaces = &context.live.config.rooms;
        let retention = |room: &RoomName| {
            let options = services.rooms.options_of(room, namespaces);
            let options = options.filter(|options| options.durable);
            options.map(|options| Retention::of(&options))
        };
        let swept = self.store.sweep(retention, context.now.wall);
        note(&swept, context);
        let Ok(swept) = swept else {
            return false;
        };
        context.counters.add(Counter::StoreTrimmed, swept.trimmed);
        context
            .counters
            .add(Counter::DurableSubscriptionsExpired, swept.subscriptions);
        let rooms = services.rooms.unused(swept.empty);
        if !rooms.is_empty() {
            let fresh = services.rooms.random_epoch();
            let work = [Work::Forget {
                rooms: &rooms,
                fresh,
            }];
            let forgotten = self.write(&work, context);
            note(&forgotten, context);
            if forgotten.is_ok() {
                services.rooms.forget(&rooms, fresh);
            }
        }
        swept.more
    }

    /// Closes the store, marked as whole.
    pub fn close(self) {
        if let Err(fault) = self.store.close() {
            log::error!("store_not_closed fault=\"{fault}\"");
        }
    }
}

/// Notes whether the disk works.
fn note<T>(outcome: &Result<T, StoreFault>, context: Context<'_>) {
    let Some(store) = &context.services.store else {
        return;
    };
    match outcome {
        Ok(_) => {
            if store.is_failing.swap(false, Ordering::Relaxed) {
                log::info!("store_recovered");
            }
        }
        Err(fault) => {
            context.counters.increment(Counter::StoreFailures);
            if !store.is_failing.swap(true, Ordering::Relaxed) {
                log::error!(
                    "store_failing fault=\"{fault}\" meaning=\"durable rooms take no publications \
                     until the disk works again\""
                );
            }
        }
    }
}

impl Settled {
    /// Lets what is on disk enter its rooms, and makes the answer for whoever waits. The caller has
    /// seen to it that the mailboxes have room for one more piece.
    #[must_use]
    pub fn apply(self, context: Context<'_>) -> Option<(ShardId, Mail)> {
        let Self { errand, now, steps } = self;
        let context = Context { now, ..context };
        let Errand {
            steps: asked,
            waiter,
        } = errand;
        // Whoever hears of a run's end and asks then is told of the end, and whoever joins a project
        // hears of its end or finds it gone.
        for (step, ruling) in asked.iter().zip(&steps) {
            records::note(step, ruling, context);
        }
        let steps = asked.into_iter().zip(steps);
        let told = steps.map(|(step, ruling)| conclude(step, ruling, context));
        let told: Vec<_> = told.collect();
        match waiter {
            Waiter::Peer(Asker { shard, peer, form }) => {
                let answer = answer(form, told, context);
                Some((shard, Mail::Answer { peer, answer }))
            }
            Waiter::Executor(ticket) => {
                let outcome = told.into_iter().try_for_each(|told| told.map(drop));
                if let Some(executor) = &context.services.executor {
                    executor.settled(Settlement { ticket, outcome });
                }
                None
            }
            Waiter::Nobody => {
                for told in &told {
                    presence::note_told(told.is_ok(), context.counters);
                }
                None
            }
            Waiter::Emitter => {
                for told in &told {
                    emitters::note(told.is_ok(), context.counters);
                }
                None
            }
        }
    }
}

/// What is told of a step, after what follows from it.
fn conclude(step: Step, ruling: Ruling, context: Context<'_>) -> Result<Told, Fault> {
    let (done, reserved) = match ruling {
        Ruling::Done(done, reserved) => (done, reserved),
        Ruling::Refused(fault) => return Err(fault),
        Ruling::Elsewhere => {
            return match step {
                Step::Publish(commission) => {
                    let id = commission.publish.key.clone();
                    let receipt = publish_once(*commission, context)?;
                    Ok(Told::Published(receipt, id))
                }
                Step::Refused(fault) => Err(fault),
                Step::Answered(json) => Ok(Told::Text(json)),
                Step::Clear(_) | Step::Keep(_) | Step::Record(_) => {
                    Err(unavailable("the step was lost"))
                }
            };
        }
    };
    match (step, done, reserved) {
        (Step::Publish(commission), done, Reserved::Publish { rooms, uid, .. }) => {
            let id = commission.publish.key.clone();
            let receipt = published(*commission, done, rooms, uid, context)?;
            Ok(Told::Published(receipt, id))
        }
        (_, Done::Cleared(position), Reserved::Clear { room, .. }) => {
            context.services.rooms.begin_anew(&room, position);
            Ok(Told::Cleared(room.name.clone(), position))
        }
        (Step::Keep(keep), Done::Kept(outcome), _) => kept(*keep, outcome, context),
        (Step::Record(record), Done::Recorded(_), Reserved::Record { base, fresh }) => {
            if let Record::ProjectDeleted(_) = record {
                context.services.rooms.unregister(&base.0, fresh);
            }
            Ok(Told::Recorded)
        }
        _ => Err(unavailable("the step was lost")),
    }
}

fn kept(keep: Keep, outcome: Outcome, context: Context<'_>) -> Result<Told, Fault> {
    if matches!(keep.what, Keeping::Acknowledge(_)) {
        context.counters.increment(Counter::Acknowledgements);
    }
    let position = match outcome {
        Outcome::Kept(position) => Some(position),
        Outcome::Forgotten => None,
        Outcome::TooMany => {
            context
                .counters
                .increment(Counter::DurableSubscriptionsRefused);
            return Err(too_many(context.live));
        }
    };
    let Keep { name, room, .. } = keep;
    Ok(Told::Kept(name, Kept { room, position }))
}

fn published(
    commission: Commission,
    done: Done,
    rooms: Vec<Arc<Room>>,
    uid: u128,
    context: Context<'_>,
) -> Result<Arc<Receipt>, Fault> {
    let Commission { publish, key } = commission;
    let (services, now) = (context.services, context.now);
    match done {
        Done::Published(positions) => {
            let publication = services.rooms.enter(publish, rooms, uid, now);
            debug_assert!(
                positions.iter().all(|position| {
                    let mut places = publication.placements.iter();
                    places.any(|at| (at.epoch, at.offset) == (position.epoch, position.offset))
                }),
                "what is told is what is on disk"
            );
            note_published(&publication, context.counters);
            context.counters.increment(Counter::StorePublications);
            let receipt = Arc::new(Receipt {
                uid: publication.uid,
                placements: publication.placements.clone(),
            });
            if let Some((scope, print)) = key {
                let answer = Arc::clone(&receipt);
                services.receipts().finish(&scope, &print, answer, now.mono);
            }
            Ok(receipt)
        }
        Done::Repeat(uid, placements) => {
            context.counters.increment(Counter::IdempotentRepeats);
            // What is in memory names all rooms; the store knows the durable ones.
            let known = key.map(|(scope, print)| {
                let receipts = services.receipts();
                receipts.recall(&scope, &print, now.mono)
            });
            if let Some(Begin::Repeat(receipt)) = known {
                return Ok(receipt);
            }
            let placements = placements.into_iter().map(|(room, position)| Placement {
                room,
                offset: position.offset,
                epoch: position.epoch,
                slow_consumer: SlowConsumer::Close,
            });
            Ok(Arc::new(Receipt {
                uid,
                placements: placements.collect(),
            }))
        }
        Done::Mismatch => Err(mismatch()),
        Done::Cleared(_) | Done::Forgotten | Done::Kept(_) | Done::Recorded(_) => {
            Err(unavailable("the step was lost"))
        }
    }
}
