//! Who asks: from what a request or a message carries to an [`Identity`].
//!
//! In open mode nobody is asked and everybody is [`Identity::Anonymous`]. May not touch: what an
//! identity may do (`domain::access`). Invariant: no credential gets into a log or an answer.

use std::borrow::Cow;
use std::sync::Arc;

use crate::app::services::Live;
use crate::base::clock::Wall;
use crate::base::limits::TOKEN_GRACE;
use crate::domain::access::{Identity, User};
use crate::domain::fault::{Code, Fault};
use crate::domain::token::{Authority, TokenFault};
use crate::wire::http::head::Head;
use crate::wire::http::query::pairs;

/// What an offered subprotocol begins with that is a token.
pub const BEARER_SUBPROTOCOL: &str = "bearer.";

/// Whose HTTP request it is: by `X-API-Key`, or by `Authorization: Bearer` with an API key or a
/// token. [`Identity::Pending`] if it has neither.
///
/// # Errors
/// UNAUTHORIZED when a credential is there and not accepted.
pub fn of_request(head: &Head, live: &Live, now: Wall) -> Result<Identity, Fault> {
    let Some(authority) = &live.authority else {
        return Ok(Identity::Anonymous);
    };
    if let Some(key) = field(head, "x-api-key")? {
        let found = authority.verify_key(key);
        return found
            .map(Identity::Key)
            .ok_or_else(|| unauthorized("no API key of this server is the one in X-API-Key"));
    }
    let Some(credential) = bearer(head)? else {
        return Ok(Identity::Pending);
    };
    if let Some(key) = authority.verify_key(credential) {
        return Ok(Identity::Key(key));
    }
    if !credential.contains('.') {
        return Err(unauthorized(
            "the credential in Authorization is neither an API key of this server nor a token",
        ));
    }
    Ok(Identity::User(authority.verify_token(credential, now)?))
}

/// Whose WebSocket it is: by a token in `Authorization: Bearer`, in an `offered` subprotocol
/// `bearer.<token>`, or in the query where that is allowed; the first of them counts.
/// [`Identity::Pending`] if there is none: the session may show its token later.
///
/// # Errors
/// UNAUTHORIZED when a token is there and not accepted.
pub fn of_upgrade(
    head: &Head,
    offered: &[&str],
    live: &Live,
    now: Wall,
) -> Result<Identity, Fault> {
    let Some(authority) = &live.authority else {
        return Ok(Identity::Anonymous);
    };
    let in_query = token_in_query(head, live)?;
    let offered = offered.iter();
    let offered = offered.filter_map(|offered| offered.strip_prefix(BEARER_SUBPROTOCOL));
    let offered = once("the subprotocol bearer.<token>", offered)?;
    match bearer(head)?.or(offered).or(in_query.as_deref()) {
        Some(token) => of_session(authority, token, now),
        None => Ok(Identity::Pending),
    }
}

/// Whose event stream it is: by what a request may carry, or by a token in the query where that is
/// allowed, as browsers cannot send more. [`Identity::Pending`] if there is none.
///
/// # Errors
/// UNAUTHORIZED when a credential is there and not accepted.
pub fn of_stream(head: &Head, live: &Live, now: Wall) -> Result<Identity, Fault> {
    let Some(authority) = &live.authority else {
        return Ok(Identity::Anonymous);
    };
    let in_query = token_in_query(head, live)?;
    match (of_request(head, live, now)?, in_query) {
        (Identity::User(user), _) => staying(user, now),
        (Identity::Pending, Some(token)) => of_session(authority, &token, now),
        (identity, _) => Ok(identity),
    }
}

/// The token in the query, if that is allowed.
fn token_in_query<'a>(head: &'a Head, live: &Live) -> Result<Option<Cow<'a, str>>, Fault> {
    let in_query = pairs(head.query()).filter(|(name, _)| name == "token");
    let in_query = once("token", in_query.map(|(_, token)| token))?;
    if in_query.is_some() && !live.config.auth.allow_query_token {
        return Err(unauthorized(
            "tokens in the query end up in logs and are not taken (auth.allow_query_token); send \
             Authorization, or on a WebSocket the subprotocol bearer.<token> or auth as first \
             message",
        ));
    }
    Ok(in_query)
}

/// Whose token it is, if a session could stay with it at all.
fn of_session(authority: &Authority, token: &str, now: Wall) -> Result<Identity, Fault> {
    staying(authority.verify_token(token, now)?, now)
}

fn staying(user: Arc<User>, now: Wall) -> Result<Identity, Fault> {
    let grace = u64::try_from(TOKEN_GRACE.as_millis()).unwrap_or(u64::MAX);
    if user.expires.as_millis().saturating_add(grace) <= now.as_millis() {
        return Err(TokenFault::Expired { at: user.expires }.into());
    }
    Ok(Identity::User(user))
}

/// Whose a token is that came in a message.
///
/// # Errors
/// UNAUTHORIZED when it is not accepted.
pub fn of_token(token: &str, live: &Live, now: Wall) -> Result<Identity, Fault> {
    match &live.authority {
        None => Ok(Identity::Anonymous),
        Some(authority) => of_session(authority, token, now),
    }
}

/// What is said to who shows nothing where something must be shown.
#[must_use]
pub fn nothing_shown() -> Fault {
    unauthorized(
        "this needs a credential: Authorization: Bearer with a token or an API key, or X-API-Key",
    )
}

fn bearer(head: &Head) -> Result<Option<&str>, Fault> {
    let Some(value) = field(head, "authorization")? else {
        return Ok(None);
    };
    match value.split_once(' ') {
        Some((scheme, credential)) if scheme.eq_ignore_ascii_case("bearer") => {
            Ok(Some(credential.trim()))
        }
        Some(_) | None => Err(unauthorized("Authorization must be: Bearer <credential>")),
    }
}

fn field<'a>(head: &'a Head, name: &'static str) -> Result<Option<&'a str>, Fault> {
    once(name, head.header_values(name))
}

/// What may be there once: of two credentials, whose request would it be?
fn once<T>(name: &str, mut values: impl Iterator<Item = T>) -> Result<Option<T>, Fault> {
    match (values.next(), values.next()) {
        (Some(_), Some(_)) => Err(unauthorized(format!("{name} is there twice"))),
        (value, _) => Ok(value),
    }
}

fn unauthorized(message: impl Into<String>) -> Fault {
    Fault::new(Code::Unauthorized, message)
}
