//! GET and POST /api/v1/projects, GET and DELETE /api/v1/projects/{id}; and how everything about
//! projects and runs is answered over HTTP.

use serde::Deserialize;

use crate::app::api::{body, invalid, segment};
use crate::app::http::Call;
use crate::app::runs::{self, Asker, with_subscribers};
use crate::app::services::Context;
use crate::bus::execution::RunForm;
use crate::bus::order::Outcome;
use crate::dialect::records;
use crate::domain::fault::Fault;
use crate::domain::project::ProjectId;
use crate::domain::run_command::RunCommand;
use crate::domain::run_reply::RunReply;
use crate::wire::http::response::{Response, Status};
use crate::wire::json::object::{Object, array};

#[derive(Deserialize)]
struct ProjectBody {
    path: Option<String>,
    name: Option<String>,
}

/// The projects that the caller may read of.
///
/// # Errors
/// As [`runs::carry_out`].
pub fn list(call: &Call<'_>) -> Result<Outcome<Response>, Fault> {
    carry_out(RunCommand::ListProjects, call)
}

/// Registers the directory of the body's `path`.
///
/// # Errors
/// As [`runs::carry_out`], and VALIDATION_FAILED without a path.
pub fn create(call: &Call<'_>) -> Result<Outcome<Response>, Fault> {
    let asked: ProjectBody = body(&call.http.body)?;
    let path = asked
        .path
        .ok_or_else(|| invalid("path is missing: name the project's directory"))?;
    let command = RunCommand::CreateProject {
        path: path.into(),
        name: asked.name.map(Into::into),
    };
    carry_out(command, call)
}

/// One project.
///
/// # Errors
/// As [`runs::carry_out`], and VALIDATION_FAILED for what is no id.
pub fn one(call: &Call<'_>) -> Result<Outcome<Response>, Fault> {
    let command = RunCommand::GetProject(Some(id(call)?));
    let context = call.context;
    let outcome = runs::carry_out(command, RunForm::Http, asker(call), context)?;
    Ok(outcome.map(|reply| match reply {
        RunReply::Projects(projects) => match projects.first() {
            Some((project, members)) => object(Status::OK, |out| {
                records::project(project, Some(*members), out);
            }),
            None => response(&RunReply::Projects(projects), context),
        },
        reply => response(&reply, context),
    }))
}

/// Forgets a project with its runs and all they said; its directory stays as it is.
///
/// # Errors
/// As [`runs::carry_out`], and VALIDATION_FAILED for what is no id.
pub fn delete(call: &Call<'_>) -> Result<Outcome<Response>, Fault> {
    carry_out(RunCommand::DeleteProject(Some(id(call)?)), call)
}

/// The project that the path names.
pub(super) fn id(call: &Call<'_>) -> Result<ProjectId, Fault> {
    let id = ProjectId::parse(segment(call));
    id.ok_or_else(|| invalid("the id of a project is a UUID"))
}

/// Has a command carried out.
pub(super) fn carry_out(command: RunCommand, call: &Call<'_>) -> Result<Outcome<Response>, Fault> {
    let context = call.context;
    let outcome = runs::carry_out(command, RunForm::Http, asker(call), context)?;
    Ok(outcome.map(|reply| response(&reply, context)))
}

fn asker<'a>(call: &Call<'a>) -> Asker<'a> {
    Asker {
        identity: &call.http.identity,
        address: call.http.address,
    }
}

/// How a reply is told over HTTP.
pub(in crate::app) fn response(reply: &RunReply, context: Context<'_>) -> Response {
    match reply {
        RunReply::Created(project) => object(Status::CREATED, |out| {
            let (project, members) = with_subscribers(project, context);
            records::project(&project, Some(members), out);
        }),
        RunReply::Projects(projects) => object(Status::OK, |out| {
            Object::begin(out)
                .value("projects", |out| {
                    array(out, projects, |out, (project, members)| {
                        records::project(project, Some(*members), out);
                    });
                })
                .end();
        }),
        RunReply::Deleted(id) => object(Status::OK, |out| {
            Object::begin(out)
                .string("project", &id.to_string())
                .string("status", "deleted")
                .end();
        }),
        RunReply::Reset(project, _) => {
            object(Status::OK, |out| records::project(project, None, out))
        }
        RunReply::Started(run, place) => object(Status::ACCEPTED, |out| {
            let member = |out: &mut Vec<u8>| records::run(run, *place, out);
            Object::begin(out).value("run", member).end();
        }),
        RunReply::Cancelled(run) => object(Status::ACCEPTED, |out| {
            let member = |out: &mut Vec<u8>| records::run(run, None, out);
            Object::begin(out).value("run", member).end();
        }),
        RunReply::Told(run) => object(Status::ACCEPTED, |out| {
            Object::begin(out)
                .string("run", &run.to_string())
                .string("status", "told")
                .end();
        }),
        RunReply::Run(run, place) => object(Status::OK, |out| records::run(run, *place, out)),
        RunReply::Runs(page) => object(Status::OK, |out| {
            Object::begin(out)
                .string("project", &page.project.to_string())
                .value("runs", |out| {
                    array(out, &page.runs, |out, (run, place)| {
                        records::run(run, *place, out);
                    });
                })
                .boolean("more", page.more)
                .end();
        }),
        // Pages of messages are asked for on sockets alone.
        RunReply::Messages(page) => object(Status::OK, |out| {
            Object::begin(out).number("total", page.total).end();
        }),
    }
}

fn object(status: Status, write: impl FnOnce(&mut Vec<u8>)) -> Response {
    let mut out = Vec::with_capacity(256);
    write(&mut out);
    Response::raw_json(status, out.into())
}
