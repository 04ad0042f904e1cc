//! `Raw`: what was written, under which key and where, before anyone asks what it means.
//!
//! Sources are gathered from the weakest to the strongest, so a later one replaces what an earlier
//! one wrote. Unknown keys become faults here; values are not looked at.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::families::{FAMILIES, Family, Tables, is_table_name};
use super::fault::{Faults, Warning};
use super::key::{NOT_YET, list_from_text};
use super::keys::{LATER, keys, variable};
use super::{Flags, Sources, value};

/// A value and its origin: the file's path, a variable or a flag.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) value: Value,
    pub(super) origin: String,
}

/// All that was written, by the names of the rows in `keys.rs`.
#[derive(Debug, Default)]
pub(super) struct Raw {
    pub(super) values: BTreeMap<&'static str, Written>,
    /// By namespace; an empty table still makes its namespace known.
    pub(super) namespaces: Tables,
    /// By agent.
    pub(super) agents: Tables,
    /// The file's path, where an empty table can only come from.
    pub(super) file: String,
}

/// Where keys are read from that can be misspelt.
#[derive(Clone, Copy)]
enum Origin<'a> {
    /// The file of this path.
    File(&'a str),
    /// The variable of this name; its value is a text whatever the key is.
    Variable(&'a str),
}

impl<'a> Origin<'a> {
    fn name(self) -> &'a str {
        match self {
            Self::File(name) | Self::Variable(name) => name,
        }
    }

    /// What was written here; `read` reads the text of a variable.
    fn written(self, value: Value, read: impl FnOnce(&str) -> Value) -> Written {
        let value = match (self, value) {
            (Self::Variable(_), Value::String(text)) => read(&text),
            (_, value) => value,
        };
        Written {
            value,
            origin: self.name().to_owned(),
        }
    }
}

/// Variables that share our prefix: those of the clients, and the mark of a run, in which somebody
/// may well start a server of their own.
pub const OTHER_VARIABLES: [&str; 3] = ["KINGLET_URL", "KINGLET_TOKEN", "KINGLET_RUN"];

/// Bare variables that mean nothing yet; silently taking them would mislead.
const BARE_LATER: [&str; 1] = ["REDIS_URL"];

impl Raw {
    /// Gathers all sources.
    pub(super) fn gather(sources: &Sources<'_>, faults: &mut Faults) -> (Self, Vec<Warning>) {
        let mut raw = Self::default();
        let mut warnings = Vec::new();
        if let Some((path, text)) = sources.file {
            raw.file = path.to_owned();
            raw.add_file(path, text, faults);
        }
        for (name, text) in sources.environment {
            raw.add_variable(name, text, faults);
        }
        raw.add_flags(sources.flags);
        raw.add_bare_variables(sources.environment, faults, &mut warnings);
        (raw, warnings)
    }

    fn add_file(&mut self, path: &str, text: &str, faults: &mut Faults) {
        let table: Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                let error: toml::de::Error = error;
                let start = error.span().map_or(0, |span| span.start);
                let before = text.as_bytes().iter().take(start);
                let line = 1 + before.filter(|b| **b == b'\n').count();
                faults.add_syntax(path, line, error.message());
                return;
            }
        };
        for (section, content) in table {
            match (Family::of(&section), content) {
                (Some(family), Value::Table(tables)) => {
                    self.add_tables(family, tables, path, faults);
                }
                (None, Value::Table(keys)) if !keys.is_empty() => {
                    for (key, value) in keys {
                        self.add(&[&section, &key], value, Origin::File(path), faults);
                    }
                }
                (None, Value::Table(_)) if is_section(&section) => {}
                (_, value) => self.add(&[&section], value, Origin::File(path), faults),
            }
        }
    }

    fn add_tables(&mut self, family: &Family, tables: Table, path: &str, faults: &mut Faults) {
        let (section, origin) = (family.section, Origin::File(path));
        for (name, content) in tables {
            match content {
                Value::Table(keys) if is_table_name(&name) => {
                    (family.tables)(self).entry(name.clone()).or_default();
                    for (key, value) in keys {
                        self.add(&[section, &name, &key], value, origin, faults);
                    }
                }
                value => self.add(&[section, &name], value, origin, faults),
            }
        }
    }

    fn add_variable(&mut self, name: &str, text: &str, faults: &mut Faults) {
        let Some(rest) = name.strip_prefix("KINGLET_") else {
            return;
        };
        if OTHER_VARIABLES.contains(&name) {
            return;
        }
        let lower = rest.to_ascii_lowercase();
        let of_family = lower
            .split_once("__")
            .and_then(|(section, rest)| Family::of(section)?.path_of_variable(rest));
        let path = of_family.unwrap_or_else(|| lower.split("__").collect());
        self.add(
            &path,
            Value::String(text.to_owned()),
            Origin::Variable(name),
            faults,
        );
    }

    fn add_flags(&mut self, flags: &Flags) {
        if !flags.listen.is_empty() {
            let listen = flags.listen.iter().cloned().map(Value::String).collect();
            self.put("server.listen", Value::Array(listen), "--listen");
        }
        if let Some(path) = &flags.data_dir {
            self.put("server.data_dir", Value::String(path.clone()), "--data-dir");
        }
        if flags.tls_self_signed {
            let key = "server.tls.self_signed";
            self.put(key, Value::Boolean(true), "--tls-self-signed");
        }
        if let Some(level) = &flags.log_level {
            self.put("log.level", Value::String(level.clone()), "--log-level");
        }
    }

    /// Adds the variables other servers of this kind read, where nothing else was written. Empty
    /// ones count as unset, as in every shell's `${PORT:-}`.
    fn add_bare_variables(
        &mut self,
        environment: &[(String, String)],
        faults: &mut Faults,
        warnings: &mut Vec<Warning>,
    ) {
        let bare = |name: &str| {
            let mut pairs = environment.iter().filter(|(_, text)| !text.is_empty());
            pairs
                .find(|(key, _)| key == name)
                .map(|(_, text)| text.as_str())
        };
        for name in BARE_LATER {
            if bare(name).is_some() {
                warnings.push(Warning {
                    variable: name.to_owned(),
                    problem: format!(
                        "{NOT_YET}; the variable is not used (what back ends emit to a Redis is \
                         heard with emitters.redis_url)"
                    ),
                });
            }
        }
        if !self.values.contains_key("server.listen") {
            self.add_bare_listen(bare("HOST"), bare("PORT"), faults, warnings);
        }
        let data_dir = "server.data_dir";
        if let Some(path) = bare("DATA_DIR").filter(|_| !self.values.contains_key(data_dir)) {
            self.put(data_dir, Value::String(path.to_owned()), "DATA_DIR");
        }
        if let Some(level) = bare("LOG_LEVEL").filter(|_| !self.values.contains_key("log.level")) {
            // Python's names are what this variable usually holds.
            let level = match level.to_ascii_lowercase().as_str() {
                "warning" => "warn".to_owned(),
                "critical" => "error".to_owned(),
                other => other.to_owned(),
            };
            self.put("log.level", Value::String(level), "LOG_LEVEL");
        }
        self.add_bare_interval(bare("WS_METRICS_INTERVAL"), faults);
        self.add_bare_key(bare("JWT_SECRET_KEY"), bare("JWT_ALGORITHM"), warnings);
        let origins = "server.allowed_origins";
        if let Some(text) = bare("CORS_ORIGINS").filter(|_| !self.values.contains_key(origins)) {
            let value = match list_from_text(text) {
                Value::String(text) => {
                    let items = text
                        .split(',')
                        .map(str::trim)
                        .filter(|item| !item.is_empty());
                    Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
                }
                list => list,
            };
            self.put(origins, value, "CORS_ORIGINS");
        }
    }

    /// Takes the variables for the key of tokens, in token mode. They never choose the mode.
    fn add_bare_key(
        &mut self,
        secret: Option<&str>,
        algorithm: Option<&str>,
        warnings: &mut Vec<Warning>,
    ) {
        let mode = self.values.get("auth.mode");
        let takes_tokens = mode.is_some_and(|mode| mode.value.as_str() == Some("token"));
        let is_used = takes_tokens && !self.values.contains_key("auth.keys");
        if let Some(secret) = secret.filter(|_| is_used) {
            let algorithm = algorithm.unwrap_or("HS256");
            let pairs = [("algorithm", algorithm), ("secret", secret)];
            let key = pairs.map(|(name, text)| (name.to_owned(), Value::String(text.to_owned())));
            let keys = Value::Array(vec![Value::Table(key.into_iter().collect())]);
            return self.put("auth.keys", keys, "JWT_SECRET_KEY, JWT_ALGORITHM");
        }
        for (name, text) in [("JWT_SECRET_KEY", secret), ("JWT_ALGORITHM", algorithm)] {
            if text.is_some() {
                let problem = "not used; it is with auth.mode = \"token\", a JWT_SECRET_KEY and no \
                               auth.keys";
                warnings.push(Warning {
                    variable: name.to_owned(),
                    problem: problem.to_owned(),
                });
            }
        }
    }

    fn add_bare_listen(
        &mut self,
        host: Option<&str>,
        port: Option<&str>,
        faults: &mut Faults,
        warnings: &mut Vec<Warning>,
    ) {
        // Some shells and build tools set HOST to the machine's name, so that is no fault.
        let host = host.and_then(|host| {
            let host = if host.contains(':') && !host.starts_with('[') {
                format!("[{host}]")
            } else {
                host.to_owned()
            };
            if value::address(&format!("{host}:0")).is_ok() {
                return Some(host);
            }
            warnings.push(Warning {
                variable: "HOST".to_owned(),
                problem: format!("{host:?} is not an address to listen on; it is not used"),
            });
            None
        });
        let port = match port.map(|port| (port, port.parse::<u16>())) {
            Some((_, Ok(port))) => Some(port),
            Some((text, Err(_))) => {
                let text = value::shown(&Value::String(text.to_owned()));
                let problem = format!("{text} is not a port; write a number from 0 to 65535");
                return faults.add("server.listen", "PORT", problem);
            }
            None => None,
        };
        let origin = match (&host, port) {
            (Some(_), Some(_)) => "HOST and PORT",
            (Some(_), None) => "HOST",
            (None, Some(_)) => "PORT",
            (None, None) => return,
        };
        let host = host.unwrap_or_else(|| "127.0.0.1".to_owned());
        let listen = format!("{host}:{}", port.unwrap_or(8080));
        self.put("server.listen", Value::String(listen), origin);
    }

    /// Milliseconds; where they would be ignored, nonsense harms nobody.
    fn add_bare_interval(&mut self, text: Option<&str>, faults: &mut Faults) {
        let (key, origin) = ("host.interval", "WS_METRICS_INTERVAL");
        let Some(text) = text.filter(|_| !self.values.contains_key(key)) else {
            return;
        };
        match text.parse::<u32>() {
            Ok(millis @ 100..=3_600_000) => {
                self.put(key, Value::String(format!("{millis}ms")), origin);
            }
            _ => {
                let text = value::shown(&Value::String(text.to_owned()));
                let bounds = "write whole milliseconds from 100 to 3600000";
                faults.add(key, origin, format!("{text} is no interval; {bounds}"));
            }
        }
    }

    fn put(&mut self, name: &'static str, value: Value, origin: &str) {
        let origin = origin.to_owned();
        self.values.insert(name, Written { value, origin });
    }

    /// Adds `value` under the key that `path` spells.
    fn add(&mut self, path: &[&str], value: Value, origin: Origin<'_>, faults: &mut Faults) {
        let name = path.join(".");
        // A quoted key can hold the dots of another one's path.
        let is_spelt = |known: &str| known == name && known.split('.').eq(path.iter().copied());
        if path.len() > 1
            && let Some(key) = keys().find(|key| is_spelt(key.name))
        {
            let written = origin.written(value, |text| key.value_of_text(text));
            self.values.insert(key.name, written);
            return;
        }
        if let ([.., _], Value::Table(keys)) = (path, &value)
            && is_table(path)
        {
            for (key, value) in keys {
                let path: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
                self.add(&path, value.clone(), origin, faults);
            }
            return;
        }
        if let [section, name, key @ ..] = path
            && let Some(family) = Family::of(section)
            && is_table_name(name)
            && let Some(key) = family.key(key)
        {
            let written = origin.written(value, |text| (family.value_of_text)(key, text));
            let tables = (family.tables)(self);
            let table = tables.entry((*name).to_owned()).or_default();
            table.insert(key, written);
            return;
        }
        faults.add(&name, origin.name(), refusal(path, origin));
    }
}

/// Why no key has the name that `path` spells.
fn refusal(path: &[&str], origin: Origin<'_>) -> String {
    let name = path.join(".");
    let is_later = |later: &&str| {
        name.strip_prefix(later)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if LATER.iter().any(is_later) {
        return NOT_YET.to_owned();
    }
    let family = path.first().and_then(|section| Family::of(section));
    match (path, family) {
        ([_, table, ..], Some(family)) if !is_table_name(table) => {
            let article = if family.noun.starts_with('a') {
                "an"
            } else {
                "a"
            };
            format!(
                "{article} {} is called by 1 to 64 of A-Z a-z 0-9 _ . -",
                family.noun
            )
        }
        ([section, table], Some(family)) => {
            let is_key = (family.keys)().contains(table);
            let table = if is_key { family.example } else { table };
            let noun = family.noun;
            format!("must be in a table of its {noun}, such as [{section}.{table}]")
        }
        _ if is_table(path) => {
            format!(
                "must be a table with one of {}",
                keys_within(path).join(", ")
            )
        }
        ([section], _) if is_section(section) && matches!(origin, Origin::File(_)) => {
            format!("must be a table, [{section}]")
        }
        _ => match (nearest(path), origin) {
            (Some(known), Origin::File(_)) => format!("unknown key; did you mean {known}?"),
            (Some(known), Origin::Variable(_)) => {
                format!("unknown key; did you mean {}?", variable(&known))
            }
            (None, _) => "unknown key".to_owned(),
        },
    }
}

/// Whether `path` spells a table within a section, or within a table of a family.
fn is_table(path: &[&str]) -> bool {
    !keys_within(path).is_empty()
}

/// The keys of the table that `path` spells, without its name.
fn keys_within(path: &[&str]) -> Vec<&'static str> {
    match path {
        [section, _, name] => match Family::of(section) {
            Some(family) => family.keys_within(name),
            None => Vec::new(),
        },
        [section, name] => {
            let within = |key: &'static str| {
                let rest = key.strip_prefix(section)?.strip_prefix('.')?;
                rest.strip_prefix(name)?.strip_prefix('.')
            };
            keys().filter_map(|key| within(key.name)).collect()
        }
        _ => Vec::new(),
    }
}

fn is_section(name: &str) -> bool {
    let section_of = |key: &str| {
        key.split_once('.')
            .is_some_and(|(section, _)| section == name)
    };
    Family::of(name).is_some() || keys().any(|key| section_of(key.name))
}

/// The known key that `path` most likely means: one of that very name in another section, or the
/// one that is fewest typing errors away, up to a third of its letters.
fn nearest(path: &[&str]) -> Option<String> {
    let (name, last) = (path.join("."), *path.last()?);
    let in_families = FAMILIES.iter().flat_map(|family| {
        let table = match path {
            [section, table, _, ..] if *section == family.section => *table,
            _ => family.placeholder,
        };
        let keys = (family.keys)().into_iter();
        keys.map(move |key| family.full(table, key))
    });
    let known: Vec<String> = keys()
        .map(|key| key.name.to_owned())
        .chain(in_families)
        .collect();
    let same = |known: &&String| known.rsplit_once('.').is_some_and(|(_, key)| key == last);
    if let Some(known) = known.iter().find(same) {
        return Some(known.clone());
    }
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&name, &known), known))
        .filter(|(distance, known)| *distance <= known.len() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
        .or_else(|| in_misspelt_section(path))
}

/// The table or key that `path` means if its section was to be one whose tables' names are free.
fn in_misspelt_section(path: &[&str]) -> Option<String> {
    let (section, rest) = path.split_first()?;
    let is_meant = |family: &&&Family| {
        let distance = strsim::damerau_levenshtein(section, family.section);
        !rest.is_empty() && (1..=2).contains(&distance)
    };
    let family = FAMILIES.iter().find(is_meant)?;
    Some(format!("{}.{}", family.section, rest.join(".")))
}
