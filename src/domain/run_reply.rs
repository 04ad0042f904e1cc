//! What comes of a request about projects and runs, whatever dialect it is told in.
//!
//! Plain values; how they are spelt is the dialects'. May not touch: who asked, rooms, processes.

use crate::base::clock::Wall;
use crate::domain::project::{Project, ProjectId};
use crate::domain::run::{Run, RunId};

/// What is told to whoever asked.
#[derive(Clone, Debug, PartialEq)]
pub enum RunReply {
    /// The project is registered.
    Created(Project),
    /// All projects in the order they were made, each with the members of its room.
    Projects(Vec<(Project, usize)>),
    /// The project is forgotten.
    Deleted(ProjectId),
    /// Its next run begins a new session; this was the old one.
    Reset(Project, Option<Box<str>>),
    /// The run is started, or waits at this place, from 1.
    Started(Box<Run>, Option<usize>),
    /// The run is being ended, or was taken out of the queue.
    Cancelled(Box<Run>),
    /// The agent was told.
    Told(RunId),
    /// One run, with its place if it waits.
    Run(Box<Run>, Option<usize>),
    /// A page of a project's runs.
    Runs(RunPage),
    /// A page of what was said in a project.
    Messages(MessagePage),
}

/// A page of a project's runs, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct RunPage {
    /// Whose.
    pub project: ProjectId,
    /// The runs, each with its place if it waits.
    pub runs: Vec<(Run, Option<usize>)>,
    /// Whether the next page holds something.
    pub more: bool,
}

/// A page of what was said in a project, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct MessagePage {
    /// Whose.
    pub project: ProjectId,
    /// What is on this page.
    pub messages: Vec<RunMessage>,
    /// How many there are in all, after `since` and from whom they were asked for.
    pub total: u64,
    /// So many of them stand before this page.
    pub offset: u64,
    /// At most so many were asked for.
    pub limit: usize,
    /// Those later than this were asked for.
    pub since: Option<Wall>,
}

/// One message of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunMessage {
    /// When it was said.
    pub at: Wall,
    /// By whom.
    pub speaker: Speaker,
    /// Its type: `user` for a prompt, what the agent's line says of itself, or the name of the
    /// stream that the line came from.
    pub kind: Box<str>,
    /// What was said, as JSON: `{"text":…}` for a prompt, the agent's object as it is, or its line
    /// as a string.
    pub content: Box<str>,
}

/// Who said something in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// Whoever started it.
    Client,
    /// The agent.
    Agent,
}
