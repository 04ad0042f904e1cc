//! Credentials: tokens and API keys, checked against the configured keys.
//!
//! ```text
//! config::Auth ── Authority ─┬─ verify_token ── shape, algorithm, signature ── claims ── User
//!                            └─ verify_key ──── ApiKey
//! ```
//!
//! May not touch: clocks, files. Invariants: the algorithm is the configured key's, the token only
//! says which of them it wants; nothing in a token's header is a place to look for a key; no claim
//! is read before the signature holds; no fault repeats the token.

mod claims;
mod keys;
mod provider;
mod signer;
#[cfg(test)]
mod tests;

pub use signer::{NewToken, Signer, SignerFault};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::base::clock::Wall;
use crate::config::{self, Auth, Fault, Faults, KeyGrants, RoomGrant};
use crate::domain::access::{ADMIN, ApiKey, Grant, GrantFault, InfoFault, Role, User, UserIdFault};
use keys::{ApiKeys, VerifyingKey};

/// The longest token, in bytes; as much as servers take of a header field by default.
pub const TOKEN_BYTES: usize = 8 * 1024;

/// Roles by name.
type Roles = BTreeMap<Box<str>, Arc<Role>>;

/// Everything that credentials are checked against.
#[derive(Debug)]
pub struct Authority {
    keys: Vec<VerifyingKey>,
    api_keys: ApiKeys,
    roles: Roles,
}

impl Authority {
    /// Makes the authority of the configuration.
    ///
    /// # Errors
    /// All that is wrong with keys, roles and grants, at once.
    pub fn new(auth: &Auth) -> Result<Self, Faults> {
        provider::install();
        let mut faults = Faults::default();
        let roles = roles(auth, &mut faults);
        let mut keys = Vec::new();
        for key in &auth.keys {
            match VerifyingKey::new(key) {
                Ok(key) => keys.push(key),
                Err(fault) => faults.0.push(at(&key.place, fault.to_string())),
            }
        }
        let mut api_keys = ApiKeys::default();
        let mut names = BTreeSet::new();
        for key in &auth.api_keys {
            if !names.insert(key.name.as_str()) {
                faults
                    .0
                    .push(at(&key.place, "another API key has this name"));
            }
            let Some(role) = role_of(key, &roles, &mut faults) else {
                continue;
            };
            let name = key.name.as_str().into();
            if let Err(fault) = api_keys.add(&key.key, ApiKey { name, role }) {
                faults.0.push(at(&key.place, fault.to_string()));
            }
        }
        if faults.0.is_empty() {
            Ok(Self {
                keys,
                api_keys,
                roles,
            })
        } else {
            Err(faults)
        }
    }

    /// Who the bearer of `token` is.
    ///
    /// The token is accepted up to 30 s after its `exp` and before its `nbf`, because clocks
    /// differ; the user's `expires` is `exp` itself.
    ///
    /// # Errors
    /// A [`TokenFault`].
    pub fn verify_token(&self, token: &str, now: Wall) -> Result<Arc<User>, TokenFault> {
        if token.len() > TOKEN_BYTES {
            return Err(TokenFault::TooLong);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenFault::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(TokenFault::Malformed)?;
        if claims.contains('.') {
            return Err(TokenFault::Malformed);
        }
        let header = decode(header)?;
        let header: Header<'_> =
            serde_json::from_slice(&header).map_err(|_| TokenFault::Malformed)?;
        if header.crit.is_some() {
            return Err(TokenFault::Critical);
        }
        let mut keys = self.keys.iter().filter(|key| key.is_for(&header.alg));
        let first = keys.next().ok_or(TokenFault::Algorithm)?;
        let mut keys = std::iter::once(first).chain(keys);
        if !keys.any(|key| key.verify(message, signature)) {
            return Err(TokenFault::Signature);
        }
        let claims = decode(claims)?;
        claims::user_of(&claims, &self.roles, now).map(Arc::new)
    }

    /// The API key that `key` is. How long that takes tells nothing about the configured keys.
    #[must_use]
    pub fn verify_key(&self, key: &str) -> Option<Arc<ApiKey>> {
        self.api_keys.find(key.as_bytes())
    }
}

/// What is read of a token's header (RFC 7515 section 4.1). `kid`, `jku`, `jwk` and the others
/// that say where a key is are not: the keys are here.
#[derive(Deserialize)]
struct Header<'a> {
    alg: String,
    #[serde(borrow)]
    crit: Option<&'a RawValue>,
}

fn decode(part: &str) -> Result<Vec<u8>, TokenFault> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenFault::Malformed)
}

/// The built-in roles, replaced and joined by the configured ones.
fn roles(auth: &Auth, faults: &mut Faults) -> Roles {
    let mut roles = Role::built_in();
    for (name, written) in &auth.roles {
        if name == ADMIN {
            let problem = "admin may do everything and cannot be configured; use another name";
            faults.0.push(at(&written.place, problem));
            continue;
        }
        let role = Role::new(name, grants(&written.rooms, faults));
        roles.insert(name.as_str().into(), Arc::new(role));
    }
    roles
}

/// The role of an API key: a named one, one of its own, or that of admins.
fn role_of(key: &config::ApiKey, roles: &Roles, faults: &mut Faults) -> Option<Arc<Role>> {
    match &key.grants {
        None => roles.get(ADMIN).map(Arc::clone),
        Some(KeyGrants::Rooms(rooms)) => {
            Some(Arc::new(Role::new(&key.name, grants(rooms, faults))))
        }
        Some(KeyGrants::Role(name)) => {
            let role = roles.get(name.as_str()).map(Arc::clone);
            if role.is_none() {
                let names: Vec<&str> = roles.keys().map(|name| &**name).collect();
                let problem = format!("{name:?} is no role; there are {}", names.join(", "));
                faults.0.push(at(&key.place, problem));
            }
            role
        }
    }
}

fn grants(rooms: &[RoomGrant], faults: &mut Faults) -> Vec<Grant> {
    let mut grants = Vec::new();
    for room in rooms {
        match Grant::parse(&room.pattern, room.allow.iter().map(String::as_str)) {
            Ok(grant) => grants.push(grant),
            Err(fault) => faults.0.push(at(&room.place, fault.to_string())),
        }
    }
    grants
}

fn at(place: &str, problem: impl Into<String>) -> Fault {
    Fault {
        place: place.to_owned(),
        problem: problem.into(),
    }
}

/// Why a token is refused; UNAUTHORIZED on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It has too many bytes.
    #[error("the token has more than {TOKEN_BYTES} bytes")]
    TooLong,
    /// It is no signed token.
    #[error("the token is not a signed JWT: three parts in base64url with dots between")]
    Malformed,
    /// Its header demands what is not understood (RFC 7515 section 4.1.11).
    #[error("the token's header has crit, and nothing it could demand is understood here")]
    Critical,
    /// No configured key is for its algorithm.
    #[error("no key of this server is for the token's algorithm")]
    Algorithm,
    /// No configured key made its signature.
    #[error("the token's signature is not by a key of this server")]
    Signature,
    /// Its claims cannot be read.
    #[error("the token's claims are not a JSON object that has each claim once")]
    Claims,
    /// It has no `exp`.
    #[error("the token has no exp; it needs one, in seconds since 1970")]
    NoExpiry,
    /// A time is no number, or of another world.
    #[error("the token's {claim} is not a number of seconds since 1970 (not milliseconds)")]
    Time {
        /// The claim, `exp` or `nbf`.
        claim: &'static str,
    },
    /// Its time is over.
    #[error("the token expired at {}", at.to_rfc3339())]
    Expired {
        /// Its `exp`.
        at: Wall,
    },
    /// Its time has not come.
    #[error("the token is not valid before {}", from.to_rfc3339())]
    NotYetValid {
        /// Its `nbf`.
        from: Wall,
    },
    /// It was made for something else, such as getting other tokens.
    #[error("the token's token_type is not \"access\"")]
    TokenType,
    /// It has no `sub`.
    #[error("the token has no sub; it needs the user's id, a string or a whole number")]
    NoSubject,
    /// Its `sub` cannot be a user's id.
    #[error("the token's sub cannot be used: {0}")]
    Subject(#[from] UserIdFault),
    /// Its role does not exist.
    #[error("the token's role is not known here (auth.roles)")]
    Role,
    /// Its `rooms` is no list of grants.
    #[error("the token's rooms is not a list of {{pattern, allow}}")]
    Rooms,
    /// Its `info` cannot be told.
    #[error("the token's info cannot be told: {0}")]
    Info(#[from] InfoFault),
    /// One of its grants means nothing.
    #[error("the token's rooms, entry {entry}: {fault}")]
    Grant {
        /// Which one, from 1.
        entry: usize,
        /// What is wrong with it.
        fault: GrantFault,
    },
}
