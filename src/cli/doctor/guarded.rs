//! What nobody else should know or change: secrets, the configuration, the data directory.
//!
//! May not touch: what a secret is; only how long it is and how many different bytes it has. Nothing
//! is written.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::facts::open_to_all;
use super::{Finding, Verdict};
use crate::cli::output;
use crate::config::{Auth, Secret};

/// Permissions of everybody but owner and group to read; of those and the group for anything.
const OTHERS_READ: u32 = 0o004;
const NOT_OWNER: u32 = 0o077;

/// Different bytes below which a secret looks typed by hand: random ones have 14 even in hexadecimal
/// digits, of which 32 or more are required.
const DIFFERENT_BYTES_MIN: usize = 10;

/// Bytes of a configuration that are looked at.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A secret that tokens or backends are known by.
#[derive(Clone, Debug)]
pub(super) struct Guarded {
    /// What it is, such as `token key 1 (HS256)`.
    pub(super) what: String,
    pub(super) bytes: usize,
    pub(super) different: usize,
    /// Whether it may do everything, though nobody wrote so.
    pub(super) is_admin: bool,
}

/// Who can reach a file or directory of ours.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    /// What of its path everybody can write to: itself, or a directory above it.
    pub(super) open_to_all: Option<PathBuf>,
}

/// What it is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The configuration, and whether there are secrets in it.
    Configuration { has_secrets: bool },
    /// The data directory.
    Data,
}

/// The secrets of a configuration; public keys are none.
pub(super) fn secrets(auth: &Auth) -> Vec<Guarded> {
    let keys = (1..).zip(&auth.keys);
    let keys = keys.filter(|(_, key)| key.algorithm.is_hmac());
    let keys = keys.map(|(number, key)| {
        let what = format!("token key {number} ({})", key.algorithm.name());
        Guarded::of(what, &key.key, false)
    });
    let api_keys = auth.api_keys.iter();
    let api_keys = api_keys.map(|key| {
        Guarded::of(
            format!("API key {}", key.name),
            &key.key,
            key.grants.is_none(),
        )
    });
    keys.chain(api_keys).collect()
}

impl Guarded {
    fn of(what: String, secret: &Secret, is_admin: bool) -> Self {
        let mut bytes = secret.expose().to_vec();
        let length = bytes.len();
        bytes.sort_unstable();
        bytes.dedup();
        Self {
            what,
            bytes: length,
            different: bytes.len(),
            is_admin,
        }
    }

    /// Whether it can be guessed.
    pub(super) fn finding(&self) -> Finding {
        let Self {
            bytes, different, ..
        } = self;
        let (verdict, message) = if *different < DIFFERENT_BYTES_MIN {
            (
                Verdict::Warning,
                format!(
                    "{bytes} bytes of which only {different} are different, which can be guessed; \
                     make one with: openssl rand -hex 32"
                ),
            )
        } else if self.is_admin {
            (
                Verdict::Warning,
                format!("{bytes} bytes; it has no grants and may do everything; write grants"),
            )
        } else {
            (
                Verdict::Ok,
                format!("{bytes} bytes, {different} different ones"),
            )
        };
        Finding::new(&self.what, verdict, message)
    }
}

/// Who can reach what is there of these.
pub(super) fn reach(configuration: Option<&Path>, data: &Path) -> Vec<Reach> {
    let configuration = configuration.map(|path| {
        let has_secrets = text(path).is_some_and(|text| holds_secret(&text));
        (path, Kind::Configuration { has_secrets })
    });
    let all = configuration.into_iter().chain([(data, Kind::Data)]);
    all.filter_map(|(path, kind)| {
        let whole = std::path::absolute(path).ok()?;
        Some(Reach {
            path: path.to_owned(),
            kind,
            mode: fs::metadata(&whole).ok()?.permissions().mode(),
            open_to_all: open_to_all(&whole),
        })
    })
    .collect()
}

fn text(path: &Path) -> Option<String> {
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Whether a line sets a key whose value is a secret, and not the file of one.
fn holds_secret(text: &str) -> bool {
    let lines = text.lines().map(str::trim);
    let mut lines = lines.filter(|line| !line.starts_with('#'));
    lines.any(|line| {
        line.match_indices('=').any(|(at, _)| {
            let before = line.get(..at).unwrap_or_default().trim_end();
            let is_name = |one: char| one.is_ascii_alphanumeric() || one == '_';
            let name = before.rsplit(|one| !is_name(one)).next();
            matches!(name, Some("secret" | "key" | "github_secret"))
        })
    })
}

impl Reach {
    /// Whether nobody else can.
    pub(super) fn finding(&self) -> Finding {
        let path = self.path.display();
        let (what, harm) = match self.kind {
            Kind::Configuration { .. } => ("configuration file", "choose what runs"),
            Kind::Data => ("data directory's mode", "put its own files there"),
        };
        let check = format!("{what} {path}");
        if let Some(open) = &self.open_to_all {
            let word = output::shell_word(&open.display().to_string());
            let message = format!(
                "everybody can write to {}, and so {harm} as kinglet's user; chmod o-w {word}",
                open.display()
            );
            return Finding::new(check, Verdict::Failure, message);
        }
        let mode = self.mode & 0o7777;
        let word = output::shell_word(&path.to_string());
        let problem = match self.kind {
            Kind::Configuration { has_secrets: true } if mode & OTHERS_READ != 0 => Some(format!(
                "mode {mode:03o}: everybody can read the secrets in it; chmod 600 {word}, or move \
                 them to files of their own (secret_file, key_file)"
            )),
            Kind::Data if mode & NOT_OWNER != 0 => Some(format!(
                "mode {mode:03o}: others can look into it; chmod 700 {word}"
            )),
            Kind::Configuration { .. } | Kind::Data => None,
        };
        match problem {
            Some(problem) => Finding::new(check, Verdict::Warning, problem),
            None => Finding::new(check, Verdict::Ok, format!("mode {mode:03o}")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::{Algorithm, ApiKey, KeyGrants, TokenKey};

    #[test]
    fn a_secret_is_judged_by_its_bytes() {
        let key = |algorithm, text: &str| TokenKey {
            algorithm,
            key: Secret::new(text.as_bytes()),
            place: String::new(),
        };
        let api = |name: &str, grants: Option<&str>| ApiKey {
            name: name.to_owned(),
            key: Secret::new(*b"0123456789abcdefghij"),
            grants: grants.map(|role| KeyGrants::Role(role.to_owned())),
            place: String::new(),
        };
        let auth = Auth {
            keys: vec![
                key(Algorithm::Hs256, "passwordpasswordpasswordpassword"),
                key(Algorithm::EdDsa, "a public key"),
                key(Algorithm::Hs256, "0123456789abcdef0123456789abcdef"),
            ],
            api_keys: vec![api("backend", Some("agent")), api("ci", None)],
            ..Auth::default()
        };
        let found = secrets(&auth);
        let lines: Vec<String> = found.iter().map(|one| one.finding().line()).collect();
        let starts = [
            "warning  token key 1 (HS256): 32 bytes of which only 7 are different",
            "ok       token key 3 (HS256): 32 bytes, 16 different ones",
            "ok       API key backend: 20 bytes",
            "warning  API key ci: 20 bytes; it has no grants",
        ];
        assert_eq!(lines.len(), starts.len());
        for (line, start) in lines.iter().zip(starts) {
            assert!(line.starts_with(start), "{line}");
        }
    }

    #[test]
    fn secrets_are_found_where_they_are_written() {
        let check = |text: &str, expected| assert_eq!(holds_secret(text), expected, "{text}");
        check("secret = \"x\"", true);
        check("keys = [{algorithm = \"HS256\", secret=\"x\"}]", true);
        check("[webhooks]\ngithub_secret = \"x\"", true);
        check("api_keys = [{ name = \"a\", key = \"x\" }]", true);
        check("# secret = \"x\"", false);
        check("secret_file = \"x\"\nkey_file = \"y\"", false);
        check("[server]\nlisten = \"127.0.0.1:1\"\n", false);
        check("", false);
    }

    #[test]
    fn what_others_can_reach_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kinglet.toml");
        let data = folder.path().join("data");
        fs::write(&file, "secret = \"x\"\n").unwrap();
        fs::create_dir(&data).unwrap();
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let check = |modes: (u32, u32), expected: [&str; 2]| {
            set(&file, modes.0);
            set(&data, modes.1);
            let found = reach(Some(&file), &data);
            assert_eq!(found.len(), 2);
            for (one, words) in found.iter().zip(expected) {
                let line = one.finding().line();
                assert!(line.contains(words), "{words} in {line}");
            }
        };
        check((0o600, 0o700), ["mode 600", "mode 700"]);
        check((0o644, 0o755), ["can read the secrets", "chmod 700"]);
        check((0o602, 0o707), ["choose what runs", "put its own files"]);
        assert_eq!(reach(None, &folder.path().join("none")).len(), 0);
    }
}
