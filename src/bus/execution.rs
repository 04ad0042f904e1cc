//! What clients ask of the executor, on its way to the executor's thread, and what it has the store
//! write.
//!
//! The executor owns what is active; whoever asks has one request in flight and is paused until it
//! is answered, as with a [`job`](crate::bus::job). Invariant: a request owns all it needs, and what
//! the asker may do has been checked already.

use crate::base::ids::{PeerId, ShardId};
use crate::dialect::native::decode::Correlation;
use crate::domain::fault::Fault;
use crate::domain::idempotency::{Fingerprint, Scope};
use crate::domain::launch::Launch;
use crate::domain::project::{Project, ProjectId};
use crate::domain::run::{PendingPermission, Run, RunId};
use crate::domain::run_command::{Decision, RunInput};
use crate::domain::run_reply::RunReply;

/// What one client asks of the executor.
#[derive(Debug)]
pub struct Request {
    /// What is to be done.
    pub order: RunOrder,
    /// Who waits for the answer.
    pub asker: RunAsker,
}

/// Who waits for the answer to a request.
#[derive(Debug)]
pub struct RunAsker {
    /// The shard that waits.
    pub shard: ShardId,
    /// The peer it is for.
    pub peer: PeerId,
    /// How it is answered.
    pub form: RunForm,
}

/// How a request is answered.
#[derive(Clone, Debug)]
pub enum RunForm {
    /// Over HTTP.
    Http,
    /// By a message of the native dialect; `name` is the type that was asked with.
    Reply {
        /// What the reply repeats.
        to: Correlation,
        /// The type of the command.
        name: &'static str,
    },
}

/// One thing to be done with projects and runs.
#[derive(Debug)]
pub enum RunOrder {
    /// Register a directory. Its path was resolved; that it nests in no other is still to be checked.
    CreateProject {
        /// The real path.
        path: Box<str>,
        /// What people call it.
        name: Option<Box<str>>,
        /// At most so many projects; `None` for any number.
        projects_max: Option<usize>,
    },
    /// Forget a project with its runs and its stream. Its directory stays.
    DeleteProject(ProjectId),
    /// Let the next run of a project begin a new session of its agent.
    ResetSession(ProjectId),
    /// Start a run, or let it wait.
    Start(Box<StartOrder>),
    /// End a run, or take it out of the queue.
    Cancel(RunTarget, CancelAnswer),
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
}

/// A run that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunTarget {
    /// The one of this id.
    Run(RunId),
    /// The active one of a project.
    ActiveIn(ProjectId),
}

/// When a request to end a run is answered. A run that waits is taken out of the queue first, either
/// way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelAnswer {
    /// As soon as the run is being ended.
    AtOnce,
    /// After its last event: nothing of it is left then.
    WhenOver,
}

/// A run that is to be started.
#[derive(Debug)]
pub struct StartOrder {
    /// Where.
    pub project: ProjectId,
    /// The agent's name.
    pub agent: Box<str>,
    /// What was asked of it.
    pub prompt: Box<str>,
    /// The options as the client spelt them, a JSON object.
    pub options: Option<Box<str>>,
    /// The parameters as the client spelt them, a JSON object.
    pub params: Option<Box<str>>,
    /// What is executed.
    pub launch: Launch,
    /// Whether it waits if the project, or the host, is busy; else it is refused.
    pub waits: bool,
    /// Runs that may be active on the host; `None` for any number.
    pub runs_max: Option<usize>,
    /// A repeat with the same key gets the run of the first request.
    pub key: Option<(Scope, Fingerprint)>,
}

/// What came of a request; the answer is made of it.
#[derive(Clone, Debug, PartialEq)]
pub enum RunAnswer {
    /// The project is registered.
    Created(Project),
    /// It is forgotten.
    Deleted(ProjectId),
    /// Its next run begins a new session; this was the old one.
    Reset(Project, Option<Box<str>>),
    /// The run is started, or waits at this place, from 1.
    Started(Box<Run>, Option<usize>),
    /// A start with this key was carried out before, and its run is over: this is its id, and the
    /// store has the rest.
    Repeated(RunId),
    /// The run is being ended, or has been taken out of the queue: as it stands now.
    Cancelled(Box<Run>),
    /// The agent was told.
    Told(RunId),
}

impl From<RunAnswer> for RunReply {
    fn from(answer: RunAnswer) -> Self {
        match answer {
            RunAnswer::Created(project) => Self::Created(project),
            RunAnswer::Deleted(project) => Self::Deleted(project),
            RunAnswer::Reset(project, old) => Self::Reset(project, old),
            RunAnswer::Started(run, position) => Self::Started(run, position),
            RunAnswer::Cancelled(run) => Self::Cancelled(run),
            RunAnswer::Told(run) => Self::Told(run),
        }
    }
}

/// What is to be kept of projects and runs, in the transaction of the publications that tell of it.
#[derive(Clone, Debug)]
pub enum Record {
    /// As it stands now.
    Project(Box<Project>),
    /// It is gone, and with it its runs.
    ProjectDeleted(ProjectId),
    /// As it stands now, but for its offsets: those it remembers stay unless the mark names one.
    Run(Box<Run>, Mark),
    /// What agents ask permission for in a project, all of it. For those who join its room, and not
    /// for the disk: a run that is lost asks nothing any more.
    Permissions(ProjectId, Box<[PendingPermission]>),
}

/// Which offset of its room a run is to remember: that of the publication before it in the same
/// errand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// None.
    None,
    /// As its first.
    First,
    /// As its last.
    Last,
}

/// Marks an errand of the executor, so that its outcome finds what it was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What became of an errand: all of it is on disk and told, or nothing of it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// Which.
    pub ticket: Ticket,
    /// Why nothing was done.
    pub outcome: Result<(), Fault>,
}
