//! What every conversation does with the shard around it: have a peer written for, looked at again,
//! ended.
//!
//! Invariant: a peer stands in each of the turn's lists once.

use std::sync::Arc;

use crate::app::services::Context;
use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::bus::job::{Job, StreamRead, Work};
use crate::dialect::delivery::Delivery;
use crate::dialect::publication::{Publication, RoomSet};
use crate::domain::room::RoomName;
use crate::metrics::names::Counter;
use crate::shard::Hub;
use crate::shard::engine::recovery;
use crate::shard::outbox::Keep;
use crate::shard::peer::{Conversation, Peer, Session, Stage};

impl Hub {
    /// What a handler is given.
    pub(super) fn context(&self, now: Now) -> Context<'_> {
        self.services.context(&self.live, &self.counters, now)
    }

    /// Has a worker read part of a durable stream for a peer.
    pub(super) fn read(&mut self, peer: PeerId, read: StreamRead) {
        self.jobs.push(Job {
            shard: self.shard,
            peer,
            work: Work::Read(Box::new(read)),
        });
    }

    /// Queues a publication as one of this room alone, unless the session was left out of it.
    pub(super) fn send_live(
        &mut self,
        peer: &mut Peer,
        id: PeerId,
        publication: &Arc<Publication>,
        room: &RoomName,
    ) {
        let Some((session, mut outlet)) = peer.open_outlet(id) else {
            return;
        };
        if publication.except.contains(&session.id) {
            return;
        }
        let mut places = publication.placements.iter();
        let place = places.position(|place| place.room == *room);
        let set = RoomSet::default().with(place.unwrap_or(0));
        let delivery = Delivery::new(Arc::clone(publication));
        let compressing = &mut self.compressing;
        let form = outlet.form(&delivery, &session.dialect);
        let frame = form.frame(&delivery, set, compressing);
        outlet.push(publication, set, frame, Keep::Always, compressing);
        self.touch(peer, id);
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
            self.engines.note_end(peer, id);
        }
    }

    /// Gives back the memory of what is made again when it is needed.
    pub(super) fn release(&mut self) {
        self.compressing.release();
        self.inflating.release();
        for list in [&mut self.dirty, &mut self.resumed, &mut self.ended] {
            list.shrink_to_fit();
        }
    }

    /// Lets go of all that a removed peer had.
    pub(super) fn retire(&mut self, peer: &mut Peer, id: PeerId) {
        self.compressing.close(peer.party(id));
        self.inflating.close(peer.party(id));
        self.let_go(peer);
    }

    /// Lets go of all that a peer has wherever it stands.
    pub(super) fn let_go(&mut self, peer: &mut Peer) {
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
            Conversation::Socket(socket) => {
                self.leave_all(&mut socket.session);
                self.retire_session(&socket.session);
                self.counters.increment(Counter::ConnectionsClosed);
            }
            Conversation::Events(events) => {
                self.leave_all(&mut events.session);
                self.retire_session(&events.session);
                self.counters.increment(Counter::ConnectionsClosed);
            }
            Conversation::Carrier(_) => self.counters.increment(Counter::ConnectionsClosed),
            Conversation::Engine(_) => {}
            Conversation::Namespace(part) => {
                let is_given = recovery::forget(part, self);
                self.leave_all(&mut part.session);
                if !is_given {
                    self.retire_session(&part.session);
                }
            }
            Conversation::Refused => self.refusals -= 1,
        }
    }

    fn retire_session(&self, session: &Session) {
        self.counters.increment(Counter::SessionsClosed);
        log::debug!("session_ended session={}", session.id);
    }
}
