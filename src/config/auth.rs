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
    pub roles: BTreeMap<String, Role>,
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

impl Algorithm {
    /// All of them.
    pub(super) const ALL: [Self; 6] = [
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Rs256,
        Self::Es256,
        Self::EdDsa,
    ];

    /// Its name in tokens and in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Whether whoever checks could sign, too, because both take one secret.
    #[must_use]
    pub const fn is_hmac(self) -> bool {
        match self {
            Self::Hs256 | Self::Hs384 | Self::Hs512 => true,
            Self::Rs256 | Self::Es256 | Self::EdDsa => false,
        }
    }
}

/// A key that tokens are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKey {
    /// The one algorithm it is for.
    pub algorithm: Algorithm,
    /// The secret of an HMAC, otherwise a public key in PEM.
    pub key: Secret,
    /// Where it was written, for faults.
    pub place: String,
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
    /// Where it was written, for faults.
    pub place: String,
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
    /// Where it was written, for faults.
    pub place: String,
}

/// A configured role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// What it may do.
    pub rooms: Vec<RoomGrant>,
    /// Where it was written, for faults.
    pub place: String,
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
