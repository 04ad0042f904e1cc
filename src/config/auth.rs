//! `[auth]`: who may connect, and what their credentials are checked against.

use std::collections::BTreeMap;
use std::fmt;

/// `[auth]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// Who may connect.
    pub mode: AuthMode,
    /// Keys that tokens are signed with; in token mode there is one of them or of `api_keys`.
    pub keys: Vec<TokenKey>,
    /// Keys of backends.
    pub api_keys: Vec<ApiKey>,
    /// Roles by name, beside the built-in ones.
    pub roles: BTreeMap<String, Vec<RoomGrant>>,
    /// Whether a token may come in the query, `?token=`.
    pub allow_query_token: bool,
}

/// Who may connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthMode {
    /// Whoever reaches the server.
    #[default]
    Open,
    /// Whoever has a token or an API key.
    Token,
}

/// How tokens are signed (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSA, PKCS #1 v1.5, with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

/// A key that tokens are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKey {
    /// The one algorithm it is for.
    pub algorithm: Algorithm,
    /// The secret of an HMAC, otherwise a public key in PEM.
    pub key: Secret,
}

/// A key of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its name, unique, for the log.
    pub name: String,
    /// The key.
    pub key: Secret,
    /// What it may do; `None` is everything.
    pub grants: Option<KeyGrants>,
}

/// What an API key may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyGrants {
    /// What the role of this name may.
    Role(String),
    /// These.
    Rooms(Vec<RoomGrant>),
}

/// Actions allowed in rooms, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomGrant {
    /// The rooms.
    pub pattern: String,
    /// The actions.
    pub allow: Vec<String>,
}

/// Bytes that nobody may see.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// A secret of these bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for whoever checks or signs.
    #[must_use]
    pub const fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
