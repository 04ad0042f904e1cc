//! Replies to commands about projects and runs.
//!
//! P1's commands are answered as P1's clients read it: the fields stand in `data`, and `project_id`
//! is the project that was acted on. Kinglet's own, `run.*` and `permission.answer`, have theirs at
//! the top level, as all of its replies have. May not touch: who asked, where things are kept.

use std::sync::Arc;

use crate::base::clock::Wall;
use crate::config::ReplyNames;
use crate::dialect::native::decode::Correlation;
use crate::dialect::native::encode::{finish, reply};
use crate::dialect::records;
use crate::domain::project::{Project, ProjectId};
use crate::domain::run::PendingPermission;
use crate::domain::run::Run;
use crate::domain::run_reply::{MessagePage, RunMessage, RunReply, Speaker};
use crate::wire::json::object::{Object, array};

/// The type of the reply to the command `name`. P1's server named them after the command, its
/// documents and its web client after what has happened.
#[must_use]
pub fn reply_name(names: ReplyNames, name: &str) -> &str {
    match (names, name) {
        (_, "project_delete") => "project_deleted",
        // Only the documents know this command, and this reply to it.
        (_, "health") => "health_status",
        (ReplyNames::Echo, "project_create") => "project_state",
        (ReplyNames::Echo, name) => name,
        (ReplyNames::Past, "project_create") => "project_created",
        (ReplyNames::Past, "project_list") => "project_list_response",
        (ReplyNames::Past, "project_join") => "project_joined",
        (ReplyNames::Past, "project_leave") => "project_left",
        (ReplyNames::Past, "agent_kill") => "execution_killed",
        (ReplyNames::Past, "get_messages") => "messages_response",
        (ReplyNames::Past, "health_check") => "health_status",
        (ReplyNames::Past, name) => name,
    }
}

/// The reply to the command `name`, of which `told` came.
pub fn answered(
    name: &str,
    to: &Correlation,
    told: &RunReply,
    names: ReplyNames,
    now: Wall,
    out: &mut Vec<u8>,
) {
    let kind = reply_name(names, name);
    match told {
        RunReply::Created(project) => {
            about(kind, to, project.id, now, out, |out| {
                records::project(project, None, out);
            });
        }
        RunReply::Projects(projects) => {
            let object = reply(kind, to, out).value("data", |out| list(projects, out));
            finish(object, now);
        }
        RunReply::Deleted(project) => {
            status(kind, to, *project, "deleted", now, out, |data| data);
        }
        RunReply::Reset(project, old) => {
            status(kind, to, project.id, "reset", now, out, |data| {
                data.string("old_session_id", old.as_deref().unwrap_or_default())
                    .string("timestamp", &now.to_rfc3339())
            });
        }
        RunReply::Started(run, position) if name == "execute" => {
            let word = if position.is_some() {
                "queued"
            } else {
                "started"
            };
            status(kind, to, run.project, word, now, out, |data| {
                let data = data.string("run", &run.id.to_string());
                let data = match position {
                    Some(position) => data.number("position", *position as u64),
                    None => data,
                };
                data.string("timestamp", &now.to_rfc3339())
            });
        }
        RunReply::Cancelled(run) if name == "agent_kill" => {
            status(kind, to, run.project, "killed", now, out, |data| {
                data.string("run", &run.id.to_string())
                    .string("timestamp", &now.to_rfc3339())
            });
        }
        RunReply::Started(run, position) | RunReply::Run(run, position) => {
            one_run(kind, to, run, *position, now, out);
        }
        RunReply::Cancelled(run) => one_run(kind, to, run, None, now, out),
        RunReply::Told(run) => {
            finish(reply(kind, to, out).string("run", &run.to_string()), now);
        }
        RunReply::Runs(page) => {
            let object = reply(kind, to, out)
                .string("project_id", &page.project.to_string())
                .value("runs", |out| {
                    array(out, &page.runs, |out, (run, position)| {
                        records::run(run, *position, out);
                    });
                })
                .boolean("more", page.more);
            finish(object, now);
        }
        RunReply::Messages(page) => {
            about(kind, to, page.project, now, out, |out| messages(page, out));
        }
    }
}

/// The first of the two replies to `project_join`: how the project stands.
pub fn state(to: &Correlation, project: &Project, now: Wall, out: &mut Vec<u8>) {
    about("project_state", to, project.id, now, out, |out| {
        records::project(project, None, out);
    });
}

/// The second one: that the session has joined it.
pub fn joined(
    to: &Correlation,
    project: &Project,
    names: ReplyNames,
    now: Wall,
    out: &mut Vec<u8>,
) {
    let kind = reply_name(names, "project_join");
    about(kind, to, project.id, now, out, |out| {
        Object::begin(out)
            .string("project_id", &project.id.to_string())
            .string("state", project.state.word())
            .string(
                "session_id",
                project.session_id.as_deref().unwrap_or_default(),
            )
            .end();
    });
}

/// The reply to `project_leave`.
pub fn left(to: &Correlation, project: ProjectId, names: ReplyNames, now: Wall, out: &mut Vec<u8>) {
    let kind = reply_name(names, "project_leave");
    status(kind, to, project, "left", now, out, |data| data);
}

/// The reply to `health_check` and `health`; `checks` appends one object with a member per check.
pub fn health(
    name: &str,
    to: &Correlation,
    status: &str,
    checks: impl FnOnce(&mut Vec<u8>),
    names: ReplyNames,
    now: Wall,
    out: &mut Vec<u8>,
) {
    let object = reply(reply_name(names, name), to, out).value("data", |out| {
        Object::begin(out)
            .string("timestamp", &now.to_rfc3339())
            .string("status", status)
            .value("checks", checks)
            .end();
    });
    finish(object, now);
}

/// What agents ask permission for: `[{run, request, tool, input}]`.
pub fn permissions(pending: &[Arc<PendingPermission>], out: &mut Vec<u8>) {
    array(out, pending, |out, permission| {
        Object::begin(out)
            .string("run", &permission.run.to_string())
            .string("request", &permission.request)
            .string("tool", &permission.tool)
            .raw("input", &permission.input)
            .end();
    });
}

/// A reply in P1's shape, about a project.
fn about(
    kind: &str,
    to: &Correlation,
    project: ProjectId,
    now: Wall,
    out: &mut Vec<u8>,
    data: impl FnOnce(&mut Vec<u8>),
) {
    let object = reply(kind, to, out)
        .string("project_id", &project.to_string())
        .value("data", data);
    finish(object, now);
}

/// The same whose data is that something was done, and what `more` adds.
fn status(
    kind: &str,
    to: &Correlation,
    project: ProjectId,
    word: &str,
    now: Wall,
    out: &mut Vec<u8>,
    more: impl FnOnce(Object<'_>) -> Object<'_>,
) {
    about(kind, to, project, now, out, |out| {
        let data = Object::begin(out)
            .string("project_id", &project.to_string())
            .string("status", word);
        more(data).end();
    });
}

fn one_run(
    kind: &str,
    to: &Correlation,
    run: &Run,
    position: Option<usize>,
    now: Wall,
    out: &mut Vec<u8>,
) {
    let object = reply(kind, to, out).value("run", |out| records::run(run, position, out));
    finish(object, now);
}

fn list(projects: &[(Project, usize)], out: &mut Vec<u8>) {
    Object::begin(out)
        .value("projects", |out| {
            array(out, projects, |out, (project, subscribers)| {
                records::project_members(project, Object::begin(out))
                    .value("metadata", |out| {
                        Object::begin(out)
                            .number("subscriber_count", *subscribers as u64)
                            .end();
                    })
                    .end();
            });
        })
        .number("total", projects.len() as u64)
        .end();
}

fn messages(page: &MessagePage, out: &mut Vec<u8>) {
    let behind = page.offset.saturating_add(page.messages.len() as u64);
    Object::begin(out)
        .string("project_id", &page.project.to_string())
        .value("messages", |out| array(out, &page.messages, message))
        .value("metadata", |out| {
            let since = page.since.map(Wall::to_rfc3339);
            Object::begin(out)
                .number("total", page.total)
                .number("offset", page.offset)
                .number("limit", page.limit as u64)
                .boolean("has_more", behind < page.total)
                .string("since", since.as_deref().unwrap_or_default())
                .end();
        })
        .end();
}

fn message(out: &mut Vec<u8>, message: &RunMessage) {
    Object::begin(out)
        .string("timestamp", &message.at.to_rfc3339())
        .value("message", |out| {
            Object::begin(out)
                .string("type", &message.kind)
                .raw("content", &message.content)
                .end();
        })
        .string(
            "direction",
            match message.speaker {
                Speaker::Client => "client",
                Speaker::Agent => "claude",
            },
        )
        .end();
}

#[cfg(test)]
#[path = "projects_tests.rs"]
mod tests;
