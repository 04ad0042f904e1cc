//! The store's thread: takes what waits, has it written as one transaction, lets it enter the rooms.
//!
//! While one transaction is on its way to the disk the next ones gather in the queue, so the more
//! is asked the more one write carries. Invariant: this thread waits for room in the mailboxes
//! before it holds a room, so no shard ever waits for the disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::{io, thread};

use crate::app::durable::Clerk;
use crate::app::services::{Context, Services};
use crate::app::{commands, http};
use crate::base::clock::{Clock, Mono};
use crate::base::ids::{PeerId, ShardId};
use crate::base::limits;
use crate::bus::execution::{Settlement, Ticket};
use crate::bus::job::Answer;
use crate::bus::mail::Mail;
use crate::bus::order::{Asker, Errand, Form, StoreInbox, Taken, Waiter};
use crate::dialect::native::decode::Correlation;
use crate::domain::fault::{Code, Fault};
use crate::metrics::histograms::Histogram;
use crate::metrics::names::Counter;

/// The thread, if durable rooms are configured.
#[derive(Debug, Default)]
pub(super) struct StoreThread(Option<JoinHandle<()>>);

impl StoreThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(super) fn start(
        clerk: Clerk,
        inbox: StoreInbox,
        services: &Arc<Services>,
        clock: Clock,
    ) -> io::Result<Self> {
        let services = Arc::clone(services);
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || write(clerk, inbox, &services, clock))?;
        Ok(Self(Some(thread)))
    }

    /// Ends when what is in the queue has been written and the store is closed.
    pub(super) fn finish(self, services: &Services) {
        let (Some(thread), Some(store)) = (self.0, &services.store) else {
            return;
        };
        store.queue.finish();
        // One that panicked outside a batch has nothing left to say.
        let _ = thread.join();
    }
}

fn write(mut clerk: Clerk, mut inbox: StoreInbox, services: &Services, clock: Clock) {
    let counters = services.counters_of_workers();
    let mut swept = Mono::ZERO;
    let mut more = false;
    loop {
        let timeout = if more {
            std::time::Duration::ZERO
        } else {
            limits::STORE_SWEEP
        };
        let taken = inbox.take(timeout);
        let live = services.live();
        let context = services.context(&live, &counters, clock.now());
        match taken {
            Taken::Errand(first) => serve(first, &mut clerk, &mut inbox, context, clock),
            Taken::Nothing => {}
            Taken::Over => break,
        }
        let now = clock.now();
        let is_due = now.mono.since(swept) >= limits::STORE_SWEEP;
        if is_due || more {
            swept = now.mono;
            let context = Context { now, ..context };
            let rested = catch_unwind(AssertUnwindSafe(|| clerk.rest(context)));
            more = rested.unwrap_or_default();
        }
    }
    clerk.close();
}

/// Serves everything that waits, up to a batch.
fn serve(
    first: Errand,
    clerk: &mut Clerk,
    inbox: &mut StoreInbox,
    context: Context<'_>,
    clock: Clock,
) {
    let mut errands = vec![first];
    while errands.len() < limits::STORE_BATCH
        && let Some(errand) = inbox.take_waiting()
    {
        errands.push(errand);
    }
    let mut waiting: Vec<_> = errands.iter().map(Waiting::of).collect();
    waiting.reverse();
    let mailboxes = &context.services.mailboxes;
    let served = catch_unwind(AssertUnwindSafe(|| {
        let began = clock.now().mono;
        let committed = clerk.commit(errands, context);
        let took = clock.now().mono.since(began);
        context
            .counters
            .observe_time(Histogram::StoreCommitSeconds, took);
        for settled in committed {
            for mailbox in mailboxes.iter() {
                mailbox.wait_for_room();
            }
            let mail = settled.apply(context);
            waiting.pop();
            if let Some((shard, mail)) = mail
                && let Some(mailbox) = mailboxes.get(shard.index())
            {
                mailbox.push(mail);
            }
        }
    }));
    if served.is_err() {
        context.counters.increment(Counter::HandlerPanics);
        log::error!("store_panic unanswered={}", waiting.len());
        while let Some(one) = waiting.pop() {
            one.fail(context);
        }
    }
}

/// Who waits for an errand, in case it comes to nothing.
enum Waiting {
    Nobody,
    Emitter,
    Peer {
        shard: ShardId,
        peer: PeerId,
        spelling: Spelling,
    },
    Executor(Ticket),
}

/// How a peer is told so.
enum Spelling {
    Reply(Correlation),
    Acknowledgement,
    Response,
}

impl Waiting {
    fn of(errand: &Errand) -> Self {
        let Asker { shard, peer, form } = match &errand.waiter {
            Waiter::Nobody => return Self::Nobody,
            Waiter::Emitter => return Self::Emitter,
            Waiter::Executor(ticket) => return Self::Executor(*ticket),
            Waiter::Peer(asker) => asker,
        };
        let spelling = match form {
            Form::Reply(to) => Spelling::Reply(to.clone()),
            Form::Session(sequel) => Spelling::Reply(sequel.correlation.clone()),
            Form::Acknowledgement => Spelling::Acknowledgement,
            Form::Http | Form::Batch | Form::Webhook(_) => Spelling::Response,
        };
        Self::Peer {
            shard: *shard,
            peer: *peer,
            spelling,
        }
    }

    fn fail(self, context: Context<'_>) {
        let fault = Fault::new(Code::InternalError, "the server failed to handle this");
        let (shard, peer, spelling) = match self {
            Self::Nobody => return context.counters.increment(Counter::PresenceUntold),
            Self::Emitter => return context.counters.increment(Counter::EmitterRefused),
            Self::Executor(ticket) => {
                if let Some(executor) = &context.services.executor {
                    let outcome = Err(fault);
                    executor.settled(Settlement { ticket, outcome });
                }
                return;
            }
            Self::Peer {
                shard,
                peer,
                spelling,
            } => (shard, peer, spelling),
        };
        let answer = match &spelling {
            Spelling::Reply(to) => {
                Answer::Reply(commands::fault_reply(to, &fault, context.now.wall))
            }
            Spelling::Acknowledgement => Answer::Reply(commands::refusal(&fault)),
            Spelling::Response => Answer::Http(http::fault_response(&fault)),
        };
        if let Some(mailbox) = context.services.mailboxes.get(shard.index()) {
            mailbox.push_waiting(Mail::Answer { peer, answer });
        }
    }
}
