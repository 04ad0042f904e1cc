//! What goes to the store, and what follows when it is done or not.
//!
//! What a client asked for is refused if the store refuses it; what happened anyway is repeated until
//! the store takes it. Invariant: an errand is built of what the store has, so it is built anew each
//! time that it is sent.

use crate::base::clock::Now;
use crate::bus::execution::{Mark, Record, Request, RunAnswer, RunOrder, RunTarget, Settlement};
use crate::domain::fault::Fault;
use crate::domain::project::{Project, ProjectId, ProjectState};
use crate::domain::run::{Run, RunId, RunState};
use crate::executor::backlog::EventKind;
use crate::executor::effects::{Effect, StoreStep};
use crate::executor::entry::{Errand, Next, Purpose};
use crate::executor::projects::over_without_process;
use crate::executor::running::{Active, Phase};
use crate::executor::{Executor, SHUT_DOWN, events, no_project, not_active};
use crate::metrics::names::Counter;

impl Executor {
    /// The store did, or did not, what an [`Effect::Store`] asked.
    pub fn settled(&mut self, settlement: Settlement, now: Now) {
        let Some(id) = self.tickets.remove(&settlement.ticket) else {
            return;
        };
        let Some(entry) = self.projects.get_mut(&id) else {
            return;
        };
        let Some(errand) = entry.errand.take() else {
            return;
        };
        debug_assert_eq!(errand.ticket, settlement.ticket, "one errand at a time");
        match settlement.outcome {
            Ok(()) => {
                entry.succeeded();
                self.done(id, errand.purpose, now);
            }
            Err(fault) => self.undone(id, errand.purpose, fault, now),
        }
        // Who has waited longest comes before whoever asks now.
        self.admit_queued(now);
        self.turn(id, now);
    }

    /// Does what is next in a project, as far as the store is not needed first.
    pub(super) fn turn(&mut self, id: ProjectId, now: Now) {
        while let Some(entry) = self.projects.get_mut(&id)
            && entry.errand.is_none()
        {
            match entry.next(now.mono) {
                Next::Request(request) => self.serve(id, request, now),
                Next::Start => self.send_start(id, now),
                Next::Output => self.send_output(id, now),
                Next::Last => self.send_last(id, now),
                Next::Lost => self.send_lost(id, now),
                Next::Nothing => break,
            }
        }
        self.rearm(id);
    }

    /// Sends an errand for a project that has none on its way.
    pub(super) fn send(&mut self, id: ProjectId, steps: Vec<StoreStep>, purpose: Purpose) {
        let Some(entry) = self.projects.get_mut(&id) else {
            return;
        };
        debug_assert!(entry.errand.is_none(), "one errand at a time");
        let ticket = self.out.store(steps);
        self.tickets.insert(ticket, id);
        entry.errand = Some(Errand { ticket, purpose });
    }

    fn serve(&mut self, id: ProjectId, request: Request, now: Now) {
        let Request { order, asker } = request;
        match order {
            RunOrder::Start(start) => self.start_in_turn(asker, start, now),
            RunOrder::DeleteProject(_) => self.delete(id, asker, now),
            RunOrder::ResetSession(_) => self.reset(id, asker, now),
            RunOrder::Cancel(RunTarget::Run(run), when) if self.active.contains_key(&run) => {
                self.cancel(asker, RunTarget::Run(run), when, now);
            }
            RunOrder::Cancel(RunTarget::Run(run), _) => self.unqueue(id, run, asker, now),
            RunOrder::CreateProject { .. }
            | RunOrder::Cancel(RunTarget::ActiveIn(_), _)
            | RunOrder::Input { .. }
            | RunOrder::Decide { .. } => {
                debug_assert!(false, "those never wait for the store");
                self.answer(asker, Err(not_active()));
            }
        }
    }

    fn done(&mut self, id: ProjectId, purpose: Purpose, now: Now) {
        let Some(entry) = self.projects.get_mut(&id) else {
            return;
        };
        match purpose {
            Purpose::Create(asker) => {
                let project = entry.project.clone();
                self.answer(asker, Ok(RunAnswer::Created(project)));
            }
            Purpose::Delete(asker) => {
                self.forget_project(id, now);
                self.answer(asker, Ok(RunAnswer::Deleted(id)));
            }
            Purpose::Reset(asker, project) => {
                let old = std::mem::replace(&mut entry.project, (*project).clone());
                let reset = RunAnswer::Reset(*project, old.session_id);
                self.answer(asker, Ok(reset));
            }
            Purpose::Queue(run) => self.queued(id, run, now),
            Purpose::Unqueue(asker, run) => {
                entry.lost.retain(|lost| lost.id != run.id);
                self.queue.remove(run.id);
                self.count_end(run.state);
                self.answer(asker, Ok(RunAnswer::Cancelled(run)));
            }
            Purpose::Start(project) => {
                entry.project = *project;
                self.begin(id, now);
            }
            Purpose::Output(project) => {
                if let Some(project) = project {
                    entry.project = *project;
                }
                self.with_active(id, now, |active, context| {
                    active.backlog.settle();
                    active.go_on(context);
                });
            }
            Purpose::Last(run, project) => {
                entry.project = *project;
                self.forget(id, &run);
            }
            Purpose::Lost => {
                entry.lost.pop_front();
                self.count_end(RunState::Lost);
            }
        }
    }

    fn undone(&mut self, id: ProjectId, purpose: Purpose, fault: Fault, now: Now) {
        let Some(entry) = self.projects.get_mut(&id) else {
            return;
        };
        match purpose {
            Purpose::Create(asker) => {
                self.forget_project(id, now);
                self.answer(asker, Err(fault));
            }
            Purpose::Delete(asker) | Purpose::Reset(asker, _) | Purpose::Unqueue(asker, _) => {
                self.answer(asker, Err(fault));
            }
            Purpose::Queue(run) => {
                self.out.count(Counter::RunsRefusedStore);
                let starter = self.queue.keep(run);
                self.queue.remove(run);
                if let Some(starter) = starter {
                    self.refuse_start(starter, &fault, now);
                }
            }
            Purpose::Start(_) => {
                let active = entry.active.as_mut();
                match active.and_then(|active| active.starter.take()) {
                    Some(starter) => {
                        self.out.count(Counter::RunsRefusedStore);
                        self.drop_active(id);
                        self.refuse_start(starter, &fault, now);
                    }
                    None => self.retry(id, now),
                }
            }
            Purpose::Output(_) | Purpose::Last(..) | Purpose::Lost => self.retry(id, now),
        }
    }

    fn retry(&mut self, id: ProjectId, now: Now) {
        self.out.count(Counter::RunErrandsRepeated);
        if let Some(entry) = self.projects.get_mut(&id) {
            entry.failed(now.mono, &mut self.out.rng);
        }
    }

    fn queued(&mut self, id: ProjectId, run: RunId, now: Now) {
        self.out.count(Counter::RunsQueued);
        let starter = self.queue.keep(run);
        if let (Some(starter), Some((queued, position))) = (starter, self.queue.find(run)) {
            let run = queued.run.clone();
            self.accept_start(starter, &run, Some(position), now);
        }
        if self.draining
            && let Some(mut queued) = self.queue.remove(run)
            && let Some(entry) = self.projects.get_mut(&id)
        {
            queued.run.reason = Some(SHUT_DOWN.into());
            entry.lost.push_back(*queued.run);
        }
    }

    /// The start of the active run is kept: it is answered, and then spawned.
    fn begin(&mut self, id: ProjectId, now: Now) {
        let started = self.with_active(id, now, |active, _| {
            (active.starter.take(), active.run.clone())
        });
        if let Some((Some(starter), run)) = started {
            self.accept_start(starter, &run, None, now);
        }
        self.with_active(id, now, |active, context| {
            if active.end.has_cause() {
                active.gone(context);
                active.end_pipes(context);
            } else {
                active.spawn(context);
            }
        });
    }

    fn send_start(&mut self, id: ProjectId, now: Now) {
        let Some(entry) = self.projects.get_mut(&id) else {
            return;
        };
        let Some(active) = entry.active.as_mut() else {
            return;
        };
        active.run.state = RunState::Running;
        active.run.started_at = Some(now.wall);
        let project = Project {
            state: ProjectState::Executing,
            error: None,
            last_active: now.wall,
            run: Some(active.run.id),
            ..entry.project.clone()
        };
        let mark = match active.starter {
            Some(_) => Mark::First,
            None => Mark::None,
        };
        let payload = events::started(&active.run, &project);
        let run = (&active.run, mark);
        let mut steps = events::told(&entry.room, events::STARTED, payload, run);
        steps.push(events::keep(&project));
        self.send(id, steps, Purpose::Start(Box::new(project)));
    }

    fn send_output(&mut self, id: ProjectId, now: Now) {
        let Some(entry) = self.projects.get_mut(&id) else {
            return;
        };
        let Some(active) = entry.active.as_mut() else {
            return;
        };
        let Active { backlog, run, .. } = active.as_mut();
        let (batch, parts) = backlog.errand(now.mono);
        self.out.count_by(Counter::RunLinesCoalesced, parts);
        let (mut session, mut permissions, mut changed) = (None, None, false);
        let mut steps = Vec::with_capacity(batch.len() + 3);
        for event in batch {
            let payload = event.payload.clone();
            steps.push(events::publish(&entry.room, event.name, payload));
            match &event.kind {
                EventKind::Part | EventKind::Plain => {}
                EventKind::Changed => changed = true,
                EventKind::Session(id) => session = Some(id.clone()),
                EventKind::Permissions(pending) => permissions = Some(pending.clone()),
            }
        }
        if changed || session.is_some() {
            let record = Record::Run(Box::new(run.clone()), Mark::None);
            steps.push(StoreStep::Record(record));
        }
        if let Some(pending) = permissions {
            steps.push(StoreStep::Record(Record::Permissions(id, pending)));
        }
        let project = session.map(|session| {
            Box::new(Project {
                session_id: Some(session),
                last_active: now.wall,
                ..entry.project.clone()
            })
        });
        steps.extend(project.iter().map(|project| events::keep(project)));
        self.send(id, steps, Purpose::Output(project));
    }

    fn send_last(&mut self, id: ProjectId, now: Now) {
        let Some(entry) = self.projects.get_mut(&id) else {
            return;
        };
        let Some(active) = entry.active.as_mut() else {
            return;
        };
        active.run.ended_at.get_or_insert(now.wall);
        let (run, project, fault) = active.verdict(&entry.project);
        let payload = events::exited(&run, &project, fault.as_ref());
        // The project first: where the run has ended, it is free.
        let mut steps = vec![events::keep(&project)];
        let run_steps = events::told(&entry.room, events::EXITED, payload, (&run, Mark::Last));
        steps.extend(run_steps);
        self.send(id, steps, Purpose::Last(Box::new(run), Box::new(project)));
    }

    fn send_lost(&mut self, id: ProjectId, now: Now) {
        let Some(entry) = self.projects.get(&id) else {
            return;
        };
        if let Some(run) = entry.lost.front() {
            let steps = over_without_process(entry, run, RunState::Lost, now);
            self.send(id, steps, Purpose::Lost);
        }
    }

    /// A run's last event is told: its place is free.
    fn forget(&mut self, id: ProjectId, run: &Run) {
        let Some(active) = self.drop_active(id) else {
            return;
        };
        self.count_end(run.state);
        self.out.push(Effect::Forget(run.id));
        for asker in active.end.askers {
            let run = Box::new(run.clone());
            self.answer(asker, Ok(RunAnswer::Cancelled(run)));
        }
    }

    fn drop_active(&mut self, id: ProjectId) -> Option<Box<Active>> {
        let mut active = self.projects.get_mut(&id)?.active.take()?;
        self.active.remove(&active.run.id);
        if active.phase == Phase::Admitted {
            for asker in std::mem::take(&mut active.end.askers) {
                self.answer(asker, Err(not_active()));
            }
        }
        Some(active)
    }

    fn forget_project(&mut self, id: ProjectId, now: Now) {
        for run in self.queue.take_kept(Some(id)) {
            debug_assert_eq!(run.project, id, "only its own");
            self.count_end(RunState::Cancelled);
        }
        let Some(entry) = self.projects.remove(&id) else {
            return;
        };
        for _ in &entry.lost {
            self.count_end(RunState::Lost);
        }
        if let Some(at) = entry.deadline {
            self.deadlines.remove(&(at, id));
        }
        for request in entry.requests {
            self.refuse_start_or(request, no_project(), now);
        }
    }

    fn rearm(&mut self, id: ProjectId) {
        let Some(entry) = self.projects.get_mut(&id) else {
            return;
        };
        let next = entry.next_deadline();
        let known = std::mem::replace(&mut entry.deadline, next);
        if known == next {
            return;
        }
        if let Some(at) = known {
            self.deadlines.remove(&(at, id));
        }
        if let Some(at) = next {
            self.deadlines.insert((at, id));
        }
    }

    fn count_end(&self, state: RunState) {
        let counter = match state {
            RunState::Exited => Counter::RunsExited,
            RunState::Failed => Counter::RunsFailed,
            RunState::Cancelled => Counter::RunsCancelled,
            RunState::Timeout => Counter::RunsTimedOut,
            RunState::Lost => Counter::RunsLost,
            RunState::Queued | RunState::Running | RunState::Stalled => {
                debug_assert!(false, "those are not over");
                return;
            }
        };
        self.out.count(counter);
    }
}
