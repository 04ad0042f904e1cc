//! What a token says, once it is known who signed it.
//!
//! Claims that are not read (`iat`, `jti`, `aud`, `iss`, `scopes`, `email` …) are ignored. Each
//! claim that is read may stand there once, so that no two readers see different ones.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Roles, TokenFault};
use crate::base::clock::Wall;
use crate::domain::access::{DEFAULT_ROLE, Grant, Info, User, UserId};

/// How far clocks may be apart.
const LEEWAY_MS: u64 = 30_000;

/// The last second that has a spelling in RFC 3339; an `exp` in milliseconds is far beyond.
const SECONDS_MAX: f64 = 253_402_300_799.0;

/// The claims that are read, each as it was spelt; `null` is none.
#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow)]
    sub: Option<&'a RawValue>,
    #[serde(borrow)]
    exp: Option<&'a RawValue>,
    #[serde(borrow)]
    nbf: Option<&'a RawValue>,
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    rooms: Option<&'a RawValue>,
    #[serde(borrow)]
    info: Option<&'a RawValue>,
    #[serde(borrow)]
    token_type: Option<&'a RawValue>,
}

/// One entry of `rooms`. What is not understood could restrict it, so it is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Room {
    pattern: String,
    allow: Vec<String>,
}

/// The user that `claims` describe.
pub(super) fn user_of(claims: &[u8], roles: &Roles, now: Wall) -> Result<User, TokenFault> {
    let claims: Claims<'_> = serde_json::from_slice(claims).map_err(|_| TokenFault::Claims)?;
    let expires = time("exp", claims.exp.ok_or(TokenFault::NoExpiry)?)?;
    if now.as_millis() >= expires.as_millis().saturating_add(LEEWAY_MS) {
        return Err(TokenFault::Expired { at: expires });
    }
    if let Some(from) = claims.nbf {
        let from = time("nbf", from)?;
        if now.as_millis().saturating_add(LEEWAY_MS) < from.as_millis() {
            return Err(TokenFault::NotYetValid { from });
        }
    }
    if let Some(token_type) = claims.token_type {
        let is_access = string(token_type).is_some_and(|text| text == "access");
        is_access.then_some(()).ok_or(TokenFault::TokenType)?;
    }
    let id = subject(claims.sub.ok_or(TokenFault::NoSubject)?)?;
    let role = match claims.role {
        Some(role) => string(role).ok_or(TokenFault::Role)?,
        None => DEFAULT_ROLE.to_owned(),
    };
    let role = roles.get(role.as_str()).ok_or(TokenFault::Role)?.clone();
    let grants = claims.rooms.map_or(Ok(Vec::new()), grants)?.into();
    let info = claims.info.map(|info| Info::parse(info.get()));
    Ok(User {
        id,
        role,
        grants,
        expires,
        info: info.transpose()?.map(Box::new),
    })
}

/// A NumericDate (RFC 7519 section 2), which may have a fraction.
fn time(claim: &'static str, value: &RawValue) -> Result<Wall, TokenFault> {
    let seconds: f64 = serde_json::from_str(value.get()).map_err(|_| TokenFault::Time { claim })?;
    if seconds > SECONDS_MAX {
        return Err(TokenFault::Time { claim });
    }
    // What lies before 1970 is as over as 1970 itself; the cast saturates there.
    let millis = (seconds * 1000.0) as u64;
    Ok(Wall::from_millis(millis))
}

/// A string, or a whole number by its decimal text: 42 and "42" are the same user.
fn subject(value: &RawValue) -> Result<UserId, TokenFault> {
    let text = value.get();
    let number = serde_json::from_str::<i64>(text).map(|number| number.to_string());
    let large = || serde_json::from_str::<u64>(text).map(|number| number.to_string());
    let id = number.or_else(|_| large()).ok().or_else(|| string(value));
    Ok(UserId::parse(&id.ok_or(TokenFault::NoSubject)?)?)
}

fn string(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

fn grants(rooms: &RawValue) -> Result<Vec<Grant>, TokenFault> {
    let rooms: Vec<Room> = serde_json::from_str(rooms.get()).map_err(|_| TokenFault::Rooms)?;
    let grants = rooms.iter().enumerate().map(|(index, room)| {
        Grant::parse(&room.pattern, room.allow.iter().map(String::as_str)).map_err(|fault| {
            TokenFault::Grant {
                entry: index + 1,
                fault,
            }
        })
    });
    grants.collect()
}
