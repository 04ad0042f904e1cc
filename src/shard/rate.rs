//! How many messages a session may send: each takes a token, and without one reading waits. And how
//! many its user may, over all of them.
//!
//! Invariant: a session owes one token at most, and nothing of it is read while it does.

use std::time::Duration;

use crate::app::user_rates::over_rate;
use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::domain::fault::Fault;
use crate::domain::rate_limit::Rate;
use crate::metrics::names::Counter;
use crate::protocol::timers::{Tick, Timer};
use crate::shard::peer::{Pause, Peer};
use crate::shard::{Hub, session};
use crate::wire::websocket::close as code;

/// Takes the token of a message that was carried out; without one it is owed, and nothing more is
/// read until it is paid.
pub(super) fn spend_token(peer: &mut Peer, hub: &Hub, now: Now) {
    let limits = &hub.live.config.limits;
    let Some(per_second) = limits.messages_per_second else {
        return;
    };
    let rate = Rate::per_second(per_second, limits.message_burst);
    if let Some(session) = peer.open_session() {
        session.owes_token = session.bucket.take(rate, now.mono).is_err();
    }
}

/// Pays the token that is owed, or pauses until there is one. False if reading must wait.
pub(super) fn pay_owed_token(peer: &mut Peer, id: PeerId, hub: &mut Hub, now: Now) -> bool {
    let limits = &hub.live.config.limits;
    let rate = Rate::per_second(
        limits.messages_per_second.unwrap_or(0),
        limits.message_burst,
    );
    let Some(session) = peer.open_session() else {
        return true;
    };
    if !session.owes_token {
        return true;
    }
    let Err(wait) = session.bucket.take(rate, now.mono) else {
        session.owes_token = false;
        return true;
    };
    hub.counters.increment(Counter::RatePaused);
    // As long as the pause will last, which is until a tick begins.
    let pause = Tick::at_or_after(now.mono + wait).begins().since(now.mono);
    if session.pauses.add(pause, now.mono) >= PAUSED_MAX {
        hub.counters.increment(Counter::RateClosed);
        session::close(
            peer,
            id,
            code::RATE_LIMITED,
            "message rate exceeded",
            hub,
            now,
        );
        return true;
    }
    peer.pause = Some(Pause::Rate);
    peer.timers.set(Timer::Resume, wait, now.mono);
    false
}

/// Charges a message to the user whose session it is.
pub(super) fn charge_user(peer: &mut Peer, hub: &Hub, now: Now) -> Result<(), Fault> {
    let Some(session) = peer.open_session() else {
        return Ok(());
    };
    let charged = hub
        .services
        .charge_user(&session.identity, hub.context(now));
    charged.map_err(over_rate)
}

/// Pauses may last so long in all within a minute; then the session is closed with 4003.
const PAUSED_MAX: Duration = Duration::from_secs(10);
