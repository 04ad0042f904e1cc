//! What clients ask about projects and runs, whatever they speak.
//!
//! ```text
//!   RunCommand ─▶ carry_out ─┬─▶ RunReply              what can be read
//!                            └─▶ RunOrder ─▶ submit     what the executor does ─▶ answer
//! ```
//!
//! Who may is checked here, with the project's room as the place of the grant: reading needs
//! `subscribe` or `run` there, everything else `run`. For workers: files are looked up and pages
//! read. May not touch: processes, rooms' streams; joining and leaving are the shard's.

pub mod launch;
mod messages;
pub mod paths;

use std::net::IpAddr;
use std::sync::Arc;

use crate::app::api;
use crate::app::commands;
use crate::app::http;
use crate::app::projects::{is_open_to, no_project};
use crate::app::publish::owner;
use crate::app::services::Context;
use crate::base::ids::{PeerId, ShardId};
use crate::base::uuid::Uuid;
use crate::bus::execution::{
    CancelAnswer, Request, RunAnswer, RunAsker, RunForm, RunOrder, RunTarget, StartOrder,
};
use crate::bus::job::Answer;
use crate::bus::order::Outcome;
use crate::config::{Busy, PublishPolicy};
use crate::domain::access::{self, Action, Caller, Identity};
use crate::domain::fault::{Code, Fault};
use crate::domain::idempotency::{Fingerprint, Scope, fingerprint};
use crate::domain::project::{Project, ProjectId};
use crate::domain::project_path;
use crate::domain::run::{Run, RunId};
use crate::domain::run_command::{RunCommand, Start, Target};
use crate::domain::run_reply::{RunPage, RunReply};
use crate::metrics::names::Counter;
use crate::store::fault::StoreFault;

/// Who asks about projects and runs.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// On whose behalf.
    pub identity: &'a Identity,
    /// From where.
    pub address: IpAddr,
}

/// Answers a command about projects and runs, or says what the executor is to do first, which is
/// answered in this `form`. A command that names no project has been resolved before.
///
/// # Errors
/// PERMISSION_DENIED; PROJECT_NOT_FOUND and NOT_FOUND; INVALID_PATH; VALIDATION_FAILED for an unknown
/// agent and options that it does not take; STORE_UNAVAILABLE where there is no store.
pub fn carry_out(
    command: RunCommand,
    form: RunForm,
    asker: Asker<'_>,
    context: Context<'_>,
) -> Result<Outcome<RunReply>, Fault> {
    is_open_to(asker.identity, &context.live.config)?;
    if context.services.store.is_none() {
        return Err(no_store());
    }
    let order = match command {
        RunCommand::ListProjects => return list(asker, context).map(Outcome::Done),
        RunCommand::GetProject(id) => {
            let project = readable(named(id)?, asker, context)?;
            let one = vec![with_subscribers(&project, context)];
            return Ok(Outcome::Done(RunReply::Projects(one)));
        }
        RunCommand::ListRuns {
            project,
            limit,
            after,
        } => {
            let project = readable(named(project)?, asker, context)?;
            let page = runs(project.id, after, limit, context)?;
            return Ok(Outcome::Done(RunReply::Runs(page)));
        }
        RunCommand::GetRun(id) => {
            let (run, place) = known_run(id, asker, Needs::Reading, context)?;
            return Ok(Outcome::Done(RunReply::Run(Box::new(run), place)));
        }
        RunCommand::Messages(query) => {
            let project = readable(named(query.project)?, asker, context)?;
            let page = messages::read(project.id, &query, context)?;
            return Ok(Outcome::Done(RunReply::Messages(page)));
        }
        RunCommand::CreateProject { path, name } => create(&path, name, asker, context)?,
        RunCommand::DeleteProject(id) => RunOrder::DeleteProject(ours(id, asker, context)?),
        RunCommand::ResetSession(id) => RunOrder::ResetSession(ours(id, asker, context)?),
        RunCommand::Start(asked) => start(*asked, asker, context)?,
        // P1's clients end what is active, and wait for the end.
        RunCommand::Cancel(Target::ActiveIn(id)) => {
            let target = RunTarget::ActiveIn(ours(id, asker, context)?);
            RunOrder::Cancel(target, CancelAnswer::WhenOver)
        }
        RunCommand::Cancel(Target::Run(id)) => {
            known_run(id, asker, Needs::Running, context)?;
            RunOrder::Cancel(RunTarget::Run(id), CancelAnswer::AtOnce)
        }
        RunCommand::Input { run, input } => {
            known_run(run, asker, Needs::Running, context)?;
            RunOrder::Input { run, input }
        }
        RunCommand::Decide {
            run,
            request,
            mut decision,
        } => {
            known_run(run, asker, Needs::Running, context)?;
            decision.by = asker.identity.user_id().map(|user| user.as_str().into());
            RunOrder::Decide {
                run,
                request,
                decision,
            }
        }
        RunCommand::Join(_) | RunCommand::Leave(_) => {
            let message = "joining and leaving are the session's own";
            return Err(Fault::new(Code::InternalError, message));
        }
    };
    Ok(Outcome::Request(order, form))
}

/// Hands what a peer wants to the executor. It waits for the answer.
///
/// # Errors
/// The answer at once, when the executor cannot take it.
pub fn submit(
    order: RunOrder,
    form: RunForm,
    shard: ShardId,
    peer: PeerId,
    context: Context<'_>,
) -> Result<(), Answer> {
    let Some(executor) = &context.services.executor else {
        return Err(answer(form, Err(no_store()), context));
    };
    let asker = RunAsker { shard, peer, form };
    executor
        .submit(Request { order, asker })
        .map_err(|refused| {
            context.counters.increment(Counter::RunRequestsRefusedBusy);
            let message = "too much is asked of the runs at the moment; try again in a second";
            let fault = Fault::new(Code::ServerBusy, message);
            answer(refused.asker.form, Err(fault), context)
        })
}

/// The answer to what was asked of the executor.
#[must_use]
pub fn answer(form: RunForm, outcome: Result<RunAnswer, Fault>, context: Context<'_>) -> Answer {
    let outcome = outcome.and_then(|answer| reply(answer, context));
    match form {
        RunForm::Http => Answer::Http(match outcome {
            Ok(reply) => api::projects::response(&reply, context),
            Err(fault) => http::fault_response(&fault),
        }),
        RunForm::Reply { to, name } => {
            let json = outcome.map(|reply| commands::run_reply(&to, name, &reply, context));
            Answer::Reply(commands::finish(&to, json, context))
        }
    }
}

fn reply(answer: RunAnswer, context: Context<'_>) -> Result<RunReply, Fault> {
    Ok(match answer {
        RunAnswer::Created(project) => RunReply::Created(project),
        RunAnswer::Deleted(project) => RunReply::Deleted(project),
        RunAnswer::Reset(project, old) => RunReply::Reset(project, old),
        RunAnswer::Started(run, position) => RunReply::Started(run, position),
        RunAnswer::Cancelled(run) => RunReply::Cancelled(run),
        RunAnswer::Told(run) => RunReply::Told(run),
        RunAnswer::Repeated(id) => {
            let run = stored(context, |readers| readers.run(id))?.ok_or_else(no_run)?;
            RunReply::Started(Box::new(run), None)
        }
    })
}

/// A project with the members of its room.
pub(in crate::app) fn with_subscribers(
    project: &Project,
    context: Context<'_>,
) -> (Project, usize) {
    let room = project.id.room();
    let summary = room.and_then(|room| context.services.rooms.summary(&room));
    let members = summary.map_or(0, |summary| summary.members);
    (
        project.clone(),
        usize::try_from(members).unwrap_or(usize::MAX),
    )
}

/// The fault where there is nothing to keep projects and runs in.
fn no_store() -> Fault {
    Fault::new(
        Code::StoreUnavailable,
        "there are no projects and runs here: the data directory cannot be used (server.data_dir; \
         the log says why)",
    )
}

/// The fault of whoever means a run that is not there, or not for its eyes.
fn no_run() -> Fault {
    Fault::new(
        Code::NotFound,
        "no run has this id; of each project the last ones are kept",
    )
}

fn named(project: Option<ProjectId>) -> Result<ProjectId, Fault> {
    project.ok_or_else(|| Fault::new(Code::ValidationFailed, "project_id is required"))
}

fn check(id: ProjectId, action: Action, asker: Asker<'_>) -> Result<(), Fault> {
    let room = id.room().ok_or_else(no_project)?;
    access::check(
        asker.identity,
        Caller::Api,
        action,
        &room,
        PublishPolicy::Grant,
    )?;
    Ok(())
}

fn may_read(id: ProjectId, asker: Asker<'_>) -> Result<(), Fault> {
    check(id, Action::Subscribe, asker).or_else(|fault| {
        let may_run = check(id, Action::Run, asker);
        may_run.map_err(|_| fault)
    })
}

/// A project that the asker may read of.
fn readable(id: ProjectId, asker: Asker<'_>, context: Context<'_>) -> Result<Arc<Project>, Fault> {
    may_read(id, asker)?;
    context.services.projects.project(id).ok_or_else(no_project)
}

/// A project that is there and that the asker may change.
fn ours(id: Option<ProjectId>, asker: Asker<'_>, context: Context<'_>) -> Result<ProjectId, Fault> {
    let id = named(id)?;
    check(id, Action::Run, asker)?;
    let project = context.services.projects.project(id);
    project.map(|project| project.id).ok_or_else(no_project)
}

/// What the asker wants to do with a run.
#[derive(Clone, Copy, Debug)]
enum Needs {
    Reading,
    Running,
}

/// A run that the asker may do this with, over or not.
fn known_run(
    id: RunId,
    asker: Asker<'_>,
    needs: Needs,
    context: Context<'_>,
) -> Result<(Run, Option<usize>), Fault> {
    let found = match context.services.projects.run(id) {
        Some((run, place)) => (Arc::unwrap_or_clone(run), place),
        None => match stored(context, |readers| readers.run(id))? {
            Some(run) => (run, None),
            None => return Err(no_run()),
        },
    };
    // Who may not know of it is told no more than who guesses.
    may_read(found.0.project, asker).map_err(|fault| match fault.code {
        Code::PermissionDenied => no_run(),
        _ => fault,
    })?;
    match needs {
        Needs::Reading => {}
        Needs::Running => check(found.0.project, Action::Run, asker)?,
    }
    Ok(found)
}

fn list(asker: Asker<'_>, context: Context<'_>) -> Result<RunReply, Fault> {
    let projects = context.services.projects.list();
    let shown = projects
        .iter()
        .filter(|project| may_read(project.id, asker).is_ok());
    let shown = shown.map(|project| with_subscribers(project, context));
    Ok(RunReply::Projects(shown.collect()))
}

fn runs(
    project: ProjectId,
    after: Option<RunId>,
    limit: usize,
    context: Context<'_>,
) -> Result<RunPage, Fault> {
    let page = stored(context, |readers| readers.runs(project, after, limit))?;
    let Some(page) = page else {
        let message = "after must be a run of this project; it may be too old to be kept";
        return Err(Fault::new(Code::ValidationFailed, message));
    };
    let place = |run: Run| {
        let known = context.services.projects.run(run.id);
        (run, known.and_then(|(_, place)| place))
    };
    Ok(RunPage {
        project,
        runs: page.runs.into_iter().map(place).collect(),
        more: page.more,
    })
}

/// Reads from the store.
fn stored<T>(
    context: Context<'_>,
    read: impl FnOnce(&crate::store::reader::Readers) -> Result<T, StoreFault>,
) -> Result<T, Fault> {
    let store = context.services.store.as_ref().ok_or_else(no_store)?;
    context.counters.increment(Counter::StoreReads);
    read(&store.readers).map_err(|found| {
        log::error!("store_read_failed of=runs fault=\"{found}\"");
        context.counters.increment(Counter::StoreReadsFailed);
        Fault::new(Code::StoreUnavailable, format!("cannot read: {found}"))
    })
}

fn create(
    given: &str,
    name: Option<Box<str>>,
    asker: Asker<'_>,
    context: Context<'_>,
) -> Result<RunOrder, Fault> {
    // Its id is not known yet; only a grant for all projects covers an id that is nobody's.
    check(ProjectId(Uuid::NIL), Action::Run, asker)?;
    if let Some(name) = &name {
        project_path::check_name(name)
            .map_err(|fault| Fault::new(Code::ValidationFailed, fault.to_string()))?;
    }
    let config = &context.live.config;
    let path = paths::resolve(given, &config.project_roots())?;
    Ok(RunOrder::CreateProject {
        path,
        name,
        projects_max: config.projects.max,
    })
}

fn start(asked: Start, asker: Asker<'_>, context: Context<'_>) -> Result<RunOrder, Fault> {
    let id = ours(asked.project, asker, context)?;
    let project = context
        .services
        .projects
        .project(id)
        .ok_or_else(no_project)?;
    let config = &context.live.config;
    paths::check_again(&project.path, &config.project_roots())?;
    let launch = launch::of(&asked, &project, config)?;
    let key = match &asked.key {
        Some(key) => {
            let scope = Scope::new(owner(asker.identity, asker.address), key)?;
            Some((scope, print(&asked, id)))
        }
        None => None,
    };
    Ok(RunOrder::Start(Box::new(StartOrder {
        project: id,
        agent: asked.agent,
        prompt: asked.prompt,
        options: asked.options,
        params: asked.params,
        launch,
        waits: config.projects.busy == Busy::Queue,
        runs_max: config.limits.runs,
        excess: context.services.resources.status().refuses_runs(),
        key,
    })))
}

/// What makes two starts the same.
fn print(asked: &Start, project: ProjectId) -> Fingerprint {
    let project = project.to_string();
    let options = asked.options.as_deref().unwrap_or_default();
    let params = asked.params.as_deref().unwrap_or_default();
    let parts = [
        "run",
        &project,
        &asked.agent,
        &asked.prompt,
        options,
        params,
    ];
    fingerprint(&parts.map(str::as_bytes))
}
