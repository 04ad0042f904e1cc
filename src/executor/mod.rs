//! L3: the executor's core: which runs are active, which wait, and what becomes of each.
//!
//! ```text
//! requests, pipes, exits, settlements, now ─▸ Executor ─▸ effects: spawn, write, end; store, answer
//! ```
//!
//! The shell feeds it and performs its effects in order. Where things are: [`effects`] says what it
//! wants; `entry` has a project's lane to the store, `errands` what goes through it; `admission` and
//! `queue` decide who starts; `running`, `backlog`, `input`, `permissions` and `ending` have one
//! run; `projects` registers and forgets. May not touch: processes, pipes, threads, clocks, files.
//!
//! Invariants: at most one run of a project is active; every run that was started, or was told to
//! wait, has exactly one last event, whatever fails meanwhile; what an agent printed is told in
//! order, once; what is told was kept in the same transaction.

mod admission;
mod backlog;
pub mod effects;
mod ending;
mod entry;
mod errands;
mod events;
mod input;
mod keys;
mod permissions;
mod projects;
mod queue;
mod running;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::base::clock::{Mono, Now};
use crate::base::rng::Rng;
use crate::bus::execution::{
    CancelAnswer, Request, RunAnswer, RunAsker, RunOrder, RunTarget, Ticket,
};
use crate::domain::fault::{Code, Fault};
use crate::domain::project::{Project, ProjectId, ProjectState};
use crate::domain::run::{OutputStream, Run, RunId, RunState};
use crate::executor::effects::{Effect, Effects, Exit, StartFault};
use crate::executor::ending::Cause;
use crate::executor::entry::Entry;
use crate::executor::keys::Keys;
use crate::executor::queue::Queue;
use crate::executor::running::{Active, Context, Phase};
use crate::metrics::counters::Counters;
use crate::metrics::names::Counter;

/// Requests that wait for the store in one project.
const REQUESTS_MAX: usize = 256;

/// The reason of runs that end because the server does.
const SHUT_DOWN: &str = "the server was shut down";

/// Everything that is active.
#[derive(Debug)]
pub struct Executor {
    projects: BTreeMap<ProjectId, Entry>,
    /// Where each active run is; those admitted and not yet started count, too.
    active: BTreeMap<RunId, ProjectId>,
    queue: Queue,
    keys: Keys,
    /// Which project each errand is of.
    tickets: BTreeMap<Ticket, ProjectId>,
    /// When each project needs attention.
    deadlines: BTreeSet<(Mono, ProjectId)>,
    /// Runs that may be active on the host, as the newest start said.
    runs_max: Option<usize>,
    /// No more runs are started.
    draining: bool,
    out: Effects,
}

impl Executor {
    /// An executor that knows of no project, and remembers so many idempotency keys.
    #[must_use]
    pub fn new(idempotency_keys: usize, rng: Rng, counters: Arc<Counters>) -> Self {
        Self {
            projects: BTreeMap::new(),
            active: BTreeMap::new(),
            queue: Queue::default(),
            keys: Keys::new(idempotency_keys),
            tickets: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            runs_max: None,
            draining: false,
            out: Effects::new(rng, counters),
        }
    }

    /// Takes what the store has, once, before anything else. Runs that are not over are lost: their
    /// processes were ended before, and each gets its last event.
    pub fn restore(&mut self, projects: Vec<Project>, unfinished: Vec<Run>, now: Now) {
        for project in projects {
            if let Some(room) = project.id.room() {
                self.projects.insert(project.id, Entry::new(project, room));
            }
        }
        for mut run in unfinished {
            let Some(entry) = self.projects.get_mut(&run.project) else {
                continue;
            };
            let reason = match run.state {
                RunState::Queued => "the server ended before it began",
                RunState::Running | RunState::Stalled => "the server ended while it was active",
                RunState::Exited
                | RunState::Failed
                | RunState::Cancelled
                | RunState::Timeout
                | RunState::Lost => continue,
            };
            if run.state != RunState::Queued {
                entry.project.error = Some(reason.into());
                entry.project.state = ProjectState::Error;
                entry.project.run = None;
            }
            run.reason = Some(reason.into());
            entry.lost.push_back(run);
        }
        let ids: Vec<ProjectId> = self.projects.keys().copied().collect();
        for id in ids {
            if let Some(entry) = self.projects.get_mut(&id)
                && entry.project.state == ProjectState::Executing
            {
                // Its run is told to be over already.
                entry.project.state = ProjectState::Idle;
                entry.project.run = None;
            }
            self.turn(id, now);
        }
    }

    /// Does what a client asks; the answer is an effect, now or later.
    pub fn request(&mut self, request: Request, now: Now) {
        let Request { order, asker } = request;
        match order {
            RunOrder::CreateProject {
                path,
                name,
                projects_max,
            } => self.create(asker, (path, name), projects_max, now),
            RunOrder::DeleteProject(id) => {
                self.ask(id, Request { order, asker }, now);
            }
            RunOrder::ResetSession(id) => {
                self.ask(id, Request { order, asker }, now);
            }
            RunOrder::Start(start) => self.start(asker, start, now),
            RunOrder::Cancel(target, answer) => self.cancel(asker, target, answer, now),
            RunOrder::Input { run, input } => {
                self.answer_by(run, asker, now, |active, context| {
                    active.say(&input, context)
                });
            }
            RunOrder::Decide {
                run,
                request,
                decision,
            } => {
                self.answer_by(run, asker, now, |active, context| {
                    active.decide(&request, &decision, context)
                });
            }
        }
    }

    /// The run's process is there.
    pub fn started(&mut self, run: RunId, now: Now) {
        self.with_run(run, now, Active::started);
    }

    /// The run's process could not be started, and nothing of it lives.
    pub fn start_failed(&mut self, run: RunId, why: StartFault, now: Now) {
        self.with_run(run, now, |active, context| {
            active.start_failed(why, context);
        });
    }

    /// The run printed something. Read at most 64 KiB at a time, and ask
    /// [`Executor::wants_output`] before.
    pub fn output(&mut self, run: RunId, stream: OutputStream, bytes: &[u8], now: Now) {
        self.with_run(run, now, |active, context| {
            active.output(stream, bytes, context);
        });
    }

    /// A pipe of the run has ended.
    pub fn output_ended(&mut self, run: RunId, stream: OutputStream, now: Now) {
        self.with_run(run, now, |active, context| {
            active.output_ended(stream, context);
        });
    }

    /// The process that was started has exited; others of the run may live.
    pub fn leader_exited(&mut self, run: RunId, exit: Exit, now: Now) {
        self.with_run(run, now, |active, context| {
            active.leader_exited(exit, context);
        });
    }

    /// Nothing of the run lives: its keeper says so, or is gone itself and its strays were killed.
    pub fn gone(&mut self, run: RunId, now: Now) {
        self.with_run(run, now, Active::gone);
    }

    /// The agent's standard input took so many bytes.
    pub fn input_written(&mut self, run: RunId, bytes: usize, now: Now) {
        self.with_run(run, now, |active, _| active.input.written(bytes));
    }

    /// The agent reads no more.
    pub fn input_closed(&mut self, run: RunId, now: Now) {
        self.with_run(run, now, Active::lose_input);
    }

    /// Whether that pipe is to be read now; after `false` an [`Effect::Resume`] says when it is.
    #[must_use]
    pub fn wants_output(&self, run: RunId, stream: OutputStream) -> bool {
        let project = self.active.get(&run);
        let entry = project.and_then(|project| self.projects.get(project));
        let active = entry.and_then(|entry| entry.active.as_ref());
        active.is_some_and(|active| active.wants(stream))
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Now) {
        while let Some(&(at, id)) = self.deadlines.first() {
            if now.mono < at {
                return;
            }
            self.deadlines.pop_first();
            if let Some(entry) = self.projects.get_mut(&id) {
                entry.deadline = None;
            }
            self.with_active(id, now, Active::tick);
            self.turn(id, now);
        }
    }

    /// When [`Executor::tick`] is to be called at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Ends everything, because the server does. What runs gets TERM, then KILL, and is lost, and so
    /// is what waits: nobody cancelled it, and it ends as it would if the server just ended.
    pub fn drain(&mut self, now: Now) {
        self.draining = true;
        for mut run in self.queue.take_kept(None) {
            run.reason = Some(SHUT_DOWN.into());
            if let Some(entry) = self.projects.get_mut(&run.project) {
                entry.lost.push_back(run);
            }
        }
        let ids: Vec<ProjectId> = self.projects.keys().copied().collect();
        for id in ids {
            self.with_active(id, now, |active, context| {
                active.end(Cause::Shutdown, context);
            });
            self.turn(id, now);
        }
    }

    /// Whether nothing is active, nothing waits and the store owes nothing.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.projects.values().all(Entry::is_idle)
    }

    /// Takes what is to be done, in order. Call it after every input.
    #[must_use]
    pub fn effects(&mut self) -> VecDeque<Effect> {
        std::mem::take(&mut self.out.list)
    }

    fn cancel(&mut self, asker: RunAsker, target: RunTarget, when: CancelAnswer, now: Now) {
        let run = match target {
            RunTarget::Run(run) => Some(run),
            RunTarget::ActiveIn(project) => match self.projects.get(&project) {
                Some(entry) => entry.active.as_ref().map(|active| active.run.id),
                None => return self.answer(asker, Err(no_project())),
            },
        };
        let Some(run) = run else {
            return self.answer(asker, Err(not_active()));
        };
        if let Some((queued, _)) = self.queue.find(run) {
            let project = queued.run.project;
            let order = RunOrder::Cancel(RunTarget::Run(run), when);
            return self.ask(project, Request { order, asker }, now);
        }
        let mut asker = Some(asker);
        let answer = self.with_run(run, now, |active, context| {
            if active.phase == Phase::Over {
                return None;
            }
            active.end(Cause::Cancelled, context);
            let run = Box::new(active.run.clone());
            match when {
                CancelAnswer::AtOnce => return Some(run),
                CancelAnswer::WhenOver => active.end.askers.extend(asker.take()),
            }
            None
        });
        if let Some(asker) = asker {
            let cancelled = answer.flatten().map(RunAnswer::Cancelled);
            self.answer(asker, cancelled.ok_or_else(not_active));
        }
    }

    /// Has a request wait for its turn in a project's lane, which may be now.
    fn ask(&mut self, id: ProjectId, request: Request, now: Now) {
        let Some(entry) = self.projects.get_mut(&id).filter(|entry| entry.is_kept()) else {
            return self.refuse_start_or(request, no_project(), now);
        };
        if entry.requests.len() >= REQUESTS_MAX {
            self.out.count(Counter::RunRequestsRefused);
            let message = "too many requests for this project wait for the store: try again";
            let fault = Fault::new(Code::ServerBusy, message);
            return self.refuse_start_or(request, fault, now);
        }
        entry.requests.push_back(request);
        self.turn(id, now);
    }

    /// Refuses a request; a start also gives its key back.
    fn refuse_start_or(&mut self, request: Request, fault: Fault, now: Now) {
        match request.order {
            RunOrder::Start(start) => {
                let starter = running::Starter {
                    asker: request.asker,
                    key: start.key,
                };
                self.refuse_start(starter, &fault, now);
            }
            RunOrder::CreateProject { .. }
            | RunOrder::DeleteProject(_)
            | RunOrder::ResetSession(_)
            | RunOrder::Cancel(..)
            | RunOrder::Input { .. }
            | RunOrder::Decide { .. } => self.answer(request.asker, Err(fault)),
        }
    }

    fn answer(&mut self, asker: RunAsker, answer: Result<RunAnswer, Fault>) {
        self.out.answer(asker, answer);
    }

    /// Has an active run answer. The answer stands before what is told because of it.
    fn answer_by(
        &mut self,
        run: RunId,
        asker: RunAsker,
        now: Now,
        step: impl FnOnce(&mut Active, &mut Context<'_>) -> Result<RunAnswer, Fault>,
    ) {
        let mut asker = Some(asker);
        self.with_run(run, now, |active, context| {
            let answer = step(active, context);
            if let Some(asker) = asker.take() {
                context.out.answer(asker, answer);
            }
        });
        if let Some(asker) = asker {
            self.answer(asker, Err(not_active()));
        }
    }

    fn with_run<T>(
        &mut self,
        run: RunId,
        now: Now,
        step: impl FnOnce(&mut Active, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let id = *self.active.get(&run)?;
        let done = self.with_active(id, now, step);
        self.turn(id, now);
        done
    }

    fn with_active<T>(
        &mut self,
        id: ProjectId,
        now: Now,
        step: impl FnOnce(&mut Active, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let entry = self.projects.get_mut(&id)?;
        let active = entry.active.as_mut()?;
        let mut context = Context {
            project: &entry.project,
            out: &mut self.out,
            now,
        };
        Some(step(active, &mut context))
    }
}

fn no_project() -> Fault {
    Fault::new(Code::ProjectNotFound, "there is no such project")
}

fn not_active() -> Fault {
    Fault::new(Code::ProcessNotFound, "no such run is active")
}
