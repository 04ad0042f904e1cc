//! GET /api/v1/connections and DELETE /api/v1/connections/{id}: for those who look after the
//! server.

use serde::Deserialize;

use crate::app::api::{body_or_empty, invalid, page_limit, parameter, segment};
use crate::app::commands::too_busy;
use crate::app::http::Call;
use crate::base::clock::Wall;
use crate::base::ids::SessionId;
use crate::bus::mail::{Mail, Manage, Managed, SessionPage, SessionSummary, Who, ask_all};
use crate::domain::fault::{Code, Fault};
use crate::wire::http::response::{Response, Status};
use crate::wire::json::object::{Object, array, string};
use crate::wire::websocket::close;

/// The most bytes of a close reason (RFC 6455 section 5.5: a control frame has 125, two of them
/// are the code).
const REASON_BYTES: usize = 123;

/// The open sessions by id: `?user=` narrows, `?limit=` and `?after=` page.
///
/// # Errors
/// VALIDATION_FAILED; SERVER_BUSY when a shard does not answer in time.
pub fn list(call: &Call<'_>) -> Result<Response, Fault> {
    let query = call.http.head.query();
    let limit = page_limit(query)?;
    let after = match parameter(query, "after") {
        Some(spelt) => Some(session_id(&spelt)?),
        None => None,
    };
    let page = SessionPage {
        limit: limit + 1,
        after,
        user: parameter(query, "user").map(Into::into),
    };
    let mut sessions = sessions(call, &page)?;
    let more = sessions.len() > limit;
    sessions.truncate(limit);
    let mut out = Vec::new();
    Object::begin(&mut out)
        .value("connections", |out| {
            array(out, &sessions, |out, session| entry(session, out));
        })
        .boolean("more", more)
        .end();
    Ok(Response::raw_json(Status::OK, out.into()))
}

/// A page of the sessions on all shards, by id.
///
/// # Errors
/// SERVER_BUSY when a shard does not answer in time.
pub(super) fn sessions(call: &Call<'_>, page: &SessionPage) -> Result<Vec<SessionSummary>, Fault> {
    let listed = ask_all(&call.context.services.mailboxes, |reply| {
        let page = page.clone();
        Mail::ListSessions { page, reply }
    });
    let mut sessions: Vec<SessionSummary> =
        listed.ok_or_else(too_busy)?.into_iter().flatten().collect();
    sessions.sort_unstable_by_key(|session| session.id);
    sessions.truncate(page.limit);
    Ok(sessions)
}

fn entry(session: &SessionSummary, out: &mut Vec<u8>) {
    let expires = session.expires.map(Wall::to_rfc3339);
    Object::begin(out)
        .string("id", &session.id.to_string())
        .string_if("user", session.user.as_deref())
        .string_if("expires", expires.as_deref())
        .string("address", &session.address.to_string())
        .string("connected_at", &session.connected_at.to_rfc3339())
        .string("dialect", session.dialect.name())
        .value("rooms", |out| {
            array(out, &session.rooms, |out, room| string(room.as_str(), out));
        })
        .end();
}

/// Closes one session; an optional body `{code, reason}` says how, 4501 if there is none.
///
/// # Errors
/// VALIDATION_FAILED; NOT_FOUND; SERVER_BUSY when a shard does not answer in time.
pub fn disconnect(call: &Call<'_>) -> Result<Response, Fault> {
    let spelt = segment(call);
    let who = Who::Session(session_id(spelt)?);
    let what = disconnection(call)?;
    match manage(call, &who, &what)?.done {
        0 => Err(Fault::new(
            Code::NotFound,
            "no session of this id is connected",
        )),
        _ => Ok(Response::empty(Status::NO_CONTENT)),
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Disconnection {
    code: Option<u16>,
    reason: Option<String>,
}

/// How sessions are to be closed, as the body says.
///
/// # Errors
/// VALIDATION_FAILED.
pub(super) fn disconnection(call: &Call<'_>) -> Result<Manage, Fault> {
    let Disconnection { code, reason } = body_or_empty(&call.http.body)?;
    let code = code.unwrap_or(close::DISCONNECTED);
    let is_good = matches!(
        code,
        close::NORMAL | close::POLICY_VIOLATION | close::RESTART | close::TRY_AGAIN_LATER
    ) || (3000..=4999).contains(&code);
    if !is_good {
        return Err(invalid(
            "code must be 1000, 1008, 1012, 1013 or from 3000 to 4999; clients come back after \
             4000 to 4499 and stay away after 4500 to 4999",
        ));
    }
    let reason = reason.unwrap_or_else(|| "disconnected by an operator".to_owned());
    if reason.len() > REASON_BYTES {
        return Err(invalid(format!(
            "reason must have at most {REASON_BYTES} bytes"
        )));
    }
    Ok(Manage::Disconnect {
        code,
        reason: reason.into(),
    })
}

/// Does something with sessions on all shards.
///
/// # Errors
/// SERVER_BUSY when a shard does not answer in time; some may have done it then.
pub(super) fn manage(call: &Call<'_>, who: &Who, what: &Manage) -> Result<Managed, Fault> {
    let done = ask_all(&call.context.services.mailboxes, |reply| Mail::Manage {
        who: who.clone(),
        what: what.clone(),
        reply,
    });
    let managed = done.ok_or_else(too_busy)?.into_iter();
    Ok(managed.fold(Managed::default(), |sum, here| Managed {
        done: sum.done + here.done,
        refused: sum.refused + here.refused,
    }))
}

fn session_id(spelt: &str) -> Result<SessionId, Fault> {
    SessionId::parse(spelt)
        .ok_or_else(|| invalid("a session's id has 32 hexadecimal digits, in lower case"))
}
