//! The typed catalogue: every event that producers can name, with its data, rooms and source.
//!
//! ```text
//! type, data ── find ── EventType ── check ── Event {rooms, data, source} ── published as any other
//!                          └─ schema: what the data may be, made from the same Rust type
//! ```
//!
//! One row of [`CATALOGUE`] is all that there is of an event: its data's type checks, addresses and
//! describes it. Members that a type does not know stay in the data as they were sent; defaults are
//! added where a member is absent. May not touch: who may publish, how events are spelt.

pub mod boards;
pub mod code;
mod reading;
pub mod services;
#[cfg(test)]
mod tests;
pub mod values;

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use self::boards::{BoardUpdated, Change, Creation, Deletion, ProjectCreated, TaskEvent};
use self::code::{IssueEvent, PullRequestClosed, PullRequestCreated, PullRequestUpdated};
pub use self::reading::read;
use self::reading::{complete, require};
use self::services::{
    AgentEvent, Analysis, ProjectDeleted, ProjectUpdated, Suggestion, WorkflowEvent,
};
use self::values::Id;
use crate::base::limits;
use crate::domain::fault::{Code, Fault};
use crate::domain::room::RoomName;
use crate::wire::json::raw::compact;

/// A JSON object of which nothing is known.
pub type Members = Map<String, Value>;

/// The data of an event, which knows whom it concerns.
pub trait Data {
    /// Names the rooms of whoever it concerns.
    fn address(&self, to: &mut Audience);
}

/// The rooms that an event goes to, each once, in the order they were named.
#[derive(Debug, Default)]
pub struct Audience {
    /// A project that whoever published named beside the data.
    project: Option<Id>,
    rooms: Vec<RoomName>,
}

impl Audience {
    /// Everybody.
    pub fn global(&mut self) {
        self.add("global", None);
    }

    /// Whoever looks at a board.
    pub fn board(&mut self, id: &Id) {
        self.add("board", Some(id));
    }

    /// Whoever looks at an agent.
    pub fn agent(&mut self, id: &Id) {
        self.add("agent", Some(id));
    }

    /// A user, if one is named.
    pub fn user(&mut self, id: Option<&Id>) {
        if id.is_some() {
            self.add("user", id);
        }
    }

    /// Whoever looks at the project that the data names, and at the one named beside it.
    pub fn project(&mut self, id: Option<&Id>) {
        let beside = self.project.take();
        for id in id.into_iter().chain(&beside) {
            self.add("project", Some(id));
        }
    }

    /// The same, or everybody if neither is named.
    pub fn project_or_global(&mut self, id: Option<&Id>) {
        self.project(id);
        if self.rooms.is_empty() {
            self.global();
        }
    }

    fn add(&mut self, namespace: &str, id: Option<&Id>) {
        let room = match id {
            Some(id) => RoomName::of(namespace, id.as_str()),
            None => RoomName::parse(namespace),
        };
        debug_assert!(room.is_ok(), "an id is fit for a room's name");
        if let Some(room) = room.ok().filter(|room| !self.rooms.contains(room)) {
            self.rooms.push(room);
        }
    }
}

/// One type of event.
#[derive(Debug)]
pub struct EventType {
    /// Its name.
    pub name: &'static str,
    /// Who sends it, unless whoever does says something else.
    pub source: Option<&'static str>,
    /// What it says, as a sentence.
    pub about: &'static str,
    address: fn(&str, &mut Audience) -> Result<(), Fault>,
    schema: fn() -> Schema,
}

const fn event<T: Data + DeserializeOwned + JsonSchema>(
    name: &'static str,
    source: Option<&'static str>,
    about: &'static str,
) -> EventType {
    EventType {
        name,
        source,
        about,
        address: |text, to| {
            let data: T = read("data", text)?;
            data.address(to);
            Ok(())
        },
        schema: || {
            let settings = SchemaSettings::draft07().with(|settings| {
                settings.inline_subschemas = true;
                settings.meta_schema = None;
            });
            settings.into_generator().into_root_schema_for::<T>()
        },
    }
}

/// Whoever keeps boards has no name of its own.
const BOARDS: Option<&str> = None;
const PROJECTS: Option<&str> = Some("project_service");
const AGENTS: Option<&str> = Some("agent_service");
const WORKFLOWS: Option<&str> = Some("workflow_service");
const GITHUB: Option<&str> = Some("github_service");
const ASSISTANT: Option<&str> = Some("ai_dock_service");

/// Every type of event, in the order of the documentation.
pub static CATALOGUE: [EventType; 22] = [
    event::<TaskEvent<Creation>>("task.created", BOARDS, "A task was made."),
    event::<TaskEvent<Change>>("task.updated", BOARDS, "A task changed."),
    event::<TaskEvent<Deletion>>("task.deleted", BOARDS, "A task is gone."),
    event::<BoardUpdated>("board.updated", BOARDS, "A board changed."),
    event::<ProjectCreated>("project.created", BOARDS, "A project was made."),
    event::<ProjectUpdated>("project.updated", PROJECTS, "A project changed."),
    event::<ProjectDeleted>("project.deleted", PROJECTS, "A project is gone."),
    event::<AgentEvent>(
        "agent.status_changed",
        AGENTS,
        "An agent is in another state.",
    ),
    event::<AgentEvent>("agent.connected", AGENTS, "An agent is there."),
    event::<AgentEvent>(
        "agent.disconnected",
        AGENTS,
        "An agent is not there any more.",
    ),
    event::<WorkflowEvent>("workflow.started", WORKFLOWS, "A workflow has begun."),
    event::<WorkflowEvent>("workflow.progress", WORKFLOWS, "A workflow is further."),
    event::<WorkflowEvent>(
        "workflow.completed",
        WORKFLOWS,
        "A workflow did what it should.",
    ),
    event::<WorkflowEvent>("workflow.failed", WORKFLOWS, "A workflow did not."),
    event::<PullRequestCreated>("pr.created", GITHUB, "There is a new pull request."),
    event::<PullRequestUpdated>("pr.updated", GITHUB, "A pull request changed."),
    event::<PullRequestClosed>("pr.closed", GITHUB, "A pull request is closed."),
    event::<IssueEvent>("issue.created", GITHUB, "There is a new issue."),
    event::<IssueEvent>("issue.updated", GITHUB, "An issue changed."),
    event::<IssueEvent>("issue.closed", GITHUB, "An issue is closed."),
    event::<Suggestion>(
        "ai.suggestion",
        ASSISTANT,
        "An assistant suggests something.",
    ),
    event::<Analysis>(
        "ai.analysis_complete",
        ASSISTANT,
        "An assistant has looked at something.",
    ),
];

/// The schemas, in the order of the catalogue.
static SCHEMAS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    CATALOGUE
        .iter()
        .map(|row| (row.schema)().to_value())
        .collect()
});

/// An event whose data was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its type's name.
    pub name: &'static str,
    /// The rooms of whoever it concerns; at least one.
    pub rooms: Vec<RoomName>,
    /// Its data: a JSON object on one line.
    pub data: Box<str>,
    /// Who sends events of its type.
    pub source: Option<&'static str>,
}

/// The type called `name`.
///
/// # Errors
/// VALIDATION_FAILED, with the nearest name.
pub fn find(name: &str) -> Result<&'static EventType, Fault> {
    if let Some(row) = CATALOGUE.iter().find(|row| row.name == name) {
        return Ok(row);
    }
    // Comparing costs the product of the lengths.
    let start: String = name.chars().take(64).collect();
    let distance = |row: &&EventType| strsim::damerau_levenshtein(&start, row.name);
    let nearest = CATALOGUE.iter().min_by_key(distance);
    let hint = match nearest.filter(|row| distance(row) <= row.name.len() / 2) {
        Some(row) => format!("did you mean {}?", row.name),
        None => {
            let names: Vec<&str> = CATALOGUE.iter().map(|row| row.name).collect();
            format!("there are {}", names.join(", "))
        }
    };
    let shown = start.escape_debug();
    let fault = Fault::new(
        Code::ValidationFailed,
        format!("type: no event is called \"{shown}\"; {hint}"),
    );
    Err(fault.with_details(serde_json::json!({ "path": "type" })))
}

impl EventType {
    /// Checks the text of `data`, which is valid JSON, member by member, and addresses it;
    /// `project` is one that was named beside it.
    ///
    /// # Errors
    /// VALIDATION_FAILED with the path of the member, what is wrong with it and what would be right.
    pub fn check(&'static self, data: &str, project: Option<Id>) -> Result<Event, Fault> {
        let line = compact(data, limits::JSON_DEPTH)?;
        let present = require(&line, self.schema())?;
        let mut audience = Audience {
            project,
            ..Audience::default()
        };
        (self.address)(&line, &mut audience)?;
        Ok(self.event(audience, complete(&line, &present, self.schema())))
    }

    /// The event of `data`, which was made here.
    pub fn compose<T: Data + Serialize>(&'static self, data: &T) -> Event {
        let mut audience = Audience::default();
        data.address(&mut audience);
        // What is not known is left out.
        let mut members = match serde_json::to_value(data) {
            Ok(Value::Object(members)) => members,
            Ok(_) | Err(_) => Members::new(),
        };
        members.retain(|_, value| !value.is_null());
        self.event(audience, Value::Object(members).to_string())
    }

    fn event(&self, audience: Audience, data: String) -> Event {
        debug_assert!(!audience.rooms.is_empty(), "an event concerns somebody");
        Event {
            name: self.name,
            rooms: audience.rooms,
            data: data.into(),
            source: self.source,
        }
    }

    /// What its data may be, as JSON Schema.
    #[must_use]
    pub fn schema(&'static self) -> &'static Value {
        let index = CATALOGUE.iter().position(|row| row.name == self.name);
        index
            .and_then(|index| SCHEMAS.get(index))
            .unwrap_or(&Value::Null)
    }
}
