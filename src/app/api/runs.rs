//! Runs over HTTP: GET and POST /api/v1/projects/{id}/runs; GET and DELETE /api/v1/runs/{id}, POST
//! /api/v1/runs/{id}/input and /api/v1/runs/{id}/permissions/{request}.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::app::api::{body, invalid, page_limit, parameter, projects, segment};
use crate::app::http::Call;
use crate::base::limits;
use crate::bus::order::Outcome;
use crate::dialect::native::members;
use crate::domain::fault::Fault;
use crate::domain::run::RunId;
use crate::domain::run_command::{Decision, RunCommand, RunInput, Start, Target};
use crate::wire::http::response::Response;
use crate::wire::json::raw::compact;

/// Bytes of the id that an agent gives its question.
const REQUEST_BYTES: usize = 255;

#[derive(Deserialize)]
struct StartBody<'a> {
    agent: Option<String>,
    prompt: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    options: Option<&'a RawValue>,
    key: Option<String>,
}

#[derive(Deserialize)]
struct InputBody {
    text: Option<String>,
    interrupt: Option<bool>,
}

#[derive(Deserialize)]
struct DecisionBody<'a> {
    allow: Option<bool>,
    message: Option<String>,
    #[serde(borrow)]
    updated_input: Option<&'a RawValue>,
}

/// A page of a project's runs, newest first.
///
/// # Errors
/// As [`crate::app::runs::carry_out`], and VALIDATION_FAILED for a wrong id, `limit` or `after`.
pub fn list(call: &Call<'_>) -> Result<Outcome<Response>, Fault> {
    let query = call.http.head.query();
    let after = match parameter(query, "after") {
        Some(spelt) => Some(run_id(&spelt, "after")?),
        None => None,
    };
    let command = RunCommand::ListRuns {
        project: Some(projects::id(call)?),
        limit: page_limit(query)?,
        after,
    };
    projects::carry_out(command, call)
}

/// Starts a run; `Idempotency-Key` or the body's `key` makes repeats harmless.
///
/// # Errors
/// As [`crate::app::runs::carry_out`], and VALIDATION_FAILED for a body that is not what it should
/// be.
pub fn start(call: &Call<'_>) -> Result<Outcome<Response>, Fault> {
    let project = Some(projects::id(call)?);
    let asked: StartBody<'_> = body(&call.http.body)?;
    let header = call.http.head.header("idempotency-key").map(str::to_owned);
    let key = match (header, asked.key) {
        (Some(header), Some(key)) if header != key => {
            return Err(invalid("Idempotency-Key and key differ; give one of them"));
        }
        (header, key) => header.or(key),
    };
    let agent = asked.agent.unwrap_or_else(|| "claude".to_owned());
    if !(1..=64).contains(&agent.len()) {
        return Err(invalid("the name of an agent has 1 to 64 bytes"));
    }
    let start = Start {
        project,
        agent: agent.into(),
        prompt: asked.prompt.unwrap_or_default().into(),
        options: object(asked.options, "options")?,
        params: object(asked.params, "params")?,
        key: members::publish_key(key)?,
    };
    projects::carry_out(RunCommand::Start(Box::new(start)), call)
}

/// One run.
///
/// # Errors
/// As [`crate::app::runs::carry_out`], and VALIDATION_FAILED for what is no id.
pub fn one(call: &Call<'_>) -> Result<Outcome<Response>, Fault> {
    projects::carry_out(RunCommand::GetRun(id(call)?), call)
}

/// Ends a run.
///
/// # Errors
/// As [`crate::app::runs::carry_out`], and VALIDATION_FAILED for what is no id.
pub fn cancel(call: &Call<'_>) -> Result<Outcome<Response>, Fault> {
    projects::carry_out(RunCommand::Cancel(Target::Run(id(call)?)), call)
}

/// Says `text` to a running agent, or interrupts it.
///
/// # Errors
/// As [`crate::app::runs::carry_out`], and VALIDATION_FAILED without exactly one of the two.
pub fn input(call: &Call<'_>) -> Result<Outcome<Response>, Fault> {
    let run = id(call)?;
    let asked: InputBody = body(&call.http.body)?;
    let input = match (asked.text, asked.interrupt) {
        (Some(text), None | Some(false)) => RunInput::Text(text.into()),
        (None, Some(true)) => RunInput::Interrupt,
        (None, None | Some(false)) => {
            return Err(invalid("nothing is said: give text, or interrupt as true"));
        }
        (Some(_), Some(true)) => return Err(invalid("give text or interrupt, not both")),
    };
    projects::carry_out(RunCommand::Input { run, input }, call)
}

/// Answers what an agent asks permission for.
///
/// # Errors
/// As [`crate::app::runs::carry_out`], and VALIDATION_FAILED without `allow`.
pub fn decide(call: &Call<'_>) -> Result<Outcome<Response>, Fault> {
    let run = id(call)?;
    let request = call.http.parameters.get(1).map_or("", String::as_str);
    if request.len() > REQUEST_BYTES {
        return Err(invalid("no request for permission has so long an id"));
    }
    let asked: DecisionBody<'_> = body(&call.http.body)?;
    let decision = Decision {
        allow: asked
            .allow
            .ok_or_else(|| invalid("allow is missing: true or false"))?,
        message: asked.message.map(Into::into),
        updated_input: object(asked.updated_input, "updated_input")?,
        by: None,
    };
    let request = request.into();
    let command = RunCommand::Decide {
        run,
        request,
        decision,
    };
    projects::carry_out(command, call)
}

fn id(call: &Call<'_>) -> Result<RunId, Fault> {
    run_id(segment(call), "the id of a run")
}

fn run_id(spelt: &str, what: &str) -> Result<RunId, Fault> {
    RunId::parse(spelt).ok_or_else(|| invalid(format!("{what} is a UUID")))
}

/// A member that is a JSON object, on one line.
fn object(raw: Option<&RawValue>, name: &str) -> Result<Option<Box<str>>, Fault> {
    match raw {
        Some(raw) if raw.get().starts_with('{') => {
            let compact = compact(raw.get(), limits::JSON_DEPTH)?;
            Ok(Some(compact.into_owned().into()))
        }
        Some(raw) if raw.get() != "null" => Err(invalid(format!("{name} must be an object"))),
        Some(_) | None => Ok(None),
    }
}
