//! Signing tokens, for operators who try things out; the server itself signs none.

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Map, Value, json};

use super::provider;
use crate::base::clock::Wall;
use crate::config::{Algorithm, Auth, Secret, TokenKey};
use crate::domain::access::UserId;

/// What a new token is to say.
#[derive(Clone, Debug)]
pub struct NewToken<'a> {
    /// The user.
    pub user: &'a UserId,
    /// Its role; none is that of users.
    pub role: Option<&'a str>,
    /// Patterns of rooms, and what is allowed in them.
    pub rooms: &'a [(String, Vec<String>)],
    /// What it says of the user to those who may know who is present.
    pub info: Option<&'a Value>,
    /// When it is made.
    pub issued: Wall,
    /// When it ends.
    pub expires: Wall,
}

/// A key to sign with.
#[derive(Debug)]
pub struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Signer {
    /// Signs with the first HMAC secret of the configuration or, if there is one, with `private`,
    /// a private key in PEM that belongs to the first public key of the configuration.
    ///
    /// # Errors
    /// A [`SignerFault`].
    pub fn new(auth: &Auth, private: Option<&Secret>) -> Result<Self, SignerFault> {
        provider::install();
        let is_wanted = |key: &&TokenKey| key.algorithm.is_hmac() == private.is_none();
        let key = auth.keys.iter().find(is_wanted);
        let TokenKey { algorithm, key, .. } = key.ok_or(match (auth.keys.is_empty(), private) {
            (true, _) => SignerFault::NoKey,
            (false, None) => SignerFault::PublicOnly,
            (false, Some(_)) => SignerFault::SecretsOnly,
        })?;
        let pem = private.map_or(&[][..], Secret::expose);
        let key = match algorithm {
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
                Ok(EncodingKey::from_secret(key.expose()))
            }
            Algorithm::Rs256 => EncodingKey::from_rsa_pem(pem),
            Algorithm::Es256 => EncodingKey::from_ec_pem(pem),
            Algorithm::EdDsa => EncodingKey::from_ed_pem(pem),
        };
        Ok(Self {
            algorithm: *algorithm,
            key: key.map_err(|_| SignerFault::PrivateKey)?,
        })
    }

    /// Makes a token.
    ///
    /// # Errors
    /// [`SignerFault::PrivateKey`] when the key is of another kind than its file said.
    pub fn sign(&self, token: &NewToken<'_>) -> Result<String, SignerFault> {
        let mut claims = Map::new();
        claims.insert("sub".to_owned(), token.user.as_str().into());
        if let Some(role) = token.role {
            claims.insert("role".to_owned(), role.into());
        }
        if !token.rooms.is_empty() {
            let rooms = token.rooms.iter();
            let rooms = rooms.map(|(pattern, allow)| json!({"pattern": pattern, "allow": allow}));
            claims.insert("rooms".to_owned(), rooms.collect());
        }
        if let Some(info) = token.info {
            claims.insert("info".to_owned(), info.clone());
        }
        claims.insert("iat".to_owned(), (token.issued.as_millis() / 1000).into());
        claims.insert("exp".to_owned(), (token.expires.as_millis() / 1000).into());
        let header = Header::new(provider::algorithm(self.algorithm));
        jsonwebtoken::encode(&header, &Value::Object(claims), &self.key)
            .map_err(|_| SignerFault::PrivateKey)
    }
}

/// Why no token can be signed; the operator's to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignerFault {
    /// The configuration has no key for tokens.
    #[error("auth.keys has no key to sign with; kinglet init makes one")]
    NoKey,
    /// The configuration has public keys only.
    #[error(
        "auth.keys has public keys only, so only the holder of a private key can sign; name its \
         file with --private-key"
    )]
    PublicOnly,
    /// A private key was given, and the configuration has no public one.
    #[error("auth.keys has secrets only, so no private key is needed")]
    SecretsOnly,
    /// The private key cannot be used.
    #[error("the private key is not one in PEM (PKCS #8) of the kind that auth.keys is for")]
    PrivateKey,
}
