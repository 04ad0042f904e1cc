//! Events of code under review: pull requests and issues.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Id, Link, Time};
use super::{Audience, Data};

/// There is a new pull request.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PullRequestCreated {
    /// Which pull request.
    pub pr_id: Id,
    /// The project it is of.
    pub project_id: Id,
    /// Its title.
    pub title: String,
    /// What it changes.
    pub description: Option<String>,
    /// Who wrote it.
    pub author: String,
    /// The branch it comes from.
    pub branch: String,
    /// Where it is shown.
    pub github_url: Link,
    /// How it is.
    pub status: String,
    /// When it was made.
    pub created_at: Option<Time>,
}

impl Data for PullRequestCreated {
    fn address(&self, to: &mut Audience) {
        to.project(Some(&self.project_id));
    }
}

/// A pull request changed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PullRequestUpdated {
    /// Which pull request.
    pub pr_id: Id,
    /// The project it is of.
    pub project_id: Id,
    /// Its title.
    pub title: String,
    /// How it is.
    pub status: String,
}

impl Data for PullRequestUpdated {
    fn address(&self, to: &mut Audience) {
        to.project(Some(&self.project_id));
    }
}

/// A pull request is closed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PullRequestClosed {
    /// Which pull request.
    pub pr_id: Id,
    /// The project it is of.
    pub project_id: Id,
    /// Its title.
    pub title: String,
    /// How it is.
    pub status: String,
    /// Whether its changes were taken.
    #[serde(default)]
    pub merged: bool,
}

impl Data for PullRequestClosed {
    fn address(&self, to: &mut Audience) {
        to.project(Some(&self.project_id));
    }
}

/// How an issue is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct IssueEvent {
    /// Which issue.
    pub issue_id: Id,
    /// The project it is of.
    pub project_id: Id,
    /// Its title.
    pub title: String,
    /// What it is about.
    pub description: Option<String>,
    /// How it is.
    pub status: IssueStatus,
    /// How much it matters.
    pub priority: Option<Priority>,
    /// Who is to deal with it; they are told, too.
    pub assigned_to: Option<Id>,
    /// When it last changed.
    pub updated_at: Option<Time>,
}

impl Data for IssueEvent {
    fn address(&self, to: &mut Audience) {
        to.project(Some(&self.project_id));
        to.user(self.assigned_to.as_ref());
    }
}

/// How an issue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IssueStatus {
    /// Nobody has dealt with it.
    Open,
    /// Somebody deals with it.
    InProgress,
    /// It is dealt with.
    Closed,
    /// It waits for something.
    Blocked,
}

/// How much an issue matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// It can wait.
    Low,
    /// In its turn.
    Medium,
    /// Soon.
    High,
    /// Now.
    Critical,
}
