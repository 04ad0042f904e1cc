//! Who may start, who waits, and who is refused.
//!
//! A run is started in a project that has none, on a host that has a place; runs that wait go first,
//! in the order in which they came. Whoever is refused is the only one that learns of it: nothing
//! changes. Invariant: a run is in the queue or active, never both.

use crate::base::clock::Now;
use crate::bus::execution::{Mark, Request, RunAnswer, RunAsker, RunOrder, StartOrder};
use crate::domain::fault::{Code, Fault};
use crate::domain::project::ProjectId;
use crate::domain::run::{Run, RunId, RunState};
use crate::executor::entry::Purpose;
use crate::executor::keys::Known;
use crate::executor::projects::{busy, ended, over_limit};
use crate::executor::queue::{QUEUED, QUEUED_BYTES, QUEUED_PER_PROJECT, Queued, QueuedState, held};
use crate::executor::running::{Active, Starter};
use crate::executor::{Executor, SHUT_DOWN, events, no_project, not_active};
use crate::metrics::names::Counter;

impl Executor {
    /// Starts a run, has it wait, or refuses it.
    pub(super) fn start(&mut self, asker: RunAsker, start: Box<StartOrder>, now: Now) {
        self.runs_max = start.runs_max;
        let asker = match &start.key {
            None => asker,
            Some(key) => match self.keys.begin(key, asker, (&mut self.out, now.mono)) {
                Known::New(asker) => asker,
                Known::Repeat(asker, run) => {
                    let known = self.known(run);
                    return self.answer(asker, Ok(known));
                }
                Known::Handled => return,
            },
        };
        let id = start.project;
        match self.check_start(&start) {
            Ok(()) => {
                let order = RunOrder::Start(start);
                self.ask(id, Request { order, asker }, now);
            }
            Err(fault) => {
                let key = start.key;
                self.refuse_start(Starter { asker, key }, &fault, now);
            }
        }
    }

    /// Carries a start out when it is its turn.
    pub(super) fn start_in_turn(&mut self, asker: RunAsker, mut start: Box<StartOrder>, now: Now) {
        let starter = Starter {
            asker,
            key: start.key.take(),
        };
        let checked = self.check_start(&start);
        let waits = self.why_not_now(start.project).is_some();
        let checked = checked.and_then(|()| match waits {
            true => self.check_queue(&start),
            false => Ok(()),
        });
        if let Err(fault) = checked {
            return self.refuse_start(starter, &fault, now);
        }
        let StartOrder {
            project,
            agent,
            prompt,
            options,
            params,
            launch,
            ..
        } = *start;
        let id = RunId::random(&mut self.out.rng);
        let run = Run {
            options,
            params,
            ..Run::asked(id, project, agent, prompt, now.wall)
        };
        let launch = Box::new(launch);
        if waits {
            let state = QueuedState::Asked(starter);
            let run = Box::new(run);
            self.enqueue(Queued { run, launch, state });
        } else {
            self.admit(Active::new(run, launch, Some(starter)));
        }
    }

    /// Starts what waits, as far as there are places.
    pub(super) fn admit_queued(&mut self, now: Now) {
        while !self.draining && !self.is_full() {
            let projects = &self.projects;
            let is_free = |id: ProjectId| projects.get(&id).is_some_and(|entry| entry.is_free());
            let Some(queued) = self.queue.take_next(is_free) else {
                return;
            };
            let id = queued.run.project;
            self.admit(Active::new(*queued.run, queued.launch, None));
            self.turn(id, now);
        }
    }

    /// Takes a run out of the queue; if it has started meanwhile, it is too late for that.
    pub(super) fn unqueue(&mut self, id: ProjectId, run: RunId, asker: RunAsker, now: Now) {
        let found = self.queue.find(run).filter(|(queued, _)| queued.is_kept());
        let (Some((queued, _)), Some(entry)) = (found, self.projects.get(&id)) else {
            return self.answer(asker, Err(not_active()));
        };
        let mut run = ended(&queued.run, RunState::Cancelled, now);
        run.reason = Some("somebody cancelled it before it began".into());
        let payload = events::exited(&run, &entry.project, None);
        let steps = events::told(&entry.room, events::EXITED, payload, (&run, Mark::Last));
        self.send(id, steps, Purpose::Unqueue(asker, Box::new(run)));
    }

    /// Answers a start and those that repeated it meanwhile.
    pub(super) fn accept_start(
        &mut self,
        starter: Starter,
        run: &Run,
        position: Option<usize>,
        now: Now,
    ) {
        let answer = || Ok(RunAnswer::Started(Box::new(run.clone()), position));
        self.answer(starter.asker, answer());
        if let Some(key) = &starter.key {
            for follower in self.keys.finish(key, Some(run.id), now.mono) {
                self.answer(follower, answer());
            }
        }
    }

    /// Refuses a start, and those that repeated it meanwhile.
    pub(super) fn refuse_start(&mut self, starter: Starter, fault: &Fault, now: Now) {
        self.answer(starter.asker, Err(fault.clone()));
        if let Some(key) = &starter.key {
            for follower in self.keys.finish(key, None, now.mono) {
                self.answer(follower, Err(fault.clone()));
            }
        }
    }

    /// What is known of a run that was started before.
    fn known(&self, run: RunId) -> RunAnswer {
        if let Some((queued, position)) = self.queue.find(run) {
            return RunAnswer::Started(queued.run.clone(), Some(position));
        }
        let project = self.active.get(&run);
        let entry = project.and_then(|project| self.projects.get(project));
        match entry.and_then(|entry| entry.active.as_ref()) {
            Some(active) => RunAnswer::Started(Box::new(active.run.clone()), None),
            None => RunAnswer::Repeated(run),
        }
    }

    /// Checks what can be told without the store.
    fn check_start(&self, start: &StartOrder) -> Result<(), Fault> {
        if self.draining {
            return Err(Fault::new(Code::ServerBusy, SHUT_DOWN));
        }
        if !self.projects.contains_key(&start.project) {
            return Err(no_project());
        }
        if let Some(excess) = start.excess {
            self.out.count(Counter::RunsRefusedResource);
            let (resource, message) = (excess.resource.word(), excess.message());
            return Err(over_limit(message, resource, excess.limit, excess.current));
        }
        match self.why_not_now(start.project) {
            Some((counter, fault)) if !start.waits => {
                self.out.count(counter);
                Err(fault)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Why a run would have to wait. Behind the last word of the run before, it waits for the store
    /// alone, and is looked at again when that has answered.
    fn why_not_now(&self, id: ProjectId) -> Option<(Counter, Fault)> {
        let entry = self.projects.get(&id)?;
        if entry.active.is_some() && !entry.is_ending() {
            return Some((Counter::RunsRefusedBusy, busy()));
        }
        if self.queue.count(id) > 0 {
            let message = "other runs wait in this project";
            let fault = Fault::new(Code::ProcessActive, message);
            return Some((Counter::RunsRefusedBusy, fault));
        }
        let limit = self.runs_max.filter(|_| self.is_full())?;
        let current = self.active.len();
        let message = format!("{current} runs are active on this host, as many as may be");
        let fault = over_limit(message, "runs", limit, current);
        Some((Counter::RunsRefusedLimit, fault))
    }

    fn check_queue(&self, start: &StartOrder) -> Result<(), Fault> {
        let asked = [&start.options, &start.params];
        let bytes = held(&start.prompt, asked, &start.launch);
        let here = self.queue.count(start.project);
        let bounds = [
            ("queued_runs", QUEUED_PER_PROJECT, here, 1),
            ("queued_runs", QUEUED, self.queue.len(), 1),
            ("queued_bytes", QUEUED_BYTES, self.queue.bytes(), bytes),
        ];
        for (resource, limit, current, more) in bounds {
            if current.saturating_add(more) > limit {
                self.out.count(Counter::RunsRefusedQueue);
                let message = "too many runs wait already: try again later".to_owned();
                return Err(over_limit(message, resource, limit, current));
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.runs_max.is_some_and(|max| self.active.len() >= max)
    }

    fn enqueue(&mut self, queued: Queued) {
        let project = queued.run.project;
        let position = self.queue.count(project) + 1;
        let Some(entry) = self.projects.get(&project) else {
            return;
        };
        let (id, run) = (queued.run.id, &queued.run);
        let payload = events::queued(run, position);
        let steps = events::told(&entry.room, events::QUEUED, payload, (run, Mark::First));
        self.queue.push(queued);
        self.send(project, steps, Purpose::Queue(id));
    }

    /// Gives a run its place. The start is what its project does next.
    fn admit(&mut self, active: Active) {
        let (run, project) = (active.run.id, active.run.project);
        if let Some(entry) = self.projects.get_mut(&project) {
            debug_assert!(entry.active.is_none(), "one run of a project is active");
            entry.active = Some(Box::new(active));
            self.active.insert(run, project);
        }
    }
}
