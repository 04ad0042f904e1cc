//! Events of a team's services: projects, agents, workflows, and what an assistant suggests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::boards::{Change, Deletion, Project};
use super::values::{Count, Id, Link, Time, Within};
use super::{Audience, Data, Members};

/// A project changed, as boards or as the project's service tell it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProjectUpdated {
    /// Which project.
    pub project_id: Id,
    /// Its name.
    pub project_name: Option<String>,
    /// Where its code is.
    pub repository_url: Option<Link>,
    /// How it is.
    pub status: Option<String>,
    /// Who changed it.
    pub updated_by: Option<Id>,
    /// What changed, with its new values.
    pub changes: Option<Members>,
    /// What happened, as boards say it; with it everybody is told.
    pub action: Option<Change>,
    /// The whole project, as boards know it.
    pub project: Option<Project>,
}

impl Data for ProjectUpdated {
    fn address(&self, to: &mut Audience) {
        to.project(Some(&self.project_id));
        to.user(self.updated_by.as_ref());
        if self.action.is_some() {
            to.global();
        }
    }
}

/// A project is gone, as boards or as the project's service tell it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProjectDeleted {
    /// Which project.
    pub project_id: Id,
    /// Who deleted it.
    pub deleted_by: Option<Id>,
    /// What happened, as boards say it; with it everybody is told.
    pub action: Option<Deletion>,
}

impl Data for ProjectDeleted {
    fn address(&self, to: &mut Audience) {
        to.project(Some(&self.project_id));
        to.user(self.deleted_by.as_ref());
        if self.action.is_some() {
            to.global();
        }
    }
}

/// How an agent is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AgentEvent {
    /// Which agent.
    pub agent_id: Id,
    /// Its name.
    pub agent_name: String,
    /// How it is.
    pub status: AgentStatus,
    /// How much of it is free, in percent.
    #[serde(default)]
    pub availability: Within<0, 100>,
    /// Since when.
    pub timestamp: Option<Time>,
    /// Whatever else is to be said.
    #[serde(default)]
    pub metadata: Members,
}

impl Data for AgentEvent {
    fn address(&self, to: &mut Audience) {
        to.agent(&self.agent_id);
        to.global();
        to.project(None);
    }
}

/// How an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentStatus {
    /// It is there.
    Online,
    /// It is not there.
    Offline,
    /// It works.
    Busy,
    /// It has nothing to do.
    Idle,
    /// It cannot work.
    Error,
}

/// How far a workflow is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowEvent {
    /// Which workflow.
    pub workflow_id: Id,
    /// Its project.
    pub project_id: Option<Id>,
    /// How it is.
    pub status: WorkflowStatus,
    /// How much of it is done, in percent.
    #[serde(default)]
    pub progress: Within<0, 100>,
    /// What it does now.
    pub current_step: String,
    /// How many steps it has.
    pub total_steps: Count,
    /// Seconds until its end.
    pub estimated_time_remaining: Option<Count>,
    /// What it said.
    pub logs: Option<Vec<String>>,
    /// What went wrong.
    pub errors: Option<Vec<String>>,
    /// Where it is shown, if it is one of GitHub's.
    pub github_url: Option<Link>,
}

impl Data for WorkflowEvent {
    fn address(&self, to: &mut Audience) {
        to.project_or_global(self.project_id.as_ref());
    }
}

/// How a workflow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkflowStatus {
    /// It has not begun.
    Pending,
    /// It goes on.
    Running,
    /// It did what it should.
    Completed,
    /// It did not.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

/// What an assistant suggests.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Suggestion {
    /// Which suggestion.
    pub suggestion_id: Id,
    /// The project it is for.
    pub project_id: Option<Id>,
    /// What it is about.
    pub target_type: Target,
    /// Which of them.
    pub target_id: Id,
    /// What would be better.
    pub category: Category,
    /// The suggestion in short.
    pub title: String,
    /// The suggestion.
    pub description: String,
    /// How much it matters.
    #[serde(default)]
    pub severity: Severity,
    /// How sure the assistant is.
    #[serde(default)]
    pub confidence: Within<0, 1>,
    /// What could be done.
    pub suggested_action: Option<String>,
    /// Whatever else is to be said.
    #[serde(default)]
    pub metadata: Members,
}

impl Data for Suggestion {
    fn address(&self, to: &mut Audience) {
        to.project_or_global(self.project_id.as_ref());
    }
}

/// What a suggestion is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// An issue.
    Issue,
    /// A pull request.
    Pr,
    /// Some code.
    Code,
}

/// What would be better with a suggestion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// It would need less.
    Optimization,
    /// It would be better made.
    Refactor,
    /// It would be right.
    BugFix,
    /// It would be safer.
    Security,
    /// It would be faster.
    Performance,
    /// It would be easier to change.
    Maintainability,
}

/// How much a suggestion matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It would be nice.
    #[default]
    Info,
    /// It should be looked at.
    Warning,
    /// It must be looked at.
    Critical,
}

/// An assistant has looked at something.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Analysis {
    /// What it looked at.
    pub target_type: Target,
    /// Which of them.
    pub target_id: Id,
    /// The project it is of.
    pub project_id: Option<Id>,
    /// What it found.
    pub summary: String,
    /// How much it suggests.
    pub suggestion_count: Count,
}

impl Data for Analysis {
    fn address(&self, to: &mut Audience) {
        to.project_or_global(self.project_id.as_ref());
    }
}
