//! Idempotency keys of starts: a start that comes again gets the run of the first one.
//!
//! Keys are remembered for five minutes, in memory: a restart forgets them. Invariant: whoever waits
//! for a start in flight is answered when that is.

use std::collections::HashMap;

use crate::base::clock::Mono;
use crate::bus::execution::RunAsker;
use crate::domain::fault::{Code, Fault};
use crate::domain::idempotency::{Begin, Fingerprint, IdempotencyTable, Scope};
use crate::domain::run::RunId;
use crate::executor::effects::Effects;
use crate::metrics::names::Counter;

#[derive(Debug)]
pub(super) struct Keys {
    starts: IdempotencyTable<RunId>,
    /// Who waits for the start in flight of a key. Bounded because each asker waits.
    followers: HashMap<Scope, Vec<RunAsker>>,
}

/// What to do with a start that has a key.
pub(super) enum Known {
    /// Carry it out.
    New(RunAsker),
    /// It was carried out, and made this run.
    Repeat(RunAsker, RunId),
    /// It is answered, or will be.
    Handled,
}

impl Keys {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            starts: IdempotencyTable::new(capacity),
            followers: HashMap::new(),
        }
    }

    pub(super) fn begin(
        &mut self,
        (scope, print): &(Scope, Fingerprint),
        asker: RunAsker,
        (out, now): (&mut Effects, Mono),
    ) -> Known {
        let begin = self.starts.begin(scope, print, now);
        let evicted = self.starts.take_evicted();
        out.count_by(
            Counter::IdempotencyEvicted,
            usize::try_from(evicted).unwrap_or(0),
        );
        match begin {
            Begin::New => Known::New(asker),
            Begin::InFlight => {
                out.count(Counter::IdempotentRepeats);
                let followers = self.followers.entry(scope.clone()).or_default();
                followers.push(asker);
                Known::Handled
            }
            Begin::Repeat(run) => {
                out.count(Counter::IdempotentRepeats);
                Known::Repeat(asker, run)
            }
            Begin::Mismatch => {
                let message = "this idempotency key was used for another start";
                out.answer(asker, Err(Fault::new(Code::IdempotencyMismatch, message)));
                Known::Handled
            }
        }
    }

    /// A start was carried out, or not; returns who asked the same meanwhile.
    pub(super) fn finish(
        &mut self,
        (scope, print): &(Scope, Fingerprint),
        made: Option<RunId>,
        now: Mono,
    ) -> Vec<RunAsker> {
        match made {
            Some(run) => self.starts.finish(scope, print, run, now),
            None => self.starts.abandon(scope),
        }
        self.followers.remove(scope).unwrap_or_default()
    }
}
