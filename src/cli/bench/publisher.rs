//! Who publishes to subscribers when it is due, on one connection.
//!
//! Requests and commands are sent without waiting for the answers before them (RFC 9112 section
//! 9.3.2), so that publications go out when they are due. Invariant: only so many are unanswered.

use crate::cli::bench::outlet::Outlet;
use crate::cli::bench::peer::Event;
use crate::cli::bench::reason::{Reason, Tally};
use crate::cli::bench::swarm::Swarm;

/// Requests without an answer: as many as a server may be behind before we wait for it.
const UNANSWERED_MAX: u64 = 64;

/// A connection that publishes.
#[derive(Debug)]
pub(super) struct Publisher {
    outlet: Outlet,
    /// Its connection; None if it could not be begun.
    index: Option<usize>,
    sent: u64,
    answered: u64,
    /// The highest offset that was acknowledged, where there are offsets.
    pub(super) reached: u64,
    /// Answers other than yes.
    pub(super) refused: Tally,
}

impl Publisher {
    /// Begins to connect.
    pub(super) fn open(outlet: Outlet, swarm: &mut Swarm<'_>) -> Self {
        let mut publisher = Self {
            outlet,
            index: None,
            sent: 0,
            answered: 0,
            reached: 0,
            refused: Tally::default(),
        };
        publisher.reopen(swarm);
        publisher
    }

    /// Connects again if the connection has ended: servers end one after a refusal.
    pub(super) fn reopen(&mut self, swarm: &mut Swarm<'_>) {
        if self.is_live(swarm) {
            return;
        }
        self.note_ended(swarm);
        self.index = swarm.open(self.outlet.dial());
    }

    /// Counts what was not answered on a connection that has ended as refused, and lets go of its
    /// number, which the next one that is opened gets.
    pub(super) fn note_ended(&mut self, swarm: &Swarm<'_>) {
        if self.is_live(swarm) {
            return;
        }
        self.index = None;
        if self.outlet.is_answered() {
            while self.answered < self.sent {
                self.receive_refusal(Reason::Ended);
            }
        }
    }

    /// Whether `index` is its connection.
    pub(super) fn is(&self, index: usize) -> bool {
        self.index == Some(index)
    }

    /// Whether it is connected or about to be.
    pub(super) fn is_live(&self, swarm: &Swarm<'_>) -> bool {
        self.index.is_some_and(|index| swarm.is_live(index))
    }

    /// Publications sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Publications sent and not refused so far.
    pub(super) fn accepted(&self) -> u64 {
        self.sent - self.refused.total()
    }

    /// Sends further publications until there are `due` of them, or too many without an answer.
    /// `text` makes the one with a number, from 1, which needs no escapes in JSON.
    pub(super) fn publish(
        &mut self,
        due: u64,
        swarm: &mut Swarm<'_>,
        text: impl Fn(u64) -> String,
    ) {
        let due = if self.outlet.is_answered() {
            due.min(self.answered + UNANSWERED_MAX)
        } else {
            due
        };
        let Some(index) = self.index else { return };
        if self.sent >= due {
            return;
        }
        let requests = swarm.requests();
        swarm.send(index, |outgoing| {
            for number in self.sent + 1..=due {
                self.outlet.write(&text(number), requests, outgoing);
            }
            self.sent = due;
        });
    }

    /// Takes what came on its connection.
    pub(super) fn receive(&mut self, event: Event<'_>) {
        match self.outlet.answer(event) {
            Some(Ok(reached)) => {
                self.answered += 1;
                self.reached = self.reached.max(reached);
            }
            Some(Err(reason)) => self.receive_refusal(reason),
            None => {}
        }
    }

    fn receive_refusal(&mut self, reason: Reason) {
        self.answered += 1;
        self.refused.add(reason);
    }
}
