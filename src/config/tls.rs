//! `[server] tls`: with which certificate connections are received, if they are.
//!
//! May not touch: what the files hold; `protocol::tls` judges that. Invariant: a configuration
//! without faults has both files, or a pair of the server's own, or neither.

use std::path::{Path, PathBuf};

use super::ReadFile;
use super::auth::Secret;
use super::fault::{Faults, Warning};
use super::raw::Raw;
use super::settings::Server;

const CERT: &str = "server.tls.cert";
const KEY: &str = "server.tls.key";
const SELF_SIGNED: &str = "server.tls.self_signed";

/// How connections are received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The file with the certificates.
    pub cert: Option<PathBuf>,
    /// The file with the key of the first of them.
    pub key: Option<PathBuf>,
    /// With a pair that the server makes and keeps in its data directory.
    pub self_signed: bool,
    /// What the two files hold.
    pub files: Option<TlsFiles>,
}

/// A file of the pair, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFile {
    /// All of it.
    pub content: Secret,
    /// The key that names it and where that was written, for faults.
    pub place: String,
    /// Its path, for faults.
    pub path: PathBuf,
}

/// The contents of a pair's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates, as PEM.
    pub certificates: TlsFile,
    /// The key, as PEM.
    pub key: TlsFile,
}

impl Tls {
    /// Whether connections are received with TLS.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.self_signed || self.cert.is_some()
    }
}

/// Reads the files that `server` names.
pub(super) fn fill(
    server: &mut Server,
    raw: &Raw,
    read: ReadFile,
    faults: &mut Faults,
    warnings: &mut Vec<Warning>,
) {
    let tls = &mut server.tls;
    let origin = |key: &str| raw.values.get(key).map(|written| written.origin.as_str());
    let mut refuse = |key: &str, problem: &str| {
        faults.add(key, origin(key).unwrap_or_default(), problem);
    };
    match (&tls.cert, &tls.key) {
        (Some(_) | None, Some(_)) if tls.self_signed => {
            refuse(
                KEY,
                "needs no file with server.tls.self_signed = true; choose one of them",
            );
        }
        (Some(_), None) if tls.self_signed => {
            refuse(
                CERT,
                "needs no file with server.tls.self_signed = true; choose one of them",
            );
        }
        (Some(_), None) => refuse(CERT, "needs server.tls.key, too"),
        (None, Some(_)) => refuse(KEY, "needs server.tls.cert, too"),
        (Some(cert), Some(key)) => {
            let mut open = |name: &str, path: &Path| {
                let origin = origin(name).unwrap_or_default();
                match read(path) {
                    Ok(file) => Some((
                        TlsFile {
                            content: Secret::new(file.content),
                            place: format!("{name} ({origin})"),
                            path: path.to_owned(),
                        },
                        file.is_shared,
                    )),
                    Err(error) => {
                        let problem = format!("cannot read {}: {error}", path.display());
                        faults.add(name, origin, problem);
                        None
                    }
                }
            };
            let (certificates, key) = (open(CERT, cert), open(KEY, key));
            if let (Some((certificates, _)), Some((key, is_shared))) = (certificates, key) {
                if is_shared {
                    let path = key.path.display();
                    warnings.push(Warning {
                        variable: KEY.to_owned(),
                        problem: format!(
                            "other users of this machine can read {path}; chmod 600 it"
                        ),
                    });
                }
                tls.files = Some(TlsFiles { certificates, key });
            }
        }
        (None, None) => {}
    }
}

/// The rows of this table, which are applied or wait together.
pub(super) const KEYS: [&str; 3] = [CERT, KEY, SELF_SIGNED];

#[cfg(test)]
mod tests {
    use crate::config::{Flags, Sources, load, no_files};

    fn check(toml: &str, faults: &[&str]) {
        let sources = Sources {
            file: Some(("kinglet.toml", toml)),
            environment: &[],
            flags: &Flags::default(),
            files: no_files,
        };
        let found = load(&sources).err().unwrap_or_default().to_string();
        assert_eq!(found, faults.join("\n"), "{toml}");
    }

    #[test]
    fn a_certificate_comes_with_its_key_or_from_the_server() {
        let tls = |table: &str| format!("[server]\ntls = {table}\n");
        let entity = std::io::Error::from(std::io::ErrorKind::NotFound);
        check(&tls("{ self_signed = true }"), &[]);
        check(&tls("{ self_signed = false }"), &[]);
        check(&tls("{}"), &[]);
        check(
            &tls("{ cert = \"a\", key = \"b\" }"),
            &[
                &format!("server.tls.cert (kinglet.toml): cannot read a: {entity}"),
                &format!("server.tls.key (kinglet.toml): cannot read b: {entity}"),
            ],
        );
        check(
            &tls("{ cert = \"a\" }"),
            &["server.tls.cert (kinglet.toml): needs server.tls.key, too"],
        );
        check(
            "[server]\ntls.key = \"b\"\n",
            &["server.tls.key (kinglet.toml): needs server.tls.cert, too"],
        );
        check(
            &tls("{ cert = \"a\", self_signed = true }"),
            &[
                "server.tls.cert (kinglet.toml): needs no file with server.tls.self_signed = true; \
               choose one of them",
            ],
        );
        check(
            &tls("1"),
            &["server.tls (kinglet.toml): must be a table with one of cert, key, self_signed"],
        );
        check(
            &tls("{ certificate = \"a\" }"),
            &["server.tls.certificate (kinglet.toml): unknown key"],
        );
        check(
            "[server]\n\"tls.cert\" = \"a\"\n",
            &["server.tls.cert (kinglet.toml): unknown key; did you mean server.tls.cert?"],
        );
    }
}
