//! The projects as they are on disk, the runs that are not over, and what these ask permission for.
//!
//! Whoever writes the store changes it, when it applies what was committed; everybody reads. So
//! what is read here, in SQLite and in a project's room never tells of anything that can be taken
//! back. Runs that are over are in the store alone. Bounds: projects by `limits.projects`; runs and
//! their questions by what the executor lets be.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use crate::base::locks::{read, write};
use crate::bus::execution::{Mark, Record};
use crate::config::Config;
use crate::domain::access::Identity;
use crate::domain::fault::{Code, Fault};
use crate::domain::project::{Project, ProjectId, ProjectState};
use crate::domain::room::RoomName;
use crate::domain::run::{PendingPermission, Run, RunId, RunState};

/// What is on disk of projects, as far as it is asked for often.
#[derive(Debug, Default)]
pub struct Projects(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    projects: BTreeMap<ProjectId, Arc<Project>>,
    unfinished: BTreeMap<RunId, Unfinished>,
    /// By project; none without.
    pending: BTreeMap<ProjectId, Vec<Arc<PendingPermission>>>,
    /// Runs so far, which gives them their order.
    runs: u64,
}

/// How many projects there are and how many runs that are not over, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Each is a state's word.
pub struct Counts {
    pub idle: u64,
    pub executing: u64,
    pub error: u64,
    pub queued: u64,
    pub running: u64,
    pub stalled: u64,
}

/// A run that is not over.
#[derive(Debug)]
struct Unfinished {
    number: u64,
    run: Arc<Run>,
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

    /// Checks that a room is not one of a project while projects are closed to whoever asks.
    ///
    /// # Errors
    /// PERMISSION_DENIED.
    pub fn check_room(
        &self,
        room: &RoomName,
        identity: &Identity,
        config: &Config,
    ) -> Result<(), Fault> {
        is_open_to(identity, config).or_else(|fault| match ProjectId::of_room(room) {
            Some(id) if self.project(id).is_some() => Err(fault),
            Some(_) | None => Ok(()),
        })
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
        let pending = read(&self.0).pending.get(&project).cloned();
        pending.unwrap_or_default()
    }

    /// How many there are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let state = read(&self.0);
        let mut counts = Counts::default();
        for project in state.projects.values() {
            *match project.state {
                ProjectState::Idle => &mut counts.idle,
                ProjectState::Executing => &mut counts.executing,
                ProjectState::Error => &mut counts.error,
            } += 1;
        }
        for unfinished in state.unfinished.values() {
            match unfinished.run.state {
                RunState::Queued => counts.queued += 1,
                RunState::Running => counts.running += 1,
                RunState::Stalled => counts.stalled += 1,
                RunState::Exited
                | RunState::Failed
                | RunState::Cancelled
                | RunState::Timeout
                | RunState::Lost => debug_assert!(false, "those are over"),
            }
        }
        counts
    }

    /// Notes a record that is on disk; its run remembers this `offset` of its room. True if it is
    /// the end of a run that was not over.
    pub(super) fn apply(&self, record: &Record, offset: Option<u64>) -> bool {
        let mut state = write(&self.0);
        match record {
            Record::Project(project) => {
                state
                    .projects
                    .insert(project.id, Arc::new((**project).clone()));
            }
            Record::ProjectDeleted(id) => {
                state.projects.remove(id);
                state.pending.remove(id);
                state.unfinished.retain(|_, known| known.run.project != *id);
            }
            Record::Run(run, _) if run.state.is_over() => {
                let ends = state.unfinished.remove(&run.id).is_some();
                // One that waited and was cancelled says nothing of the one that asks.
                if let Some(pending) = state.pending.get_mut(&run.project) {
                    pending.retain(|asked| asked.run != run.id);
                }
                state.pending.retain(|_, pending| !pending.is_empty());
                return ends;
            }
            Record::Permissions(project, pending) if pending.is_empty() => {
                state.pending.remove(project);
            }
            Record::Permissions(project, pending) => {
                let pending = pending.iter().cloned().map(Arc::new);
                state.pending.insert(*project, pending.collect());
            }
            Record::Run(run, mark) => {
                state.runs += 1;
                let number = state.runs;
                let mut run = (**run).clone();
                let slot = state.unfinished.entry(run.id);
                let known = slot.or_insert_with(|| Unfinished {
                    number,
                    run: Arc::new(run.clone()),
                });
                let first = offset.filter(|_| *mark == Mark::First);
                run.first_offset = known.run.first_offset.or(run.first_offset).or(first);
                known.run = Arc::new(run);
            }
        }
        false
    }
}

impl State {
    /// The place of a run among those that wait in its project, from 1; `None` for one that does not.
    fn position(&self, id: RunId) -> Option<usize> {
        let is_queued = |known: &&Unfinished| known.run.state == RunState::Queued;
        let Unfinished { number, run } = self.unfinished.get(&id).filter(is_queued)?;
        let queued = self.unfinished.values().filter(is_queued);
        let here = queued.filter(|known| known.run.project == run.project);
        Some(here.filter(|known| known.number <= *number).count())
    }
}

/// Where anybody who reaches the server is anonymous, nobody runs anything, nor reads what was said
/// in runs before.
pub(super) fn is_open_to(identity: &Identity, config: &Config) -> Result<(), Fault> {
    if *identity == Identity::Anonymous && config.insecure && !config.insecure_runs {
        return Err(Fault::new(
            Code::PermissionDenied,
            "projects and runs are closed while anybody who reaches the server could use them; use \
             auth.mode = \"token\", or the flag --insecure-runs",
        ));
    }
    Ok(())
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

    #[test]
    fn runs_that_wait_have_places_in_the_order_they_came() {
        let projects = Projects::default();
        let (mut first, mut second) = (run(1, 1), run(1, 2));
        let elsewhere = run(2, 3);
        keep(&projects, &elsewhere, Mark::None, None);
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
        assert_eq!(ids, [elsewhere.id, first.id, second.id]);
        second.state = RunState::Cancelled;
        keep(&projects, &second, Mark::Last, Some(9));
        assert!(projects.run(second.id).is_none(), "it is in the store");
        assert_eq!(projects.run(elsewhere.id).unwrap().1, Some(1));
    }

    #[test]
    fn permissions_are_pending_as_they_are_told_and_until_the_run_is_over() {
        let projects = Projects::default();
        let mut asking = run(1, 1);
        asking.state = RunState::Running;
        keep(&projects, &asking, Mark::None, None);
        let pending = |requests: &[&str]| {
            let pending = requests.iter().map(|request| PendingPermission {
                run: asking.id,
                request: (*request).into(),
                tool: "Bash".into(),
                input: "{}".into(),
            });
            Record::Permissions(asking.project, pending.collect())
        };
        for requests in [&["a", "b"][..], &["b"], &[], &["c"]] {
            projects.apply(&pending(requests), None);
            let known = projects.pending(asking.project);
            let known: Vec<&str> = known.iter().map(|pending| &*pending.request).collect();
            assert_eq!(known, requests);
        }
        let mut waited = run(1, 2);
        waited.state = RunState::Cancelled;
        keep(&projects, &waited, Mark::Last, None);
        assert_eq!(projects.pending(asking.project).len(), 1);
        let mut over = asking.clone();
        over.state = RunState::Failed;
        keep(&projects, &over, Mark::Last, None);
        assert!(projects.pending(asking.project).is_empty());
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
        projects.apply(&Record::ProjectDeleted(known.id), None);
        assert_eq!(*projects.list(), [Arc::new(other)]);
        assert_eq!(projects.unfinished().len(), 1);
        assert!(projects.project(known.id).is_none());
    }
}
