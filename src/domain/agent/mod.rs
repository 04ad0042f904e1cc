//! Agents: the allow-listed commands that runs execute, and how the Claude CLI is spoken with.
//!
//! An [`Agent`] makes of a client's wish what is to be executed: the command line, the input, the
//! environment. May not touch: processes, files, the environment of this process; they are
//! arguments. Invariants: no value of a client becomes another argument or a flag; what turns the
//! agent's own checks off is refused unless the agent allows it.

mod claude;
#[cfg(test)]
mod claude_tests;
mod environment;
mod program;
pub mod speech;
pub mod stream_json;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::config::{AgentKind, AgentOptions, Config, Parameter, ParameterKind};
use crate::domain::fault::{Code, Fault};

/// A configured agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    name: String,
    options: Arc<AgentOptions>,
    allows_dangerous: bool,
}

/// What a client wants executed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// What the agent is told on its standard input.
    pub prompt: &'a str,
    /// Values of the agent's parameters: an object, or nothing.
    pub params: Option<&'a Value>,
    /// Options of the Claude CLI: an object, or nothing.
    pub options: Option<&'a Value>,
    /// The session of the Claude CLI to resume; the project's newest.
    pub session: Option<&'a str>,
}

/// What is to be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The program as configured, which [`Agent::program`] finds, and its arguments.
    pub arguments: Vec<String>,
    /// What is written to its standard input first.
    pub input: Vec<u8>,
    /// Whether the standard input stays open after that; otherwise its end follows.
    pub stays_open: bool,
    /// Paths that the client gave. The caller refuses the run unless each, taken from the
    /// project's directory and resolved, lies under the roots of the projects.
    pub paths: Vec<PathBuf>,
}

impl Agent {
    /// The agent called `name`.
    ///
    /// # Errors
    /// NOT_FOUND if there is none; it names those that there are.
    pub fn find(config: &Config, name: &str) -> Result<Self, Fault> {
        let Some(options) = config.agents.options(name) else {
            let names: Vec<&str> = config.agents.iter().map(|(name, _)| name).collect();
            let message = format!(
                "there is no agent of this name; there are {}",
                names.join(", ")
            );
            return Err(Fault::new(Code::NotFound, message));
        };
        Ok(Self {
            name: name.to_owned(),
            allows_dangerous: config.allows_dangerous(options),
            options: Arc::clone(options),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is configured of it.
    #[must_use]
    pub fn options(&self) -> &AgentOptions {
        &self.options
    }

    /// Makes the command line of a run.
    ///
    /// # Errors
    /// VALIDATION_FAILED for what is missing, unknown or wrong in `request`; PERMISSION_DENIED for
    /// what the agent does not allow.
    pub fn command_line(&self, request: &Request<'_>) -> Result<CommandLine, Fault> {
        let mut paths = Vec::new();
        let mut arguments = self.own_arguments(request.params, &mut paths)?;
        let options = object("options", request.options)?;
        let input = match self.options.kind {
            AgentKind::Claude => {
                if request.prompt.trim().is_empty() {
                    return Err(invalid("prompt must not be empty"));
                }
                let flags = self.claude_flags(request.session, options, &mut paths)?;
                arguments.extend(flags);
                match self.options.interactive {
                    true => speech::user_message(request.prompt),
                    false => request.prompt.as_bytes().to_vec(),
                }
            }
            AgentKind::Lines => {
                if let Some(name) = options.and_then(|options| options.keys().next()) {
                    let problem = "is an option of agents of kind \"claude\"; this one has params";
                    return Err(invalid(format!("options.{} {problem}", shown(name))));
                }
                match request.prompt {
                    "" => Vec::new(),
                    prompt => line(prompt),
                }
            }
        };
        Ok(CommandLine {
            arguments,
            input,
            stays_open: self.options.interactive,
            paths,
        })
    }

    /// The absolute path of its program: as configured, or the first in the directories of
    /// `search`, a `PATH`, that `is_executable`.
    ///
    /// # Errors
    /// CLAUDE_NOT_FOUND or, for other kinds, AGENT_NOT_FOUND.
    pub fn program(
        &self,
        search: Option<&OsStr>,
        is_executable: impl Fn(&Path) -> bool,
    ) -> Result<PathBuf, Fault> {
        let first = self.options.command.first();
        let program = first.and_then(|argument| argument.text()).unwrap_or("");
        program::find(program, search, is_executable).ok_or_else(|| {
            let code = match self.options.kind {
                AgentKind::Claude => Code::ClaudeNotFound,
                AgentKind::Lines => Code::AgentNotFound,
            };
            let name = &self.name;
            let message = format!(
                "the program of the agent {name} was not found; install it, or write its path as \
                 agents.{name}.command"
            );
            Fault::new(code, message)
        })
    }

    /// The environment of a run in `directory`: of the server's variables those that pass, and the
    /// agent's own. Its `PATH` is where [`Agent::program`] searches.
    pub fn environment(
        &self,
        server: impl IntoIterator<Item = (OsString, OsString)>,
        directory: &Path,
    ) -> BTreeMap<OsString, OsString> {
        environment::of_run(&self.options, server, directory)
    }

    /// The configured command with the values of its parameters.
    fn own_arguments(
        &self,
        params: Option<&Value>,
        paths: &mut Vec<PathBuf>,
    ) -> Result<Vec<String>, Fault> {
        let given = object("params", params)?;
        let declared = &self.options.params;
        let names: Vec<&str> = declared.keys().map(String::as_str).collect();
        refuse_unknown("params", given, &names)?;
        let mut values = BTreeMap::new();
        for (name, parameter) in declared {
            let given = given.and_then(|given| given.get(name));
            if let Some(value) = value_of(name, parameter, given)? {
                if parameter.kind == ParameterKind::Path {
                    paths.push(PathBuf::from(&value));
                }
                values.insert(name.as_str(), value);
            }
        }
        let filled = self
            .options
            .command
            .iter()
            .map(|argument| argument.fill(&values));
        let filled: Result<Vec<_>, _> = filled.collect();
        let filled = filled.map_err(|fault| invalid(format!("params: {fault}")))?;
        Ok(filled.into_iter().flatten().collect())
    }
}

/// Whether `id` can be a session of the Claude CLI: 1 to 128 of `A-Z a-z 0-9 _ -`, not first `-`.
///
/// The CLI gives UUIDs; what it writes is not to be trusted more than that.
#[must_use]
pub fn is_session_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=128).contains(&id.len()) && !id.starts_with('-') && id.bytes().all(allowed)
}

/// The text that a parameter gets, if any.
fn value_of(
    name: &str,
    parameter: &Parameter,
    given: Option<&Value>,
) -> Result<Option<String>, Fault> {
    let text = match given {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) if matches!(parameter.kind, ParameterKind::Integer { .. }) => {
            number.to_string()
        }
        None | Some(Value::Null) if parameter.required => {
            return Err(invalid(format!("params.{name} is missing")));
        }
        None | Some(Value::Null) => return Ok(parameter.default.clone()),
        Some(_) => {
            let right = match parameter.kind {
                ParameterKind::Integer { .. } => "a whole number",
                ParameterKind::Text { .. } | ParameterKind::Choice(_) | ParameterKind::Path => {
                    "a string"
                }
            };
            return Err(invalid(format!("params.{name} must be {right}")));
        }
    };
    let checked = parameter.check(&text);
    checked.map_err(|problem| invalid(format!("params.{name} {problem}")))?;
    Ok(Some(text))
}

/// The object that was given as `name`, if any.
fn object<'a>(
    name: &str,
    value: Option<&'a Value>,
) -> Result<Option<&'a Map<String, Value>>, Fault> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members)),
        Some(_) => Err(invalid(format!("{name} must be an object"))),
    }
}

/// Refuses a member of `given` that is not one of `known`: it could have been meant to restrict.
fn refuse_unknown(
    place: &str,
    given: Option<&Map<String, Value>>,
    known: &[&str],
) -> Result<(), Fault> {
    let mut names = given.into_iter().flat_map(Map::keys);
    let Some(unknown) = names.find(|name| !known.contains(&name.as_str())) else {
        return Ok(());
    };
    // Comparing costs the product of the lengths.
    let start: String = unknown.chars().take(64).collect();
    let distance = |known: &&&str| strsim::damerau_levenshtein(&start, known);
    let nearest = known.iter().min_by_key(distance);
    let hint = match nearest.filter(|known| distance(known) <= known.len() / 2) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None if known.is_empty() => "there are none".to_owned(),
        None => format!("there are {}", known.join(", ")),
    };
    Err(invalid(format!(
        "{place}.{} is unknown; {hint}",
        shown(unknown)
    )))
}

/// A name that a client chose, as it is quoted in a fault.
fn shown(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(Code::ValidationFailed, message)
}

/// `text` as a line.
/// `text` as a line, which it may be already.
#[must_use]
pub fn line(text: &str) -> Vec<u8> {
    let mut line = text.as_bytes().to_vec();
    if !text.ends_with('\n') {
        line.push(b'\n');
    }
    line
}
