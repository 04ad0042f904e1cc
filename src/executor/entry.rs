//! One project with all that happens in it: the errands of a project go to the store one by one.
//!
//! So whatever the store keeps of a project was built on what it kept before, and a later errand
//! never overtakes one that is repeated. May not touch: other projects. Invariant: `project` is as
//! the store has it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::backoff::Backoff;
use crate::base::clock::Mono;
use crate::base::rng::Rng;
use crate::bus::execution::{Request, RunAsker, Ticket};
use crate::domain::project::Project;
use crate::domain::room::RoomName;
use crate::domain::run::{Run, RunId};
use crate::executor::running::{Active, Phase};

/// Delays between attempts to have something written that must be: short enough that a store that
/// was only busy holds up nobody.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// A disk that is full stays so for a while, and output waits meanwhile.
const RETRY_CAP: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Entry {
    /// As it is kept.
    pub(super) project: Project,
    pub(super) room: RoomName,
    /// Requests that wait for the errand before them.
    pub(super) requests: VecDeque<Request>,
    /// Runs that are over without a process to wait for, and nobody knows yet.
    pub(super) lost: VecDeque<Run>,
    pub(super) active: Option<Box<Active>>,
    /// What the store is doing.
    pub(super) errand: Option<Errand>,
    backoff: Backoff,
    /// When what failed is tried again.
    pub(super) retry_at: Option<Mono>,
    /// A request was served last: it is the turn of what runs.
    served_request: bool,
    /// The entry of this project among the deadlines.
    pub(super) deadline: Option<Mono>,
}

/// One errand that is on its way.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) ticket: Ticket,
    pub(super) purpose: Purpose,
}

/// What an errand is for, with what becomes true when it is done.
#[derive(Debug)]
pub(super) enum Purpose {
    Create(RunAsker),
    Delete(RunAsker),
    Reset(RunAsker, Box<Project>),
    Queue(RunId),
    /// Take a run out of the queue.
    Unqueue(RunAsker, Box<Run>),
    Start(Box<Project>),
    /// Tell what a run printed; the project changes if its session did.
    Output(Option<Box<Project>>),
    /// Tell that a run is over.
    Last(Box<Run>, Box<Project>),
    /// Tell that the first of those is over.
    Lost,
}

/// What the next errand of a project may be made of.
pub(super) enum Next {
    Request(Request),
    /// The active run's start.
    Start,
    Output,
    Last,
    Lost,
    Nothing,
}

impl Entry {
    pub(super) fn new(project: Project, room: RoomName) -> Self {
        Self {
            project,
            room,
            requests: VecDeque::new(),
            lost: VecDeque::new(),
            active: None,
            errand: None,
            backoff: Backoff::new(RETRY_FIRST, RETRY_CAP),
            retry_at: None,
            served_request: false,
            deadline: None,
        }
    }

    /// Whether the store has it.
    pub(super) fn is_kept(&self) -> bool {
        !self
            .errand
            .as_ref()
            .is_some_and(|errand| matches!(errand.purpose, Purpose::Create(_)))
    }

    /// Whether a run may be started in it.
    pub(super) fn is_free(&self) -> bool {
        self.active.is_none() && self.errand.is_none()
    }

    /// Whether its run is over, and the store is being told. Who has heard of that end asks for the
    /// next run at once, and may do so before the store has said that it is kept.
    pub(super) fn is_ending(&self) -> bool {
        let errand = self.errand.as_ref();
        errand.is_some_and(|errand| matches!(errand.purpose, Purpose::Last(..)))
    }

    /// Whether nothing happens in it.
    pub(super) fn is_idle(&self) -> bool {
        self.is_free() && self.requests.is_empty() && self.lost.is_empty()
    }

    /// What is next, when no errand is on its way. Requests and what runs take turns, so that
    /// neither holds up the other.
    pub(super) fn next(&mut self, now: Mono) -> Next {
        let work = self.work(now);
        let waits = matches!(work, Next::Nothing);
        if (waits || !self.served_request)
            && let Some(request) = self.requests.pop_front()
        {
            self.served_request = true;
            return Next::Request(request);
        }
        self.served_request = false;
        work
    }

    fn work(&self, now: Mono) -> Next {
        if self.retry_at.is_some_and(|at| now < at) {
            return Next::Nothing;
        }
        if !self.lost.is_empty() {
            return Next::Lost;
        }
        let Some(active) = &self.active else {
            return Next::Nothing;
        };
        match active.phase {
            // The store knows of it because it was queued, and nothing has begun.
            Phase::Admitted if active.end.has_cause() && active.starter.is_none() => Next::Last,
            Phase::Admitted => Next::Start,
            Phase::Over if active.backlog.is_empty() => Next::Last,
            Phase::Running | Phase::Draining | Phase::Reaping | Phase::Gone | Phase::Over => {
                let is_last = active.phase == Phase::Over;
                match active.backlog.is_ready(is_last, now) {
                    true => Next::Output,
                    false => Next::Nothing,
                }
            }
        }
    }

    /// When something happens in it by itself.
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        let active = self.active.as_ref();
        let of_run = active.and_then(|active| active.deadline());
        let of_lane = match (&self.errand, self.retry_at) {
            (Some(_), _) => None,
            (None, Some(at)) => Some(at),
            (None, None) => active.and_then(|active| active.backlog.deadline()),
        };
        of_run.into_iter().chain(of_lane).min()
    }

    /// The store did something.
    pub(super) fn succeeded(&mut self) {
        self.backoff.reset();
        self.retry_at = None;
    }

    /// The store did not do what must be done.
    pub(super) fn failed(&mut self, now: Mono, rng: &mut Rng) {
        self.retry_at = Some(now + self.backoff.next_delay(rng));
    }
}
