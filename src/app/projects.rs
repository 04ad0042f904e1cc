//! The projects as they are on disk, the runs that are not over, and what these ask permission for.
//!
//! Whoever writes the store changes it, when it applies what was committed; everybody reads. So
//! what is read here, in SQLite and in a project's room never tells of anything that can be taken
//! back. Runs that are over are in the store alone. Bounds: projects by `limits.projects`; runs and
//! their questions by what the executor lets be.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::base::locks::{read, write};
use crate::bus::execution::{Mark, Record};
use crate::domain::command::{Payload, Publish};
use crate::domain::fault::{Code, Fault};
use crate::domain::project::{Project, ProjectId};
use crate::domain::run::{Run, RunId, RunState};
use crate::domain::run_reply::PendingPermission;

/// What is on disk of projects, as far as it is asked for often.
#[derive(Debug, Default)]
pub struct Projects(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    projects: BTreeMap<ProjectId, Arc<Project>>,
    unfinished: BTreeMap<RunId, Unfinished>,
    /// Runs so far, which gives them their order.
    runs: u64,
}

/// A run that is not over.
#[derive(Debug)]
struct Unfinished {
    number: u64,
    run: Arc<Run>,
    pending: Vec<Arc<PendingPermission>>,
}

impl Projects {
    /// Takes over what was in the store; the runs in the order in which they came.
    pub fn restore(&self, projects: Vec<Project>, unfinished: Vec<Run>) {
        for project in projects {
            self.apply(&Record::Project(Box::new(project)), None);
        }
        for run in unfinished {
            self.apply(&Record::Run(Box::new(run), Mark::None), None);
        }
    }

    /// A project.
    #[must_use]
    pub fn project(&self, id: ProjectId) -> Option<Arc<Project>> {
        read(&self.0).projects.get(&id).cloned()
    }

    /// All projects, in the order in which they were made.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Project>> {
        let mut projects: Vec<_> = read(&self.0).projects.values().cloned().collect();
        projects.sort_by_key(|project| (project.created_at, project.id));
        projects
    }

    /// A run that is not over, and its place among those that wait if it does.
    #[must_use]
    pub fn run(&self, id: RunId) -> Option<(Arc<Run>, Option<usize>)> {
        let state = read(&self.0);
        let run = Arc::clone(&state.unfinished.get(&id)?.run);
        Some((run, state.position(id)))
    }

    /// All runs that are not over, in the order in which they came.
    #[must_use]
    pub fn unfinished(&self) -> Vec<Arc<Run>> {
        let state = read(&self.0);
        let mut runs: Vec<_> = state.unfinished.values().collect();
        runs.sort_by_key(|unfinished| unfinished.number);
        runs.into_iter()
            .map(|unfinished| Arc::clone(&unfinished.run))
            .collect()
    }

    /// What the runs of a project ask permission for, oldest first.
    #[must_use]
    pub fn pending(&self, project: ProjectId) -> Vec<Arc<PendingPermission>> {
        let state = read(&self.0);
        let runs = state.unfinished.values();
        let runs = runs.filter(|unfinished| unfinished.run.project == project);
        runs.flat_map(|unfinished| unfinished.pending.iter().cloned())
            .collect()
    }

    /// Notes a record that is on disk; its run remembers this `offset` of its room.
    pub(super) fn apply(&self, record: &Record, offset: Option<u64>) {
        let mut state = write(&self.0);
        match record {
            Record::Project(project) => {
                state
                    .projects
                    .insert(project.id, Arc::new((**project).clone()));
            }
            // Its room is told first, see [`Projects::remove`].
            Record::ProjectDeleted(_) => {}
            Record::Run(run, _) if run.state.is_over() => {
                state.unfinished.remove(&run.id);
            }
            Record::Run(run, mark) => {
                state.runs += 1;
                let number = state.runs;
                let mut run = (**run).clone();
                let slot = state.unfinished.entry(run.id);
                let known = slot.or_insert_with(|| Unfinished {
                    number,
                    run: Arc::new(run.clone()),
                    pending: Vec::new(),
                });
                let first = offset.filter(|_| *mark == Mark::First);
                run.first_offset = known.run.first_offset.or(run.first_offset).or(first);
                known.run = Arc::new(run);
            }
        }
    }

    /// Forgets a project and its runs.
    pub(super) fn remove(&self, id: ProjectId) {
        let mut state = write(&self.0);
        state.projects.remove(&id);
        state.unfinished.retain(|_, known| known.run.project != id);
    }

    /// Notes what the room of a project is told of permissions: what is asked for is pending until it
    /// is resolved or expires, or its run is over.
    pub(super) fn note_permission(&self, told: &Publish) {
        let is_pending = match &*told.event {
            "permission.requested" => true,
            "permission.resolved" | "permission.expired" => false,
            _ => return,
        };
        let Payload::Json(json) = &told.payload else {
            return;
        };
        let Ok(question) = serde_json::from_str::<Question<'_>>(json) else {
            return;
        };
        let Some(run) = RunId::parse(&question.run) else {
            return;
        };
        let mut state = write(&self.0);
        let Some(known) = state.unfinished.get_mut(&run) else {
            return;
        };
        known
            .pending
            .retain(|pending| *pending.request != *question.request);
        if is_pending {
            known.pending.push(Arc::new(PendingPermission {
                run,
                request: question.request.into(),
                tool: question.tool.into(),
                input: question.input.map_or("{}", RawValue::get).into(),
            }));
        }
    }
}

/// What is told of a permission.
#[derive(Deserialize)]
struct Question<'a> {
    run: String,
    request: String,
    #[serde(default)]
    tool: String,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

impl State {
    /// The place of a run among those that wait, from 1; `None` for one that does not.
    fn position(&self, id: RunId) -> Option<usize> {
        let is_queued = |known: &&Unfinished| known.run.state == RunState::Queued;
        let number = self.unfinished.get(&id).filter(is_queued)?.number;
        let queued = self.unfinished.values().filter(is_queued);
        Some(queued.filter(|known| known.number <= number).count())
    }
}

/// The fault of whoever means a project that is not there.
#[must_use]
pub fn no_project() -> Fault {
    Fault::new(
        Code::ProjectNotFound,
        "no project has this id; it may have been deleted",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testkit::records::{project, run};

    fn keep(projects: &Projects, run: &Run, mark: Mark, offset: Option<u64>) {
        projects.apply(&Record::Run(Box::new(run.clone()), mark), offset);
    }

    fn told(event: &str, run: RunId, request: &str) -> Publish {
        let json = format!(r#"{{"run":"{run}","request":"{request}","tool":"Bash","input":{{}}}}"#);
        Publish {
            rooms: Vec::new(),
            event: event.into(),
            payload: Payload::Json(json.into()),
            source: None,
            key: None,
            except: Vec::new(),
        }
    }

    #[test]
    fn runs_that_wait_have_places_in_the_order_they_came() {
        let projects = Projects::default();
        let (mut first, mut second) = (run(1, 1), run(2, 2));
        for (run, place) in [(&first, 1), (&second, 2)] {
            keep(&projects, run, Mark::None, None);
            assert_eq!(projects.run(run.id).unwrap().1, Some(place));
        }
        first.state = RunState::Running;
        keep(&projects, &first, Mark::First, Some(7));
        let (known, place) = projects.run(first.id).unwrap();
        assert_eq!((known.first_offset, place), (Some(7), None));
        assert_eq!(projects.run(second.id).unwrap().1, Some(1));
        first.state = RunState::Stalled;
        keep(&projects, &first, Mark::None, None);
        assert_eq!(projects.run(first.id).unwrap().0.first_offset, Some(7));
        let ids: Vec<_> = projects.unfinished().iter().map(|run| run.id).collect();
        assert_eq!(ids, [first.id, second.id]);
        second.state = RunState::Cancelled;
        keep(&projects, &second, Mark::Last, Some(9));
        assert!(projects.run(second.id).is_none(), "it is in the store");
    }

    #[test]
    fn permissions_are_pending_until_they_are_decided_or_their_run_is_over() {
        let projects = Projects::default();
        let mut asking = run(1, 1);
        asking.state = RunState::Running;
        keep(&projects, &asking, Mark::None, None);
        let pending = || {
            let pending = projects.pending(asking.project);
            let requests = pending.iter().map(|pending| pending.request.to_string());
            requests.collect::<Vec<_>>()
        };
        for request in ["a", "b", "c", "b"] {
            projects.note_permission(&told("permission.requested", asking.id, request));
        }
        assert_eq!(pending(), ["a", "c", "b"]);
        projects.note_permission(&told("permission.resolved", asking.id, "a"));
        projects.note_permission(&told("permission.expired", asking.id, "c"));
        projects.note_permission(&told("run.output", asking.id, "b"));
        assert_eq!(pending(), ["b"]);
        let mut over = asking.clone();
        over.state = RunState::Failed;
        keep(&projects, &over, Mark::Last, None);
        assert!(pending().is_empty());
    }

    #[test]
    fn a_deleted_project_takes_its_runs_along() {
        let projects = Projects::default();
        let (known, other) = (project(1), project(2));
        projects.restore(
            vec![other.clone(), known.clone()],
            vec![run(1, 1), run(2, 2)],
        );
        assert_eq!(projects.list().len(), 2);
        projects.remove(known.id);
        assert_eq!(*projects.list(), [Arc::new(other)]);
        assert_eq!(projects.unfinished().len(), 1);
        assert!(projects.project(known.id).is_none());
    }
}
