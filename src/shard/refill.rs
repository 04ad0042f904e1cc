//! Sends sessions that were behind what they missed, as their sockets take it.
//!
//! Called when an outbox has drained to a quarter; fills it up to the half that such rooms may use.
//! Rooms with policy `latest` come first, with their newest publication alone; then those with
//! `lag`, from their rooms' histories, merged by the order in which they were published. So two
//! publications have the same order in every room they share, and one that went to several rooms
//! is sent once, named for all rooms in which the session still waits for it.
//!
//! What the shard's members have not been offered yet is left to the mail: a session has caught up
//! in a room when it has what the others were offered last, and hears the mail from there on.
//! Invariant: a session is behind only while something is left in its outbox, so the next write
//! comes back here.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::clock::{Mono, Now};
use crate::base::ids::{PeerId, SessionId};
use crate::bus::room::Lost;
use crate::dialect::delivery::Delivery;
use crate::dialect::publication::{Publication, RoomSet};
use crate::metrics::names::Counter;
use crate::shard::Hub;
use crate::shard::behind::{BehindIn, Wants};
use crate::shard::outbox::{Keep, OutboxLimits};
use crate::shard::outlet::Outlet;
use crate::shard::peer::Peer;
use crate::shard::slow::{self, Remedy};
use crate::wire::websocket::close as code;

/// Publications read from one room's history at once: enough to be worth its lock, few enough for
/// a session that is behind in all the rooms it may be in.
const PAGE: usize = 32;

/// Publications that are kept encoded for the other sessions that are refilled in the same turn.
const SHARED: usize = 256;

/// What was encoded for a session and may be sent to others in the same turn.
#[derive(Debug, Default)]
pub(super) struct Refills {
    deliveries: BTreeMap<u64, Arc<Delivery>>,
    /// The next refill panics.
    #[cfg(test)]
    pub(super) is_broken: bool,
}

impl Refills {
    fn delivery(&mut self, publication: &Arc<Publication>) -> Arc<Delivery> {
        if self.deliveries.len() >= SHARED {
            self.clear();
        }
        let delivery = self.deliveries.entry(publication.sequence);
        Arc::clone(delivery.or_insert_with(|| Arc::new(Delivery::new(Arc::clone(publication)))))
    }

    /// Forgets everything, at the end of a turn.
    pub(super) fn clear(&mut self) {
        self.deliveries = BTreeMap::new();
    }
}

/// Refills the outbox of a session, if it is behind in some room.
pub(super) fn refill(peer: &mut Peer, id: PeerId, hub: &mut Hub, now: Now) {
    let limits = hub.outbox_limits;
    let share = Remedy::FallBehind.share(limits);
    let Some((session, outlet)) = peer.open_outlet(id) else {
        return;
    };
    if session.behind.is_empty() {
        return;
    }
    // What it is behind with stays in the session: a panic here must not lose it uncounted.
    let mut refill = Refill {
        session: session.id,
        behind: &mut session.behind,
        outlet,
        share,
        limits,
        hub,
        now: now.mono,
    };
    refill.send_newest();
    let outcome = refill.send_missed();
    match outcome {
        Ok(()) => {}
        Err(Lost::Gone) => {
            hub.counters.increment(Counter::LagClosedGone);
            slow::close(peer, id, code::SLOW_CONSUMER, "too far behind", hub, now);
        }
        Err(Lost::Reset) => {
            hub.counters.increment(Counter::LagClosedReset);
            let (code, reason) = (code::POSITION_LOST, "stream position lost");
            slow::close(peer, id, code, reason, hub, now);
        }
    }
}

/// One session on its way to catching up.
struct Refill<'a> {
    session: SessionId,
    behind: &'a mut BehindIn,
    outlet: Outlet<'a>,
    /// How much may have to be sent.
    share: OutboxLimits,
    /// How much may wait, with what may be dropped.
    limits: OutboxLimits,
    hub: &'a mut Hub,
    now: Mono,
}

/// Whether there is room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Space {
    Left,
    Full,
}

impl Refill<'_> {
    /// Sends the newest publication of the rooms that want no more. One that a room with policy
    /// `lag` waits for, too, is left to that room's order.
    fn send_newest(&mut self) {
        let mut newest: BTreeMap<u64, Arc<Delivery>> = BTreeMap::new();
        for behind in self.behind.entries() {
            match (behind.wants, self.hub.rooms.newest(behind.membership)) {
                (Wants::Newest, Some(delivery)) => {
                    newest.insert(delivery.publication().sequence, Arc::clone(delivery));
                }
                (Wants::Newest, None) | (Wants::After(_), _) => {}
            }
        }
        for delivery in newest.into_values() {
            let waiting = self.waiting_for(delivery.publication());
            if !waiting.lags && self.send(&delivery, waiting.set) == Space::Full {
                return;
            }
        }
    }

    /// Sends what was missed in the rooms that want all of it.
    fn send_missed(&mut self) -> Result<(), Lost> {
        loop {
            let (publications, horizon) = self.read()?;
            if publications.is_empty() {
                return Ok(());
            }
            for (_, publication) in publications.range(..=horizon) {
                let outbox = &self.outlet.outbox;
                if !outbox.takes(publication.payload.len(), &self.share) {
                    return Ok(());
                }
                let delivery = self.hub.refills.delivery(publication);
                let set = self.waiting_for(publication).set;
                if self.send(&delivery, set) == Space::Full {
                    return Ok(());
                }
            }
        }
    }

    /// The next publications of all rooms by their sequence, and up to where that is all of them.
    fn read(&self) -> Result<(BTreeMap<u64, Arc<Publication>>, u64), Lost> {
        let (mut publications, mut horizon) = (BTreeMap::new(), u64::MAX);
        for behind in self.behind.entries() {
            let (Wants::After(position), Some(room)) =
                (behind.wants, self.hub.rooms.room(behind.membership))
            else {
                continue;
            };
            let heard = self.hub.rooms.heard(behind.membership);
            let rooms = &self.hub.services.rooms;
            let page = rooms.missed(room, &position, heard.offset, PAGE, self.now)?;
            if page.more
                && let Some((_, last)) = page.items.last()
            {
                horizon = horizon.min(last.sequence);
            }
            let missed = page.items.into_iter();
            publications.extend(missed.map(|(_, publication)| (publication.sequence, publication)));
        }
        Ok((publications, horizon))
    }

    /// The rooms in which the session waits for a publication.
    fn waiting_for(&self, publication: &Publication) -> Waiting {
        let mut waiting = Waiting::default();
        for (index, placement) in publication.placements.iter().enumerate() {
            let entries = self.behind.entries();
            let memberships = entries.iter().map(|behind| behind.membership);
            let place = self.hub.rooms.position(&placement.room, memberships);
            let Some(behind) = place.and_then(|place| entries.get(place)) else {
                continue;
            };
            let waits = match behind.wants {
                Wants::Newest => {
                    let newest = self.hub.rooms.newest(behind.membership);
                    newest.is_some_and(|it| it.publication().sequence == publication.sequence)
                }
                Wants::After(position) => {
                    let waits =
                        position.epoch == placement.epoch && position.offset < placement.offset;
                    waiting.lags |= waits;
                    waits
                }
            };
            if waits {
                waiting.set = waiting.set.with(index);
            }
        }
        waiting
    }

    /// Queues a publication, unless the session was left out of it, and notes in the rooms of `set`
    /// that it is no longer missing.
    fn send(&mut self, delivery: &Delivery, set: RoomSet) -> Space {
        #[cfg(test)]
        assert!(
            !std::mem::take(&mut self.hub.refills.is_broken),
            "on purpose"
        );
        let publication = delivery.publication();
        if !publication.except.contains(&self.session) {
            let compressing = &mut self.hub.compressing;
            let frame = self.outlet.form().frame(delivery, set, compressing);
            let bytes = self.outlet.bytes(&frame);
            let outbox = &mut self.outlet.outbox;
            let Some(dropped) = outbox.make_room(bytes, &self.share, &self.limits) else {
                return Space::Full;
            };
            let counters = &self.hub.counters;
            counters.add(Counter::OldestDropped, dropped as u64);
            let compressing = &mut self.hub.compressing;
            let outlet = &mut self.outlet;
            outlet.push(publication, set, frame, Keep::Always, compressing);
            counters.increment(Counter::Refilled);
        }
        for placement in publication.placements_in(set) {
            let memberships = self.behind.entries().iter().map(|behind| behind.membership);
            let Some(place) = self.hub.rooms.position(&placement.room, memberships) else {
                continue;
            };
            let Some(behind) = self.behind.entries_mut().get_mut(place) else {
                continue;
            };
            let has_caught_up = match &mut behind.wants {
                Wants::Newest => true,
                Wants::After(position) => {
                    position.offset = placement.offset;
                    placement.offset >= self.hub.rooms.heard(behind.membership).offset
                }
            };
            if has_caught_up {
                let behind = *behind;
                self.behind.remove(behind.membership);
                self.hub.rooms.catch_up(&behind);
            }
        }
        Space::Left
    }
}

/// The rooms in which a session waits for a publication.
#[derive(Default)]
struct Waiting {
    set: RoomSet,
    /// In one of these rooms it wants everything.
    lags: bool,
}
