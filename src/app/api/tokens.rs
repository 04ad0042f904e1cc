//! POST /api/v1/tokens/check: what a token grants, for whoever has it.

use serde::Deserialize;

use crate::app::api::body_or_empty;
use crate::app::credentials::{nothing_shown, of_request, of_token};
use crate::app::http::Call;
use crate::base::clock::Wall;
use crate::domain::access::{Action, Grant, Identity};
use crate::domain::fault::Fault;
use crate::wire::http::response::{Response, Status};
use crate::wire::json::object::{Object, array, string};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenBody {
    token: Option<String>,
}

/// Tells what the token of the body `{token}`, or the request's own credential, stands for.
///
/// # Errors
/// UNAUTHORIZED with what is wrong with it; VALIDATION_FAILED.
pub fn check(call: &Call<'_>) -> Result<Response, Fault> {
    let asked: TokenBody = body_or_empty(&call.http.body)?;
    let (live, now) = (call.context.live, call.context.now.wall);
    let identity = match asked.token {
        Some(token) => of_token(&token, live, now)?,
        None => of_request(&call.http.head, live, now)?,
    };
    let mut out = Vec::new();
    match &identity {
        Identity::Pending => return Err(nothing_shown()),
        Identity::Anonymous => Object::begin(&mut out).string("mode", "open").end(),
        Identity::User(user) => Object::begin(&mut out)
            .string("mode", "token")
            .string("user", user.id.as_str())
            .string("role", user.role.name())
            .string("expires", &Wall::to_rfc3339(user.expires))
            .value("rooms", |out| {
                grants(user.role.grants().chain(&user.grants), out);
            })
            .end(),
        Identity::Key(key) => Object::begin(&mut out)
            .string("mode", "token")
            .string("key", &key.name)
            .string("role", key.role.name())
            .value("rooms", |out| grants(key.role.grants(), out))
            .end(),
    }
    Ok(Response::raw_json(Status::OK, out.into()))
}

fn grants<'a>(grants: impl Iterator<Item = &'a Grant>, out: &mut Vec<u8>) {
    let grants: Vec<&Grant> = grants.collect();
    array(out, &grants, |out, grant| {
        let allowed: Vec<Action> = grant.actions().collect();
        Object::begin(out)
            .string("pattern", grant.pattern())
            .value("allow", |out| {
                array(out, &allowed, |out, action| string(action.word(), out));
            })
            .end();
    });
}
