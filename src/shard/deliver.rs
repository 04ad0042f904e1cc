//! A publication into the outboxes of this shard's members.
//!
//! The hot path of the server: one lookup, one bound check and one reference per member; the
//! frame is encoded at most once per dialect and set of rooms, and only if somebody gets it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::clock::Now;
use crate::base::ids::{PeerId, SessionId};
use crate::base::slab::GenerationalSlab;
use crate::dialect::frame::Frame;
use crate::dialect::publication::{Publication, RoomSet};
use crate::metrics::names::Counter;
use crate::protocol::timers::Timer;
use crate::shard::peer::Peer;
use crate::shard::{Hub, websocket};
use crate::wire::websocket::close as code;

pub(super) fn deliver(
    publication: &Publication,
    sequence: u64,
    except: &[SessionId],
    peers: &mut GenerationalSlab<Peer>,
    hub: &mut Hub,
    now: Now,
) {
    let mut slow = Vec::new();
    match &*publication.placements {
        [placement] => {
            let Some(local) = hub.rooms.find(&placement.room) else {
                return;
            };
            let mut frame: Option<Arc<Frame>> = None;
            for member in local.members() {
                let Some(slot) = member.hears(sequence) else {
                    continue;
                };
                let Some((id, peer)) = peers.at_slot(slot) else {
                    continue;
                };
                let frame = frame.get_or_insert_with(|| publication.native_frame(RoomSet::FIRST));
                offer(
                    peer,
                    id,
                    frame,
                    except,
                    &mut hub.dirty,
                    hub.outbox_limits,
                    &mut slow,
                );
            }
        }
        placements => {
            // Ordered, so that the same seed writes in the same order.
            let mut sets: BTreeMap<u32, RoomSet> = BTreeMap::new();
            for (index, placement) in placements.iter().enumerate() {
                let Some(local) = hub.rooms.find(&placement.room) else {
                    continue;
                };
                for slot in local.members().iter().filter_map(|m| m.hears(sequence)) {
                    let set = sets.entry(slot).or_default();
                    *set = set.with(index);
                }
            }
            for (slot, set) in sets {
                let Some((id, peer)) = peers.at_slot(slot) else {
                    continue;
                };
                let frame = publication.native_frame(set);
                offer(
                    peer,
                    id,
                    &frame,
                    except,
                    &mut hub.dirty,
                    hub.outbox_limits,
                    &mut slow,
                );
            }
        }
    }
    for id in slow {
        if let Some(peer) = peers.get_mut(id) {
            close_slow(peer, id, hub, now);
        }
    }
}

fn offer(
    peer: &mut Peer,
    id: PeerId,
    frame: &Arc<Frame>,
    except: &[SessionId],
    dirty: &mut Vec<PeerId>,
    limits: crate::shard::outbox::OutboxLimits,
    slow: &mut Vec<PeerId>,
) {
    let Some(session) = peer.open_session() else {
        return;
    };
    if except.contains(&session.id) {
        return;
    }
    // Only who is behind can be too slow: until a write has left something over, a full queue
    // shows no more than that much happened in one turn, and that is bounded by its mail.
    let is_behind = peer.timers.is_set(Timer::Stall);
    if is_behind && !peer.outbox.fits(frame.bytes().len(), &limits) {
        slow.push(id);
        return;
    }
    peer.outbox.push_shared(Arc::clone(frame));
    if !peer.dirty {
        peer.dirty = true;
        dirty.push(id);
    }
}

/// Policy `close`: what the member has not begun to read is dropped and it is told why.
fn close_slow(peer: &mut Peer, id: PeerId, hub: &mut Hub, now: Now) {
    hub.counters.increment(Counter::SlowConsumersClosed);
    let dropped = peer.outbox.clear_unstarted();
    hub.counters.add(Counter::MessagesDropped, dropped as u64);
    websocket::close(peer, id, code::SLOW_CONSUMER, "slow consumer", hub, now);
    // Its socket takes nothing at the moment; the write timeout says how long it may stay so.
    let timeout = hub.services.config.limits.write_timeout;
    peer.timers.set(Timer::Stall, timeout, now.mono);
    hub.touch(peer, id);
    hub.arm(peer, id);
}
