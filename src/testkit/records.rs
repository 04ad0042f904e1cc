//! Projects and runs for tests, told apart by small numbers.

use crate::base::clock::Wall;
use crate::base::rng::Rng;
use crate::domain::project::{Project, ProjectId, ProjectState};
use crate::domain::run::{Run, RunId, RunState};

/// A project with nothing in it.
#[must_use]
pub fn project(number: u64) -> Project {
    Project {
        id: ProjectId::random(&mut Rng::from_seed(number)),
        path: format!("/srv/{number}").into(),
        name: None,
        state: ProjectState::Idle,
        error: None,
        session_id: None,
        created_at: Wall::from_millis(number),
        last_active: Wall::from_millis(number),
        run: None,
    }
}

/// A run of a project that waits.
#[must_use]
pub fn run(project: u64, number: u64) -> Run {
    Run {
        id: RunId::random(&mut Rng::from_seed(1000 + number)),
        project: self::project(project).id,
        agent: "claude".into(),
        state: RunState::Queued,
        prompt: format!("prompt {number}").into(),
        options: None,
        params: None,
        created_at: Wall::from_millis(number),
        started_at: None,
        ended_at: None,
        exit_code: None,
        signal: None,
        reason: None,
        session_id: None,
        result: None,
        first_offset: None,
        last_offset: None,
        truncated: false,
    }
}
