//! What clients ask about projects and runs, whatever dialect they ask in.
//!
//! A dialect parses a message into one of these once; from then on its fields are trusted, but for
//! what only the server knows: whether a path exists, an agent is configured, a run is active.

use crate::base::clock::Wall;
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
