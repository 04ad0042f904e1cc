//! Runs that wait for the run before them in their project, or for a place on the host.
//!
//! One line for all, in the order of arrival; whose project is busy is passed by. Invariant: a run
//! stands in it at most once, and it is bounded, per project and in all.

use std::collections::VecDeque;

use crate::domain::launch::Launch;
use crate::domain::project::ProjectId;
use crate::domain::run::{Run, RunId};
use crate::executor::running::Starter;

/// Runs of one project that may wait.
pub(super) const QUEUED_PER_PROJECT: usize = 100;

/// Runs that may wait in all.
pub(super) const QUEUED: usize = 1000;

/// Bytes of what was asked of them, as it was asked and as it is executed.
pub(super) const QUEUED_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of what was asked of one run. Its environment is the server's doing, and small.
pub(super) fn held(prompt: &str, asked: [&Option<Box<str>>; 2], launch: &Launch) -> usize {
    let asked = asked.into_iter().flatten().map(|asked| asked.len());
    let arguments = launch.argv.iter().map(|argument| argument.len());
    prompt.len() + launch.input.len() + asked.chain(arguments).sum::<usize>()
}

/// A run that waits.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) run: Box<Run>,
    pub(super) launch: Box<Launch>,
    pub(super) state: QueuedState,
}

#[derive(Debug)]
pub(super) enum QueuedState {
    /// The store is asked to keep it, and then somebody is to be answered.
    Asked(Starter),
    /// It is kept.
    Kept,
}

#[derive(Debug, Default)]
pub(super) struct Queue(VecDeque<Queued>);

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Bytes that those who wait hold.
    pub(super) fn bytes(&self) -> usize {
        let bytes = |queued: &Queued| {
            let Run {
                prompt,
                options,
                params,
                ..
            } = &*queued.run;
            held(prompt, [options, params], &queued.launch)
        };
        self.0.iter().map(bytes).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, queued: Queued) {
        self.0.push_back(queued);
    }

    /// How many wait in a project.
    pub(super) fn count(&self, project: ProjectId) -> usize {
        self.of(project).count()
    }

    /// Those that wait in a project, first come first.
    pub(super) fn of(&self, project: ProjectId) -> impl Iterator<Item = &Queued> {
        self.0
            .iter()
            .filter(move |queued| queued.run.project == project)
    }

    /// A run that waits, with its place in its project, from 1.
    pub(super) fn find(&self, run: RunId) -> Option<(&Queued, usize)> {
        let found = self.0.iter().find(|queued| queued.run.id == run)?;
        let before = self
            .of(found.run.project)
            .take_while(|other| other.run.id != run);
        Some((found, before.count() + 1))
    }

    /// Notes that a run is kept; returns who waits for the answer.
    pub(super) fn keep(&mut self, run: RunId) -> Option<Starter> {
        let mut waiting = self.0.iter_mut();
        let queued = waiting.find(|queued| queued.run.id == run)?;
        match std::mem::replace(&mut queued.state, QueuedState::Kept) {
            QueuedState::Asked(starter) => Some(starter),
            QueuedState::Kept => None,
        }
    }

    pub(super) fn remove(&mut self, run: RunId) -> Option<Queued> {
        let at = self.0.iter().position(|queued| queued.run.id == run)?;
        self.0.remove(at)
    }

    /// Takes out the first run that is kept and whose project is ready for it.
    pub(super) fn take_next(&mut self, is_ready: impl Fn(ProjectId) -> bool) -> Option<Queued> {
        let at = self
            .0
            .iter()
            .position(|queued| queued.is_kept() && is_ready(queued.run.project))?;
        self.0.remove(at)
    }

    /// Takes out all runs that are kept, or those of one project.
    pub(super) fn take_kept(&mut self, project: Option<ProjectId>) -> Vec<Run> {
        let mut taken = Vec::new();
        for queued in std::mem::take(&mut self.0) {
            let is_meant = project.is_none_or(|project| queued.run.project == project);
            if is_meant && queued.is_kept() {
                taken.push(*queued.run);
            } else {
                self.0.push_back(queued);
            }
        }
        taken
    }
}

impl Queued {
    pub(super) fn is_kept(&self) -> bool {
        matches!(self.state, QueuedState::Kept)
    }
}
