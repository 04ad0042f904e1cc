//! A publication into the outboxes of this shard's members.
//!
//! The hot path of the server: one lookup, one bound check and one reference per member; the
//! frame is encoded at most once per dialect and set of rooms, and only if somebody gets it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::clock::Now;
use crate::base::ids::{PeerId, SessionId};
use crate::base::slab::GenerationalSlab;
use crate::dialect::delivery::Delivery;
use crate::dialect::frame::Frame;
use crate::dialect::publication::{Placement, RoomSet};
use crate::metrics::names::Counter;
use crate::protocol::timers::Timer;
use crate::shard::outbox::OutboxLimits;
use crate::shard::peer::Peer;
use crate::shard::rooms::LocalRooms;
use crate::shard::{Hub, websocket};
use crate::wire::websocket::close as code;

pub(super) fn deliver(
    delivery: &Delivery,
    peers: &mut GenerationalSlab<Peer>,
    hub: &mut Hub,
    now: Now,
) {
    let mut round = Round {
        delivery,
        sequence: delivery.publication().sequence,
        except: &delivery.publication().except,
        limits: hub.outbox_limits,
        dirty: &mut hub.dirty,
        slow: Vec::new(),
    };
    match &*delivery.publication().placements {
        [placement] => round.through_one_room(placement, &hub.rooms, peers),
        placements => round.through_several_rooms(placements, &hub.rooms, peers),
    }
    for id in round.slow {
        if let Some(peer) = peers.get_mut(id) {
            close_slow(peer, id, hub, now);
        }
    }
}

/// One publication on its way through this shard.
struct Round<'a> {
    delivery: &'a Delivery,
    sequence: u64,
    except: &'a [SessionId],
    limits: OutboxLimits,
    dirty: &'a mut Vec<PeerId>,
    /// Members that are too far behind for it.
    slow: Vec<PeerId>,
}

impl Round<'_> {
    fn through_one_room(
        &mut self,
        placement: &Placement,
        rooms: &LocalRooms,
        peers: &mut GenerationalSlab<Peer>,
    ) {
        let Some(local) = rooms.find(&placement.room) else {
            return;
        };
        let mut frame: Option<Arc<Frame>> = None;
        for member in local.members() {
            let Some(slot) = member.hears(self.sequence) else {
                continue;
            };
            let Some((id, peer)) = peers.at_slot(slot) else {
                continue;
            };
            let frame = frame.get_or_insert_with(|| self.delivery.native_frame(RoomSet::FIRST));
            self.offer(peer, id, frame);
        }
    }

    fn through_several_rooms(
        &mut self,
        placements: &[Placement],
        rooms: &LocalRooms,
        peers: &mut GenerationalSlab<Peer>,
    ) {
        // Ordered, so that the same seed writes in the same order.
        let mut sets: BTreeMap<u32, RoomSet> = BTreeMap::new();
        for (index, placement) in placements.iter().enumerate() {
            let Some(local) = rooms.find(&placement.room) else {
                continue;
            };
            let members = local.members().iter();
            for slot in members.filter_map(|member| member.hears(self.sequence)) {
                let set = sets.entry(slot).or_default();
                *set = set.with(index);
            }
        }
        // Each distinct set is asked for once, however many are in it.
        let mut frames: BTreeMap<RoomSet, Arc<Frame>> = BTreeMap::new();
        for (slot, set) in sets {
            let Some((id, peer)) = peers.at_slot(slot) else {
                continue;
            };
            let frame = frames
                .entry(set)
                .or_insert_with(|| self.delivery.native_frame(set));
            self.offer(peer, id, frame);
        }
    }

    fn offer(&mut self, peer: &mut Peer, id: PeerId, frame: &Arc<Frame>) {
        let Some(session) = peer.open_session() else {
            return;
        };
        if self.except.contains(&session.id) {
            return;
        }
        // Only who is behind can be too slow: until a write has left something over, a full queue
        // shows no more than that much happened in one turn, and that is bounded by its mail.
        let is_behind = peer.timers.is_set(Timer::Stall);
        if is_behind && !peer.outbox.fits(frame.bytes().len(), &self.limits) {
            self.slow.push(id);
            return;
        }
        peer.outbox.push_shared(Arc::clone(frame));
        if !peer.dirty {
            peer.dirty = true;
            self.dirty.push(id);
        }
    }
}

/// Policy `close`: what the member has not begun to read is dropped and it is told why.
fn close_slow(peer: &mut Peer, id: PeerId, hub: &mut Hub, now: Now) {
    hub.counters.increment(Counter::SlowConsumersClosed);
    let dropped = peer.outbox.clear_unstarted();
    hub.counters.add(Counter::MessagesDropped, dropped as u64);
    websocket::close(peer, id, code::SLOW_CONSUMER, "slow consumer", hub, now);
    // Its socket takes nothing at the moment; the write timeout says how long it may stay so.
    let timeout = hub.live.config.limits.write_timeout;
    peer.timers.set(Timer::Stall, timeout, now.mono);
    hub.touch(peer, id);
    hub.arm(peer, id);
}
