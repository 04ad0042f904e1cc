//! Credentials: tokens and API keys, checked against the configured keys.

use std::sync::Arc;

use crate::base::clock::Wall;
use crate::config::{Auth, Faults};
use crate::domain::access::{ApiKey, User};

/// The longest token, in bytes.
pub const TOKEN_BYTES: usize = 8 * 1024;

/// Everything that credentials are checked against.
#[derive(Debug)]
pub struct Authority {}

impl Authority {
    /// Makes the authority of the configuration.
    ///
    /// # Errors
    /// All that is wrong with keys, roles and grants, at once.
    pub fn new(auth: &Auth) -> Result<Self, Faults> {
        let _ = auth;
        Ok(Self {})
    }

    /// Who the bearer of `token` is.
    ///
    /// # Errors
    /// A [`TokenFault`].
    pub fn verify_token(&self, token: &str, now: Wall) -> Result<Arc<User>, TokenFault> {
        let _ = (token, now);
        Err(TokenFault::Malformed)
    }

    /// The API key that `key` is.
    #[must_use]
    pub fn verify_key(&self, key: &str) -> Option<Arc<ApiKey>> {
        let _ = key;
        None
    }
}

/// Why a token is refused; UNAUTHORIZED on the wire.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It is no signed token.
    #[error("the token is not a signed JWT: three parts in base64url with dots between")]
    Malformed,
}
