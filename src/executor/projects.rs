//! Registering projects, forgetting them, and letting them begin a new session.
//!
//! Invariant: no project's directory lies in another's, not even while the store is asked.

use std::path::Path;

use serde::Serialize;
use serde_json::json;

use crate::base::clock::Now;
use crate::bus::execution::{Mark, Record, RunAsker};
use crate::domain::fault::{Code, Fault};
use crate::domain::project::{Project, ProjectId, ProjectState};
use crate::domain::run::{Run, RunState};
use crate::executor::effects::StoreStep;
use crate::executor::entry::{Entry, Purpose};
use crate::executor::{Executor, events};
use crate::metrics::names::Counter;

impl Executor {
    pub(super) fn create(
        &mut self,
        asker: RunAsker,
        (path, name): (Box<str>, Option<Box<str>>),
        projects_max: Option<usize>,
        now: Now,
    ) {
        let id = ProjectId::random(&mut self.out.rng);
        let admitted = self
            .check_new(&path, projects_max)
            .and_then(|()| id.room().ok_or_else(no_room));
        let room = match admitted {
            Ok(room) => room,
            Err(fault) => return self.answer(asker, Err(fault)),
        };
        let project = Project {
            id,
            path,
            name,
            state: ProjectState::Idle,
            error: None,
            session_id: None,
            created_at: now.wall,
            last_active: now.wall,
            run: None,
        };
        let steps = vec![events::keep(&project)];
        self.projects.insert(id, Entry::new(project, room));
        self.send(id, steps, Purpose::Create(asker));
    }

    /// Checks the number of projects, then that the path is apart from all others. The fault does
    /// not tell the other's path: it may be none of the asker's business.
    fn check_new(&self, path: &str, projects_max: Option<usize>) -> Result<(), Fault> {
        let current = self.projects.len();
        if let Some(limit) = projects_max.filter(|limit| current >= *limit) {
            self.out.count(Counter::ProjectsRefused);
            let message = format!("there are {current} projects already, as many as may be");
            return Err(over_limit(message, "projects", limit, current));
        }
        let path = Path::new(path);
        for entry in self.projects.values() {
            let other = Path::new(&*entry.project.path);
            let (code, message) = if path == other {
                (Code::ProjectExists, "a project with this path exists")
            } else if path.starts_with(other) {
                (Code::ProjectNesting, "the path lies in another project's")
            } else if other.starts_with(path) {
                (Code::ProjectNesting, "another project's path lies in it")
            } else {
                continue;
            };
            return Err(Fault::new(code, message));
        }
        Ok(())
    }

    /// Forgets a project. What waits in it is cancelled.
    pub(super) fn delete(&mut self, id: ProjectId, asker: RunAsker, now: Now) {
        let Some(entry) = self.projects.get(&id) else {
            return;
        };
        if entry.active.is_some() {
            return self.answer(asker, Err(busy()));
        }
        let mut steps = Vec::new();
        for run in &entry.lost {
            steps.extend(over_without_process(entry, run, RunState::Lost, now));
        }
        for queued in self.queue.of(id) {
            let run = &queued.run;
            steps.extend(over_without_process(entry, run, RunState::Cancelled, now));
        }
        let payload = events::project_deleted(&entry.project, now.wall);
        steps.push(events::publish(
            &entry.room,
            events::PROJECT_DELETED,
            payload,
        ));
        steps.push(StoreStep::Record(Record::ProjectDeleted(id)));
        self.send(id, steps, Purpose::Delete(asker));
    }

    /// Lets the next run of a project begin a new session.
    pub(super) fn reset(&mut self, id: ProjectId, asker: RunAsker, now: Now) {
        let Some(entry) = self.projects.get(&id) else {
            return;
        };
        if entry.active.is_some() {
            return self.answer(asker, Err(busy()));
        }
        let project = Project {
            session_id: None,
            last_active: now.wall,
            ..entry.project.clone()
        };
        let payload = events::session_reset(&project, now.wall);
        let steps = vec![
            events::publish(&entry.room, events::SESSION_RESET, payload),
            events::keep(&project),
        ];
        self.send(id, steps, Purpose::Reset(asker, Box::new(project)));
    }
}

/// The steps that tell of the end of a run that has no process. The project is kept as it stands,
/// because what is known of it may be newer than what the store has.
pub(super) fn over_without_process(
    entry: &Entry,
    run: &Run,
    state: RunState,
    now: Now,
) -> Vec<StoreStep> {
    let run = ended(run, state, now);
    let reason = run.reason.as_deref().filter(|_| state == RunState::Lost);
    let fault = reason.map(|reason| Fault::new(Code::ExecutionFailed, reason));
    let payload = events::exited(&run, &entry.project, fault.as_ref());
    let mut steps = vec![events::keep(&entry.project)];
    let run_steps = events::told(&entry.room, events::EXITED, payload, (&run, Mark::Last));
    steps.extend(run_steps);
    steps
}

/// A run that ends without a process.
pub(super) fn ended(run: &Run, state: RunState, now: Now) -> Run {
    Run {
        state,
        ended_at: Some(now.wall),
        ..run.clone()
    }
}

pub(super) fn over_limit<T: Serialize>(
    message: String,
    resource: &str,
    limit: T,
    current: T,
) -> Fault {
    let details = json!({ "resource": resource, "limit": limit, "current": current });
    Fault::new(Code::ResourceLimit, message).with_details(details)
}

pub(super) fn busy() -> Fault {
    Fault::new(Code::ProcessActive, "a run is active in this project")
}

fn no_room() -> Fault {
    Fault::new(Code::InternalError, "the project's room has no name")
}
