//! What happens to a session for which a publication does not fit: its rooms' policies.
//!
//! Rooms that can be caught up with (`lag`, `latest`) take up half of an outbox at most, so that
//! the other half is there for replies and for rooms that cannot: a member that is behind in the
//! one is not closed for the other. Publications that may be dropped (`drop_oldest`) use all of it,
//! and give way to everything else. A publication to several rooms reaches a session once, so the
//! policies of the rooms that the session is in are taken together ([`Remedy::of`]). Invariant:
//! nothing here touches another session.

use std::sync::Arc;

use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::config::SlowConsumer;
use crate::dialect::delivery::Delivery;
use crate::dialect::publication::{Placement, Publication, RoomSet};
use crate::domain::position::Position;
use crate::metrics::names::Counter;
use crate::protocol::timers::Timer;
use crate::shard::behind::{Behind, Wants};
use crate::shard::outbox::{Keep, OutboxLimits};
use crate::shard::peer::Peer;
use crate::shard::{Hub, session};
use crate::wire::websocket::close as code;

/// What is done when a publication does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The session is closed with 4000.
    Close,
    /// It is dropped.
    Drop,
    /// It is sent later, when the session has read on.
    FallBehind,
}

impl Remedy {
    /// The remedy for those who are in the rooms of `set`: all of them must agree that it is
    /// dropped, and none may demand that the session is closed.
    pub(super) fn of(publication: &Publication, set: RoomSet) -> Self {
        let mut remedy = Self::Drop;
        for placement in publication.placements_in(set) {
            match placement.slow_consumer {
                SlowConsumer::Close => return Self::Close,
                SlowConsumer::DropOldest => {}
                SlowConsumer::Latest | SlowConsumer::Lag => remedy = Self::FallBehind,
            }
        }
        remedy
    }

    /// How much may have to be sent by an outbox that takes such a publication.
    pub(super) fn share(self, whole: OutboxLimits) -> OutboxLimits {
        match self {
            Self::Close | Self::Drop => whole,
            Self::FallBehind => whole.part(2),
        }
    }

    pub(super) fn keep(self) -> Keep {
        match self {
            Self::Close | Self::FallBehind => Keep::Always,
            Self::Drop => Keep::UntilFull,
        }
    }
}

/// The rooms of a publication in which a session hears it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Places {
    pub(super) set: RoomSet,
    /// In one of them it is behind, so it must not have this one before what it missed.
    pub(super) is_behind: bool,
}

/// Does what the rooms demand for a session that cannot take `delivery` as it is.
pub(super) fn overflow(
    peer: &mut Peer,
    id: PeerId,
    delivery: &Arc<Delivery>,
    places: Places,
    hub: &mut Hub,
    now: Now,
) {
    let Places { set, is_behind } = places;
    let remedy = Remedy::of(delivery.publication(), set);
    if !is_behind && make_room(peer, id, delivery, set, remedy, hub) {
        return;
    }
    match remedy {
        Remedy::Close => give_up(peer, id, hub, now),
        Remedy::Drop => hub.counters.increment(Counter::OldestDropped),
        Remedy::FallBehind => {
            for placement in delivery.publication().placements_in(set) {
                fall_behind(peer, placement, delivery, hub);
            }
        }
    }
}

/// Drops what may be dropped, if `delivery` has a place then.
fn make_room(
    peer: &mut Peer,
    id: PeerId,
    delivery: &Arc<Delivery>,
    set: RoomSet,
    remedy: Remedy,
    hub: &mut Hub,
) -> bool {
    let Some((session, mut outlet)) = peer.open_outlet(id) else {
        return false;
    };
    let compressing = &mut hub.compressing;
    let form = outlet.form(delivery, &session.dialect);
    let frame = form.frame(delivery, set, compressing);
    let (share, limits) = (remedy.share(hub.outbox_limits), hub.outbox_limits);
    let bytes = outlet.bytes(&frame);
    let Some(dropped) = outlet.outbox.make_room(bytes, &share, &limits) else {
        return false;
    };
    hub.counters.add(Counter::OldestDropped, dropped as u64);
    let publication = delivery.publication();
    outlet.push(publication, set, frame, remedy.keep(), compressing);
    hub.touch(peer, id);
    true
}

/// Policies `latest` and `lag`: from `delivery` on nothing of the room is queued; see
/// [`crate::shard::refill`]. A room of policy `drop_oldest` goes without.
fn fall_behind(peer: &mut Peer, placement: &Placement, delivery: &Arc<Delivery>, hub: &mut Hub) {
    let Some(session) = peer.open_session() else {
        return;
    };
    let wants = match placement.slow_consumer {
        SlowConsumer::Close | SlowConsumer::DropOldest => {
            hub.counters.increment(Counter::OldestDropped);
            return;
        }
        SlowConsumer::Latest => Wants::Newest,
        SlowConsumer::Lag => Wants::After(Position {
            epoch: placement.epoch,
            offset: placement.offset - 1,
        }),
    };
    let memberships = session.memberships.iter().copied();
    let place = hub.rooms.position(&placement.room, memberships);
    let Some(membership) = place.and_then(|place| session.memberships.get(place).copied()) else {
        return;
    };
    if !session.behind.contains(membership) {
        let behind = Behind { membership, wants };
        hub.rooms.fall_behind(&behind, delivery);
        session.behind.add(behind);
        hub.counters.increment(Counter::FellBehind);
    }
}

/// Ends a session whose queue is full of what must be sent.
pub(super) fn give_up(peer: &mut Peer, id: PeerId, hub: &mut Hub, now: Now) {
    hub.counters.increment(Counter::SlowConsumersClosed);
    close(peer, id, code::SLOW_CONSUMER, "slow consumer", hub, now);
}

/// Ends a session that has too much before it: what it has not begun to read is dropped and it is
/// told why.
pub(super) fn close(peer: &mut Peer, id: PeerId, code: u16, reason: &str, hub: &mut Hub, now: Now) {
    let dropped = peer.outbox.clear_unstarted();
    hub.counters.add(Counter::MessagesDropped, dropped as u64);
    session::close(peer, id, code, reason, hub, now);
    // Its socket takes nothing at the moment; the write timeout says how long it may stay so.
    let timeout = hub.live.config.limits.write_timeout;
    peer.timers.set(Timer::Stall, timeout, now.mono);
    hub.touch(peer, id);
    hub.arm(peer, id);
}
