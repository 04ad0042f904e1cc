//! What happens in a project, for sessions that know it by P1's names alone.
//!
//! The room of a project holds neutral events; here each becomes one message or two, in the shape
//! that P1's server gave them:
//!
//! ```text
//!   run.started    project_state
//!   run.output     agent_message
//!   run.exited     project_state                     it ended by itself, and well
//!                  error, project_state              it failed, took too long, or was lost
//!                  project_state, process_killed     it was cancelled
//!   session_reset  project_state, session_reset
//! ```
//!
//! All others are called the same by everybody; so is a run that was cancelled while it waited,
//! which P1 knows nothing of. May not touch: sessions. Invariant: a payload of another shape than
//! ours is not translated, and nobody is told less for it.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::frame::{Frame, Messages};
use crate::dialect::publication::Publication;
use crate::domain::command::Payload;
use crate::domain::fault::Code;
use crate::domain::run::RunState;
use crate::wire::json::object::Object;

/// Whether a publication is one that P1 has other names for; only those of a project's room are.
#[must_use]
pub fn is_translated(publication: &Publication) -> bool {
    let is_ours = matches!(
        &*publication.event,
        "run.started" | "run.output" | "run.exited" | "session_reset"
    );
    is_ours && publication.placements.len() == 1
}

/// Its messages in P1's words, in one frame; `None` if it has none of ours.
#[must_use]
pub fn frame(publication: &Publication) -> Option<Arc<Frame>> {
    let Payload::Json(payload) = &publication.payload else {
        return None;
    };
    let mut told = Told::of(publication)?;
    match &*publication.event {
        "run.started" => {
            let started: Started<'_> = serde_json::from_str(payload).ok()?;
            told.state(object(started.project)?);
        }
        "run.output" => told.output(&serde_json::from_str(payload).ok()?)?,
        "run.exited" => told.exited(&serde_json::from_str(payload).ok()?)?,
        "session_reset" => {
            let reset: Reset<'_> = serde_json::from_str(payload).ok()?;
            told.state(object(reset.project)?);
            told.done("session_reset");
        }
        _ => return None,
    }
    Some(told.messages.finish())
}

#[derive(Deserialize)]
struct Started<'a> {
    #[serde(borrow)]
    project: &'a RawValue,
}

#[derive(Deserialize)]
struct Reset<'a> {
    #[serde(borrow)]
    project: &'a RawValue,
}

#[derive(Deserialize)]
struct Output<'a> {
    stream: String,
    #[serde(borrow, default)]
    json: Option<&'a RawValue>,
    #[serde(borrow, default)]
    line: Option<&'a RawValue>,
    #[serde(default)]
    truncated: bool,
}

#[derive(Deserialize)]
struct Exited<'a> {
    run: Run,
    #[serde(borrow)]
    project: &'a RawValue,
    #[serde(default)]
    error: Option<Fault>,
}

/// What is to be known of a run that is over.
#[derive(Deserialize)]
struct Run {
    state: String,
    #[serde(default)]
    started_at: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Fault {
    code: String,
    message: String,
    #[serde(default)]
    details: Option<Box<RawValue>>,
}

/// The text of `raw` if it is an object.
fn object(raw: &RawValue) -> Option<&str> {
    let text = raw.get();
    text.starts_with('{').then_some(text)
}

/// The messages made so far of one publication.
struct Told<'a> {
    publication: &'a Publication,
    room: &'a str,
    offset: u64,
    project: &'a str,
    messages: Messages,
}

impl<'a> Told<'a> {
    fn of(publication: &'a Publication) -> Option<Self> {
        let [place] = &*publication.placements else {
            return None;
        };
        Some(Self {
            publication,
            room: place.room.as_str(),
            offset: place.offset,
            project: place.room.project_id()?,
            messages: Messages::default(),
        })
    }

    /// Adds a message; `error` is the text that errors have at the top, too.
    fn push(&mut self, kind: &str, error: Option<&str>, data: impl FnOnce(&mut Vec<u8>)) {
        let mut json = Vec::with_capacity(256 + self.publication.payload.len());
        Object::begin(&mut json)
            .string("type", kind)
            .string("room", self.room)
            .number("offset", self.offset)
            .string("timestamp", &self.publication.timestamp.to_rfc3339())
            .string_if("error", error)
            .value("data", data)
            .string_if("source", self.publication.source.as_deref())
            .string("project_id", self.project)
            .end();
        self.messages.text(&json);
    }

    fn state(&mut self, project: &str) {
        self.push("project_state", None, |out| {
            out.extend_from_slice(project.as_bytes());
        });
    }

    /// Says that something was done to the project, whose name is also the reason.
    fn done(&mut self, kind: &str) {
        let (project, at) = (self.project, self.publication.timestamp);
        self.push(kind, None, |out| {
            Object::begin(out)
                .string("project_id", project)
                .string("reason", kind)
                .string("timestamp", &at.to_rfc3339())
                .end();
        });
    }

    fn output(&mut self, output: &Output<'_>) -> Option<()> {
        match (output.json, output.line) {
            (Some(json), None) => {
                let json = object(json)?;
                self.push("agent_message", None, |out| {
                    out.extend_from_slice(json.as_bytes());
                });
            }
            (None, Some(line)) if line.get().starts_with('"') => {
                self.push("agent_message", None, |out| {
                    let data = Object::begin(out)
                        .string("type", &output.stream)
                        .raw("content", line.get());
                    match output.truncated {
                        true => data.boolean("truncated", true).end(),
                        false => data.end(),
                    }
                });
            }
            (_, _) => return None,
        }
        Some(())
    }

    fn exited(&mut self, exited: &Exited<'_>) -> Option<()> {
        let project = object(exited.project)?;
        match RunState::parse(&exited.run.state)? {
            RunState::Exited => self.state(project),
            RunState::Failed | RunState::Timeout | RunState::Lost => {
                self.error(exited);
                self.state(project);
            }
            RunState::Cancelled if exited.run.started_at.is_some() => {
                self.state(project);
                self.done("process_killed");
            }
            RunState::Cancelled => return None,
            RunState::Queued | RunState::Running | RunState::Stalled => return None,
        }
        Some(())
    }

    fn error(&mut self, exited: &Exited<'_>) {
        let reason = exited.run.reason.as_deref();
        let (code, message, details) = match &exited.error {
            Some(fault) => (&*fault.code, &*fault.message, fault.details.as_deref()),
            None => (
                Code::ExecutionFailed.as_str(),
                reason.unwrap_or("the run did not end well"),
                None,
            ),
        };
        self.push("error", Some(message), |out| {
            Object::begin(out)
                .string("code", code)
                .string("message", message)
                .raw("details", details.map_or("{}", RawValue::get))
                .end();
        });
    }
}

#[cfg(test)]
#[path = "translation_tests.rs"]
mod tests;
