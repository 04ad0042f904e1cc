//! What is told in a project's room of its runs: names and payloads, each a JSON object on one line.
//!
//! May not touch: when they are told. Invariant: every payload nests no deeper than publications
//! may, because what agents and clients wrote was checked for it.

use crate::base::clock::Wall;
use crate::bus::execution::{Mark, Record};
use crate::dialect::records;
use crate::domain::fault::Fault;
use crate::domain::line_splitter::Line;
use crate::domain::project::Project;
use crate::domain::room::RoomName;
use crate::domain::run::{OutputStream, PendingPermission, Run, RunId};
use crate::executor::effects::StoreStep;
use crate::wire::json::object::Object;

pub(super) const STARTED: &str = "run.started";
pub(super) const QUEUED: &str = "run.queued";
pub(super) const OUTPUT: &str = "run.output";
pub(super) const STALLED: &str = "run.stalled";
pub(super) const EXITED: &str = "run.exited";
pub(super) const PERMISSION_REQUESTED: &str = "permission.requested";
pub(super) const PERMISSION_RESOLVED: &str = "permission.resolved";
pub(super) const PERMISSION_EXPIRED: &str = "permission.expired";
pub(super) const PROJECT_UPDATE: &str = "project_update";
pub(super) const PROJECT_DELETED: &str = "project_deleted";
pub(super) const SESSION_RESET: &str = "session_reset";

/// The steps that publish an event of a run and keep the run as it stands.
pub(super) fn told(
    room: &RoomName,
    event: &'static str,
    payload: Box<str>,
    (run, mark): (&Run, Mark),
) -> Vec<StoreStep> {
    let record = Record::Run(Box::new(run.clone()), mark);
    vec![publish(room, event, payload), StoreStep::Record(record)]
}

/// The step that publishes an event.
pub(super) fn publish(room: &RoomName, event: &'static str, payload: Box<str>) -> StoreStep {
    StoreStep::Publish {
        room: room.clone(),
        event,
        payload,
    }
}

/// The step that keeps a project as it stands.
pub(super) fn keep(project: &Project) -> StoreStep {
    StoreStep::Record(Record::Project(Box::new(project.clone())))
}

pub(super) fn started(run: &Run, project: &Project) -> Box<str> {
    both(run, project, None)
}

pub(super) fn exited(run: &Run, project: &Project, fault: Option<&Fault>) -> Box<str> {
    both(run, project, fault)
}

pub(super) fn queued(run: &Run, position: usize) -> Box<str> {
    spelt(|object| {
        object
            .value("run", |out| records::run(run, Some(position), out))
            .number("position", position as u64)
    })
}

/// A line as JSON if it is `json`, which must be a JSON object, or else as text.
pub(super) fn output(run: RunId, stream: OutputStream, line: &Line<'_>, json: bool) -> Box<str> {
    spelt(|object| {
        let object = object
            .string("run", &run.to_string())
            .string("stream", stream.word());
        let object = match json {
            true => object.raw("json", &line.text),
            false => object.string("line", &line.text),
        };
        match line.truncated {
            true => object.boolean("truncated", true),
            false => object,
        }
    })
}

pub(super) fn stalled(run: RunId, silent_ms: u64) -> Box<str> {
    spelt(|object| {
        object
            .string("run", &run.to_string())
            .number("silent_ms", silent_ms)
    })
}

/// What an agent asked; `decision` is what somebody, perhaps one with a name, said to it.
pub(super) fn permission(
    asked: &PendingPermission,
    decision: Option<(bool, Option<&str>)>,
) -> Box<str> {
    spelt(|object| {
        let object = object
            .string("run", &asked.run.to_string())
            .string("request", &asked.request)
            .string("tool", &asked.tool)
            .raw("input", &asked.input);
        let Some((allow, by)) = decision else {
            return object;
        };
        object
            .string("decision", if allow { "allow" } else { "deny" })
            .string_if("by", by)
    })
}

pub(super) fn project_update(project: &Project, session_id: &str, now: Wall) -> Box<str> {
    spelt(|object| {
        object
            .string("project_id", &project.id.to_string())
            .string("state", project.state.word())
            .string("path", &project.path)
            .string("session_id", session_id)
            .string("timestamp", &now.to_rfc3339())
    })
}

pub(super) fn project_deleted(project: &Project, now: Wall) -> Box<str> {
    spelt(|object| {
        object
            .string("project_id", &project.id.to_string())
            .string("reason", PROJECT_DELETED)
            .string("timestamp", &now.to_rfc3339())
    })
}

pub(super) fn session_reset(project: &Project, now: Wall) -> Box<str> {
    spelt(|object| {
        object
            .string("project_id", &project.id.to_string())
            .string("reason", SESSION_RESET)
            .string("timestamp", &now.to_rfc3339())
            .value("project", |out| records::project(project, None, out))
    })
}

fn both(run: &Run, project: &Project, fault: Option<&Fault>) -> Box<str> {
    spelt(|object| {
        let object = object
            .value("run", |out| records::run(run, None, out))
            .value("project", |out| records::project(project, None, out));
        let Some(fault) = fault else {
            return object;
        };
        object.value("error", |out| {
            let object = Object::begin(out)
                .string("code", fault.code.as_str())
                .string("message", &fault.message);
            let details = fault.details.as_ref().map(ToString::to_string);
            object
                .raw("details", details.as_deref().unwrap_or("{}"))
                .end();
        })
    })
}

fn spelt(members: impl for<'a> FnOnce(Object<'a>) -> Object<'a>) -> Box<str> {
    let mut out = Vec::new();
    members(Object::begin(&mut out)).end();
    // Everything that is put in is text.
    String::from_utf8(out).unwrap_or_default().into()
}
