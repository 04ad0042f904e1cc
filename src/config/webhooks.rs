//! `[webhooks]`: whose deliveries are taken, by the secret that they are signed with.
//!
//! Invariant: a configuration without faults has a secret that is worth signing with, or none; no
//! fault and no warning shows it.

use std::path::PathBuf;

use super::ReadFile;
use super::auth::Secret;
use super::credentials::{secret_in, shared};
use super::fault::{Faults, Warning};
use super::raw::Raw;

const SECRET: &str = "webhooks.github_secret";
const SECRET_FILE: &str = "webhooks.github_secret_file";

/// The shortest secret: 128 bits, as many as what nobody can try out.
const SECRET_BYTES: usize = 16;

/// Whose deliveries are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Webhooks {
    /// What GitHub signs with; without it nothing of GitHub's is taken.
    pub github_secret: Option<Secret>,
    /// The file that it was read from, if it was.
    pub github_secret_file: Option<PathBuf>,
}

/// Reads the file that `webhooks` names, and judges the secret.
pub(super) fn fill(
    webhooks: &mut Webhooks,
    raw: &Raw,
    read: ReadFile,
    faults: &mut Faults,
    warnings: &mut Vec<Warning>,
) {
    let origin = |key: &str| raw.values.get(key).map_or("", |written| &written.origin);
    let mut key = SECRET;
    if let Some(path) = &webhooks.github_secret_file {
        key = SECRET_FILE;
        if webhooks.github_secret.is_some() {
            let problem = "needs this or webhooks.github_secret, not both";
            return faults.add(key, origin(key), problem);
        }
        match read(path) {
            Ok(file) => {
                if file.is_shared {
                    warnings.push(shared(key, path));
                }
                webhooks.github_secret = Some(secret_in(&file));
            }
            Err(error) => {
                let problem = format!("cannot read {}: {error}", path.display());
                return faults.add(key, origin(key), problem);
            }
        }
    }
    let secret = webhooks.github_secret.as_ref().map(Secret::expose);
    if secret.is_some_and(|secret| secret.len() < SECRET_BYTES) {
        let problem = format!(
            "has fewer than {SECRET_BYTES} bytes, which could be tried out; openssl rand -hex 32 \
             makes one"
        );
        faults.add(key, origin(key), problem);
    }
}

/// The key of a secret that changed though no key did that is among those `applied`: its file holds
/// another one, or it was taken out.
pub(super) fn changed(new: &Webhooks, old: &Webhooks, applied: &[String]) -> Option<String> {
    let is_named = applied.iter().any(|key| key.starts_with(SECRET));
    (new != old && !is_named).then(|| SECRET.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::*;
    use crate::config::{Config, Flags, NamedFile, Sources, load, reload};

    const HIDDEN: &str = "do-not-show-me-0123456789";

    fn files(path: &Path) -> io::Result<NamedFile> {
        let content = match path.to_str() {
            Some("secret" | "shared") => format!("{HIDDEN}\n"),
            Some("short") => "0123456789abcde\n".to_owned(),
            _ => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(NamedFile {
            content: content.into_bytes(),
            is_shared: path == Path::new("shared"),
        })
    }

    /// What comes of a `[webhooks]` of these lines.
    fn loaded(lines: &str) -> Result<(Config, Vec<Warning>), Faults> {
        let text = format!("[webhooks]\n{lines}\n");
        load(&Sources {
            file: Some(("kinglet.toml", &text)),
            environment: &[],
            flags: &Flags::default(),
            files,
        })
    }

    #[test]
    fn a_secret_is_written_or_in_a_file() {
        let check = |lines: &str, warning: &str| {
            let (config, warnings) = loaded(lines).unwrap();
            let secret = config.webhooks.github_secret.unwrap();
            assert_eq!(secret.expose(), HIDDEN.as_bytes());
            let told: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            assert!(told.concat().contains(warning), "{told:?}");
            assert_eq!(told.is_empty(), warning.is_empty());
        };
        check(&format!("github_secret = \"{HIDDEN}\""), "");
        check("github_secret_file = \"secret\"", "");
        check("github_secret_file = \"shared\"", "chmod 600");
        assert_eq!(loaded("").unwrap().0.webhooks, Webhooks::default());
    }

    #[test]
    fn a_secret_that_is_none_is_refused_and_not_shown() {
        let check = |lines: &str, fault: &str| {
            let found = loaded(lines).unwrap_err().to_string();
            assert_eq!(found, fault);
        };
        let short = "has fewer than 16 bytes, which could be tried out; openssl rand -hex 32 makes \
                     one";
        check(
            "github_secret = \"0123456789abcde\"",
            &format!("{SECRET} (kinglet.toml): {short}"),
        );
        check(
            "github_secret_file = \"short\"",
            &format!("{SECRET_FILE} (kinglet.toml): {short}"),
        );
        for wrong in ["\"\"", "1234567890123456", "true"] {
            check(
                &format!("github_secret = {wrong}"),
                &format!("{SECRET} (kinglet.toml): must be a string, not empty"),
            );
        }
        check(
            &format!("github_secret = \"{HIDDEN}\"\ngithub_secret_file = \"secret\""),
            &format!("{SECRET_FILE} (kinglet.toml): needs this or {SECRET}, not both"),
        );
        check(
            "github_secret_file = \"none\"",
            &format!("{SECRET_FILE} (kinglet.toml): cannot read none: entity not found"),
        );
    }

    #[test]
    fn a_reload_takes_another_secret_and_says_so() {
        let (current, _) = loaded("github_secret_file = \"secret\"").unwrap();
        let check = |lines: &str, current: &Config, applied: &[&str]| {
            let text = format!("[webhooks]\n{lines}\n");
            let sources = Sources {
                file: Some(("kinglet.toml", &text)),
                environment: &[],
                flags: &Flags::default(),
                files,
            };
            assert_eq!(
                reload(current, &sources).unwrap().applied,
                applied,
                "{lines}"
            );
        };
        check("github_secret_file = \"secret\"", &current, &[]);
        check("", &current, &[SECRET]);
        check("github_secret_file = \"shared\"", &current, &[SECRET_FILE]);
        let mut older = current.clone();
        older.webhooks.github_secret = Some(Secret::new(*b"what it held before"));
        check("github_secret_file = \"secret\"", &older, &[SECRET]);
    }
}
