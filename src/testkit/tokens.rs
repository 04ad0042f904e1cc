//! Token mode for tests: a configuration with a secret that everybody may know, and tokens that are
//! signed with it.

#![allow(clippy::expect_used)]

use std::time::Duration;

use serde_json::Value;

use crate::base::clock::{Clock, Wall};
use crate::config::{Algorithm, Auth, Secret, TokenKey};
use crate::domain::access::UserId;
use crate::domain::token::{NewToken, Signer};

/// The secret of the tests' servers.
pub const SECRET: &str = "a secret of the tests, which guards nothing at all";

/// The configuration of a server in token mode with [`SECRET`]. Further tables may follow it.
pub const CONFIG: &str = "[auth]\nmode = \"token\"\n\
                          keys = [{ algorithm = \"HS256\", secret = \"a secret of the tests, \
                          which guards nothing at all\" }]\n";

/// The same as variables, for a process.
pub const VARIABLES: [(&str, &str); 2] =
    [("KINGLET_AUTH__MODE", "token"), ("JWT_SECRET_KEY", SECRET)];

/// A token to be signed.
#[derive(Clone, Debug)]
pub struct Token {
    user: String,
    role: Option<String>,
    rooms: Vec<(String, Vec<String>)>,
    info: Option<Value>,
    expires: Wall,
}

impl Token {
    /// A token of `user` that ends at `expires`, without role and rooms.
    #[must_use]
    pub fn new(user: &str, expires: Wall) -> Self {
        Self {
            user: user.to_owned(),
            role: None,
            rooms: Vec::new(),
            info: None,
            expires,
        }
    }

    /// A token of `user` that is good for an hour of real time.
    #[must_use]
    pub fn of(user: &str) -> Self {
        let now = Clock::start().now().wall;
        Self::new(user, after(now, Duration::from_secs(3600)))
    }

    /// Names a role.
    #[must_use]
    pub fn role(mut self, role: &str) -> Self {
        self.role = Some(role.to_owned());
        self
    }

    /// Grants the actions `allow` in the rooms of `pattern`.
    #[must_use]
    pub fn room(mut self, pattern: &str, allow: &[&str]) -> Self {
        let allow = allow.iter().map(|action| (*action).to_owned());
        self.rooms.push((pattern.to_owned(), allow.collect()));
        self
    }

    /// Says something of the user.
    #[must_use]
    pub fn info(mut self, info: Value) -> Self {
        self.info = Some(info);
        self
    }

    /// Signs it as the tests' servers expect it.
    #[must_use]
    pub fn sign(&self) -> String {
        self.sign_with(SECRET)
    }

    /// Signs it with another secret.
    ///
    /// # Panics
    /// When the user's id is none.
    #[must_use]
    pub fn sign_with(&self, secret: &str) -> String {
        let auth = Auth {
            keys: vec![TokenKey {
                algorithm: Algorithm::Hs256,
                key: Secret::new(secret.as_bytes()),
                place: "the tests".to_owned(),
            }],
            ..Auth::default()
        };
        let token = NewToken {
            user: &UserId::parse(&self.user).expect("a user's id"),
            role: self.role.as_deref(),
            rooms: &self.rooms,
            info: self.info.as_ref(),
            issued: Wall::default(),
            expires: self.expires,
        };
        let signer = Signer::new(&auth, None).expect("the secret is there");
        signer.sign(&token).expect("secrets sign everything")
    }

    /// The value of `Authorization` that shows it.
    #[must_use]
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.sign())
    }
}

/// The moment `time` after `wall`.
#[must_use]
pub fn after(wall: Wall, time: Duration) -> Wall {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Wall::from_millis(wall.as_millis().saturating_add(millis))
}
