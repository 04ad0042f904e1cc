//! The options of a run of the Claude CLI, and the flags that they become.
//!
//! The flags are those of Claude Code 2.1 in a fixed order, each value joined to its flag by `=`, so
//! that none can be taken for a flag or for the prompt. Invariants: an unknown option is refused,
//! since it could have been meant to restrict; empty texts, empty lists and null are as good as
//! missing, as some clients send all options always.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::config::begins_with_dash;
use crate::domain::agent::{Agent, invalid, is_session_id, refuse_unknown};
use crate::domain::fault::{Code, Fault};

/// The options there are.
const OPTIONS: [&str; 10] = [
    "dangerously_skip_permissions",
    "allowed_tools",
    "disallowed_tools",
    "mcp_config",
    "append_system_prompt",
    "permission_mode",
    "model",
    "fallback_model",
    "add_dirs",
    "strict_mcp_config",
];

/// The modes of the CLI but the one that asks for nothing.
const MODES: [&str; 5] = ["default", "acceptEdits", "plan", "auto", "dontAsk"];

/// The mode that asks for nothing.
const BYPASS: &str = "bypassPermissions";

/// Items of a list.
const ITEMS_MAX: usize = 128;

/// Bytes of a tool's name with its pattern, and of a model's name.
const NAME_BYTES_MAX: usize = 256;

/// Bytes of a path: Linux's PATH_MAX.
const PATH_BYTES_MAX: usize = 4096;

/// Bytes of the longest text; Linux takes 128 KiB in one argument.
const TEXT_BYTES_MAX: usize = 64 * 1024;

impl Agent {
    /// The flags of a run; adds the directories it asks for to `paths`.
    pub(super) fn claude_flags(
        &self,
        session: Option<&str>,
        options: Option<&Map<String, Value>>,
        paths: &mut Vec<PathBuf>,
    ) -> Result<Vec<String>, Fault> {
        refuse_unknown("options", options, &OPTIONS)?;
        let given = Given(options);
        let mut flags = Vec::new();
        if let Some(id) = session {
            if !is_session_id(id) {
                return Err(invalid("the session to resume has no valid id"));
            }
            flags.push(format!("--resume={id}"));
        }
        flags.push("-p".to_owned());
        if given.flag("dangerously_skip_permissions")? {
            self.require_dangerous("dangerously_skip_permissions")?;
            flags.push("--dangerously-skip-permissions".to_owned());
        }
        for (name, flag) in [
            ("allowed_tools", "--allowed-tools"),
            ("disallowed_tools", "--disallowed-tools"),
        ] {
            let tools = given.list(name)?;
            if let Some(wrong) = tools.iter().find(|tool| !is_tool(tool)) {
                return Err(wrong_value(
                    name,
                    wrong,
                    "a tool: Read, Bash(git *), mcp__server__tool",
                ));
            }
            if !tools.is_empty() {
                flags.push(format!("{flag}={}", tools.join(",")));
            }
        }
        if let Some(config) = self.mcp_config(given)? {
            flags.push(format!("--mcp-config={config}"));
        }
        if let Some(text) = given.text("append_system_prompt", TEXT_BYTES_MAX)? {
            flags.push(format!("--append-system-prompt={text}"));
        }
        if let Some(mode) = given.text("permission_mode", NAME_BYTES_MAX)? {
            match mode {
                BYPASS => self.require_dangerous("permission_mode = \"bypassPermissions\"")?,
                mode if MODES.contains(&mode) => {}
                _ => {
                    let modes = format!("one of {}, {BYPASS}", MODES.join(", "));
                    return Err(wrong_value("permission_mode", mode, &modes));
                }
            }
            flags.push(format!("--permission-mode={mode}"));
        }
        for (name, flag) in [("model", "--model"), ("fallback_model", "--fallback-model")] {
            if let Some(model) = given.text(name, NAME_BYTES_MAX)? {
                if !is_model(model) {
                    return Err(wrong_value(name, model, "the name of a model"));
                }
                flags.push(format!("{flag}={model}"));
            }
        }
        for directory in given.list("add_dirs")? {
            if !is_directory(directory) {
                let right = "an absolute path without .. and control characters";
                return Err(wrong_value("add_dirs", directory, right));
            }
            flags.push(format!("--add-dir={directory}"));
            paths.push(PathBuf::from(directory));
        }
        if given.flag("strict_mcp_config")? {
            flags.push("--strict-mcp-config".to_owned());
        }
        flags.extend(["--verbose", "--output-format=stream-json"].map(str::to_owned));
        if self.options.interactive {
            let spoken = [
                "--input-format=stream-json",
                "--permission-prompt-tool=stdio",
            ];
            flags.extend(spoken.map(str::to_owned));
        }
        Ok(flags)
    }

    fn require_dangerous(&self, what: &str) -> Result<(), Fault> {
        if self.allows_dangerous {
            return Ok(());
        }
        let message = format!(
            "{what} is not allowed here; agents.{}.allow_dangerous would allow it",
            self.name
        );
        Err(Fault::new(Code::PermissionDenied, message))
    }

    /// The configured file of the given name; any other file, or the configuration itself, only
    /// where dangerous things are allowed, because it names programs to start.
    fn mcp_config(&self, given: Given<'_>) -> Result<Option<String>, Fault> {
        const NAME: &str = "mcp_config";
        let what = "an mcp_config that is not named in mcp_configs";
        if let Some(Value::Object(config)) = given.member(NAME) {
            self.require_dangerous(what)?;
            let text = Value::Object(config.clone()).to_string();
            if text.len() > TEXT_BYTES_MAX {
                return Err(too_long(NAME, TEXT_BYTES_MAX));
            }
            return Ok(Some(text));
        }
        let Some(text) = given.text(NAME, TEXT_BYTES_MAX)? else {
            return Ok(None);
        };
        if let Some(path) = self.options.mcp_configs.get(text) {
            return Ok(Some(path.to_string_lossy().into_owned()));
        }
        self.require_dangerous(what)?;
        if begins_with_dash(text) {
            return Err(wrong_value(NAME, text, "a name, a path or an object"));
        }
        Ok(Some(text.to_owned()))
    }
}

/// The options that a client gave.
#[derive(Clone, Copy)]
struct Given<'a>(Option<&'a Map<String, Value>>);

impl<'a> Given<'a> {
    /// The option called `name`, unless it is as good as missing.
    fn member(self, name: &str) -> Option<&'a Value> {
        let value = self.0.and_then(|options| options.get(name))?;
        (!value.is_null()).then_some(value)
    }

    fn flag(self, name: &str) -> Result<bool, Fault> {
        match self.member(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(invalid(format!("options.{name} must be true or false"))),
        }
    }

    fn text(self, name: &str, bytes_max: usize) -> Result<Option<&'a str>, Fault> {
        match self.member(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => checked(name, text, bytes_max).map(Some),
            Some(_) => Err(invalid(format!("options.{name} must be a string"))),
        }
    }

    fn list(self, name: &str) -> Result<Vec<&'a str>, Fault> {
        let items = match self.member(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) if items.len() <= ITEMS_MAX => items,
            Some(_) => {
                let right = format!("a list of at most {ITEMS_MAX} strings");
                return Err(invalid(format!("options.{name} must be {right}")));
            }
        };
        let texts = items.iter().map(|item| match item {
            Value::String(text) => checked(name, text, PATH_BYTES_MAX),
            _ => Err(invalid(format!("options.{name} must hold strings only"))),
        });
        texts.collect()
    }
}

/// `text` if it is not too long and has no zero byte, which no argument can have.
fn checked<'a>(name: &str, text: &'a str, bytes_max: usize) -> Result<&'a str, Fault> {
    if text.len() > bytes_max {
        return Err(too_long(name, bytes_max));
    }
    match text.contains('\0') {
        true => Err(invalid(format!("options.{name} must have no zero byte"))),
        false => Ok(text),
    }
}

/// Whether `text` is a tool, alone or with a pattern in brackets: `Bash(git log:*)`. The CLI splits
/// its list at commas and spaces outside of brackets, so neither can be in a name.
fn is_tool(text: &str) -> bool {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.*-".contains(&byte);
    let (name, pattern) = match text.split_once('(') {
        Some((name, rest)) => (name, rest.strip_suffix(')')),
        None => (text, Some("*")),
    };
    let in_pattern = |letter: char| !letter.is_control() && letter != '(' && letter != ')';
    text.len() <= NAME_BYTES_MAX
        && !name.is_empty()
        && !begins_with_dash(name)
        && name.bytes().all(in_name)
        && pattern.is_some_and(|pattern| pattern.chars().all(in_pattern))
}

/// Whether `text` names a model, or several with commas between: `opus`, `sonnet[1m]`,
/// `us.anthropic.claude:0`.
fn is_model(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@-[],".contains(&byte);
    !begins_with_dash(text) && text.bytes().all(allowed)
}

/// Whether `text` could be a directory that the caller then looks for.
fn is_directory(text: &str) -> bool {
    let leaves = text.split('/').any(|component| component == "..");
    Path::new(text).is_absolute() && !leaves && !text.contains(char::is_control)
}

fn wrong_value(name: &str, value: &str, right: &str) -> Fault {
    let start: String = value.chars().take(60).collect();
    invalid(format!("options.{name}: {start:?} is not {right}"))
}

fn too_long(name: &str, bytes_max: usize) -> Fault {
    invalid(format!(
        "options.{name} must have at most {bytes_max} bytes"
    ))
}
