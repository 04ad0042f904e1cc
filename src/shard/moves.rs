//! Connections that change the shard: a request finds its session wherever that is.
//!
//! A request that names a session of another shard waits there, before anything is decided on it,
//! until the connection has come to that shard: with its address, its timers, what it still has to
//! be sent and what it sent behind the request, which is then decided on as if it had been read
//! there. Only HTTP connections move, and only between two steps, so that a parcel holds nothing of
//! the shard it leaves: no membership, no job, no place in a list that is looked at. Invariants:
//! what is counted of a connection (its address, its handshake, the connection itself) is counted
//! on, for it neither closes nor opens; there are no more parcels than connections.

use crate::app::opening::shutting_down;
use crate::base::clock::Now;
use crate::base::ids::{PeerId, SessionId, ShardId};
use crate::base::limits;
use crate::metrics::names::Counter;
use crate::protocol::timers::Timer;
use crate::shard::deadlines::Armed;
use crate::shard::peer::{Conversation, Pause, Peer, Stage};
use crate::shard::{Hub, Shard, dispatch, http};

/// A connection on its way, without its socket.
#[derive(Debug)]
#[must_use = "it is counted until a shard has adopted it"]
pub struct Parcel(Box<Peer>);

/// A connection that leaves.
#[derive(Debug)]
pub struct Moving {
    /// What it was known as here.
    pub peer: PeerId,
    /// Where it goes: another shard, which exists.
    pub shard: ShardId,
    /// What goes there.
    pub parcel: Parcel,
}

impl Shard {
    /// Takes out the connections that go to other shards. Their sockets go with them: nothing is
    /// read or written for them here any more.
    pub fn take_moving(&mut self, into: &mut Vec<Moving>) {
        let mut moves = std::mem::take(&mut self.hub.moves);
        for (id, shard) in moves.drain(..) {
            // Whoever was ended or timed out meanwhile ends here.
            let leaves = |peer: &Peer| peer.stage == Stage::Serving;
            if !self.peers.get(id).is_some_and(leaves) {
                continue;
            }
            if let Some(peer) = self.peers.remove(id) {
                self.hub.counters.increment(Counter::ConnectionsMoved);
                let parcel = Parcel(Box::new(peer));
                into.push(Moving {
                    peer: id,
                    shard,
                    parcel,
                });
            }
        }
        self.hub.moves = moves;
    }

    /// Takes a connection in that comes from another shard, and goes on with its request. `None` if
    /// no slot is left; close it then.
    pub fn adopt(&mut self, parcel: Parcel, now: Now) -> Option<PeerId> {
        let Parcel(mut peer) = parcel;
        debug_assert_eq!(peer.pause, Some(Pause::Move), "nothing else moves");
        peer.dirty = false;
        peer.armed = Armed::default();
        if self.hub.draining {
            // As for a request that is still arriving when the drain begins.
            peer.timers
                .set(Timer::Handshake, limits::CLOSE_TIMEOUT, now.mono);
        }
        let id = self.insert(*peer)?;
        self.on_peer(id, (), |peer, hub| dispatch::adopt(peer, id, hub, now));
        self.work_on_engines(now);
        Some(id)
    }
}

/// Has the verdict on a request taken in another shard; while the server shuts down, when that may be
/// gone, the answer is that.
pub(super) fn send_on(peer: &mut Peer, id: PeerId, shard: ShardId, hub: &mut Hub, now: Now) {
    if hub.services.is_draining() {
        http::answer(peer, shutting_down(), hub, now);
    } else {
        hub.move_to(peer, id, shard);
    }
}

impl Hub {
    /// The other shard that has the session of this id, if it is open; `None` if only this one can
    /// have it, or nobody.
    pub(super) fn elsewhere(&self, session: SessionId) -> Option<ShardId> {
        let shard = session.shard();
        let exists = shard.index() < self.services.mailboxes.len();
        (exists && shard != self.shard).then_some(shard)
    }

    /// Has `peer` go to another shard, where the verdict on its request is taken; nothing more is
    /// worked on here.
    fn move_to(&mut self, peer: &mut Peer, id: PeerId, shard: ShardId) {
        debug_assert!(
            matches!(&peer.conversation, Conversation::Http(http) if http.exchange.head().is_some()),
            "only a request that waits for its verdict moves: {peer:?}"
        );
        debug_assert!(shard != self.shard, "{id} is in {shard:?} already");
        peer.pause = Some(Pause::Move);
        self.moves.push((id, shard));
    }
}

#[cfg(test)]
mod tests;
