//! Events of boards: tasks, boards and the projects they belong to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Count, Id, Time};
use super::{Audience, Data, Members};

/// What `action` says of something new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Creation {
    /// It was made.
    #[default]
    Created,
}

/// What `action` says of something that changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Members of it changed.
    #[default]
    Updated,
    /// It stands in another column.
    Moved,
    /// It stands in another place.
    Reordered,
}

/// What `action` says of something that is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deletion {
    /// It is gone.
    #[default]
    Deleted,
}

/// What happened to a task.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TaskEvent<A: Default + Serialize> {
    /// Which task.
    pub task_id: Id,
    /// Its board.
    pub board_id: Id,
    /// The board's project.
    pub project_id: Option<Id>,
    /// What happened.
    #[serde(default)]
    pub action: A,
    /// What changed, with its new values.
    pub changes: Option<Members>,
    /// The whole task.
    pub task: Option<Task>,
}

impl<A: Default + Serialize> Data for TaskEvent<A> {
    fn address(&self, to: &mut Audience) {
        to.global();
        to.board(&self.board_id);
        to.project(self.project_id.as_ref());
    }
}

/// A board changed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BoardUpdated {
    /// Which board.
    pub board_id: Id,
    /// Its project.
    pub project_id: Option<Id>,
    /// What happened.
    #[serde(default)]
    pub action: Change,
    /// What changed, with its new values.
    pub changes: Option<Members>,
    /// The whole board.
    pub board: Option<Board>,
}

impl Data for BoardUpdated {
    fn address(&self, to: &mut Audience) {
        to.global();
        to.board(&self.board_id);
        to.project(self.project_id.as_ref());
    }
}

/// A project was made.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProjectCreated {
    /// Which project.
    pub project_id: Id,
    /// What happened.
    #[serde(default)]
    pub action: Creation,
    /// What was set, with its values.
    pub changes: Option<Members>,
    /// The whole project.
    pub project: Option<Project>,
}

impl Data for ProjectCreated {
    fn address(&self, to: &mut Audience) {
        to.global();
        to.project(Some(&self.project_id));
    }
}

/// A task, of which nothing need be said.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// Which.
    pub id: Option<Id>,
    /// Its board.
    pub board_id: Option<Id>,
    /// Its title.
    pub title: Option<String>,
    /// What is to be done.
    pub description: Option<String>,
    /// Its column, or how far it is.
    pub status: Option<String>,
    /// How urgent it is.
    pub priority: Option<Urgency>,
    /// Who does it.
    pub assignee: Option<Actor>,
    /// Its labels.
    pub labels: Option<Vec<String>>,
    /// When it is to be done.
    pub due_date: Option<Time>,
    /// Hours that it is thought to take.
    pub estimate: Option<f64>,
    /// Hours that it took.
    pub actual: Option<f64>,
    /// Tasks that come before it.
    pub dependencies: Option<Vec<Id>>,
    /// Tasks that wait for it.
    pub blocks: Option<Vec<Id>>,
    /// Tasks like it.
    pub related: Option<Vec<Id>>,
    /// What it is about.
    pub linked_items: Option<Vec<LinkedItem>>,
    /// Its steps.
    pub checklist: Option<Vec<ChecklistItem>>,
    /// When it was made.
    pub created_at: Option<Time>,
    /// When it last changed.
    pub updated_at: Option<Time>,
    /// Who made it.
    pub created_by: Option<Actor>,
    /// What happened to it.
    pub activity: Option<Vec<Activity>>,
}

/// How urgent a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// It can wait.
    Low,
    /// In its turn.
    Medium,
    /// Soon.
    High,
    /// Now.
    Urgent,
}

/// Somebody who works on tasks.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Actor {
    /// What they are.
    #[serde(rename = "type")]
    pub kind: ActorKind,
    /// Who.
    pub id: Id,
    /// Their name.
    pub name: Option<String>,
}

/// What somebody who works on tasks is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A person.
    Human,
    /// A program.
    Agent,
}

/// What a task is about.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LinkedItem {
    /// What it is: a doc, a file, a commit.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which.
    pub id: Id,
    /// Where it is.
    pub path: Option<String>,
}

/// A step of a task.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ChecklistItem {
    /// Which.
    pub id: Id,
    /// What is to be done.
    pub text: String,
    /// Whether it is done.
    #[serde(default)]
    pub completed: bool,
}

/// Something that happened to a task.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Activity {
    /// What: created, updated, commented, moved.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who did it.
    pub user: Option<String>,
    /// When.
    pub timestamp: Option<Time>,
    /// What changed.
    pub changes: Option<Members>,
    /// What was said.
    pub comment: Option<String>,
}

/// A board, of which nothing need be said.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Board {
    /// Which.
    pub id: Option<Id>,
    /// Its project.
    pub project_id: Option<Id>,
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Its columns.
    pub columns: Option<Vec<Column>>,
    /// When it was made.
    pub created_at: Option<Time>,
    /// When it last changed.
    pub updated_at: Option<Time>,
}

/// A column of a board.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Column {
    /// Which.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// Tasks it takes at a time.
    pub wip_limit: Option<Count>,
    /// Its place.
    pub order: Option<Count>,
}

/// A project as boards know it, of which nothing need be said.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Project {
    /// Which.
    pub id: Option<Id>,
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Where it is.
    pub path: Option<String>,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: Option<ProjectKind>,
    /// When it was made.
    pub created_at: Option<Time>,
    /// When it last changed.
    pub updated_at: Option<Time>,
    /// How it is shown.
    pub settings: Option<Members>,
    /// What is known of its code.
    pub metadata: Option<Members>,
}

/// What a project is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProjectKind {
    /// Something for browsers.
    WebApp,
    /// Something for programs.
    Api,
    /// Something for other projects.
    Library,
    /// Something else.
    Custom,
}
