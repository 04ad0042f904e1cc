//! What every conversation does with the shard around it: have a peer written for, looked at again,
//! ended.
//!
//! Invariant: a peer stands in each of the turn's lists once.

use crate::app::services::Context;
use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::metrics::names::Counter;
use crate::shard::Hub;
use crate::shard::peer::{Conversation, Peer, Session, Stage};

impl Hub {
    /// What a handler is given.
    pub(super) fn context(&self, now: Now) -> Context<'_> {
        self.services.context(&self.live, &self.counters, now)
    }

    /// Puts `peer` on the list of those to write for, once.
    pub(super) fn touch(&mut self, peer: &mut Peer, id: PeerId) {
        if !peer.dirty && peer.has_output() {
            peer.dirty = true;
            self.dirty.push(id);
        }
    }

    /// Makes sure `peer` is looked at when its next timer is due.
    pub(super) fn arm(&mut self, peer: &mut Peer, id: PeerId) {
        let next = peer.timers.next();
        self.deadlines.arm(id, &mut peer.armed, next);
    }

    /// Ends `peer`; it is removed at the end of the turn.
    pub(super) fn end(&mut self, peer: &mut Peer, id: PeerId) {
        if peer.stage != Stage::Ended {
            peer.stage = Stage::Ended;
            self.ended.push(id);
        }
    }

    /// Lets go of all that a removed peer had.
    pub(super) fn retire(&mut self, peer: &mut Peer, id: PeerId) {
        self.compressing.close(peer.party(id));
        self.inflating.close(peer.party(id));
        if peer.is_counted {
            self.services.release(peer.address);
        }
        match &mut peer.conversation {
            Conversation::Http(http) => {
                if http.is_handshake {
                    self.services.end_handshake();
                }
                self.counters.increment(Counter::ConnectionsClosed);
            }
            Conversation::Socket(socket) => self.retire_session(&mut socket.session),
            Conversation::Events(events) => self.retire_session(&mut events.session),
            Conversation::Refused => self.refusals -= 1,
        }
    }

    fn retire_session(&mut self, session: &mut Session) {
        self.leave_all(session);
        self.counters.increment(Counter::ConnectionsClosed);
        self.counters.increment(Counter::SessionsClosed);
        log::debug!("session_ended session={}", session.id);
    }
}
