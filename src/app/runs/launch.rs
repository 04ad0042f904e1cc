//! What is executed for an agent: looked up, checked and put together by workers, because programs
//! and directories are looked for on disk.
//!
//! Invariant: a client's values are arguments of their own or none, and its paths lie under the roots
//! of the projects.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::app::runs::paths;
use crate::config::{AgentKind, CLAUDE, Config, StallAction};
use crate::domain::agent::{Agent, Request};
use crate::domain::fault::{Code, Fault};
use crate::domain::launch::{Launch, ProcessLimits};
use crate::domain::project::Project;
use crate::domain::run_command::Start;

/// A session that no project has, to see where it goes.
const NO_SESSION: &str = "0";

/// What is executed for a run.
///
/// # Errors
/// VALIDATION_FAILED for an agent that is not configured and for what it does not take;
/// PERMISSION_DENIED for what it does not allow; CLAUDE_NOT_FOUND and AGENT_NOT_FOUND;
/// INVALID_PATH for a path outside the roots.
pub(super) fn of(asked: &Start, project: &Project, config: &Config) -> Result<Launch, Fault> {
    let agent = find(config, &asked.agent)?;
    let options = value(asked.options.as_deref(), "options")?;
    let params = value(asked.params.as_deref(), "params")?;
    let request = Request {
        prompt: &asked.prompt,
        params: params.as_ref(),
        options: options.as_ref(),
        session: None,
    };
    let line = agent.command_line(&request)?;
    let directory = Path::new(&*project.path);
    let roots = config.project_roots();
    for path in &line.paths {
        let given = directory.join(path);
        paths::check_inside(&given.to_string_lossy(), &roots)
            .map_err(|fault| named(fault, path))?;
    }
    let environment = agent.environment(env::vars_os(), directory);
    let search = environment.get(std::ffi::OsStr::new("PATH"));
    let program = agent.program(search.map(|path| &**path), is_executable)?;
    let settings = agent.options();
    let resume_at = match settings.kind {
        AgentKind::Claude => {
            let session = Some(NO_SESSION);
            let resumed = agent.command_line(&Request { session, ..request })?;
            let pairs = line.arguments.iter().zip(&resumed.arguments);
            let same = pairs.take_while(|(one, other)| one == other).count();
            Some(same)
        }
        AgentKind::Lines => None,
    };
    let arguments = line.arguments.into_iter().skip(1).map(Into::into);
    let number = |limit: Option<usize>| limit.map(|limit| limit as u64);
    let limits = &settings.limits;
    Ok(Launch {
        kind: settings.kind,
        argv: std::iter::once(program.into()).chain(arguments).collect(),
        resume_at,
        directory: directory.to_owned(),
        environment: environment.into_iter().collect(),
        input: line.input,
        interactive: line.stays_open,
        limits: ProcessLimits {
            cpu: limits.cpu,
            memory: number(limits.memory),
            files: number(limits.files),
            processes: number(limits.processes),
        },
        timeout: settings.timeout,
        stall_after: settings.stall_after,
        stall_cancels: settings.stall_action == StallAction::Cancel,
    })
}

/// Each agent with the absolute path of its program, or why there is none.
pub fn programs(config: &Config) -> impl Iterator<Item = (String, Result<PathBuf, Fault>)> {
    config.agents.iter().map(|(name, _)| {
        let program = Agent::find(config, name).and_then(|agent| {
            let environment = agent.environment(env::vars_os(), Path::new("/"));
            let search = environment.get(std::ffi::OsStr::new("PATH"));
            agent.program(search.map(|path| &**path), is_executable)
        });
        (name.to_owned(), program)
    })
}

/// The Claude CLI as it would be started.
#[derive(Debug)]
pub struct Cli {
    /// Its program as the configuration names it.
    pub program: String,
    /// Where that is, or why it cannot be run.
    pub found: Result<PathBuf, String>,
    /// What it is started with.
    pub environment: Vec<(OsString, OsString)>,
}

/// The Claude CLI of the agent of that name; `None` if that is no agent, or another command.
#[must_use]
pub fn claude(config: &Config) -> Option<Cli> {
    let agent = Agent::find(config, CLAUDE).ok()?;
    let options = agent.options();
    if options.kind != AgentKind::Claude {
        return None;
    }
    let first = options.command.first()?;
    let environment = agent.environment(env::vars_os(), Path::new("/"));
    let search = environment.get(std::ffi::OsStr::new("PATH"));
    let found = agent.program(search.map(|path| &**path), is_executable);
    Some(Cli {
        program: first.text().unwrap_or_default().to_owned(),
        found: found.map_err(|fault| fault.message),
        environment: environment.into_iter().collect(),
    })
}

/// The agents whose programs are not installed.
#[must_use]
pub fn missing(config: &Config) -> Vec<String> {
    programs(config)
        .filter_map(|(name, program)| program.err().map(|_| name))
        .collect()
}

/// The agent of this name.
fn find(config: &Config, name: &str) -> Result<Agent, Fault> {
    // What is missing is a value of the request, not what the request is about.
    Agent::find(config, name)
        .map_err(|fault| Fault::new(Code::ValidationFailed, format!("agent: {}", fault.message)))
}

fn value(json: Option<&str>, name: &str) -> Result<Option<Value>, Fault> {
    let value = json.map(serde_json::from_str).transpose();
    value.map_err(|_| {
        let message = format!("{name} must be an object");
        Fault::new(Code::ValidationFailed, message)
    })
}

/// The refusal of a path that the client gave, with that path and no other.
fn named(fault: Fault, given: &Path) -> Fault {
    fault.with_details(serde_json::json!({ "path": given.to_string_lossy() }))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
