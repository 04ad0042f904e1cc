//! `token`: a token for whoever tries things out, signed with a key of the configuration.
//!
//! Invariants: standard output gets the token and nothing else; a token that the server would
//! refuse is not printed.

use std::path::Path;

use crate::base::clock::{Clock, Wall};
use crate::cli::arguments::{RoomArgument, ServeArguments, TokenArguments};
use crate::cli::{Exit, Failure, configuration, output};
use crate::config::{Auth, Secret};
use crate::domain::token::{Authority, NewToken, Signer};

/// Prints a token.
pub(super) fn run(asked: TokenArguments) -> Result<Exit, Failure> {
    let now = Clock::start().now().wall;
    let private = match &asked.private_key {
        Some(path) => Some(read_key(path)?),
        None => None,
    };
    let auth = configuration::load(ServeArguments::of_config(asked.config))?
        .config
        .auth;
    let rooms: Vec<(String, Vec<String>)> = asked
        .rooms
        .into_iter()
        .map(|RoomArgument(pattern, allow)| (pattern, allow))
        .collect();
    let lifetime_ms = u64::try_from(asked.expires.as_millis()).unwrap_or(u64::MAX);
    let new = NewToken {
        user: &asked.user,
        role: asked.role.as_deref(),
        rooms: &rooms,
        info: asked.info.as_ref(),
        issued: now,
        expires: Wall::from_millis(now.as_millis().saturating_add(lifetime_ms)),
    };
    output::line(&sign(&auth, private.as_ref(), &new)?)?;
    Ok(Exit::Done)
}

/// Makes a token that a server with `auth` takes.
pub(super) fn sign(
    auth: &Auth,
    private: Option<&Secret>,
    new: &NewToken<'_>,
) -> Result<String, Failure> {
    let misuse = |fault: String| Failure::Misuse(fault);
    let signer = Signer::new(auth, private).map_err(|fault| misuse(fault.to_string()))?;
    let token = signer
        .sign(new)
        .map_err(|fault| misuse(fault.to_string()))?;
    let authority = Authority::new(auth).map_err(|faults| misuse(faults.to_string()))?;
    match authority.verify_token(&token, new.issued) {
        Ok(_) => Ok(token),
        Err(fault) => Err(misuse(format!("the server would refuse it: {fault}"))),
    }
}

fn read_key(path: &Path) -> Result<Secret, Failure> {
    let file = configuration::read_named(path).map_err(|error| {
        let path = path.display();
        Failure::Misuse(format!("cannot read {path}: {error}"))
    })?;
    Ok(Secret::new(file.content))
}
