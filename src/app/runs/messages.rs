//! What was said in a project, to its agents and by them, as pages.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::app::runs::{no_store, stored};
use crate::app::services::Context;
use crate::dialect::publication::Publication;
use crate::domain::command::Payload;
use crate::domain::fault::{Code, Fault};
use crate::domain::project::ProjectId;
use crate::domain::run_command::MessageQuery;
use crate::domain::run_reply::{MessagePage, RunMessage, Speaker};
use crate::store::runs::WantedMessages;
use crate::wire::json::object::{Object, string};

/// The payload of `run.started`, as far as it is a message.
#[derive(Deserialize)]
struct Started {
    run: Asked,
}

#[derive(Deserialize)]
struct Asked {
    prompt: String,
}

/// The payload of `run.output`.
#[derive(Deserialize)]
struct Output<'a> {
    stream: String,
    line: Option<String>,
    #[serde(borrow)]
    json: Option<&'a RawValue>,
}

/// What a line of the agent says of itself.
#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// A page of what was said, oldest first.
pub(super) fn read(
    project: ProjectId,
    query: &MessageQuery,
    context: Context<'_>,
) -> Result<MessagePage, Fault> {
    let room = project.room().ok_or_else(no_store)?;
    let wanted = WantedMessages {
        room: &room,
        since: query.since,
        offset: query.offset,
        limit: query.limit,
        direction: query.direction,
    };
    let page = stored(context, |readers| readers.messages(&wanted))?;
    let messages = page.publications.iter();
    let messages = messages
        .map(|publication| message(publication))
        .collect::<Option<_>>();
    Ok(MessagePage {
        project,
        messages: messages.ok_or_else(|| {
            Fault::new(
                Code::StoreUnavailable,
                "cannot read: a message is not what was written",
            )
        })?,
        total: page.total,
        offset: query.offset,
        limit: query.limit,
        since: query.since,
    })
}

/// The message that was published; `None` if it is none.
fn message(publication: &Publication) -> Option<RunMessage> {
    let Payload::Json(json) = &publication.payload else {
        return None;
    };
    let (speaker, kind, content) = match &*publication.event {
        "run.started" => {
            let started: Started = serde_json::from_str(json).ok()?;
            let mut content = Vec::new();
            Object::begin(&mut content)
                .string("text", &started.run.prompt)
                .end();
            (Speaker::Client, "user".to_owned(), content)
        }
        "run.output" => {
            let output: Output<'_> = serde_json::from_str(json).ok()?;
            let (kind, content) = match (output.json, output.line) {
                (Some(json), _) => {
                    let told: Kind = serde_json::from_str(json.get()).ok()?;
                    (told.kind.unwrap_or(output.stream), json.get().into())
                }
                (None, line) => {
                    let mut content = Vec::new();
                    string(&line?, &mut content);
                    (output.stream, content)
                }
            };
            (Speaker::Agent, kind, content)
        }
        _ => return None,
    };
    Some(RunMessage {
        at: publication.timestamp,
        speaker,
        kind: kind.into(),
        content: String::from_utf8(content).ok()?.into(),
    })
}
