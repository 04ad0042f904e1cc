//! What each timer does when it fires.

use std::time::Duration;

use crate::app::http::timeout_response;
use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::metrics::names::Counter;
use crate::protocol::timers::{Tick, Timer};
use crate::shard::engine::Happened;
use crate::shard::peer::{Conversation, Pause, Peer, Stage};
use crate::shard::{Hub, credentials, dispatch, event_stream, http, session, websocket};
use crate::wire::websocket::close as code;

pub(super) fn fire(peer: &mut Peer, id: PeerId, hub: &mut Hub, now: Now) {
    let tick = Tick::reached(now.mono);
    while let Some(timer) = peer.timers.take_due(tick) {
        match timer {
            Timer::Handshake => {
                hub.counters.increment(Counter::HandshakeTimeouts);
                if peer.is_shaking() {
                    // Nothing can be said yet that it would understand.
                    hub.end(peer, id);
                    return;
                }
                http::answer_last(peer, timeout_response(), hub, now);
            }
            Timer::KeepAlive => peer.stage = Stage::Flushing,
            Timer::Ping if matches!(peer.conversation, Conversation::Engine(_)) => {
                hub.engines.note(Happened::Due(id));
            }
            Timer::Ping => {
                credentials::look_at_clock(peer, id, hub, now);
                ping(peer, hub, now);
            }
            Timer::Pong if peer.pause.is_some() => {
                // Its answer may be in what we do not read at the moment.
                let timeout = hub.live.config.heartbeat.pong_timeout;
                peer.timers.set(Timer::Pong, timeout, now.mono);
            }
            Timer::Pong => {
                hub.counters.increment(Counter::PongTimeouts);
                websocket::close(peer, id, code::GOING_AWAY, "no pong", hub, now);
            }
            Timer::Idle => idle(peer, id, hub, now),
            Timer::Stall => {
                hub.counters.increment(Counter::WriteStalls);
                hub.end(peer, id);
            }
            Timer::Close | Timer::Linger => hub.end(peer, id),
            Timer::Resume if matches!(peer.conversation, Conversation::Engine(_)) => {
                // Its rate, or another shard that has not answered in time.
                dispatch::resume(peer, id, Pause::Rate, hub, now);
                dispatch::resume(peer, id, Pause::Job, hub, now);
            }
            Timer::Resume => dispatch::resume(peer, id, Pause::Rate, hub, now),
            Timer::Token => credentials::token_due(peer, id, hub, now),
        }
        if peer.stage == Stage::Flushing && !peer.has_output() {
            hub.end(peer, id);
        }
        if peer.stage == Stage::Ended {
            return;
        }
    }
    hub.touch(peer, id);
    hub.arm(peer, id);
}

/// Sends a Ping and expects to hear something, or a comment, which nobody answers.
fn ping(peer: &mut Peer, hub: &mut Hub, now: Now) {
    if !peer.has_open_session() {
        return;
    }
    if let Conversation::Events(_) = peer.conversation {
        event_stream::push_comment(peer, now);
        return;
    }
    let heartbeat = &hub.live.config.heartbeat;
    // A peer with something left to read is watched by the write timeout instead.
    if !peer.has_output() {
        peer.outbox.push_own(websocket::ping_frame);
        if !peer.timers.is_set(Timer::Pong) {
            peer.timers
                .set(Timer::Pong, heartbeat.pong_timeout, now.mono);
        }
    }
    peer.timers
        .set(Timer::Ping, heartbeat.ping_interval, now.mono);
}

/// Closes a session that is in no room and has been silent; looks again later otherwise.
fn idle(peer: &mut Peer, id: PeerId, hub: &mut Hub, now: Now) {
    let Some(session) = peer.open_session() else {
        return;
    };
    if session.memberships.is_empty() {
        hub.counters.increment(Counter::IdleCloses);
        session::close(peer, id, code::GOING_AWAY, "idle timeout", hub, now);
    } else {
        let timeout = hub.live.config.heartbeat.idle_timeout;
        peer.timers
            .set(Timer::Idle, timeout.unwrap_or_default(), now.mono);
    }
}

/// The first Ping of a session comes at a random moment of its interval, so that a thousand
/// sessions that came at once are not pinged at once.
pub(super) fn first_ping(interval: Duration, random: u64) -> Duration {
    let half = interval / 2;
    half + Duration::from_nanos(random % (u64::try_from(half.as_nanos()).unwrap_or(0) + 1))
}
