//! The tables of `[auth]`: keys, API keys and roles, with the files that they name.
//!
//! May not touch: what keys and patterns are good for; `domain::token` judges that. Invariants: no
//! fault and no warning shows a secret; a table that says something unknown is refused, because it
//! could have been meant to restrict.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::auth::{
    Algorithm, ApiKey, Auth, AuthMode, KeyGrants, Role, RoomGrant, Secret, TokenKey,
};
use super::fault::{Faults, Warning};
use super::raw::{Raw, Written};
use super::{NamedFile, ReadFile, value};

const KEYS: &str = "auth.keys";
const API_KEYS: &str = "auth.api_keys";
const ROLES: &str = "auth.roles";

/// Reads the tables into `auth`, whose mode is known.
pub(super) fn fill(
    auth: &mut Auth,
    raw: &Raw,
    files: ReadFile,
    faults: &mut Faults,
    warnings: &mut Vec<Warning>,
) {
    let mut reader = Reader {
        files,
        faults,
        warnings,
    };
    auth.keys = reader.each(raw.values.get(KEYS), KEYS, Reader::token_key);
    auth.api_keys = reader.each(raw.values.get(API_KEYS), API_KEYS, Reader::api_key);
    if let Some(written) = raw.values.get(ROLES) {
        reader.roles(written, auth);
    }
    match (auth.mode, raw.values.get("auth.mode")) {
        (AuthMode::Token, Some(mode)) => {
            let has_any = |name: &str| {
                let written = raw.values.get(name).map(|written| &written.value);
                written.is_some_and(|value| *value != Value::Array(Vec::new()))
            };
            if !has_any(KEYS) && !has_any(API_KEYS) {
                let problem = "nobody could connect: write auth.keys or auth.api_keys, or let \
                               kinglet init do it";
                faults.add("auth.mode", &mode.origin, problem);
            }
        }
        (AuthMode::Token, None) | (AuthMode::Open, _) => warn_of_unused(auth, warnings),
    }
}

/// In the open mode credentials protect nothing, which somebody may not expect.
fn warn_of_unused(auth: &Auth, warnings: &mut Vec<Warning>) {
    for (name, is_empty) in [
        (KEYS, auth.keys.is_empty()),
        (API_KEYS, auth.api_keys.is_empty()),
        (ROLES, auth.roles.is_empty()),
    ] {
        if !is_empty {
            warnings.push(Warning {
                variable: name.to_owned(),
                problem: "not used, because auth.mode is \"open\"".to_owned(),
            });
        }
    }
}

/// One table of a list, and where it stands.
struct Entry<'a> {
    table: &'a Table,
    name: String,
    origin: &'a str,
}

impl Entry<'_> {
    fn place(&self) -> String {
        format!("{} ({})", self.name, self.origin)
    }
}

struct Reader<'a> {
    files: ReadFile,
    faults: &'a mut Faults,
    warnings: &'a mut Vec<Warning>,
}

impl Reader<'_> {
    fn fault(&mut self, entry: &Entry<'_>, problem: impl Into<String>) {
        self.faults.add(&entry.name, entry.origin, problem);
    }

    /// Reads each table of a list.
    fn each<T>(
        &mut self,
        written: Option<&Written>,
        name: &str,
        read: fn(&mut Self, &Entry<'_>) -> Option<T>,
    ) -> Vec<T> {
        let Some(Written { value, origin }) = written else {
            return Vec::new();
        };
        self.entries(value, name, origin)
            .iter()
            .filter_map(|entry| read(self, entry))
            .collect()
    }

    /// The tables of a list; a single table is a list of one.
    fn entries<'a>(&mut self, value: &'a Value, name: &str, origin: &'a str) -> Vec<Entry<'a>> {
        let single = std::slice::from_ref(value);
        let items = value.as_array().map_or(single, Vec::as_slice);
        let mut entries = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let name = format!("{name}, entry {}", index + 1);
            match item.as_table() {
                Some(table) => entries.push(Entry {
                    table,
                    name,
                    origin,
                }),
                None => self.faults.add(&name, origin, "must be a table"),
            }
        }
        entries
    }

    /// Refuses what is not one of `known`.
    fn check_names(&mut self, entry: &Entry<'_>, known: &[&str]) {
        for name in entry
            .table
            .keys()
            .filter(|name| !known.contains(&name.as_str()))
        {
            let distance = |known: &&&str| strsim::damerau_levenshtein(name, known);
            let nearest = known.iter().min_by_key(distance);
            let problem = match nearest.filter(|known| distance(known) <= known.len() / 2) {
                Some(known) => format!("unknown key; did you mean {known}?"),
                None => format!("unknown key; there are {}", known.join(", ")),
            };
            let name = format!("{}, {name}", entry.name);
            self.faults.add(&name, entry.origin, problem);
        }
    }

    fn token_key(&mut self, entry: &Entry<'_>) -> Option<TokenKey> {
        const NAMES: [&str; 4] = ["algorithm", "secret", "secret_file", "public_key_file"];
        self.check_names(entry, &NAMES);
        let written = entry.table.get("algorithm").and_then(Value::as_str);
        let algorithm = Algorithm::ALL
            .into_iter()
            .find(|algorithm| written == Some(algorithm.name()));
        let Some(algorithm) = algorithm else {
            let names = Algorithm::ALL.map(Algorithm::name).join(", ");
            self.fault(entry, format!("algorithm must be one of {names}"));
            return None;
        };
        let allowed: &[&str] = match algorithm.is_hmac() {
            true => &["secret", "secret_file"],
            false => &["public_key_file"],
        };
        let given: Vec<&str> = NAMES
            .into_iter()
            .filter(|name| *name != "algorithm" && entry.table.contains_key(*name))
            .collect();
        match given.as_slice() {
            [one] if allowed.contains(one) => {}
            _ => {
                let (name, allowed) = (algorithm.name(), allowed.join(" or "));
                self.fault(entry, format!("{name} needs {allowed}, and nothing else"));
                return None;
            }
        }
        Some(TokenKey {
            algorithm,
            key: self.secret(entry, "secret", given.first()?)?,
            place: entry.place(),
        })
    }

    fn api_key(&mut self, entry: &Entry<'_>) -> Option<ApiKey> {
        self.check_names(entry, &["name", "key", "key_file", "grants"]);
        let name = self.string(entry, "name");
        let key = match ("key", "key_file") {
            (one, other) if entry.table.contains_key(one) && entry.table.contains_key(other) => {
                self.fault(entry, "needs key or key_file, not both");
                None
            }
            (one, _) if entry.table.contains_key(one) => self.secret(entry, one, one),
            (one, other) if entry.table.contains_key(other) => self.secret(entry, one, other),
            _ => {
                self.fault(entry, "needs key or key_file");
                None
            }
        };
        let grants = match entry.table.get("grants") {
            None => None,
            Some(grants) => Some(self.key_grants(grants, entry)?),
        };
        Some(ApiKey {
            name: name?,
            key: key?,
            grants,
            place: entry.place(),
        })
    }

    fn key_grants(&mut self, grants: &Value, entry: &Entry<'_>) -> Option<KeyGrants> {
        let grants = grants.as_table();
        match grants.map(|table| (table.len(), table.get("role"), table.get("rooms"))) {
            Some((1, Some(Value::String(role)), None)) => Some(KeyGrants::Role(role.clone())),
            Some((1, None, Some(rooms))) => {
                let name = format!("{}, grants", entry.name);
                Some(KeyGrants::Rooms(self.rooms(rooms, &name, entry.origin)))
            }
            _ => {
                self.fault(entry, "grants must be {role = \"…\"} or {rooms = […]}");
                None
            }
        }
    }

    fn roles(&mut self, written: &Written, auth: &mut Auth) {
        let Written { value, origin } = written;
        let Some(roles) = value.as_table() else {
            let problem = "must be a table of roles, such as [auth.roles.editor]";
            return self.faults.add(ROLES, origin, problem);
        };
        for (role, value) in roles {
            let name = format!("{ROLES}.{role}");
            let Some(table) = value.as_table() else {
                self.faults.add(&name, origin, "must be a table with rooms");
                continue;
            };
            let entry = Entry {
                table,
                name,
                origin,
            };
            self.check_names(&entry, &["rooms"]);
            let Some(rooms) = table.get("rooms") else {
                self.fault(&entry, "needs rooms, a list of {pattern, allow}");
                continue;
            };
            let rooms = self.rooms(rooms, &entry.name, origin);
            let place = entry.place();
            auth.roles.insert(role.clone(), Role { rooms, place });
        }
    }

    fn rooms(&mut self, value: &Value, name: &str, origin: &str) -> Vec<RoomGrant> {
        let mut rooms = Vec::new();
        for entry in self.entries(value, &format!("{name}, rooms"), origin) {
            self.check_names(&entry, &["pattern", "allow"]);
            let pattern = self.string(&entry, "pattern");
            let allow = entry.table.get("allow").map(|allow| {
                value::list(allow, |word| Ok(word.to_owned()))
                    .map_err(|problems| problems.join("; "))
            });
            let allow = match allow {
                Some(Ok(allow)) => Some(allow),
                Some(Err(problem)) => {
                    self.fault(&entry, format!("allow: {problem}"));
                    None
                }
                None => {
                    self.fault(&entry, "needs allow, a list of actions");
                    None
                }
            };
            if let (Some(pattern), Some(allow)) = (pattern, allow) {
                rooms.push(RoomGrant {
                    pattern,
                    allow,
                    place: entry.place(),
                });
            }
        }
        rooms
    }

    fn string(&mut self, entry: &Entry<'_>, name: &str) -> Option<String> {
        let text = entry.table.get(name).and_then(Value::as_str);
        if text.is_none_or(str::is_empty) {
            self.fault(entry, format!("needs {name}, a string"));
            return None;
        }
        text.map(str::to_owned)
    }

    /// The secret written under `name`: itself if that is `inline`, otherwise the path of a file
    /// that holds it.
    fn secret(&mut self, entry: &Entry<'_>, inline: &str, name: &str) -> Option<Secret> {
        let text = self.string(entry, name)?;
        if name == inline {
            return Some(Secret::new(text.into_bytes()));
        }
        let path = PathBuf::from(text);
        let file = match (self.files)(&path) {
            Ok(file) => file,
            Err(error) => {
                self.fault(entry, format!("cannot read {}: {error}", path.display()));
                return None;
            }
        };
        if file.is_shared && name != "public_key_file" {
            self.warnings.push(shared(&entry.name, &path));
        }
        Some(secret_in(&file))
    }
}

/// The secret that a file holds. A line break at its end is the editor's.
pub(super) fn secret_in(file: &NamedFile) -> Secret {
    let content = file.content.as_slice();
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    Secret::new(content.strip_suffix(b"\r").unwrap_or(content))
}

/// What is said of a file with a secret, named by `key`, that others can read.
pub(super) fn shared(key: &str, path: &Path) -> Warning {
    let path = path.display();
    Warning {
        variable: key.to_owned(),
        problem: format!("other users of this machine can read {path}; chmod 600 it"),
    }
}
