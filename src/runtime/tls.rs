//! The server's certificate: from the files that the configuration names, or of its own making.
//!
//! The files of the server's own are in its data directory, for its owner alone. Invariant: a key
//! is in its file only, which nobody else can read from the moment it exists.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::clock::Wall;
use crate::config::{Config, Fault, Faults, TlsFiles};
use crate::protocol::tls::acceptor::TlsAcceptor;
use crate::protocol::tls::pair::{Half, Pair, PairFault};
use crate::protocol::tls::self_signed;

/// The key under which faults of the server's own pair are told.
const SELF_SIGNED: &str = "server.tls.self_signed";

/// How long before its end a certificate is warned of.
const WARNING_MS: u64 = 14 * 24 * 60 * 60 * 1000;

/// What connections are received with, as `config` says; `None` without TLS. That of before goes
/// on if its pair is the same, so that those who come back can resume their sessions.
///
/// # Errors
/// What is wrong with the pair.
pub fn acceptor(
    config: &Config,
    before: Option<&Arc<TlsAcceptor>>,
    now: Wall,
) -> Result<Option<Arc<TlsAcceptor>>, Faults> {
    let tls = &config.server.tls;
    let pair = match &tls.files {
        Some(files) => read(files, now)?,
        None if tls.self_signed => own_pair(config, now)?,
        None => return Ok(None),
    };
    if pair.expires().as_millis().saturating_sub(now.as_millis()) < WARNING_MS {
        let expires = pair.expires().to_rfc3339();
        log::warn!("tls_certificate_expires at={expires} hint=\"renew it and send SIGHUP\"");
    }
    if let Some(before) = before.filter(|before| before.pair().is_same(&pair)) {
        return Ok(Some(Arc::clone(before)));
    }
    log::info!(
        "tls_certificate sha256={} expires={}",
        pair.fingerprint(),
        pair.expires().to_rfc3339()
    );
    let made = TlsAcceptor::new(pair, now);
    let acceptor = made.map_err(|fault| one(SELF_SIGNED, fault.to_string()))?;
    Ok(Some(Arc::new(acceptor)))
}

/// Reads the pair that a configuration names.
///
/// # Errors
/// What is wrong with it, with the key of the file that is to be mended.
pub fn read(files: &TlsFiles, now: Wall) -> Result<Pair, Faults> {
    let (certificates, key) = (&files.certificates, &files.key);
    Pair::read(certificates.content.expose(), key.content.expose(), now).map_err(|fault| {
        let file = match fault.half() {
            Half::Certificate => certificates,
            Half::Key => key,
        };
        one(&file.place, format!("{} {fault}", file.path.display()))
    })
}

/// Where the server's own certificate is.
#[must_use]
pub fn own_certificate(config: &Config) -> PathBuf {
    config.server.data_dir.join("self-signed.pem")
}

fn one(place: &str, problem: String) -> Faults {
    Faults(vec![Fault {
        place: place.to_owned(),
        problem,
    }])
}

/// The names by which this machine calls the server.
fn names(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    let listen = config.server.listen.iter();
    let listen = listen.map(|address| address.ip().to_canonical());
    let addresses = listen.filter(|ip| !ip.is_unspecified());
    let hosts = config.server.allowed_hosts.iter();
    let hosts = hosts.map(|host| host.trim_matches(['[', ']']).to_owned());
    for name in addresses.map(|ip| ip.to_string()).chain(hosts) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The pair in the data directory if it is still good, or a new one, which is put there.
fn own_pair(config: &Config, now: Wall) -> Result<Pair, Faults> {
    let fault = |problem: String| one(SELF_SIGNED, problem);
    let names = names(config);
    let certificate = own_certificate(config);
    let key = certificate.with_extension("key");
    match read_own(&certificate, &key, now) {
        Ok(Ok(pair)) if self_signed::is_current(&pair, &names, now) => return Ok(pair),
        Ok(Ok(_)) => log::info!("tls_self_signed_renewed reason=\"its names or its time\""),
        Ok(Err(broken)) => log::info!("tls_self_signed_renewed reason=\"{broken}\""),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            let path = certificate.display();
            return Err(fault(format!("cannot read {path} and its key: {error}")));
        }
    }
    let made = self_signed::make(&names, now).map_err(fault)?;
    let pair = Pair::read(made.certificate.as_bytes(), made.key.as_bytes(), now)
        .map_err(|broken| fault(broken.to_string()))?;
    // The key first: a certificate without its key would be no use.
    keep(&key, &made.key, 0o600)
        .and_then(|()| keep(&certificate, &made.certificate, 0o644))
        .map_err(|error| fault(format!("cannot write to {}: {error}", key.display())))?;
    Ok(pair)
}

fn read_own(certificate: &Path, key: &Path, now: Wall) -> io::Result<Result<Pair, PairFault>> {
    let (certificate, key) = (fs::read(certificate)?, fs::read(key)?);
    Ok(Pair::read(&certificate, &key, now))
}

/// Puts a file in place, whole or not at all.
fn keep(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let new = path.with_extension(format!("{mode:o}.new"));
    // It may be left from a server that was killed at this point.
    let _ = fs::remove_file(&new);
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}
