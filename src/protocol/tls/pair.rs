//! A certificate with its private key, checked before anybody is shown it.
//!
//! May not touch: files; the caller brings their contents. Invariant: the key of a [`Pair`] is that
//! of its certificate, which was valid when the pair was read. When a certificate ends is asked of
//! rustls, which checks certificates anyway: by checking this one at a time of our choice.

use std::fmt::Write as _;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, InconsistentKeys, RootCertStore};

use crate::base::clock::Wall;
use crate::protocol::tls::acceptor::provider;
use crate::protocol::tls::time::{unix, wall};

/// The last moment that a certificate can name (RFC 5280 section 4.1.2.5), in seconds.
const END_OF_TIME: u64 = 253_402_300_799;

/// A certificate, those that vouch for it, and its key.
#[derive(Clone, Debug)]
pub struct Pair {
    certified: Arc<CertifiedKey>,
    expires: Wall,
}

/// Which of the two files a fault is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The one with the certificates.
    Certificate,
    /// The one with the key.
    Key,
}

/// What is wrong with a pair, in words that follow the name of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairFault {
    /// There is no certificate.
    #[error("has no certificate; it must be PEM, with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// Something that is marked as a certificate is none.
    #[error("has a certificate that is none: {0}")]
    BadCertificate(String),
    /// The certificate has expired.
    #[error("has a certificate that expired on {}; renew it", .0.to_rfc3339())]
    Expired(Wall),
    /// The certificate is not valid yet.
    #[error("has a certificate that is valid from {} only; is this machine's clock right?",
        .0.to_rfc3339())]
    NotYetValid(Wall),
    /// There is no key.
    #[error("has no private key; it must be PEM, with -----BEGIN PRIVATE KEY-----")]
    NoKey,
    /// The key can only be read with a password, which nobody is there to give.
    #[error(
        "has an encrypted key; decrypt it with openssl pkey -in FILE -out PLAIN, and chmod 600 it"
    )]
    EncryptedKey,
    /// The key is of no kind that can be used.
    #[error(
        "has a key that cannot be used: {0}; write an RSA, ECDSA (P-256, P-384) or Ed25519 key"
    )]
    BadKey(String),
    /// The key belongs to another certificate.
    #[error("has a key that is not that of the first certificate in server.tls.cert")]
    Mismatch,
    /// The system has no randomness, or rustls refuses what it should take.
    #[error("cannot be used: {0}")]
    Unusable(String),
}

impl PairFault {
    /// The file that has to be mended.
    #[must_use]
    pub const fn half(&self) -> Half {
        match self {
            Self::NoCertificate
            | Self::BadCertificate(_)
            | Self::Expired(_)
            | Self::NotYetValid(_)
            | Self::Unusable(_) => Half::Certificate,
            Self::NoKey | Self::EncryptedKey | Self::BadKey(_) | Self::Mismatch => Half::Key,
        }
    }
}

impl Pair {
    /// Reads a pair from its PEM files: the server's certificate first, then those that vouch for
    /// it, the root left out; and a key in PKCS #8, PKCS #1 or SEC 1.
    ///
    /// # Errors
    /// What is wrong with it at `now`.
    pub fn read(certificates: &[u8], key: &[u8], now: Wall) -> Result<Self, PairFault> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, _>>()
            .map_err(|error| PairFault::BadCertificate(error.to_string()))?;
        let Some(own) = chain.first() else {
            return Err(PairFault::NoCertificate);
        };
        let bad = |error: Error| PairFault::BadCertificate(error.to_string());
        for certificate in &chain {
            ParsedCertificate::try_from(certificate).map_err(bad)?;
        }
        let provider = provider();
        let expires = valid_until(own, now, &provider)?;
        let key = read_key(key)?;
        let certified = CertifiedKey::from_der(chain, key, &provider);
        let certified = certified.map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => PairFault::Mismatch,
            other => PairFault::BadKey(other.to_string()),
        })?;
        Ok(Self {
            certified: Arc::new(certified),
            expires,
        })
    }

    /// Whether a client that asked for `name`, a host name or an address, accepts the certificate.
    #[must_use]
    pub fn is_for(&self, name: &str) -> bool {
        let Ok(name) = ServerName::try_from(name) else {
            return false;
        };
        let own = self.certified.cert.first();
        own.and_then(|own| ParsedCertificate::try_from(own).ok())
            .is_some_and(|own| verify_server_name(&own, &name).is_ok())
    }

    /// When the certificate ends.
    #[must_use]
    pub const fn expires(&self) -> Wall {
        self.expires
    }

    /// The SHA-256 of the certificate as `openssl x509 -fingerprint -sha256` spells it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let own = self.certified.cert.first();
        let hash = digest(&SHA256, own.map_or(&[], |own| own.as_ref()));
        let mut spelt = String::new();
        for (place, byte) in hash.as_ref().iter().enumerate() {
            let colon = if place > 0 { ":" } else { "" };
            // Writing to a String cannot fail.
            let _ = write!(spelt, "{colon}{byte:02X}");
        }
        spelt
    }

    /// Whether both have the same certificates, in which case the keys are the same, too.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }

    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }
}

fn read_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, PairFault> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        // Both spellings hold the word: `BEGIN ENCRYPTED PRIVATE KEY` and `Proc-Type: 4,ENCRYPTED`.
        let is_encrypted = memchr::memmem::find(pem, b"ENCRYPTED").is_some();
        match error {
            _ if is_encrypted => PairFault::EncryptedKey,
            rustls::pki_types::pem::Error::NoItemsFound => PairFault::NoKey,
            other => PairFault::BadKey(other.to_string()),
        }
    })
}

/// When `certificate`, valid `now`, ends.
fn valid_until(
    certificate: &CertificateDer<'static>,
    now: Wall,
    provider: &Arc<CryptoProvider>,
) -> Result<Wall, PairFault> {
    let unusable = |error: &dyn std::fmt::Display| PairFault::BadCertificate(error.to_string());
    let mut roots = RootCertStore::empty();
    // Whoever vouches for it does not matter here, but somebody must.
    roots
        .add(certificate.clone())
        .map_err(|error| unusable(&error))?;
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|error| unusable(&error))?;
    let name = ServerName::try_from("localhost").map_err(|error| unusable(&error))?;
    // The times are checked before all else (webpki's `check_issuer_independent_properties`).
    let verdict = |at: UnixTime| verifier.verify_server_cert(certificate, &[], &name, &[], at);
    match verdict(unix(now)) {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            return Err(PairFault::Expired(wall(not_after)));
        }
        Err(Error::InvalidCertificate(CertificateError::NotValidYetContext {
            not_before, ..
        })) => return Err(PairFault::NotYetValid(wall(not_before))),
        Ok(_) | Err(_) => {}
    }
    let end = std::time::Duration::from_secs(END_OF_TIME);
    Ok(match verdict(UnixTime::since_unix_epoch(end)) {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            wall(not_after)
        }
        Ok(_) | Err(_) => Wall::from_millis(END_OF_TIME * 1000),
    })
}
