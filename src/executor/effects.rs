//! What the executor wants done, and what it is told of processes.
//!
//! The shell performs effects in their order. May not touch: pipes, processes, the store.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::rng::Rng;
use crate::bus::execution::{Record, RunAnswer, RunAsker, Ticket};
use crate::domain::fault::{Code, Fault};
use crate::domain::launch::Launch;
use crate::domain::room::RoomName;
use crate::domain::run::{OutputStream, RunId};
use crate::metrics::counters::Counters;
use crate::metrics::names::Counter;

/// One thing for the shell to do.
#[derive(Debug)]
pub enum Effect {
    /// Start a keeper with these orders, and write the launch's input. Then say
    /// [`started`](super::Executor::started) or [`start_failed`](super::Executor::start_failed).
    Spawn(RunId, Box<Launch>),
    /// Write to the agent's standard input, after what is to be written already. Each piece that the
    /// pipe takes, the launch's input included, is told to
    /// [`input_written`](super::Executor::input_written).
    Write(RunId, Vec<u8>),
    /// Close the agent's standard input once all is written; nothing is written after it.
    CloseInput(RunId),
    /// Have the keeper send TERM to the agent, and KILL to whatever is left when its grace is over.
    Terminate(RunId),
    /// Have the keeper kill whatever is left, at once. May come after [`Effect::Terminate`].
    Kill(RunId),
    /// Close both output pipes: what somebody may still write there is lost.
    CloseOutput(RunId),
    /// The pipe may be read again.
    Resume(RunId, OutputStream),
    /// Drop all that is known of the run. It may never have been spawned.
    Forget(RunId),
    /// Do all of this in one transaction, and say [`settled`](super::Executor::settled); of one
    /// project there is never more than one errand on its way.
    Store(Ticket, Vec<StoreStep>),
    /// Answer a request.
    Answer(RunAsker, Result<RunAnswer, Fault>),
}

/// One step of an errand; the steps are done in their order.
#[derive(Clone, Debug)]
pub enum StoreStep {
    /// Keep this.
    Record(Record),
    /// Tell this to a room.
    Publish {
        /// The project's room.
        room: RoomName,
        /// The event's name.
        event: &'static str,
        /// A JSON object on one line.
        payload: Box<str>,
    },
}

/// How a run's leader ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// Why an agent could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartFault {
    /// Which fault the run's end names.
    pub code: Code,
    /// What went wrong, one sentence without a full stop; members of the project read it.
    pub text: Box<str>,
}

/// Where all parts of the executor put what is to be done, and what they share beside.
#[derive(Debug)]
pub(super) struct Effects {
    pub(super) list: VecDeque<Effect>,
    pub(super) rng: Rng,
    counters: Arc<Counters>,
    last_ticket: u64,
}

impl Effects {
    pub(super) fn new(rng: Rng, counters: Arc<Counters>) -> Self {
        Self {
            list: VecDeque::new(),
            rng,
            counters,
            last_ticket: 0,
        }
    }

    pub(super) fn push(&mut self, effect: Effect) {
        self.list.push_back(effect);
    }

    pub(super) fn answer(&mut self, asker: RunAsker, answer: Result<RunAnswer, Fault>) {
        self.push(Effect::Answer(asker, answer));
    }

    /// Sends an errand to the store, and returns what marks it.
    pub(super) fn store(&mut self, steps: Vec<StoreStep>) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.push(Effect::Store(ticket, steps));
        ticket
    }

    pub(super) fn count(&self, counter: Counter) {
        self.counters.increment(counter);
    }

    pub(super) fn count_by(&self, counter: Counter, amount: usize) {
        self.counters.add(counter, amount as u64);
    }
}
