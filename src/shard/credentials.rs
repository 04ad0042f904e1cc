//! Whose session it is: the token at its beginning, a newer one in time, and the end of either.
//!
//! Invariant: a session that has shown no token is in no room, and what it sends is a token or its
//! end.

use std::time::Duration;

use crate::app::chain;
use crate::app::commands::finish;
use crate::app::credentials;
use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::base::limits;
use crate::config::PublishPolicy;
use crate::dialect::Dialect;
use crate::dialect::native::decode::Correlation;
use crate::dialect::native::encode;
use crate::domain::access::{self, Action, Caller, Identity};
use crate::domain::fault::{Code, Fault};
use crate::domain::room::RoomName;
use crate::metrics::names::Counter;
use crate::protocol::timers::{Timer, Timers};
use crate::shard::peer::{Peer, Session};
use crate::shard::{Hub, membership, session, websocket};
use crate::wire::websocket::close as code;

/// Sees to it that the session is looked at when its token should have come, or ends.
pub(super) fn watch(identity: &Identity, timers: &mut Timers, hub: &Hub, now: Now) {
    let after = match identity {
        Identity::Pending => hub.live.config.limits.handshake_timeout,
        Identity::Anonymous | Identity::User(_) | Identity::Key(_) => {
            left(identity, now).unwrap_or_default()
        }
    };
    timers.set(Timer::Token, after, now.mono);
}

/// How long a session may stay with its token; `None` if as long as it likes.
fn left(identity: &Identity, now: Now) -> Option<Duration> {
    let ends = identity.expires()?.as_millis();
    let left = Duration::from_millis(ends.saturating_sub(now.wall.as_millis()));
    let over = Duration::from_millis(now.wall.as_millis().saturating_sub(ends));
    let left = left + limits::TOKEN_GRACE.saturating_sub(over);
    Some(left.max(LEAST))
}

/// What is left of a token that is over: zero would clear the timer.
const LEAST: Duration = Duration::from_millis(1);

/// Ends a session whose token did not come, or has expired without a newer one.
pub(super) fn token_due(peer: &mut Peer, id: PeerId, hub: &mut Hub, now: Now) {
    let Some(session) = peer.open_session() else {
        return;
    };
    if session.identity == Identity::Pending {
        refuse(peer, id, "no token came in time", hub, now);
        return;
    }
    let identity = session.identity.clone();
    // The wall clock may have been set back since the timer was.
    watch(&identity, &mut peer.timers, hub, now);
    look_at_clock(peer, id, hub, now);
}

/// Ends a session whose token has expired by the wall clock, which may have been set forward, or
/// gone on while the machine slept, without the timer's notice.
pub(super) fn look_at_clock(peer: &mut Peer, id: PeerId, hub: &mut Hub, now: Now) {
    let is_over = |session: &mut Session| left(&session.identity, now) == Some(LEAST);
    if peer.open_session().is_some_and(is_over) {
        hub.counters.increment(Counter::TokensExpired);
        session::close(peer, id, code::TOKEN_EXPIRED, "token expired", hub, now);
    }
}

/// Ends a session that has not shown a good token.
pub(super) fn refuse(peer: &mut Peer, id: PeerId, reason: &str, hub: &mut Hub, now: Now) {
    hub.counters.increment(Counter::TokensMissing);
    websocket::close(peer, id, code::INVALID_TOKEN, reason, hub, now);
}

/// The command `auth`: a first token makes the session somebody's, a newer one keeps it so.
pub(super) fn authenticate(
    peer: &mut Peer,
    id: PeerId,
    to: &Correlation,
    token: &str,
    hub: &mut Hub,
    now: Now,
) {
    let Some(session) = peer.open_session() else {
        return;
    };
    let was_pending = session.identity == Identity::Pending;
    let outcome = chain::guard("auth", session.id, || {
        let shown = credentials::of_token(token, &hub.live, now.wall)?;
        if !was_pending && shown.user_id() != session.identity.user_id() {
            return Err(Fault::new(
                Code::PermissionDenied,
                "a session stays its user's; connect anew for another",
            ));
        }
        Ok(shown)
    });
    let shown = match outcome {
        Ok(shown) => shown,
        Err(fault) => {
            hub.counters.increment(Counter::TokensRefused);
            let reply = finish(to, Err(fault), hub.context(now));
            websocket::reply(peer, id, &reply, hub, now);
            if was_pending {
                refuse(peer, id, "the token is not accepted", hub, now);
            }
            return;
        }
    };
    session.identity = shown.clone();
    watch(&shown, &mut peer.timers, hub, now);
    let mut json = Vec::new();
    encode::authenticated(to, &shown, now.wall, &mut json);
    let reply = finish(to, Ok(json), hub.context(now));
    websocket::reply(peer, id, &reply, hub, now);
    if was_pending {
        enter(peer, id, hub, now);
    } else {
        leave_forbidden(peer, id, hub, now);
    }
}

/// Joins the rooms that the session asked for when it connected, and says hello.
fn enter(peer: &mut Peer, id: PeerId, hub: &mut Hub, now: Now) {
    let Some(session) = peer.open_session() else {
        return;
    };
    let rooms = match &mut session.asides {
        Some(asides) => std::mem::take(&mut asides.waiting),
        None => Vec::new(),
    };
    session.asides = None;
    match membership::join_first(&rooms, session, id, hub, now.mono) {
        Ok(joined) if session.dialect == Dialect::NativeV1 => {
            websocket::hello(peer, id, &joined, hub, now);
        }
        Ok(_) => {}
        Err(fault) => {
            let passes = matches!(fault.code, Code::ResourceLimit | Code::ServerBusy);
            let reply = finish(&Correlation::default(), Err(fault), hub.context(now));
            websocket::reply(peer, id, &reply, hub, now);
            let (code, reason) = if passes {
                (
                    code::TRY_AGAIN_LATER,
                    "a room that was asked for cannot be joined now",
                )
            } else {
                (
                    code::FORBIDDEN,
                    "a room that was asked for is closed to this user",
                )
            };
            websocket::close(peer, id, code, reason, hub, now);
        }
    }
}

/// Takes the session out of rooms that its new token does not open, and says so.
fn leave_forbidden(peer: &mut Peer, id: PeerId, hub: &mut Hub, now: Now) {
    let Some(session) = peer.open_session() else {
        return;
    };
    let forbidden: Vec<_> = session
        .memberships
        .iter()
        .filter_map(|membership| hub.rooms.room(*membership))
        .map(|room| room.name.clone())
        .filter(|room| !is_placed(session, room) && !may_read(&session.identity, room))
        .collect();
    for room in forbidden {
        hub.counters.increment(Counter::MembershipsRevoked);
        membership::take_out(peer, id, &room, hub, now);
    }
}

fn may_read(identity: &Identity, room: &RoomName) -> bool {
    let caller = Caller::Session { is_member: true };
    let policy = PublishPolicy::Grant;
    access::check(identity, caller, Action::Subscribe, room, policy).is_ok()
}

pub(super) fn is_placed(session: &Session, room: &RoomName) -> bool {
    let asides = session.asides.as_ref();
    asides.is_some_and(|asides| asides.placed.contains(room))
}
