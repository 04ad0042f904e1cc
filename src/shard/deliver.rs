//! A publication into the outboxes of this shard's members.
//!
//! The hot path of the server: one lookup, one bound check and one reference per member; the
//! frame is encoded at most once per dialect and set of rooms, and only if somebody gets it. For
//! whom it does not fit is noted and left to [`crate::shard::slow`].

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::clock::Now;
use crate::base::ids::{PeerId, SessionId};
use crate::base::slab::GenerationalSlab;
use crate::dialect::delivery::{Delivery, Wording};
use crate::dialect::frame::Frame;
use crate::dialect::publication::{Placement, RoomSet};
use crate::protocol::timers::Timer;
use crate::shard::Hub;
use crate::shard::compression::Compressing;
use crate::shard::outbox::{Keep, OutboxLimits};
use crate::shard::outlet::Form;
use crate::shard::peer::Peer;
use crate::shard::rooms::{LocalRooms, Member};
use crate::shard::slow::{self, Places, Remedy};

pub(super) fn deliver(
    delivery: &Arc<Delivery>,
    peers: &mut GenerationalSlab<Peer>,
    hub: &mut Hub,
    now: Now,
) {
    let publication = delivery.publication();
    let mut round = Round {
        delivery,
        sequence: publication.sequence,
        except: &publication.except,
        limits: hub.outbox_limits,
        compressing: &mut hub.compressing,
        dirty: &mut hub.dirty,
        slow: Vec::new(),
    };
    match &*publication.placements {
        [placement] => {
            if let Some(local) = hub.rooms.hear(placement, delivery, now.mono) {
                round.through_one_room(local.members(), peers);
            }
        }
        placements => round.through_several_rooms(placements, &mut hub.rooms, peers, now),
    }
    for (id, places) in round.slow {
        if let Some(peer) = peers.get_mut(id) {
            slow::overflow(peer, id, delivery, places, hub, now);
        }
    }
}

/// One publication on its way through this shard.
struct Round<'a> {
    delivery: &'a Arc<Delivery>,
    sequence: u64,
    except: &'a [SessionId],
    limits: OutboxLimits,
    compressing: &'a mut Compressing,
    dirty: &'a mut Vec<PeerId>,
    /// Members for whom it does not fit, with the rooms that they are in.
    slow: Vec<(PeerId, Places)>,
}

/// The frame for all members who are in the same rooms of a publication.
struct Offer {
    set: RoomSet,
    /// For all WebSockets without compression that are told it in our words, as soon as somebody
    /// gets it.
    plain: Option<Arc<Frame>>,
    /// In each other form that some member gets it in.
    frames: Vec<(Form, Arc<Frame>)>,
    /// What an outbox may hold that takes it without a further look.
    limits: OutboxLimits,
    keep: Keep,
}

impl Round<'_> {
    fn through_one_room(&mut self, members: &[Member], peers: &mut GenerationalSlab<Peer>) {
        let mut offer: Option<Offer> = None;
        for member in members {
            let Some(slot) = member.hears(self.sequence) else {
                continue;
            };
            let Some((id, peer)) = peers.at_slot(slot) else {
                continue;
            };
            let offer = offer.get_or_insert_with(|| self.offer_to(RoomSet::FIRST));
            self.offer(peer, id, offer);
        }
    }

    fn through_several_rooms(
        &mut self,
        placements: &[Placement],
        rooms: &mut LocalRooms,
        peers: &mut GenerationalSlab<Peer>,
        now: Now,
    ) {
        // Ordered, so that the same seed writes in the same order.
        let mut places: BTreeMap<u32, Places> = BTreeMap::new();
        for (index, placement) in placements.iter().enumerate() {
            let Some(local) = rooms.hear(placement, self.delivery, now.mono) else {
                continue;
            };
            for member in local.members() {
                let lags = member.lags();
                let Some(slot) = lags.or_else(|| member.hears(self.sequence)) else {
                    continue;
                };
                let places = places.entry(slot).or_default();
                places.set = places.set.with(index);
                places.is_behind |= lags.is_some();
            }
        }
        // Each distinct set is asked for once, however many are in it.
        let mut offers: BTreeMap<RoomSet, Offer> = BTreeMap::new();
        for (slot, places) in places {
            let Some((id, peer)) = peers.at_slot(slot) else {
                continue;
            };
            if places.is_behind {
                if self.is_for(peer) {
                    self.slow.push((id, places));
                }
                continue;
            }
            let set = places.set;
            let offer = offers.entry(set).or_insert_with(|| self.offer_to(set));
            self.offer(peer, id, offer);
        }
    }

    fn offer_to(&self, set: RoomSet) -> Offer {
        let remedy = Remedy::of(self.delivery.publication(), set);
        Offer {
            set,
            plain: None,
            frames: Vec::new(),
            limits: remedy.share(self.limits),
            keep: remedy.keep(),
        }
    }

    /// The frame for those of this form.
    fn frame(&mut self, form: Form, offer: &mut Offer) -> Arc<Frame> {
        let mut known = offer.frames.iter();
        if let Some((_, frame)) = known.find(|(known, _)| *known == form) {
            return Arc::clone(frame);
        }
        let frame = form.frame(self.delivery, offer.set, self.compressing);
        offer.frames.push((form, Arc::clone(&frame)));
        frame
    }

    fn is_for(&self, peer: &mut Peer) -> bool {
        let session = peer.open_session();
        session.is_some_and(|session| !self.except.contains(&session.id))
    }

    fn offer(&mut self, peer: &mut Peer, id: PeerId, offer: &mut Offer) {
        // Only whose socket has left something over can be too slow: until then a full queue shows
        // no more than that much happened in one turn, and that is bounded by its mail.
        let is_slow = peer.timers.is_set(Timer::Stall);
        let Some((session, mut outlet)) = peer.open_outlet(id) else {
            return;
        };
        if self.except.contains(&session.id) {
            return;
        }
        let frame = match outlet.form(self.delivery, &session.dialect) {
            Form::Frame(Wording::Neutral, None) => {
                let encode = || self.delivery.frame(Wording::Neutral, offer.set);
                Arc::clone(offer.plain.get_or_insert_with(encode))
            }
            form => self.frame(form, offer),
        };
        if is_slow && !outlet.outbox.fits(outlet.bytes(&frame), &offer.limits) {
            let (set, is_behind) = (offer.set, false);
            self.slow.push((id, Places { set, is_behind }));
            return;
        }
        let publication = self.delivery.publication();
        outlet.push(publication, offer.set, frame, offer.keep, self.compressing);
        if !peer.dirty {
            peer.dirty = true;
            self.dirty.push(id);
        }
    }
}
