//! Commands about projects and runs, spelt as messages again.

use crate::base::clock::Wall;
use crate::domain::project::ProjectId;
use crate::domain::run_command::{Direction, MessageQuery, RunCommand, RunInput, Start, Target};
use crate::wire::json::object::Object;

/// The members that ask for this command. The project is named in both places that it may be named
/// in.
pub(super) fn spell_run<'a>(object: Object<'a>, command: &RunCommand) -> Object<'a> {
    match command {
        RunCommand::CreateProject { path, name } => object.value("data", |out| {
            let data = Object::begin(out).string("path", path);
            data.string_if("name", name.as_deref()).end();
        }),
        RunCommand::ListProjects => object,
        RunCommand::GetProject(project)
        | RunCommand::DeleteProject(project)
        | RunCommand::Join(project)
        | RunCommand::Leave(project)
        | RunCommand::ResetSession(project)
        | RunCommand::Cancel(Target::ActiveIn(project)) => {
            object.value("data", |out| named(Object::begin(out), *project).end())
        }
        RunCommand::Start(start) => spell_start(object, start),
        RunCommand::Cancel(Target::Run(run)) | RunCommand::GetRun(run) => {
            object.string("run", &run.to_string())
        }
        RunCommand::Input { run, input } => {
            let object = object.string("run", &run.to_string());
            match input {
                RunInput::Text(text) => object.string("text", text),
                RunInput::Interrupt => object.boolean("interrupt", true),
            }
        }
        RunCommand::Decide {
            run,
            request,
            decision,
        } => {
            let object = object
                .string("run", &run.to_string())
                .string("request", request)
                .boolean("allow", decision.allow)
                .string_if("message", decision.message.as_deref());
            raw_if(object, "updated_input", decision.updated_input.as_deref())
        }
        RunCommand::ListRuns { limit, after, .. } => {
            let after = after.map(|after| after.to_string());
            let object = object.number("limit", *limit as u64);
            object.string_if("after", after.as_deref())
        }
        RunCommand::Messages(query) => spell_messages(object, query),
    }
}

/// A start, for `execute` and `run.start` alike: each reads its own place.
fn spell_start<'a>(object: Object<'a>, start: &Start) -> Object<'a> {
    let with = |object: Object<'a>| {
        let object = object.string("prompt", &start.prompt);
        raw_if(object, "options", start.options.as_deref())
    };
    let object = with(object)
        .string("agent", &start.agent)
        .string_if("key", start.key.as_deref());
    let object = raw_if(object, "params", start.params.as_deref());
    object.value("data", |out| {
        let data = named(Object::begin(out), start.project);
        let data = data.string("prompt", &start.prompt);
        raw_if(data, "options", start.options.as_deref()).end();
    })
}

fn spell_messages<'a>(object: Object<'a>, query: &MessageQuery) -> Object<'a> {
    object.value("data", |out| {
        let since = query.since.map(Wall::to_rfc3339);
        named(Object::begin(out), query.project)
            .string_if("since", since.as_deref())
            .number("limit", query.limit as u64)
            .number("offset", query.offset)
            .string(
                "direction",
                match query.direction {
                    Direction::All => "all",
                    Direction::Client => "client",
                    Direction::Claude => "claude",
                },
            )
            .end();
    })
}

fn named(object: Object<'_>, project: Option<ProjectId>) -> Object<'_> {
    let project = project.map(|project| project.to_string());
    object.string_if("project_id", project.as_deref())
}

fn raw_if<'a>(object: Object<'a>, name: &str, json: Option<&str>) -> Object<'a> {
    match json {
        Some(json) => object.raw(name, json),
        None => object,
    }
}
