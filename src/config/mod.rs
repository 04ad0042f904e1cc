//! L0: the configuration, from what an operator wrote to what it means.
//!
//! A TOML file, the environment and flags are gathered into `Raw` (what was written, and where),
//! which becomes [`Config`] (what it means). Every key is one row in `keys.rs`; that row reads the
//! value, is suggested for a misspelt one and is rendered by [`reference()`].
//!
//! May not touch: files, the process environment, the network; the caller hands in texts and a
//! function that reads the files they name.
//! Invariants: a key that has no effect in this version is refused, never ignored; all faults are
//! reported at once, each with its key.

mod agent_keys;
mod agent_tables;
#[cfg(test)]
mod agent_tests;
mod agents;
mod argument;
mod auth;
mod credentials;
#[cfg(test)]
mod credentials_tests;
mod emitters;
mod families;
mod fault;
mod key;
mod keys;
mod namespace_keys;
mod namespaces;
mod operation;
mod operation_keys;
mod parameter;
mod raw;
mod reference;
mod reload;
#[cfg(test)]
mod reload_tests;
mod settings;
mod socketio;
mod socketio_keys;
#[cfg(test)]
mod tests;
mod tls;
mod value;
mod webhooks;

use std::io;
use std::path::Path;
use std::time::Duration;

pub use agents::{
    AgentKind, AgentLimits, AgentOptions, Agents, Busy, CLAUDE, Projects, StallAction, Variables,
};
pub use argument::{Argument, ArgumentFault, begins_with_dash};
pub use auth::{Algorithm, ApiKey, Auth, AuthMode, KeyGrants, Role, RoomGrant, Secret, TokenKey};
pub use emitters::Emitters;
pub use fault::{Fault, Faults, Warning};
pub use namespaces::{NamespaceOptions, Namespaces, PublishPolicy, SlowConsumer};
pub use operation::{Host, Metrics};
pub use parameter::{Parameter, ParameterKind};
pub use raw::OTHER_VARIABLES;
pub use reference::reference;
pub use reload::{Reload, reload};
pub use settings::{
    Compression, Config, Durability, Heartbeat, Limits, Log, ReplyNames, Server, Store,
};
pub use socketio::{JoinEvents, SocketIo};
pub use tls::{Tls, TlsFile, TlsFiles};
pub use webhooks::Webhooks;

use raw::Raw;

/// Everything a configuration is made from.
///
/// What is given twice is taken from, in this order: flags, `KINGLET_` variables, the file, bare
/// variables such as `PORT`, defaults.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The file's path, for messages only, and its text.
    pub file: Option<(&'a str, &'a str)>,
    /// The environment; variables that are not ours are skipped.
    pub environment: &'a [(String, String)],
    /// What the command line gave.
    pub flags: &'a Flags,
    /// Reads a file that the configuration names.
    pub files: ReadFile,
}

/// Reads a file of at most some kilobytes.
pub type ReadFile = fn(&Path) -> io::Result<NamedFile>;

/// A file that the configuration names.
#[derive(Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// All of it.
    pub content: Vec<u8>,
    /// Whether others than its owner can read it.
    pub is_shared: bool,
}

/// A [`ReadFile`] that finds none.
///
/// # Errors
/// Always; for configurations that name no file.
pub fn no_files(_: &Path) -> io::Result<NamedFile> {
    Err(io::ErrorKind::NotFound.into())
}

/// What the command line can set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--listen`, repeatable; empty if not given.
    pub listen: Vec<String>,
    /// `--data-dir`.
    pub data_dir: Option<String>,
    /// `--tls-self-signed`.
    pub tls_self_signed: bool,
    /// `--log-level`.
    pub log_level: Option<String>,
    /// `--insecure`: the open mode may listen on addresses other machines can reach.
    pub insecure: bool,
    /// `--insecure-runs`: what `--insecure` still closes is open, too.
    pub insecure_runs: bool,
}

/// Reads a duration as the configuration spells it: a whole number with `ms`, `s`, `m`, `h` or `d`.
///
/// # Errors
/// What was wrong and what would be right.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    value::duration(&toml::Value::String(text.to_owned()))
}

/// Reads all sources and makes the configuration of them.
///
/// # Errors
/// Every fault of every source at once.
pub fn load(sources: &Sources<'_>) -> Result<(Config, Vec<Warning>), Faults> {
    load_raw(sources).map(|(_, config, warnings)| (config, warnings))
}

/// The same, with what was written.
fn load_raw(sources: &Sources<'_>) -> Result<(Raw, Config, Vec<Warning>), Faults> {
    let mut faults = Faults::default();
    let (raw, mut warnings) = Raw::gather(sources, &mut faults);
    let config = settings::meaning(&raw, sources, &mut faults, &mut warnings);
    if faults.0.is_empty() {
        Ok((raw, config, warnings))
    } else {
        Err(faults)
    }
}
