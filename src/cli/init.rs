//! `init`: a configuration for token mode, with a secret of its own.
//!
//! Invariants: no file that exists is touched; the secret is in its file only, which nobody but its
//! owner can read from the moment it exists.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::clock::{Clock, Wall};
use crate::base::rng::Rng;
use crate::cli::arguments::InitArguments;
use crate::cli::{Exit, Failure, output, token};
use crate::config::{Algorithm, Auth, Secret, TokenKey};
use crate::domain::access::{ADMIN, UserId};
use crate::domain::token::NewToken;

/// Random bytes of the secret, enough for HS256; in hex it would do for HS512, too.
const SECRET_BYTES: usize = 32;

/// What the first token is for.
const FIRST_USER: &str = "me";

/// How long the first token is valid: a day of trying things out.
const FIRST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Writes both files and says what comes next.
pub(super) fn run(asked: &InitArguments) -> Result<Exit, Failure> {
    let config = asked.config.as_path();
    let (secret_file, written) = secret_file_of(config)?;
    for path in [config, secret_file.as_path()] {
        if fs::symlink_metadata(path).is_ok() {
            let path = path.display();
            return Err(Failure::Misuse(format!(
                "{path} exists; it is left as it is"
            )));
        }
    }
    let secret = new_secret()?;
    create(&secret_file, &format!("{secret}\n"), 0o600)?;
    if let Err(failure) = create(config, &text(&written), 0o644) {
        // It was made a moment ago and belongs to no configuration.
        let _ = fs::remove_file(&secret_file);
        return Err(failure);
    }
    let first = first_token(&secret)?;
    let (shown, shown_secret) = (config.display(), secret_file.display());
    let option = match config == Path::new("kinglet.toml") {
        true => String::new(),
        false => format!(" --config {}", output::shell_word(&shown.to_string())),
    };
    for line in [
        format!("wrote {shown}, and a secret to {shown_secret} (mode 0600)"),
        format!("token (user {FIRST_USER}, role {ADMIN}, 24 hours): {first}"),
        format!("more tokens: kinglet token --user ID{option}"),
        format!("next: kinglet{option}"),
    ] {
        output::line(&line)?;
    }
    Ok(Exit::Done)
}

/// Where the secret goes, and how the configuration spells it: as a name beside it if it is in the
/// working directory, otherwise whole, because kinglet may be started elsewhere.
fn secret_file_of(config: &Path) -> Result<(PathBuf, String), Failure> {
    let path = config.with_extension("secret");
    let is_beside_us = path.parent() == Some(Path::new(""));
    let whole = match is_beside_us {
        true => Ok(path.clone()),
        false => std::path::absolute(&path),
    };
    let whole = whole.map_err(|error| cannot_write(&path, &error))?;
    let spelt = whole
        .to_str()
        .and_then(|text| serde_json::to_string(text).ok());
    spelt.map(|spelt| (path, spelt)).ok_or_else(|| {
        let reason = format!("{} is not UTF-8, so no file can name it", config.display());
        Failure::Misuse(reason)
    })
}

fn new_secret() -> Result<String, Failure> {
    let mut rng = Rng::from_os().map_err(|error| Failure::Failed(error.to_string()))?;
    let mut bytes = [0u8; SECRET_BYTES];
    rng.fill(&mut bytes);
    let mut secret = String::with_capacity(2 * SECRET_BYTES);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(secret, "{byte:02x}");
    }
    Ok(secret)
}

fn create(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::Failed(format!("cannot write {}: {error}", path.display()))
}

fn first_token(secret: &str) -> Result<String, Failure> {
    let auth = Auth {
        keys: vec![TokenKey {
            algorithm: Algorithm::Hs256,
            key: Secret::new(secret.as_bytes()),
            place: "auth.keys".to_owned(),
        }],
        ..Auth::default()
    };
    let user = UserId::parse(FIRST_USER).map_err(|fault| Failure::Failed(fault.to_string()))?;
    let now = Clock::start().now().wall;
    let lifetime_ms = u64::try_from(FIRST_LIFETIME.as_millis()).unwrap_or(u64::MAX);
    let new = NewToken {
        user: &user,
        role: Some(ADMIN),
        rooms: &[],
        info: None,
        issued: now,
        expires: Wall::from_millis(now.as_millis().saturating_add(lifetime_ms)),
    };
    token::sign(&auth, None, &new)
}

/// The configuration; `secret_file` is a TOML string.
fn text(secret_file: &str) -> String {
    format!(
        r##"# kinglet in token mode: everybody needs a token or an API key.
# All keys are in docs/configuration.md; `kinglet check-config` says what is wrong with this file.

[server]
# Only this machine can connect. For others: "0.0.0.0:8080", with TLS or behind what speaks it.
listen = "127.0.0.1:8080"
# Web pages from elsewhere that may connect.
allowed_origins = []

[auth]
mode = "token"

# Tokens are JWTs that your application signs with this secret: docs/access.md shows how.
# With another one in its place, SIGHUP has kinglet refuse all earlier tokens; sessions that are
# open stay until theirs expire, unless they are disconnected or kinglet is started again.
[[auth.keys]]
algorithm = "HS256"
secret_file = {secret_file}

# A key for a backend that publishes over HTTP. Make one with:
#   (umask 077; openssl rand -hex 32 > backend.key)
# [[auth.api_keys]]
# name = "backend"
# key_file = "backend.key"
# grants = {{ rooms = [{{ pattern = "chat:*", allow = ["publish"] }}] }}

# A role that tokens can name, beside admin, user, agent and readonly.
# [auth.roles.member]
# rooms = [{{ pattern = "chat:*", allow = ["subscribe", "publish", "history", "presence"] }}]
"##
    )
}
