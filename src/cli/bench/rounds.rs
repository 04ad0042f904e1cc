//! Connections that each keep so many questions on their way: an answer is followed by the next.
//!
//! May not touch: what is asked. Invariants: an answer belongs to the oldest question of its
//! connection; what an ended connection owed counts as refused, and it is opened again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::cli::Failure;
use crate::cli::bench::latency::Latencies;
use crate::cli::bench::peer::{Event, Outgoing};
use crate::cli::bench::reason::{Reason, Tally};
use crate::cli::bench::swarm::{Dial, Swarm, Told};
use crate::cli::bench::target::Requests;
use crate::cli::bench::{TURN, wait_until};

/// What is asked.
pub(super) trait Ask {
    /// What connections are for.
    fn dial(&self) -> Dial<'_>;

    /// Writes the next question.
    fn write(&mut self, requests: Requests<'_>, outgoing: &mut Outgoing<'_>);

    /// What `event` says of the oldest question; `None` if it says nothing.
    fn answer(&mut self, event: Event<'_>) -> Option<Result<(), Reason>>;
}

/// The connections, and what came of their questions.
pub(super) struct Rounds<A> {
    pub(super) ask: A,
    in_flight: usize,
    connections: Vec<Option<usize>>,
    /// By the number of a connection, when what is on its way was sent; the oldest first.
    waiting: Vec<VecDeque<Instant>>,
    /// Questions that may still be asked, and those without an answer.
    left: u64,
    unanswered: u64,
    /// When to look next for connections that have ended.
    look: Instant,
    /// Answered with a yes, in the measured time; how long that took.
    pub(super) done: u64,
    pub(super) latencies: Latencies,
    /// Answered otherwise, in the whole run.
    pub(super) refused: Tally,
}

impl<A: Ask> Rounds<A> {
    /// `connections` that will each have `in_flight` questions on their way, until `most` are asked.
    pub(super) fn new(
        ask: A,
        connections: usize,
        in_flight: usize,
        most: u64,
    ) -> Result<Self, Failure> {
        Ok(Self {
            ask,
            in_flight,
            connections: vec![None; connections],
            waiting: Vec::new(),
            left: most,
            unanswered: 0,
            look: Instant::now(),
            done: 0,
            latencies: Latencies::new()?,
            refused: Tally::default(),
        })
    }

    /// Begins the measured time.
    pub(super) fn forget(&mut self) -> Result<(), Failure> {
        self.done = 0;
        self.latencies = Latencies::new()?;
        Ok(())
    }

    /// Asks until `until`, or until everything is answered that may be asked.
    pub(super) fn go_on(&mut self, swarm: &mut Swarm<'_>, until: Instant) -> Result<(), Failure> {
        let requests = swarm.requests();
        loop {
            let now = Instant::now();
            if now >= until || (self.left == 0 && self.unanswered == 0) {
                return Ok(());
            }
            if now >= self.look {
                self.look = now + TURN;
                self.open(swarm);
            }
            swarm.turn(wait_until(until, now), |outgoing, told| {
                self.take(&told, requests, outgoing);
            })?;
        }
    }

    /// Opens every connection that is not there.
    fn open(&mut self, swarm: &mut Swarm<'_>) {
        // All that have ended first: a new one may get the number of any of them.
        for index in &mut self.connections {
            if let Some(ended) = index.take_if(|index| !swarm.is_live(*index))
                && let Some(waiting) = self.waiting.get_mut(ended)
            {
                self.unanswered -= waiting.len() as u64;
                for _ in waiting.drain(..) {
                    self.refused.add(Reason::Ended);
                }
            }
        }
        for index in self.connections.iter_mut().filter(|index| index.is_none()) {
            if !swarm.may_open() {
                return;
            }
            *index = swarm.open(self.ask.dial());
        }
    }

    fn take(&mut self, told: &Told<'_>, requests: Requests<'_>, outgoing: &mut Outgoing<'_>) {
        if self.waiting.len() <= told.index {
            self.waiting.resize_with(told.index + 1, VecDeque::new);
        }
        let Some(waiting) = self.waiting.get_mut(told.index) else {
            return;
        };
        let mut due = self.in_flight;
        if told.event != Event::Opened {
            let Some(answer) = self.ask.answer(told.event) else {
                return;
            };
            let Some(sent) = waiting.pop_front() else {
                return; // Nothing was asked.
            };
            self.unanswered -= 1;
            match answer {
                Ok(()) => {
                    self.done += 1;
                    let latency: Duration = told.now.saturating_duration_since(sent);
                    self.latencies.record(latency);
                }
                Err(reason) => self.refused.add(reason),
            }
            due = 1;
        }
        for _ in 0..due {
            if self.left == 0 {
                return;
            }
            self.left -= 1;
            self.unanswered += 1;
            self.ask.write(requests, outgoing);
            waiting.push_back(told.now);
        }
    }
}
