//! Projects and runs for tests, told apart by small numbers.

use crate::base::clock::Wall;
use crate::base::rng::Rng;
use crate::domain::project::{Project, ProjectId, ProjectState};
use crate::domain::run::{Run, RunId};

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
    let id = RunId::random(&mut Rng::from_seed(1000 + number));
    let prompt = format!("prompt {number}").into();
    let project = self::project(project).id;
    Run::asked(
        id,
        project,
        "claude".into(),
        prompt,
        Wall::from_millis(number),
    )
}
