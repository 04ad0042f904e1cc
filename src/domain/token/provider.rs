//! The cryptography of tokens: jsonwebtoken's `CryptoProvider` on ring.
//!
//! jsonwebtoken asks one provider per process, so there is one here and it is installed before
//! any key is made. Invariant: a key is used with algorithms of its own kind only, or refused.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, Result};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
    VerificationAlgorithm,
};

use crate::config;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    // Keys come as secrets and PEM, never as JWK, which is what these would serve.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes this the provider of the process.
pub(super) fn install() {
    // It fails if there is one already, and nobody else installs one.
    let _ = PROVIDER.install_default();
}

/// The same algorithm as jsonwebtoken calls it.
pub(super) const fn algorithm(algorithm: config::Algorithm) -> Algorithm {
    match algorithm {
        config::Algorithm::Hs256 => Algorithm::HS256,
        config::Algorithm::Hs384 => Algorithm::HS384,
        config::Algorithm::Hs512 => Algorithm::HS512,
        config::Algorithm::Rs256 => Algorithm::RS256,
        config::Algorithm::Es256 => Algorithm::ES256,
        config::Algorithm::EdDsa => Algorithm::EdDSA,
    }
}

fn refused(kind: ErrorKind) -> Error {
    jsonwebtoken::errors::new_error(kind)
}

/// The HMAC of `algorithm`; `None` for signatures by key pairs.
fn mac(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::HS256 => Some(hmac::HMAC_SHA256),
        Algorithm::HS384 => Some(hmac::HMAC_SHA384),
        Algorithm::HS512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

struct RingVerifier {
    algorithm: Algorithm,
    key: Check,
}

enum Check {
    Mac(hmac::Key),
    Public(UnparsedPublicKey<Box<[u8]>>),
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let algorithm = *algorithm;
    if key.family() != algorithm.family() {
        return Err(refused(ErrorKind::InvalidKeyFormat));
    }
    let bytes = key.try_get_as_bytes()?;
    let public = |scheme: &'static dyn VerificationAlgorithm| {
        Check::Public(UnparsedPublicKey::new(scheme, bytes.into()))
    };
    let key = match (algorithm, mac(algorithm)) {
        (_, Some(mac)) => Check::Mac(hmac::Key::new(mac, bytes)),
        (Algorithm::RS256, None) => public(&RSA_PKCS1_2048_8192_SHA256),
        (Algorithm::ES256, None) => public(&ECDSA_P256_SHA256_FIXED),
        (Algorithm::EdDSA, None) => public(&ED25519),
        (_, None) => return Err(refused(ErrorKind::UnsupportedAlgorithm)),
    };
    Ok(Box::new(RingVerifier { algorithm, key }))
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(
        &self,
        message: &[u8],
        signature: &Vec<u8>,
    ) -> std::result::Result<(), signature::Error> {
        let verified = match &self.key {
            Check::Mac(key) => hmac::verify(key, message, signature),
            Check::Public(key) => key.verify(message, signature),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

struct RingSigner {
    algorithm: Algorithm,
    key: Pair,
}

enum Pair {
    Mac(hmac::Key),
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    let algorithm = *algorithm;
    if key.family() != algorithm.family() {
        return Err(refused(ErrorKind::InvalidKeyFormat));
    }
    let bytes = key.as_bytes();
    let rejected = |_| refused(ErrorKind::InvalidKeyFormat);
    let key = match (algorithm, mac(algorithm)) {
        (_, Some(mac)) => Pair::Mac(hmac::Key::new(mac, bytes)),
        (Algorithm::RS256, None) => Pair::Rsa(RsaKeyPair::from_der(bytes).map_err(rejected)?),
        (Algorithm::ES256, None) => {
            let scheme = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let pair = EcdsaKeyPair::from_pkcs8(scheme, bytes, &SystemRandom::new());
            Pair::Ecdsa(pair.map_err(rejected)?)
        }
        (Algorithm::EdDSA, None) => {
            // Others write version 1 of PKCS #8, without the public key (RFC 8410 section 7).
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes);
            Pair::Ed(pair.map_err(rejected)?)
        }
        (_, None) => return Err(refused(ErrorKind::UnsupportedAlgorithm)),
    };
    Ok(Box::new(RingSigner { algorithm, key }))
}

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        // ring takes its randomness from the system only, and RSA and ECDSA need some.
        let random = SystemRandom::new();
        let failed = |_| signature::Error::new();
        match &self.key {
            Pair::Mac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
            Pair::Ecdsa(pair) => {
                let signature = pair.sign(&random, message).map_err(failed)?;
                Ok(signature.as_ref().to_vec())
            }
            Pair::Ed(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
