//! `[agents.<agent>]`: the commands that runs may execute, and `[projects]`: where.
//!
//! Invariants: the agent `claude` always exists; a command's program is a bare name or an absolute
//! path without places for values, and every place has its parameter.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::Value;

use super::argument::Argument;
use super::auth::AuthMode;
use super::parameter::Parameter;
use super::settings::Config;
use super::value;

/// The agent that is there from the start.
pub const CLAUDE: &str = "claude";

/// `[projects]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projects {
    /// Directories that projects may be in, absolute; `None` is the default of the mode, see
    /// [`Config::project_roots`].
    pub roots: Option<Vec<PathBuf>>,
    /// Projects that exist at a time.
    pub max: Option<usize>,
    /// What happens to a run of a project that has one.
    pub busy: Busy,
    /// The home directory of whoever runs the server, if there is one.
    pub home: Option<PathBuf>,
}

/// What happens to a run of a project that has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// It is refused.
    Reject,
    /// It waits.
    Queue,
}

impl Default for Projects {
    fn default() -> Self {
        Self {
            roots: None,
            max: Some(100),
            busy: Busy::Reject,
            home: None,
        }
    }
}

/// All agents by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agents(BTreeMap<String, Arc<AgentOptions>>);

impl Default for Agents {
    fn default() -> Self {
        Self::new(BTreeMap::new())
    }
}

impl Agents {
    /// The configured agents, and `claude` if it is not one of them.
    pub(super) fn new(configured: BTreeMap<String, AgentOptions>) -> Self {
        let with_arc = |(name, options)| (name, Arc::new(options));
        let mut all: BTreeMap<_, _> = configured.into_iter().map(with_arc).collect();
        all.entry(CLAUDE.to_owned())
            .or_insert_with(|| Arc::new(AgentOptions::starting_from(CLAUDE)));
        Self(all)
    }

    /// The agent called `name`.
    #[must_use]
    pub fn options(&self, name: &str) -> Option<&Arc<AgentOptions>> {
        self.0.get(name)
    }

    /// All agents with their names, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<AgentOptions>)> {
        self.0
            .iter()
            .map(|(name, options)| (name.as_str(), options))
    }

    /// The names of the agents that are not the same in `other`, or not there.
    pub(super) fn differing<'a>(&'a self, other: &'a Self) -> Vec<&'a str> {
        let mut names: Vec<&str> = self.0.keys().chain(other.0.keys()).map(|k| &**k).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| self.options(name) != other.options(name));
        names
    }
}

/// One agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentOptions {
    /// How it is spoken with.
    pub kind: AgentKind,
    /// The program and its arguments, at least the program.
    pub command: Vec<Argument>,
    /// What a client may set, by name.
    pub params: BTreeMap<String, Parameter>,
    /// Variables for it beside those that pass from the server.
    pub env: Variables,
    /// How long a run may take; `None` is for ever.
    pub timeout: Option<Duration>,
    /// After how long without output a run counts as stalled; `None` is never.
    pub stall_after: Option<Duration>,
    /// What happens to a run that has stalled.
    pub stall_action: StallAction,
    /// Whether it is spoken with while it runs.
    pub interactive: bool,
    /// Whether clients may turn its own checks off; `None` is the default of the mode, see
    /// [`Config::allows_dangerous`].
    pub allow_dangerous: Option<bool>,
    /// Files that clients may choose by name as the Claude CLI's `--mcp-config`; absolute.
    pub mcp_configs: BTreeMap<String, PathBuf>,
    /// What the system holds its processes to.
    pub limits: AgentLimits,
}

/// How an agent is spoken with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentKind {
    /// As the Claude CLI: stream-json, its options, its requests for permission.
    Claude,
    /// Any command that writes lines.
    Lines,
}

/// What happens to a run that has stalled, after everybody was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StallAction {
    /// Nothing.
    None,
    /// It is ended.
    Cancel,
}

/// What the system holds each process of a run to (`setrlimit`); `None` is as the server's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentLimits {
    /// Processor time, a second or more (`RLIMIT_CPU`).
    pub cpu: Option<Duration>,
    /// Bytes of address space (`RLIMIT_AS`).
    pub memory: Option<usize>,
    /// Open files (`RLIMIT_NOFILE`).
    pub files: Option<usize>,
    /// Processes and threads of the server's user in all (`RLIMIT_NPROC`).
    pub processes: Option<usize>,
}

/// Variables of an environment; their values are not shown, because some are keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables(pub BTreeMap<String, String>);

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Default for AgentOptions {
    fn default() -> Self {
        Self {
            kind: AgentKind::Lines,
            command: Vec::new(),
            params: BTreeMap::new(),
            env: Variables::default(),
            timeout: Some(Duration::from_secs(30 * 60)),
            stall_after: Some(Duration::from_secs(5 * 60)),
            stall_action: StallAction::None,
            interactive: false,
            allow_dangerous: None,
            mcp_configs: BTreeMap::new(),
            limits: AgentLimits::default(),
        }
    }
}

impl AgentOptions {
    /// The options the agent called `name` starts from, before its own table is applied.
    pub(super) fn starting_from(name: &str) -> Self {
        let mut options = Self::default();
        if name == CLAUDE {
            options.kind = AgentKind::Claude;
            options.use_claude();
        }
        options
    }

    /// Makes the command `claude`, which the path is searched for.
    pub(super) fn use_claude(&mut self) {
        self.command = Argument::parse(CLAUDE).into_iter().collect();
    }
}

impl Config {
    /// Directories that projects may be in: by default the home directory in the open mode, none
    /// in token mode.
    #[must_use]
    pub fn project_roots(&self) -> Vec<PathBuf> {
        match (&self.projects.roots, self.auth.mode) {
            (Some(roots), _) => roots.clone(),
            (None, AuthMode::Open) => self.projects.home.iter().cloned().collect(),
            (None, AuthMode::Token) => Vec::new(),
        }
    }

    /// Whether clients may turn the checks of `agent` off: by default in the open mode if only
    /// this machine reaches it.
    #[must_use]
    pub fn allows_dangerous(&self, agent: &AgentOptions) -> bool {
        let is_local = || {
            let mut addresses = self.server.listen.iter();
            addresses.all(|address| address.ip().to_canonical().is_loopback())
        };
        agent
            .allow_dangerous
            .unwrap_or_else(|| match self.auth.mode {
                AuthMode::Open => is_local(),
                AuthMode::Token => false,
            })
    }
}

/// The home directory, unless it is no absolute path.
pub(super) fn home(environment: &[(String, String)]) -> Option<PathBuf> {
    let home = environment.iter().find(|(name, _)| name == "HOME");
    let home = home.map(|(_, path)| PathBuf::from(path));
    home.filter(|path| path.is_absolute())
}

/// The absolute path of a directory.
pub(super) fn directory(text: &str) -> Result<String, String> {
    match Path::new(text).is_absolute() {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{} is not an absolute path; write all of it, such as \"/home/me/src\"",
            value::shown(&Value::String(text.to_owned()))
        )),
    }
}
