//! What a run has to tell and the store has not taken yet, in order.
//!
//! At most one errand of it is on its way. Parts of messages, which an agent prints many times a
//! second, are held for a moment and travel together; each is a publication of its own all the same.
//! May not touch: what the events mean. Invariants: nothing leaves out of order, and nothing is
//! dropped; whoever adds asks [`Backlog::is_full`] first.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::clock::Mono;
use crate::domain::run::PendingPermission;

/// Events that wait; above it the pipes are not read.
const EVENTS_MAX: usize = 256;

/// Bytes of them. One that is larger passes alone.
const BYTES_MAX: usize = 1024 * 1024;

/// How long parts of a message wait for more of them: 25 times a second looks like typing.
const PARTS_HELD: Duration = Duration::from_millis(40);

/// One publication to be.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) name: &'static str,
    pub(super) payload: Box<str>,
    pub(super) kind: EventKind,
}

/// What an event carries beside what it tells.
#[derive(Debug)]
pub(super) enum EventKind {
    /// A part of a message that comes whole later.
    Part,
    /// Nothing else.
    Plain,
    /// The run has changed.
    Changed,
    /// The run and its project have a new session.
    Session(Box<str>),
    /// These are what the agent asks now.
    Permissions(Box<[PendingPermission]>),
}

#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: VecDeque<Event>,
    /// Bytes of their payloads.
    bytes: usize,
    /// Those of them that are not parts.
    whole: usize,
    /// What the errand that is on its way, or is to be repeated, tells.
    in_flight: Vec<Event>,
    /// Until when parts wait for others.
    held_until: Option<Mono>,
}

impl Backlog {
    pub(super) fn push(&mut self, event: Event) {
        self.bytes += event.payload.len();
        self.whole += usize::from(!event.is_part());
        self.waiting.push_back(event);
    }

    /// Whether no more output is to be read.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= EVENTS_MAX || self.bytes >= BYTES_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    /// Whether an errand is to be sent; `is_last` if nothing more will come.
    pub(super) fn is_ready(&self, is_last: bool, now: Mono) -> bool {
        let held = || self.held_until.is_some_and(|until| now < until);
        let waits = !self.waiting.is_empty();
        let due = waits && (is_last || self.whole > 0 || self.is_full() || !held());
        !self.in_flight.is_empty() || due
    }

    /// When [`Backlog::is_ready`] becomes true by itself.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.held_until.filter(|_| !self.waiting.is_empty())
    }

    /// What the next errand tells: the last one again unless it was settled. Also how many parts
    /// travel with others.
    pub(super) fn errand(&mut self, now: Mono) -> (&[Event], usize) {
        if !self.in_flight.is_empty() {
            return (&self.in_flight, 0);
        }
        let (mut bytes, mut parts) = (0, 0);
        while let Some(event) = self.waiting.front() {
            bytes += event.payload.len();
            let fits = self.in_flight.is_empty() || bytes <= BYTES_MAX;
            if !fits || self.in_flight.len() >= EVENTS_MAX {
                break;
            }
            if let Some(event) = self.waiting.pop_front() {
                self.bytes -= event.payload.len();
                self.whole -= usize::from(!event.is_part());
                parts += usize::from(event.is_part());
                self.in_flight.push(event);
            }
        }
        if parts > 0 {
            self.held_until = Some(now + PARTS_HELD);
        }
        (&self.in_flight, parts.saturating_sub(1))
    }

    /// The errand was carried out.
    pub(super) fn settle(&mut self) {
        self.in_flight = Vec::new();
    }
}

impl Event {
    fn is_part(&self) -> bool {
        matches!(self.kind, EventKind::Part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Mono = Mono::from_nanos(1);

    fn event(bytes: usize, kind: EventKind) -> Event {
        Event {
            name: "run.output",
            payload: "x".repeat(bytes).into(),
            kind,
        }
    }

    fn lengths(backlog: &mut Backlog, now: Mono) -> Vec<usize> {
        let (events, _) = backlog.errand(now);
        events.iter().map(|event| event.payload.len()).collect()
    }

    #[test]
    fn parts_after_the_first_wait_for_one_another_and_anything_else_takes_them_along() {
        let mut backlog = Backlog::default();
        backlog.push(event(1, EventKind::Part));
        assert!(backlog.is_ready(false, START), "the first one at once");
        assert_eq!(lengths(&mut backlog, START), [1]);
        backlog.settle();
        let soon = START + Duration::from_millis(39);
        backlog.push(event(2, EventKind::Part));
        backlog.push(event(3, EventKind::Part));
        assert!(!backlog.is_ready(false, soon));
        assert!(backlog.is_ready(true, soon), "the end waits for nothing");
        let due = backlog.deadline();
        assert_eq!(due, Some(START + Duration::from_millis(40)));
        assert!(due.is_some_and(|due| backlog.is_ready(false, due)));
        backlog.push(event(4, EventKind::Plain));
        assert!(backlog.is_ready(false, soon));
        assert_eq!(lengths(&mut backlog, soon), [2, 3, 4]);
        backlog.settle();
        assert!(backlog.is_empty());
    }

    #[test]
    fn an_errand_is_repeated_as_it_was_until_it_is_settled() {
        let mut backlog = Backlog::default();
        backlog.push(event(1, EventKind::Plain));
        assert_eq!(lengths(&mut backlog, START), [1]);
        backlog.push(event(2, EventKind::Plain));
        assert_eq!(lengths(&mut backlog, START), [1]);
        backlog.settle();
        assert_eq!(lengths(&mut backlog, START), [2]);
    }

    #[test]
    fn a_large_event_passes_alone_and_bounds_hold() {
        let mut backlog = Backlog::default();
        backlog.push(event(10, EventKind::Plain));
        backlog.push(event(BYTES_MAX + 1, EventKind::Plain));
        assert!(backlog.is_full());
        backlog.push(event(20, EventKind::Plain));
        for expected in [10, BYTES_MAX + 1, 20] {
            assert_eq!(lengths(&mut backlog, START), [expected]);
            backlog.settle();
        }
        for _ in 0..EVENTS_MAX {
            assert!(!backlog.is_full());
            backlog.push(event(0, EventKind::Part));
        }
        assert!(backlog.is_full());
        assert_eq!(lengths(&mut backlog, START).len(), EVENTS_MAX);
    }
}
