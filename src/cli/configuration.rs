//! The texts that a configuration is made from: the file, the environment, the flags.
//!
//! May not touch: what the texts mean; that is `config`. Invariant: a file that was named is read
//! or the command fails; only the one in the working directory may be missing.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::base::clock::Clock;
use crate::cli::arguments::ServeArguments;
use crate::cli::{Exit, Failure, output};
use crate::config::{
    self, Config, Fault, Faults, NamedFile, OTHER_VARIABLES, Reload, Sources, Warning,
};
use crate::domain::token::Authority;
use crate::runtime::tls;

/// What is read if no file is named and this one exists.
const DEFAULT_FILE: &str = "./kinglet.toml";

/// Bytes of a configuration; one that sets every key and a hundred namespaces has 20 KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes of a file with a key; an RSA key of 8192 bits has 2 KiB in PEM.
const KEY_BYTES_MAX: u64 = 64 * 1024;

/// Who beside its owner can do anything with a file.
const OTHERS: u32 = 0o077;

/// A configuration to serve with.
pub(super) struct Loaded {
    pub(super) config: Config,
    pub(super) warnings: Vec<Warning>,
    /// What had a say in it, for the operator.
    pub(super) origin: String,
    /// How it is read again.
    pub(super) again: Again,
}

/// Reads everything that `serve` goes by.
///
/// # Errors
/// All faults at once, one a line.
pub(super) fn load(asked: ServeArguments) -> Result<Loaded, Failure> {
    let path = asked.config.clone();
    let file = read_file(path.as_deref()).map_err(Failure::Misuse)?;
    let flags = asked.flags();
    let environment = environment();
    let origin = origin(
        file.as_ref(),
        &environment,
        flags != config::Flags::default(),
    );
    let sources = sources(file.as_ref(), &environment, &flags);
    let (config, warnings) =
        config::load(&sources).map_err(|faults| Failure::Misuse(faults.to_string()))?;
    let authority = Authority::new(&config.auth);
    authority.map_err(|faults| Failure::Misuse(faults.to_string()))?;
    check_pair(&config).map_err(|faults| Failure::Misuse(faults.to_string()))?;
    // What was read must be there when it is read again; what was not there may come.
    let path = path.or_else(|| file.as_ref().map(|_| PathBuf::from(DEFAULT_FILE)));
    Ok(Loaded {
        config,
        warnings,
        origin,
        again: Again { path, flags },
    })
}

/// Where the configuration is read again.
pub(super) struct Again {
    path: Option<PathBuf>,
    flags: config::Flags,
}

impl Again {
    /// The file that is read.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Reads it again, for a server that goes by `current`.
    ///
    /// # Errors
    /// All faults at once.
    pub(super) fn read(&self, current: &Config) -> Result<Reload, Faults> {
        let file = read_file(self.path.as_deref()).map_err(|problem| {
            let place = self.path.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
            Faults(vec![Fault {
                place: place.display().to_string(),
                problem,
            }])
        })?;
        let environment = environment();
        let sources = sources(file.as_ref(), &environment, &self.flags);
        let reload = config::reload(current, &sources)?;
        // Also what waits for a restart: it is better refused now than then.
        Authority::new(&reload.written.auth)?;
        check_pair(&reload.written)?;
        Ok(reload)
    }
}

/// Whether the certificate that `config` names can be used; the server's own is made at its start.
fn check_pair(config: &Config) -> Result<(), Faults> {
    match &config.server.tls.files {
        Some(files) => tls::read(files, Clock::start().now().wall).map(|_| ()),
        None => Ok(()),
    }
}

fn environment() -> Vec<(String, String)> {
    // A variable that is not UTF-8 and ours is refused by its value; the others do not matter.
    std::env::vars_os()
        .map(|(name, text)| (lossy(&name), lossy(&text)))
        .collect()
}

fn sources<'a>(
    file: Option<&'a (String, String)>,
    environment: &'a [(String, String)],
    flags: &'a config::Flags,
) -> Sources<'a> {
    Sources {
        file: file.map(|(path, text)| (path.as_str(), text.as_str())),
        environment,
        flags,
        files: read_named,
    }
}

/// Reads a file that the configuration names.
pub(super) fn read_named(path: &Path) -> io::Result<NamedFile> {
    let file = File::open(path)?;
    let is_shared = file.metadata()?.permissions().mode() & OTHERS != 0;
    let mut content = Vec::new();
    file.take(KEY_BYTES_MAX + 1).read_to_end(&mut content)?;
    if content.len() as u64 > KEY_BYTES_MAX {
        return Err(io::Error::other("it is larger than 64 KiB"));
    }
    Ok(NamedFile { content, is_shared })
}

/// `check-config`: says that the configuration is good and what it was made from.
pub(super) fn check(asked: ServeArguments) -> Result<Exit, Failure> {
    let loaded = load(asked)?;
    for warning in &loaded.warnings {
        output::warning(&warning.to_string());
    }
    let listen = loaded.config.server.listen.iter();
    let listen: Vec<String> = listen.map(ToString::to_string).collect();
    output::line("ok")?;
    output::line(&format!("from: {}", loaded.origin))?;
    output::line(&format!("listen: {}", listen.join(", ")))?;
    Ok(Exit::Done)
}

fn lossy(text: &std::ffi::OsStr) -> String {
    text.to_string_lossy().into_owned()
}

fn origin(
    file: Option<&(String, String)>,
    environment: &[(String, String)],
    flags: bool,
) -> String {
    let mut origin = match file {
        Some((path, _)) => vec!["defaults", path],
        None => vec!["defaults (there is no ./kinglet.toml)"],
    };
    let names = environment.iter().map(|(name, _)| name.as_str());
    let is_ours = |name: &&str| name.starts_with("KINGLET_") && !OTHER_VARIABLES.contains(name);
    let mut names: Vec<&str> = names.filter(is_ours).collect();
    names.sort_unstable();
    origin.append(&mut names);
    origin.extend(flags.then_some("flags"));
    origin.join(", ")
}

/// The path, for messages, and the text of the file to use.
fn read_file(named: Option<&Path>) -> Result<Option<(String, String)>, String> {
    let path = named.map_or_else(|| PathBuf::from(DEFAULT_FILE), Path::to_owned);
    let shown = path.display().to_string();
    match read_text(&path) {
        Ok(text) => Ok(Some((shown, text))),
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {shown}: {error}")),
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}
