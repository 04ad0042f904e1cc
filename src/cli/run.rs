//! `run`: starts a run, prints what it says until it is over, and ends with its exit code.
//!
//! May not touch: what a run is. Invariants: the room is listened to before the run is asked for, so
//! nothing of it is missed; leaving never ends a run, only a second interrupt does.

mod interrupt;
mod terminal;

use std::io::{self, IsTerminal, Read};
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::arguments::RunArguments;
use crate::cli::comeback::Ended;
use crate::cli::following::{Following, connect};
use crate::cli::http_client::exchange;
use crate::cli::output::Sink;
use crate::cli::run::interrupt::Interrupts;
use crate::cli::run::terminal::{Place, Told, told};
use crate::cli::server::Server;
use crate::cli::subscribe::follow;
use crate::cli::transport::TransportFault;
use crate::cli::{Exit, Failure, output};
use crate::domain::project::ProjectId;
use crate::wire::json::object::Object;

/// Bytes of a prompt that is read from standard input: the most that a message may have.
const PROMPT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The exit code of a run that took too long, as timeout(1) has it.
const TIMED_OUT: u8 = 124;

/// The exit code of what a signal ended is above this by its number, as in a shell.
const BY_SIGNAL: i64 = 128;

/// The exit code of a run that was cancelled: as if an interrupt had ended it.
const CANCELLED: u8 = 130;

/// Starts the run and follows it.
pub(super) fn run(asked: RunArguments) -> Result<Exit, Failure> {
    let server = Server::new(asked.server)?;
    let prompt = prompt(&asked.prompt)?;
    let project = find_project(&server, &asked.project)?;
    let Some(room) = project.room() else {
        return Err(Failure::Misuse("the project has no room".to_owned()));
    };
    let body = body(
        &asked.agent,
        &prompt,
        asked.options.as_deref(),
        &asked.params,
    )?;
    if asked.detach {
        let started = start(&server, project, &body)?;
        output::line(&started.id)?;
        return Ok(Exit::Done);
    }
    let mut rooms = vec![Following::new(room, None, None)];
    let socket = connect(&server, &mut rooms)?;
    let started = start(&server, project, &body)?;
    if let Some(position) = started.position {
        output::note(&format!("waiting, at place {position}"));
    }
    let _interrupts = Interrupts::watch(&server, &started.id)?;
    let mut follower = Follower {
        run: started.id,
        as_json: asked.json,
        escapes: io::stdout().is_terminal(),
        exit: None,
    };
    let Err(failure) = follow(&server, socket, &mut rooms, &mut follower);
    follower.exit.ok_or(failure)
}

/// What is printed of one run.
struct Follower {
    run: String,
    /// Events as they are, in place of what they say.
    as_json: bool,
    /// Whether a terminal reads, which obeys escape sequences.
    escapes: bool,
    exit: Option<Exit>,
}

/// Of an event in a project's room, what is looked at.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Of a run's record, what is looked at.
#[derive(Deserialize)]
struct Ending {
    id: String,
    state: String,
    exit_code: Option<i64>,
    signal: Option<i64>,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Exited {
    run: Ending,
}

impl Sink for Follower {
    fn event(&mut self, json: &str) -> Result<(), Ended> {
        let Ok(event) = serde_json::from_str::<Event<'_>>(json) else {
            return Ok(()); // Nothing that a run says.
        };
        let data = event.data.get();
        if event.kind == "run.exited" {
            let Ok(Exited { run }) = serde_json::from_str(data) else {
                return Ok(());
            };
            if run.id != self.run {
                return Ok(());
            }
            self.print_json(json)?;
            if let Some(reason) = &run.reason {
                output::note(&format!("{}: {reason}", run.state));
            }
            self.exit = Some(exit_of(&run));
            // There is nothing left to print.
            return Err(Failure::OutputClosed.into());
        }
        let Some(Told { run, place, text }) = told(&event.kind, data, self.escapes) else {
            return Ok(());
        };
        if run != self.run {
            return Ok(());
        }
        if self.as_json {
            return self.print_json(json);
        }
        match place {
            Place::Output => Ok(output::line(&text)?),
            Place::Error => {
                output::raw_error(&text);
                Ok(())
            }
            Place::Note => {
                output::note(&text);
                Ok(())
            }
            Place::Nowhere => Ok(()),
        }
    }
}

impl Follower {
    fn print_json(&self, json: &str) -> Result<(), Ended> {
        match self.as_json {
            true => Ok(output::line(&output::one_line(json))?),
            false => Ok(()),
        }
    }
}

/// How a run's end shows to scripts.
fn exit_of(run: &Ending) -> Exit {
    let by_itself = |code: i64| u8::try_from(code).unwrap_or(1);
    match (&*run.state, run.exit_code, run.signal) {
        ("exited", code, _) => Exit::Run(by_itself(code.unwrap_or(0))),
        ("cancelled", ..) => Exit::Run(CANCELLED),
        ("timeout", ..) => Exit::Run(TIMED_OUT),
        // One that says that it failed ends with no success whatever its code.
        (_, Some(code), _) if code != 0 => Exit::Run(by_itself(code)),
        (_, _, Some(signal)) => Exit::Run(by_itself(BY_SIGNAL + signal)),
        _ => Exit::Failed,
    }
}

/// The words after `--`, or what standard input says if they are `-`.
fn prompt(words: &[String]) -> Result<String, Failure> {
    if words != ["-"] {
        return Ok(words.join(" "));
    }
    let mut text = String::new();
    let mut input = io::stdin().lock().take(PROMPT_BYTES_MAX + 1);
    let read = input.read_to_string(&mut text);
    read.map_err(|error| Failure::Misuse(format!("cannot read standard input: {error}")))?;
    if text.len() as u64 > PROMPT_BYTES_MAX {
        let reason = "standard input is longer than 16 MiB, the most a prompt may have";
        return Err(Failure::Misuse(reason.to_owned()));
    }
    Ok(text)
}

/// What asks for a run.
pub(super) fn body(
    agent: &str,
    prompt: &str,
    options: Option<&str>,
    params: &[(String, String)],
) -> Result<Vec<u8>, Failure> {
    if let Some(options) = options {
        let read = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(options);
        read.map_err(|error| Failure::Misuse(format!("--options is no JSON object: {error}")))?;
    }
    let mut out = Vec::with_capacity(256 + prompt.len());
    let object = Object::begin(&mut out)
        .string("agent", agent)
        .string("prompt", prompt);
    let object = match options {
        Some(options) => object.raw("options", options),
        None => object,
    };
    let object = match params {
        [] => object,
        params => object.value("params", |out| {
            let object = params
                .iter()
                .fold(Object::begin(out), |object, (name, value)| {
                    // A number or a truth value is what it looks like; everything else is a text.
                    match serde_json::from_str::<serde_json::Value>(value) {
                        Ok(serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => {
                            object.raw(name, value)
                        }
                        Ok(_) | Err(_) => object.string(name, value),
                    }
                });
            object.end();
        }),
    };
    object.end();
    Ok(out)
}

/// A run that was started, or waits.
#[derive(Deserialize)]
struct Started {
    id: String,
    position: Option<usize>,
}

#[derive(Deserialize)]
struct StartedBody {
    run: Started,
}

fn start(server: &Server, project: ProjectId, body: &[u8]) -> Result<Started, Failure> {
    let path = format!("/api/v1/projects/{project}/runs");
    let answer = exchange(server, "POST", &path, body)?;
    if answer.status != 202 {
        return Err(answer.refusal().into());
    }
    let read = serde_json::from_str::<StartedBody>(&answer.body);
    let read = read.map_err(|_| TransportFault::NotKinglet("the answer names no run"))?;
    Ok(read.run)
}

#[derive(Deserialize)]
struct Known {
    id: String,
    path: String,
}

#[derive(Deserialize)]
struct KnownProjects {
    projects: Vec<Known>,
}

/// The project of this id, or of this directory, which is registered if it is not yet.
pub(super) fn find_project(server: &Server, named: &str) -> Result<ProjectId, Failure> {
    if let Some(id) = ProjectId::parse(named) {
        return Ok(id);
    }
    let path = Path::new(named).canonicalize().map_err(|error| {
        let hint = "PROJECT is the id of a project or a directory";
        Failure::Misuse(format!("{named}: {error}; {hint}"))
    })?;
    let Some(path) = path.to_str() else {
        let reason = "the path of a project must be UTF-8";
        return Err(Failure::Misuse(reason.to_owned()));
    };
    let answer = exchange(server, "GET", "/api/v1/projects", b"")?;
    if answer.status != 200 {
        return Err(answer.refusal().into());
    }
    let strange = |_| TransportFault::NotKinglet("the answer lists no projects");
    let known: KnownProjects = serde_json::from_str(&answer.body).map_err(strange)?;
    let found = known.projects.iter().find(|known| known.path == path);
    if let Some(id) = found.and_then(|known| ProjectId::parse(&known.id)) {
        return Ok(id);
    }
    let mut body = Vec::new();
    Object::begin(&mut body).string("path", path).end();
    let answer = exchange(server, "POST", "/api/v1/projects", &body)?;
    if answer.status != 201 {
        return Err(answer.refusal().into());
    }
    let made: Known = serde_json::from_str(&answer.body)
        .map_err(|_| TransportFault::NotKinglet("the answer is no project"))?;
    let strange = || TransportFault::NotKinglet("the project's id is none");
    let id = ProjectId::parse(&made.id).ok_or_else(strange)?;
    output::note(&format!("{path} is project {id} now"));
    Ok(id)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_runs_end_becomes_an_exit_code() {
        let check = |state: &str, exit_code, signal, expected: Exit| {
            let run = Ending {
                id: String::new(),
                state: state.to_owned(),
                exit_code,
                signal,
                reason: None,
            };
            assert_eq!(exit_of(&run), expected, "{state} {exit_code:?} {signal:?}");
        };
        check("exited", Some(0), None, Exit::Run(0));
        check("failed", Some(7), None, Exit::Run(7));
        check("failed", Some(0), None, Exit::Failed);
        check("failed", None, Some(9), Exit::Run(137));
        check("failed", None, None, Exit::Failed);
        check("cancelled", None, Some(15), Exit::Run(130));
        check("timeout", None, Some(15), Exit::Run(124));
        check("lost", None, None, Exit::Failed);
    }

    #[test]
    fn what_is_asked_for_is_spelt_as_json() {
        let text = |options, params: &[(String, String)]| {
            body("claude", "say \"hi\"", options, params)
                .map(|body| String::from_utf8(body).unwrap())
        };
        assert_eq!(
            text(None, &[]).unwrap(),
            r#"{"agent":"claude","prompt":"say \"hi\""}"#
        );
        let params = [("n", "7"), ("s", "a b"), ("b", "true"), ("o", "{}")];
        let params = params.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            text(Some(r#"{"model":"x"}"#), &params).unwrap(),
            r#"{"agent":"claude","prompt":"say \"hi\"","options":{"model":"x"},"params":{"n":7,"s":"a b","b":true,"o":"{}"}}"#
        );
        assert!(matches!(text(Some("[]"), &[]), Err(Failure::Misuse(_))));
    }
}
