//! A run: one execution of an agent in a project, as it is kept and told.
//!
//! Plain values; the machine that moves them is the executor's. May not touch: processes, files,
//! spellings on the wire. Invariant: a run that is over never changes again.

use std::sync::Arc;

use crate::base::clock::Wall;
use crate::base::rng::Rng;
use crate::base::uuid::Uuid;
use crate::domain::project::ProjectId;

/// A run's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub Uuid);

impl RunId {
    /// A new id.
    #[must_use]
    pub fn random(rng: &mut Rng) -> Self {
        Self(Uuid::random(rng))
    }

    /// Reads a UUID; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::parse(text).map(Self)
    }
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// It waits for the project's run before it, or for a place on the host.
    Queued,
    /// It is active.
    Running,
    /// It is active and has printed nothing for long.
    Stalled,
    /// It ended by itself with exit code 0.
    Exited,
    /// It could not be started, ended with another code or by a signal, or its result is an error.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
    /// It took longer than it may.
    Timeout,
    /// The server ended while it was active.
    Lost,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Running,
        Self::Stalled,
        Self::Exited,
        Self::Failed,
        Self::Cancelled,
        Self::Timeout,
        Self::Lost,
    ];

    /// Its word on every wire and in the store.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Stalled => "stalled",
            Self::Exited => "exited",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
        }
    }

    /// The state of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether it ended.
    #[must_use]
    pub const fn is_over(self) -> bool {
        match self {
            Self::Queued | Self::Running | Self::Stalled => false,
            Self::Exited | Self::Failed | Self::Cancelled | Self::Timeout | Self::Lost => true,
        }
    }
}

/// A run as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Where it happens.
    pub project: ProjectId,
    /// The agent's name in the configuration.
    pub agent: Box<str>,
    /// Where it stands.
    pub state: RunState,
    /// What was asked of the agent; empty for one that takes none.
    pub prompt: Box<str>,
    /// The options, a JSON object as the client spelt it.
    pub options: Option<Box<str>>,
    /// The parameters, a JSON object as the client spelt it.
    pub params: Option<Box<str>>,
    /// When it was asked for.
    pub created_at: Wall,
    /// When its process was started.
    pub started_at: Option<Wall>,
    /// When it was over.
    pub ended_at: Option<Wall>,
    /// The exit code of its leader.
    pub exit_code: Option<i32>,
    /// The signal that ended its leader.
    pub signal: Option<i32>,
    /// Why it did not end well, one sentence.
    pub reason: Option<Box<str>>,
    /// The newest session id that the agent told.
    pub session_id: Option<Box<str>>,
    /// What the agent says of its work.
    pub result: Option<RunResult>,
    /// The offset of its first publication in the project's room, once it is on disk.
    pub first_offset: Option<u64>,
    /// The offset of its last one, once that is on disk.
    pub last_offset: Option<u64>,
    /// Part of its output was not read.
    pub truncated: bool,
}

impl Run {
    /// A run that was asked for just now, of which nothing else is known yet: it waits.
    #[must_use]
    pub fn asked(
        id: RunId,
        project: ProjectId,
        agent: Box<str>,
        prompt: Box<str>,
        created_at: Wall,
    ) -> Self {
        Self {
            id,
            project,
            agent,
            state: RunState::Queued,
            prompt,
            options: None,
            params: None,
            created_at,
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
}

/// What an agent says of its work when it is done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunResult {
    /// What it cost.
    pub cost_usd: Option<f64>,
    /// How many turns it took.
    pub turns: Option<u64>,
    /// What it used, a JSON object as the agent spelt it.
    pub usage: Option<Box<str>>,
}

/// A pipe that a run's processes write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl OutputStream {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// Its word on every wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// What an agent asks permission for; somebody is to decide while its run lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingPermission {
    /// The run whose agent asks.
    pub run: RunId,
    /// The id that the agent gave its question.
    pub request: Arc<str>,
    /// The tool that it wants to use.
    pub tool: Arc<str>,
    /// What the tool is to be given, JSON on one line.
    pub input: Arc<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_as_they_are_spelt() {
        for state in RunState::ALL {
            assert_eq!(RunState::parse(state.word()), Some(state));
        }
        assert_eq!(RunState::parse("ended"), None);
        assert_eq!(
            RunState::ALL.iter().filter(|state| state.is_over()).count(),
            5
        );
    }
}
