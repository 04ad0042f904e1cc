//! What clients ask about projects and runs, whatever dialect they ask in.
//!
//! A dialect parses a message into one of these once; from then on its fields are trusted, but for
//! what only the server knows: whether a path exists, an agent is configured, a run is active.

use crate::base::clock::Wall;
use crate::domain::fault::{Code, Fault};
use crate::domain::project::ProjectId;
use crate::domain::run::RunId;

/// One checked request about projects or runs. Where `project` is `None`, the one is meant that the
/// session has joined last.
#[derive(Clone, Debug, PartialEq)]
pub enum RunCommand {
    /// Register a directory.
    CreateProject {
        /// The path as given: up to 4,096 bytes, not looked at yet.
        path: Box<str>,
        /// What people call it.
        name: Option<Box<str>>,
    },
    /// List the projects.
    ListProjects,
    /// Tell of one project.
    GetProject(Option<ProjectId>),
    /// Forget one.
    DeleteProject(Option<ProjectId>),
    /// Become a member of a project's room, and make it the session's own.
    Join(Option<ProjectId>),
    /// The opposite.
    Leave(Option<ProjectId>),
    /// Let the next run begin a new session of its agent.
    ResetSession(Option<ProjectId>),
    /// Start a run.
    Start(Box<Start>),
    /// End a run.
    Cancel(Target),
    /// Say something to a running agent.
    Input {
        /// The run.
        run: RunId,
        /// What.
        input: RunInput,
    },
    /// Answer what an agent asks permission for.
    Decide {
        /// The run.
        run: RunId,
        /// The id that the agent gave its question.
        request: Box<str>,
        /// The answer.
        decision: Decision,
    },
    /// List a project's runs, newest first.
    ListRuns {
        /// Whose.
        project: Option<ProjectId>,
        /// At most so many, from 1 to [`crate::base::limits::PAGE`].
        limit: usize,
        /// Those before this one.
        after: Option<RunId>,
    },
    /// Tell of one run.
    GetRun(RunId),
    /// Page through what was said in a project, to its agents and by them.
    Messages(MessageQuery),
}

impl RunCommand {
    /// Lets it mean the project `joined`, that of the session, if it names none. Returns the
    /// project that it is about; `None` if it is about none, or about a run.
    ///
    /// # Errors
    /// VALIDATION_FAILED when it needs a project and there is none.
    pub fn resolve(&mut self, joined: Option<ProjectId>) -> Result<Option<ProjectId>, Fault> {
        let Some(project) = self.project_mut() else {
            return Ok(None);
        };
        *project = project.or(joined);
        match *project {
            Some(project) => Ok(Some(project)),
            None => Err(Fault::new(
                Code::ValidationFailed,
                "project_id is required: name a project, or join one first",
            )),
        }
    }

    /// Where it names a project; `None` if it is about none, or about a run.
    fn project_mut(&mut self) -> Option<&mut Option<ProjectId>> {
        match self {
            Self::GetProject(project)
            | Self::DeleteProject(project)
            | Self::Join(project)
            | Self::Leave(project)
            | Self::ResetSession(project)
            | Self::Cancel(Target::ActiveIn(project))
            | Self::ListRuns { project, .. } => Some(project),
            Self::Start(start) => Some(&mut start.project),
            Self::Messages(query) => Some(&mut query.project),
            Self::CreateProject { .. }
            | Self::ListProjects
            | Self::Cancel(Target::Run(_))
            | Self::Input { .. }
            | Self::Decide { .. }
            | Self::GetRun(_) => None,
        }
    }
}

/// A run that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// Where.
    pub project: Option<ProjectId>,
    /// The agent's name.
    pub agent: Box<str>,
    /// What is asked of it.
    pub prompt: Box<str>,
    /// The options, a JSON object as the client spelt it.
    pub options: Option<Box<str>>,
    /// The parameters, a JSON object as the client spelt it.
    pub params: Option<Box<str>>,
    /// Idempotency key: a repeat within five minutes gets the first run.
    pub key: Option<Box<str>>,
}

/// A run that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The one of this id.
    Run(RunId),
    /// The active one of a project.
    ActiveIn(Option<ProjectId>),
}

/// What is said to a running agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunInput {
    /// Words, or a line.
    Text(Box<str>),
    /// Stop what you are doing, and listen.
    Interrupt,
}

/// What somebody decided about a permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the agent may.
    pub allow: bool,
    /// Why not, for the agent.
    pub message: Option<Box<str>>,
    /// What it may do in place of what it asked for, a JSON object.
    pub updated_input: Option<Box<str>>,
    /// Who decided, as others are told; `None` for nobody who has a name.
    pub by: Option<Box<str>>,
}

/// Which messages of a project's runs a client wants to read, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageQuery {
    /// Whose.
    pub project: Option<ProjectId>,
    /// Those later than this.
    pub since: Option<Wall>,
    /// At most so many, from 1 to 1,000.
    pub limit: usize,
    /// So many of them are left out first.
    pub offset: u64,
    /// From whom.
    pub direction: Direction,
}

/// From whom messages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Either.
    All,
    /// What was asked.
    Client,
    /// What the agents said.
    Claude,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn a_command_that_names_no_project_means_the_sessions_own() {
        let mut rng = Rng::from_seed(1);
        let (own, other) = (ProjectId::random(&mut rng), ProjectId::random(&mut rng));
        let check = |named, joined, expected: Option<ProjectId>| {
            for make in [RunCommand::Leave, RunCommand::DeleteProject] {
                let mut command = make(named);
                let outcome = command.resolve(joined).map_err(|fault| fault.code);
                let wanted = expected.map(Some).ok_or(Code::ValidationFailed);
                assert_eq!(outcome, wanted, "{named:?} {joined:?}");
                assert_eq!(command, make(expected), "{named:?} {joined:?}");
            }
        };
        check(Some(other), Some(own), Some(other));
        check(Some(other), None, Some(other));
        check(None, Some(own), Some(own));
        check(None, None, None);
        let about_none = RunCommand::ListProjects.resolve(Some(own));
        assert_eq!(about_none.unwrap(), None);
    }
}
