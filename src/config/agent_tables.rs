//! The tables within an agent's table, and the rules between its keys.
//!
//! Invariants: all faults of an agent are reported, each at the key that it was written under; what
//! would have no effect is refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::agent_keys::AGENT_KEYS;
use super::agents::{AgentKind, AgentOptions, Agents, Variables};
use super::argument::is_parameter_name;
use super::families::{AGENTS, is_table_name};
use super::fault::Faults;
use super::parameter::{Parameter, ParameterKind};
use super::raw::{Raw, Written};
use super::settings::apply;
use super::value;

/// Bytes that a text may have unless the parameter says otherwise.
const TEXT_BYTES: usize = 4096;

/// Bytes that it may be declared to have; Linux takes 128 KiB in one argument.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Programs that take an argument for code.
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "zsh", "ksh", "fish", "busybox"];

/// Makes the agents of what was written.
pub(super) fn agents(raw: &Raw, faults: &mut Faults) -> Agents {
    let mut configured = BTreeMap::new();
    for (name, table) in &raw.agents {
        let mut options = AgentOptions::starting_from(name);
        let before = faults.0.len();
        for key in AGENT_KEYS {
            if let Some(written) = table.get(key.name) {
                apply(
                    key,
                    &AGENTS.full(name, key.name),
                    written,
                    &mut options,
                    faults,
                );
            }
        }
        let mut reader = Reader {
            name,
            table,
            file: &raw.file,
            faults,
        };
        options.env = reader.variables();
        options.mcp_configs = reader.mcp_configs();
        options.params = reader.params();
        if options.kind == AgentKind::Claude && !table.contains_key("command") {
            options.use_claude();
        }
        reader.require_program(&options);
        if reader.faults.0.len() == before {
            // Otherwise what is missing was there, and is told of already.
            reader.require_matching_params(&options);
        }
        reader.require_effect(&options);
        configured.insert(name.clone(), options);
    }
    Agents::new(configured)
}

/// What reads one agent's table.
struct Reader<'a> {
    name: &'a str,
    table: &'a BTreeMap<&'static str, Written>,
    file: &'a str,
    faults: &'a mut Faults,
}

impl Reader<'_> {
    /// Notes a fault of `key`, or of `key` within it, where it was written.
    fn fault(&mut self, key: &str, within: Option<&str>, problem: impl Into<String>) {
        let origin = self.table.get(key).map_or("", |written| &written.origin);
        let name = AGENTS.full(self.name, key);
        let place = within.map_or(name.clone(), |within| format!("{name}.{within}"));
        self.faults.add(&place, origin, problem);
    }

    /// The table that was written under `key`.
    fn inner(&mut self, key: &'static str) -> Table {
        match self.table.get(key).map(|written| &written.value) {
            Some(Value::Table(table)) => table.clone(),
            Some(other) => {
                let problem = format!("{} is not a table", value::shown(other));
                self.fault(key, None, problem);
                Table::new()
            }
            None => Table::new(),
        }
    }

    fn variables(&mut self) -> Variables {
        let mut variables = BTreeMap::new();
        for (name, value) in self.inner("env") {
            let is_name = !name.is_empty() && !name.contains(['=', '\0']);
            let is_ours = name.starts_with("KINGLET_") || name == "PWD";
            match value.as_str() {
                _ if !is_name || is_ours => {
                    let problem = "is no variable that can be set: a name has no =, PWD is the \
                                   project's, KINGLET_ the server's own";
                    self.fault("env", Some(&name), problem);
                }
                Some(text) if !text.contains('\0') => {
                    variables.insert(name, text.to_owned());
                }
                // Whatever it is, it may be a secret.
                Some(_) | None => {
                    self.fault("env", Some(&name), "must be a text without zero bytes");
                }
            }
        }
        Variables(variables)
    }

    fn mcp_configs(&mut self) -> BTreeMap<String, PathBuf> {
        let mut configs = BTreeMap::new();
        for (name, value) in self.inner("mcp_configs") {
            let path = value.as_str().filter(|text| Path::new(text).is_absolute());
            match path.filter(|_| is_table_name(&name)) {
                Some(path) => {
                    configs.insert(name, PathBuf::from(path));
                }
                None => {
                    let problem = "must be the absolute path of a file, and its name 1 to 64 of \
                                   A-Z a-z 0-9 _ . -";
                    self.fault("mcp_configs", Some(&name), problem);
                }
            }
        }
        configs
    }

    fn params(&mut self) -> BTreeMap<String, Parameter> {
        let mut params = BTreeMap::new();
        for (name, value) in self.inner("params") {
            let read = match &value {
                _ if !is_parameter_name(&name) => {
                    Err("a parameter is called by 1 to 64 of a-z 0-9 _, first a letter".to_owned())
                }
                Value::Table(table) => parameter(table),
                other => Err(format!(
                    "{} is not a table, {{type = \"string\"}}",
                    value::shown(other)
                )),
            };
            match read {
                Ok(parameter) => {
                    params.insert(name, parameter);
                }
                Err(problem) => self.fault("params", Some(&name), problem),
            }
        }
        params
    }

    fn require_program(&mut self, options: &AgentOptions) {
        let Some(program) = options.command.first() else {
            if !self.table.contains_key("command") {
                let first = self.table.values().next();
                let origin = first.map_or(self.file, |first| &first.origin);
                let name = AGENTS.full(self.name, "command");
                let problem = "is missing: the program that the agent is, or a list of it and its \
                               arguments";
                self.faults.add(&name, origin, problem);
            } else if self.is_empty_list() {
                self.fault(
                    "command",
                    None,
                    "the list is empty; write the program first",
                );
            }
            return;
        };
        let is_program = |text: &str| match text.contains('/') {
            true => Path::new(text).is_absolute(),
            false => !text.is_empty(),
        };
        if !program.text().is_some_and(is_program) {
            let problem = "the program must be a name to look for in PATH, or an absolute path, \
                           without parameters";
            return self.fault("command", None, problem);
        }
        let name = program.text().and_then(|text| text.rsplit('/').next());
        let is_shell = name.is_some_and(|name| SHELLS.contains(&name));
        let arguments = options.command.iter().skip(1);
        let mut pairs = options.command.iter().zip(arguments);
        let is_code = pairs.any(|(before, code)| {
            let is_flag = |text: &str| text.starts_with('-') && text.ends_with('c');
            before.text().is_some_and(is_flag) && code.text().is_none()
        });
        if is_shell && is_code {
            let problem = "a shell would run the value as code; pass it behind the code, as in \
                           [\"sh\", \"-c\", \"cat -- \\\"$1\\\"\", \"sh\", \"{file}\"]";
            self.fault("command", None, problem);
        }
    }

    fn is_empty_list(&self) -> bool {
        let written = self.table.get("command").map(|written| &written.value);
        written.and_then(Value::as_array).is_some_and(Vec::is_empty)
    }

    fn require_matching_params(&mut self, options: &AgentOptions) {
        let used: Vec<&str> = options
            .command
            .iter()
            .flat_map(|argument| argument.parameters())
            .collect();
        for name in &used {
            if !options.params.contains_key(*name) {
                let problem = format!("{{{name}}} is no parameter; declare params.{name}");
                self.fault("command", None, problem);
            }
        }
        for name in options.params.keys() {
            if !used.contains(&name.as_str()) {
                let problem = format!("has no effect: the command has no {{{name}}}");
                self.fault("params", Some(name), problem);
            }
        }
    }

    /// Refuses what means something to the Claude CLI alone, for other commands.
    fn require_effect(&mut self, options: &AgentOptions) {
        for key in ["mcp_configs", "allow_dangerous"] {
            if options.kind == AgentKind::Lines && self.table.contains_key(key) {
                self.fault(key, None, "has an effect only with kind = \"claude\"");
            }
        }
        if options.limits.cpu.is_some_and(|time| time.as_secs() == 0) {
            self.fault(
                "limits.cpu",
                None,
                "must be a second or more, or 0 for no limit",
            );
        }
    }
}

/// Reads the table of one parameter.
fn parameter(table: &Table) -> Result<Parameter, String> {
    let kind_name = table.get("type").and_then(Value::as_str).unwrap_or("");
    let own: &[&str] = match kind_name {
        "string" => &["max_bytes", "multi_line"],
        "int" => &["min", "max"],
        "choice" => &["choices"],
        "path" => &[],
        _ => return Err("needs a type: \"string\", \"int\", \"choice\" or \"path\"".to_owned()),
    };
    let known: Vec<&str> = ["type", "required", "default"]
        .iter()
        .chain(own)
        .copied()
        .collect();
    if let Some(unknown) = table.keys().find(|key| !known.contains(&key.as_str())) {
        let known = known.join(", ");
        return Err(format!(
            "{unknown:?} is unknown for a {kind_name}; there are {known}"
        ));
    }
    let flag = |key: &str, default: bool| {
        let written = table.get(key).map(value::flag);
        written
            .unwrap_or(Ok(default))
            .map_err(|problem| format!("{key}: {problem}"))
    };
    let kind = match kind_name {
        "string" => {
            let bytes = table.get("max_bytes");
            let bytes = bytes.map(|bytes| value::size(bytes, 1, TEXT_BYTES_MAX));
            ParameterKind::Text {
                bytes_max: bytes
                    .unwrap_or(Ok(TEXT_BYTES))
                    .map_err(|problem| format!("max_bytes: {problem}"))?,
                multi_line: flag("multi_line", false)?,
            }
        }
        "int" => integer(table)?,
        "choice" => {
            let words = table.get("choices");
            let words = words.and_then(|words| value::list(words, |word| Ok(word.to_owned())).ok());
            let words = words.filter(|words: &Vec<String>| !words.is_empty());
            let words = words.ok_or("needs choices, a list of strings")?;
            ParameterKind::Choice(words)
        }
        _ => ParameterKind::Path,
    };
    let default = match table.get("default") {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Integer(number)) => Some(number.to_string()),
        Some(other) => return Err(format!("default: {} is no such value", value::shown(other))),
        None => None,
    };
    if let Some(Err(problem)) = default.as_deref().map(|default| kind.check(default)) {
        return Err(format!("default: {problem}"));
    }
    let required = flag("required", default.is_none())?;
    if required && default.is_some() {
        return Err("has a default, so it is not required; choose one".to_owned());
    }
    Ok(Parameter {
        kind,
        required,
        default,
    })
}

fn integer(table: &Table) -> Result<ParameterKind, String> {
    let bound = |key: &str, default: i64| match table.get(key) {
        Some(Value::Integer(number)) => Ok(*number),
        Some(other) => Err(format!(
            "{key}: {} is not a whole number",
            value::shown(other)
        )),
        None => Ok(default),
    };
    let (min, max) = (bound("min", i64::MIN)?, bound("max", i64::MAX)?);
    match min <= max {
        true => Ok(ParameterKind::Integer { min, max }),
        false => Err(format!("min {min} is above max {max}")),
    }
}
