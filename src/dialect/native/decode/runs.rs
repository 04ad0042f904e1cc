//! Commands about projects and runs: P1's, whose members stand in `data`, and kinglet's own, whose
//! members stand at the top level.
//!
//! Which project is meant is the message's `project_id`, else that of its `data`, else the one that
//! the session has joined; that they differ is no error. May not touch: whether a project, an agent
//! or a run exists, and what its options mean. Invariant: JSON that is passed on is an object on one
//! line, because it becomes part of publications.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Envelope, text, typed};
use crate::base::clock::Wall;
use crate::base::limits;
use crate::dialect::native::members::{invalid, page_limit, publish_key};
use crate::domain::command::Command;
use crate::domain::fault::Fault;
use crate::domain::project::ProjectId;
use crate::domain::run::RunId;
use crate::domain::run_command::{
    Decision, Direction, MessageQuery, RunCommand, RunInput, Start, Target,
};
use crate::wire::json::raw::compact;

/// What [`execute`] runs, and `run.start` if it names nothing else.
const AGENT: &str = "claude";

/// Bytes of a path, as Linux and P1 have it.
const PATH_BYTES: usize = 4096;

/// Messages on a page of `get_messages` unless it says otherwise, as P1's server had it.
const MESSAGES: usize = 100;

/// Messages on a page at most; who asks for more gets so many, and `has_more`.
const MESSAGES_MAX: usize = 1000;

/// The members of P1's `data`; all others are ignored.
#[derive(Default, Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    project_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    path: Option<&'a RawValue>,
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow, default)]
    options: Option<&'a RawValue>,
    #[serde(borrow, default)]
    since: Option<&'a RawValue>,
    #[serde(borrow, default)]
    limit: Option<&'a RawValue>,
    #[serde(borrow, default)]
    offset: Option<&'a RawValue>,
    #[serde(borrow, default)]
    direction: Option<&'a RawValue>,
}

impl<'a> Data<'a> {
    fn of(envelope: &Envelope<'a>) -> Result<Self, Fault> {
        match envelope.data {
            // A derived Deserialize would take an array for a struct, too.
            Some(raw) if raw.get().starts_with('{') => {
                typed(raw, "data", "an object with each member once")
            }
            Some(_) => Err(invalid("data must be an object")),
            None => Ok(Self::default()),
        }
    }
}

/// The members of kinglet's own commands about runs that no other command has.
#[derive(Default, Deserialize)]
struct Members<'a> {
    #[serde(borrow, default)]
    run: Option<&'a RawValue>,
    #[serde(borrow, default)]
    agent: Option<&'a RawValue>,
    #[serde(borrow, default)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow, default)]
    options: Option<&'a RawValue>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    after: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    interrupt: Option<&'a RawValue>,
    #[serde(borrow, default)]
    request: Option<&'a RawValue>,
    #[serde(borrow, default)]
    allow: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    updated_input: Option<&'a RawValue>,
}

impl<'a> Members<'a> {
    /// Reads the message once more: members that few messages have would cost all of them.
    fn of(envelope: &Envelope<'a>) -> Result<Self, Fault> {
        serde_json::from_str(envelope.text)
            .map_err(|error| invalid(format!("the message is ambiguous: {error}")))
    }

    fn run(&self) -> Result<RunId, Fault> {
        let spelt = required(self.run, "run")?;
        RunId::parse(&spelt).ok_or_else(|| invalid("run must be the id of a run, a UUID"))
    }
}

/// The project that a message names in its `data`, for a reply that says what was wrong with it.
pub(super) fn named_project(envelope: &Envelope<'_>) -> Option<String> {
    text(Data::of(envelope).ok()?.project_id, "data.project_id").ok()?
}

/// The project that a message names: at the top level, else in its `data`. Clients that know none
/// yet send an empty one.
fn project(envelope: &Envelope<'_>, nested: Option<&RawValue>) -> Result<Option<ProjectId>, Fault> {
    for (member, raw) in [
        ("project_id", envelope.project_id),
        ("data.project_id", nested),
    ] {
        let Some(spelt) = text(raw, member)?.filter(|spelt| !spelt.is_empty()) else {
            continue;
        };
        let id = ProjectId::parse(&spelt);
        return id
            .map(Some)
            .ok_or_else(|| invalid(format!("{member} must be the id of a project, a UUID")));
    }
    Ok(None)
}

/// A text that must be there and not be empty.
fn required(raw: Option<&RawValue>, member: &str) -> Result<String, Fault> {
    let found = text(raw, member)?.filter(|found| !found.is_empty());
    found.ok_or_else(|| invalid(format!("{member} is required")))
}

/// A JSON object as it is spelt, on one line.
fn object(raw: Option<&RawValue>, member: &str) -> Result<Option<Box<str>>, Fault> {
    match raw {
        Some(raw) if raw.get().starts_with('{') => {
            let json = compact(raw.get(), limits::JSON_DEPTH);
            let json = json.map_err(|fault| invalid(format!("{member}: {fault}")))?;
            Ok(Some(json.into()))
        }
        Some(_) => Err(invalid(format!("{member} must be an object"))),
        None => Ok(None),
    }
}

fn boxed(raw: Option<&RawValue>, member: &str) -> Result<Option<Box<str>>, Fault> {
    Ok(text(raw, member)?.map(String::into_boxed_str))
}

pub(super) fn project_create(envelope: &Envelope<'_>) -> Result<Command, Fault> {
    let data = Data::of(envelope)?;
    let path = required(data.path, "path")?;
    if path.len() > PATH_BYTES {
        return Err(invalid(format!(
            "path must have at most {PATH_BYTES} bytes"
        )));
    }
    Ok(Command::Run(RunCommand::CreateProject {
        path: path.into(),
        name: boxed(data.name, "name")?.filter(|name| !name.is_empty()),
    }))
}

/// The commands that say nothing but which project they mean.
pub(super) fn about_project(
    envelope: &Envelope<'_>,
    command: fn(Option<ProjectId>) -> RunCommand,
) -> Result<Command, Fault> {
    let nested = Data::of(envelope)?.project_id;
    Ok(Command::Run(command(project(envelope, nested)?)))
}

pub(super) fn execute(envelope: &Envelope<'_>) -> Result<Command, Fault> {
    let data = Data::of(envelope)?;
    Ok(Command::Run(RunCommand::Start(Box::new(Start {
        project: project(envelope, data.project_id)?,
        agent: AGENT.into(),
        prompt: required(data.prompt, "prompt")?.into(),
        options: object(data.options, "options")?,
        params: None,
        key: None,
    }))))
}

pub(super) fn agent_kill(envelope: &Envelope<'_>) -> Result<Command, Fault> {
    about_project(envelope, |project| {
        RunCommand::Cancel(Target::ActiveIn(project))
    })
}

pub(super) fn get_messages(envelope: &Envelope<'_>) -> Result<Command, Fault> {
    let data = Data::of(envelope)?;
    let since = text(data.since, "since")?.filter(|since| !since.is_empty());
    let since = since.map(|since| {
        Wall::parse_rfc3339(&since)
            .ok_or_else(|| invalid("since must be a time, as in 2026-01-02T03:04:05.678Z"))
    });
    let limit: i64 = match data.limit {
        Some(raw) => typed(raw, "limit", "a whole number")?,
        None => 0,
    };
    let direction = text(data.direction, "direction")?;
    Ok(Command::Run(RunCommand::Messages(MessageQuery {
        project: project(envelope, data.project_id)?,
        since: since.transpose()?,
        limit: match usize::try_from(limit) {
            Ok(0) | Err(_) => MESSAGES,
            Ok(limit) => limit.min(MESSAGES_MAX),
        },
        offset: match data.offset {
            Some(raw) => typed(raw, "offset", "a number from 0")?,
            None => 0,
        },
        direction: match direction.as_deref() {
            None | Some("" | "all") => Direction::All,
            Some("client") => Direction::Client,
            Some("claude") => Direction::Claude,
            Some(_) => return Err(invalid("direction must be all, client or claude")),
        },
    })))
}

pub(super) fn start(envelope: &Envelope<'_>) -> Result<Command, Fault> {
    let members = Members::of(envelope)?;
    let agent = text(members.agent, "agent")?.filter(|agent| !agent.is_empty());
    Ok(Command::Run(RunCommand::Start(Box::new(Start {
        project: project(envelope, None)?,
        agent: agent.map_or_else(|| AGENT.into(), String::into_boxed_str),
        prompt: boxed(members.prompt, "prompt")?.unwrap_or_default(),
        options: object(members.options, "options")?,
        params: object(members.params, "params")?,
        key: publish_key(text(envelope.key, "key")?)?,
    }))))
}

pub(super) fn cancel(envelope: &Envelope<'_>) -> Result<Command, Fault> {
    let members = Members::of(envelope)?;
    let target = match members.run {
        Some(_) => Target::Run(members.run()?),
        None => Target::ActiveIn(project(envelope, None)?),
    };
    Ok(Command::Run(RunCommand::Cancel(target)))
}

pub(super) fn input(envelope: &Envelope<'_>) -> Result<Command, Fault> {
    let members = Members::of(envelope)?;
    let interrupts = match members.interrupt {
        Some(raw) => typed(raw, "interrupt", "true or false")?,
        None => false,
    };
    let input = match (text(members.text, "text")?, interrupts) {
        (Some(words), false) => RunInput::Text(words.into()),
        (None, true) => RunInput::Interrupt,
        (Some(_), true) => return Err(invalid("give text or interrupt, not both")),
        (None, false) => return Err(invalid("text is required, or interrupt")),
    };
    let run = members.run()?;
    Ok(Command::Run(RunCommand::Input { run, input }))
}

pub(super) fn decide(envelope: &Envelope<'_>) -> Result<Command, Fault> {
    let members = Members::of(envelope)?;
    let Some(allow) = members.allow else {
        return Err(invalid("allow is required: true or false"));
    };
    Ok(Command::Run(RunCommand::Decide {
        run: members.run()?,
        request: required(members.request, "request")?.into(),
        decision: Decision {
            allow: typed(allow, "allow", "true or false")?,
            message: boxed(members.message, "message")?,
            updated_input: object(members.updated_input, "updated_input")?,
            by: None,
        },
    }))
}

pub(super) fn list(envelope: &Envelope<'_>) -> Result<Command, Fault> {
    let limit = match envelope.limit {
        Some(raw) => Some(typed(raw, "limit", "a number")?),
        None => None,
    };
    let Some(limit) = page_limit(limit) else {
        return Err(invalid(format!("limit must be from 1 to {}", limits::PAGE)));
    };
    let after = text(Members::of(envelope)?.after, "after")?;
    let after = after.map(|after| {
        RunId::parse(&after).ok_or_else(|| invalid("after must be the id of a run, a UUID"))
    });
    Ok(Command::Run(RunCommand::ListRuns {
        project: project(envelope, None)?,
        limit,
        after: after.transpose()?,
    }))
}

pub(super) fn get(envelope: &Envelope<'_>) -> Result<Command, Fault> {
    let run = Members::of(envelope)?.run()?;
    Ok(Command::Run(RunCommand::GetRun(run)))
}

#[cfg(test)]
#[path = "runs_tests.rs"]
mod tests;
