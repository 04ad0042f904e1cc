//! The executor's thread: feeds its core with what children say, and performs what it wants.
//!
//! ```text
//! requests, settlements ─▶ inbox ─┐                  ┌─▶ keepers, pipes
//! pipes, statuses ─────────▶ poll ┴▶ core ─▶ effects ┼─▶ the store's queue
//! the clock ───────────────────────────▶             └─▶ answers, by the shards' mailboxes
//! ```
//!
//! It waits for nothing but its poll: a child that prints without end is read 64 KiB a turn, one that
//! reads nothing leaves what it is told in a bounded buffer, and a store that is behind makes the
//! core stop reading. May not touch: what a run is; that is the core's. Invariant: all keepers are
//! started and reaped here, and dropping a child's lifeline ends all of its run.

mod child;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::{Events, Poll, Registry, Waker};
use slab::Slab;

use crate::app::durable::submit_for_executor;
use crate::app::runs;
use crate::app::services::{Context, Services};
use crate::base::clock::{Clock, Mono, Now};
use crate::base::limits;
use crate::bus::execution::{ExecutorInbox, ExecutorQueue, Notice, Settlement, executor_queue};
use crate::bus::mail::Mail;
use crate::bus::order::{Commission, Step};
use crate::domain::command::{Payload, Publish};
use crate::domain::fault::Code;
use crate::domain::launch::Launch;
use crate::domain::run::RunId;
use crate::executor::Executor;
use crate::executor::effects::{Effect, StartFault, StoreStep};
use crate::metrics::names::Counter;
use crate::runtime::children::child::{Child, Told, WAKER};
use crate::runtime::keeper;
use crate::runtime::reactor::fleet::Running;

/// How soon strays are looked for again that did not end at once.
const STRAYS_AGAIN: Duration = Duration::from_millis(10);

/// The thread, if there is a store to keep runs in.
#[derive(Debug, Default)]
pub(super) struct ExecutorThread(Option<JoinHandle<()>>);

/// The poll of the executor's thread with the queue that ends its sleep.
pub(super) struct Entrance {
    poll: Poll,
    inbox: ExecutorInbox,
    pub(super) queue: ExecutorQueue,
}

impl Entrance {
    /// An empty queue.
    ///
    /// # Errors
    /// When the operating system gives no poll.
    pub(super) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let wake = move || {
            if let Err(error) = waker.wake() {
                log::error!("wake_failed error=\"{error}\"");
            }
        };
        let (queue, inbox) = executor_queue(limits::EXECUTOR_REQUESTS, Box::new(wake));
        Ok(Self { poll, inbox, queue })
    }
}

impl ExecutorThread {
    /// Starts the thread, whose core has been told what the store has. `running` keeps the leading
    /// reactor, which hears the signals, until all runs have ended.
    ///
    /// # Errors
    /// When the operating system gives no thread, or does not say which program this is.
    pub(super) fn start(
        core: Executor,
        entrance: Entrance,
        running: Running,
        services: &Arc<Services>,
        clock: Clock,
    ) -> io::Result<Self> {
        let program = keeper::own_program()?;
        let Entrance { poll, inbox, .. } = entrance;
        let shell = Shell {
            core,
            poll,
            inbox,
            children: Children::default(),
            services: Arc::clone(services),
            clock,
            program,
            scratch: vec![0; limits::READ_BYTES_PER_TURN],
            orphaned: Vec::new(),
            drains_until: None,
            is_cut: false,
        };
        let work = move || {
            // Without runs there are still rooms; its lifelines are dropped on the way.
            if catch_unwind(AssertUnwindSafe(|| shell.work())).is_err() {
                log::error!("executor_panic meaning=\"runs are refused until the next start\"");
            }
            running.finish();
        };
        let thread = thread::Builder::new().name("executor".to_owned());
        Ok(Self(Some(thread.spawn(work)?)))
    }

    /// Ends when every run has ended and was told; with `at_once`, without waiting for that: the
    /// keepers kill what is left, and the next start tells of it.
    pub(super) fn finish(self, at_once: bool, services: &Services) {
        let (Some(thread), Some(queue)) = (self.0, &services.executor) else {
            return;
        };
        match at_once {
            true => queue.cut(),
            false => queue.drain(),
        }
        // One that panicked has nothing left to say, and dropped its lifelines.
        let _ = thread.join();
    }
}

struct Shell {
    core: Executor,
    poll: Poll,
    inbox: ExecutorInbox,
    children: Children,
    services: Arc<Services>,
    clock: Clock,
    program: PathBuf,
    /// What pipes are read into.
    scratch: Vec<u8>,
    /// Runs whose keepers were killed, until nothing of them is left.
    orphaned: Vec<RunId>,
    /// When waiting for runs to end is over; `None` while the server serves.
    drains_until: Option<Mono>,
    is_cut: bool,
}

/// The keepers that live, and where each run's is.
#[derive(Default)]
struct Children {
    slots: Slab<Child>,
    by_run: BTreeMap<RunId, usize>,
}

impl Children {
    fn of(&mut self, run: RunId) -> Option<&mut Child> {
        self.slots.get_mut(*self.by_run.get(&run)?)
    }
}

impl Shell {
    fn work(mut self) {
        let mut events = Events::with_capacity(limits::EVENTS_PER_TURN);
        // What the store told of runs that were lost is to be passed on before anything happens.
        while self.turn(self.clock.now()) {
            let timeout = self.timeout(self.clock.now().mono);
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    log::error!("executor_poll_failed error=\"{error}\"");
                    return;
                }
            }
            for event in &events {
                let (slot, source) = child::place(event.token());
                if let Some(child) = self.children.slots.get_mut(slot) {
                    child.note_ready(source, event.is_readable() || event.is_read_closed());
                    child.note_writable(source, event.is_writable() || event.is_write_closed());
                }
            }
        }
    }

    /// One round of everything that can be done; false if there is nothing more to do, ever.
    fn turn(&mut self, now: Now) -> bool {
        while let Some(notice) = self.inbox.try_take() {
            match notice {
                Notice::Request(request) => self.core.request(request, now),
                Notice::Settled(settlement) => self.core.settled(settlement, now),
                Notice::Reconfigure => {}
                Notice::Drain => self.drain(now),
                Notice::Cut => self.is_cut = true,
            }
        }
        if self.is_cut {
            return false;
        }
        // What was asked for is done before more is read, so that a flood delays no answer.
        self.perform(now);
        self.read_all(now);
        self.kill_strays(now);
        self.core.tick(now);
        self.perform(now);
        self.forget_ended();
        let Some(until) = self.drains_until else {
            return true;
        };
        let is_over = self.core.is_idle() && self.children.slots.is_empty();
        if now.mono >= until && !is_over {
            log::warn!("runs_cut children={}", self.children.slots.len());
        }
        !is_over && now.mono < until
    }

    fn drain(&mut self, now: Now) {
        if self.drains_until.is_none() {
            let timeout = self.services.live().config.server.shutdown_timeout;
            self.drains_until = Some(now.mono + timeout);
            self.core.drain(now);
        }
    }

    /// How long there is nothing to do.
    fn timeout(&self, now: Mono) -> Option<Duration> {
        let wants =
            |child: &Child| child.has_work(|stream| self.core.wants_output(child.run, stream));
        if self.children.slots.iter().any(|(_, child)| wants(child)) {
            return Some(Duration::ZERO);
        }
        let again = (!self.orphaned.is_empty()).then_some(STRAYS_AGAIN);
        let due = [self.core.next_deadline(), self.drains_until];
        let due = due.into_iter().flatten().map(|at| at.since(now));
        due.chain(again).min()
    }

    /// Reads what every child has to say, each at most once.
    fn read_all(&mut self, now: Now) {
        let slots: Vec<usize> = self.children.slots.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            let Some(child) = self.children.slots.get_mut(slot) else {
                continue;
            };
            let registry = self.poll.registry();
            match child.read(&mut self.core, &mut self.scratch, registry, now) {
                Some(Told::Orphaned) => self.orphaned.push(child.run),
                Some(Told::Ended) | None => {}
            }
        }
    }

    /// Takes leave of those of which there is nothing more to come.
    fn forget_ended(&mut self) {
        let over = self.children.slots.iter();
        let over: Vec<usize> = over
            .filter(|(_, child)| child.is_over())
            .map(|(slot, _)| slot)
            .collect();
        for slot in over {
            let child = self.children.slots.remove(slot);
            if self.children.by_run.get(&child.run) == Some(&slot) {
                self.children.by_run.remove(&child.run);
            }
        }
    }

    /// Looks after what came to this process from keepers that were killed.
    fn kill_strays(&mut self, now: Now) {
        if self.orphaned.is_empty() {
            return;
        }
        let known = self
            .children
            .slots
            .iter()
            .filter_map(|(_, child)| child.keeper);
        let known: Vec<_> = known.collect();
        match keeper::kill_strays(&known) {
            Ok(0) => {}
            Ok(_) => return,
            Err(error) => log::error!("strays_unknown error=\"{error}\""),
        }
        for run in std::mem::take(&mut self.orphaned) {
            self.core.gone(run, now);
        }
    }

    /// Does what the core wants, until it wants nothing more.
    fn perform(&mut self, now: Now) {
        let services = Arc::clone(&self.services);
        let live = services.live();
        let counters = services.counters_of_workers();
        let context = services.context(&live, &counters, now);
        loop {
            let effects: VecDeque<Effect> = self.core.effects();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.perform_one(effect, context);
            }
        }
    }

    fn perform_one(&mut self, effect: Effect, context: Context<'_>) {
        let now = context.now;
        match effect {
            Effect::Spawn(run, launch) => self.spawn(run, *launch, context),
            Effect::Write(run, bytes) => {
                if let Some(child) = self.children.of(run) {
                    child.write(&bytes, &mut self.core, now);
                }
            }
            Effect::CloseInput(run) => {
                if let Some(child) = self.children.of(run) {
                    child.close_input(&mut self.core, now);
                }
            }
            Effect::Terminate(run) => {
                if let Some(child) = self.children.of(run) {
                    child.lifeline.cancel();
                }
            }
            Effect::Kill(run) => {
                if let Some(child) = self.children.of(run) {
                    child.lifeline.kill();
                }
            }
            Effect::CloseOutput(run) => {
                if let Some(child) = self.children.of(run) {
                    child.close_output();
                }
            }
            // What may be read is asked before each reading; see `timeout`.
            Effect::Resume(..) => {}
            Effect::Forget(run) => {
                if let Some(slot) = self.children.by_run.remove(&run)
                    && let Some(child) = self.children.slots.get_mut(slot)
                {
                    child.forget();
                }
            }
            Effect::Store(ticket, steps) => {
                let steps = steps.into_iter().map(step).collect();
                if let Err(fault) = submit_for_executor(steps, ticket, context) {
                    let outcome = Err(fault);
                    self.core.settled(Settlement { ticket, outcome }, now);
                }
            }
            Effect::Answer(asker, answer) => {
                let (shard, peer) = (asker.shard, asker.peer);
                let answer = runs::answer(asker.form, answer, context);
                if let Some(mailbox) = context.services.mailboxes.get(shard.index())
                    && mailbox.push_waiting(Mail::Answer { peer, answer })
                {
                    context.counters.increment(Counter::MailboxFull);
                }
            }
        }
    }

    fn spawn(&mut self, run: RunId, launch: Launch, context: Context<'_>) {
        let slot = self.children.slots.vacant_key();
        let registry: &Registry = self.poll.registry();
        match Child::spawn(run, launch, &self.program, (slot, registry)) {
            Ok(mut child) => {
                child.flush(&mut self.core, context.now);
                self.children.slots.insert(child);
                self.children.by_run.insert(run, slot);
            }
            Err(error) => {
                log::error!("spawn_failed run={run} error=\"{error}\"");
                let why = StartFault {
                    code: Code::ExecutionFailed,
                    text: format!("no process could be started: {error}").into(),
                };
                self.core.start_failed(run, why, context.now);
            }
        }
    }
}

/// A step of the core's as one of the store's.
fn step(step: StoreStep) -> Step {
    match step {
        StoreStep::Record(record) => Step::Record(record),
        StoreStep::Publish {
            room,
            event,
            payload,
        } => {
            let publish = Publish {
                rooms: vec![room],
                event: event.into(),
                payload: Payload::Json(payload),
                source: None,
                key: None,
                except: Vec::new(),
            };
            Step::Publish(Box::new(Commission { publish, key: None }))
        }
    }
}
