//! The keys that credentials are checked with, each checked itself when it is taken.

use std::sync::Arc;

use jsonwebtoken::DecodingKey;
use ring::hmac;

use crate::config::{Algorithm, Secret, TokenKey};
use crate::domain::access::ApiKey;

/// Secrets that everybody knows: of jwt.io, and what sample files tell people to replace.
pub(super) const KNOWN_SECRETS: [&str; 6] = [
    "a-string-secret-at-least-256-bits-long",
    "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
    "your-secret-key-change-in-production",
    "your-secret-key-change-this-in-production",
    "change-me-change-me-change-me-change-me",
    "replace-me-with-the-output-of-openssl-rand-hex-32",
];

/// The shortest API key, in bytes: 128 random bits are 22 letters.
const API_KEY_BYTES_MIN: usize = 20;

/// The shortest PKCS #1 RSAPublicKey whose modulus has 2048 bits.
const RSA_2048_BYTES: usize = 268;

/// A P-256 point, uncompressed (SEC 1 section 2.3.3).
const P256_POINT_BYTES: usize = 65;

const ED25519_BYTES: usize = 32;

/// A key that tokens are checked with.
#[derive(Debug)]
pub(super) struct VerifyingKey {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl VerifyingKey {
    pub(super) fn new(key: &TokenKey) -> Result<Self, KeyFault> {
        let bytes = key.key.expose();
        let algorithm = key.algorithm;
        let key = match algorithm {
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
                check_secret(algorithm, bytes)?;
                DecodingKey::from_secret(bytes)
            }
            Algorithm::Rs256 => {
                check_label(bytes)?;
                let key = DecodingKey::from_rsa_pem(bytes);
                public(key, algorithm, |key| key.len() >= RSA_2048_BYTES)?
            }
            Algorithm::Es256 => {
                check_label(bytes)?;
                let is_point =
                    |key: &[u8]| key.len() == P256_POINT_BYTES && key.first() == Some(&4);
                public(DecodingKey::from_ec_pem(bytes), algorithm, is_point)?
            }
            Algorithm::EdDsa => {
                check_label(bytes)?;
                let key = DecodingKey::from_ed_pem(bytes);
                public(key, algorithm, |key| key.len() == ED25519_BYTES)?
            }
        };
        Ok(Self { algorithm, key })
    }

    /// Whether it is for the algorithm that a token calls `name`, in exactly that spelling.
    pub(super) fn is_for(&self, name: &str) -> bool {
        self.algorithm.name() == name
    }

    /// Whether it made `signature` of `message`.
    pub(super) fn verify(&self, message: &str, signature: &str) -> bool {
        let algorithm = super::provider::algorithm(self.algorithm);
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.key, algorithm)
            .unwrap_or(false)
    }
}

fn check_secret(algorithm: Algorithm, secret: &[u8]) -> Result<(), KeyFault> {
    let bytes = match algorithm {
        Algorithm::Hs384 => 48,
        Algorithm::Hs512 => 64,
        Algorithm::Hs256 | Algorithm::Rs256 | Algorithm::Es256 | Algorithm::EdDsa => 32,
    };
    // Public keys are public; one taken for a secret would let anybody sign.
    if secret.trim_ascii_start().starts_with(b"-----BEGIN") {
        return Err(KeyFault::PemAsSecret { algorithm });
    }
    if KNOWN_SECRETS.iter().any(|known| known.as_bytes() == secret) {
        return Err(KeyFault::Known);
    }
    // RFC 7518 section 3.2.
    if secret.len() < bytes {
        return Err(KeyFault::Short { algorithm, bytes });
    }
    Ok(())
}

fn check_label(pem: &[u8]) -> Result<(), KeyFault> {
    let contains = |text: &str| pem.windows(text.len()).any(|part| part == text.as_bytes());
    if contains("PRIVATE KEY-----") {
        return Err(KeyFault::Private);
    }
    match contains("PUBLIC KEY-----") {
        true => Ok(()),
        false => Err(KeyFault::NotPem),
    }
}

fn public(
    key: jsonwebtoken::errors::Result<DecodingKey>,
    algorithm: Algorithm,
    is_right: impl Fn(&[u8]) -> bool,
) -> Result<DecodingKey, KeyFault> {
    key.ok()
        .filter(|key| key.try_get_as_bytes().is_ok_and(is_right))
        .ok_or(KeyFault::OtherKind { algorithm })
}

/// The keys of backends.
#[derive(Debug)]
pub(super) struct ApiKeys {
    comparison: hmac::Key,
    keys: Vec<(hmac::Tag, Arc<ApiKey>)>,
}

impl Default for ApiKeys {
    fn default() -> Self {
        Self {
            // The HMAC hides length and content from the comparison's time; it guards nothing
            // else, so its key need not be secret.
            comparison: hmac::Key::new(hmac::HMAC_SHA256, b"kinglet API keys"),
            keys: Vec::new(),
        }
    }
}

impl ApiKeys {
    pub(super) fn add(&mut self, secret: &Secret, key: ApiKey) -> Result<(), KeyFault> {
        let secret = secret.expose();
        if secret.len() < API_KEY_BYTES_MIN {
            return Err(KeyFault::ShortApiKey);
        }
        if KNOWN_SECRETS.iter().any(|known| known.as_bytes() == secret) {
            return Err(KeyFault::Known);
        }
        if self.find(secret).is_some() {
            return Err(KeyFault::TwoNames);
        }
        let tag = hmac::sign(&self.comparison, secret);
        self.keys.push((tag, Arc::new(key)));
        Ok(())
    }

    /// Compares `secret` with every key, each in constant time.
    pub(super) fn find(&self, secret: &[u8]) -> Option<Arc<ApiKey>> {
        let mut found = None;
        for (tag, key) in &self.keys {
            if hmac::verify(&self.comparison, secret, tag.as_ref()).is_ok() {
                found = Some(key);
            }
        }
        found.map(Arc::clone)
    }
}

/// Why a configured key cannot be used; the operator's to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyFault {
    #[error(
        "the secret is shorter than {bytes} bytes, the output of {}; make one with: openssl rand \
         -hex {bytes}",
        algorithm.name()
    )]
    Short { algorithm: Algorithm, bytes: usize },
    #[error("the secret is one that everybody knows; make one with: openssl rand -hex 32")]
    Known,
    #[error(
        "the secret is a PEM file, and {} needs random bytes; a public key goes with RS256, ES256 \
         or EdDSA",
        algorithm.name()
    )]
    PemAsSecret { algorithm: Algorithm },
    #[error("the file holds a private key; only the public one is needed here")]
    Private,
    #[error("the file holds no public key in PEM (-----BEGIN PUBLIC KEY-----)")]
    NotPem,
    #[error("the file holds no key for {}; it needs {}", algorithm.name(), needed(*algorithm))]
    OtherKind { algorithm: Algorithm },
    #[error(
        "the key is shorter than {API_KEY_BYTES_MIN} bytes; make one with: openssl rand -hex 32"
    )]
    ShortApiKey,
    #[error("another API key is the same")]
    TwoNames,
}

const fn needed(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => "random bytes",
        Algorithm::Rs256 => "an RSA key of at least 2048 bits",
        Algorithm::Es256 => "a P-256 key",
        Algorithm::EdDsa => "an Ed25519 key",
    }
}
