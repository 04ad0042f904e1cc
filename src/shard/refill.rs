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
//! What is no longer in memory
//! of durable rooms is read by a worker and sent as a publication of its room alone. Invariant: a
//! session is behind only while something is left in its outbox, so the next write comes back here,
//! or while a worker reads for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::clock::{Mono, Now};
use crate::base::ids::{PeerId, SessionId};
use crate::bus::job::{ReadPurpose, StreamRead};
use crate::bus::room::{Lost, Missed};
use crate::dialect::Dialect;
use crate::dialect::delivery::Delivery;
use crate::dialect::publication::{Publication, RoomSet};
use crate::domain::position::Position;
use crate::domain::room::RoomName;
use crate::metrics::names::Counter;
use crate::shard::Hub;
use crate::shard::behind::{BehindIn, Wants};
use crate::shard::outbox::{Keep, OutboxLimits};
use crate::shard::outlet::Outlet;
use crate::shard::peer::Peer;
use crate::shard::rooms::Membership;
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
    let Some(mut refill) = Refill::of(peer, id, hub, now) else {
        return;
    };
    refill.send_newest();
    let outcome = refill.send_missed();
    match outcome {
        Ok(()) => {}
        Err(lost) => give_up(peer, id, lost, hub, now),
    }
}

fn give_up(peer: &mut Peer, id: PeerId, lost: Lost, hub: &mut Hub, now: Now) {
    match lost {
        Lost::Gone | Lost::Stored => {
            hub.counters.increment(Counter::LagClosedGone);
            slow::close(peer, id, code::SLOW_CONSUMER, "too far behind", hub, now);
        }
        Lost::Reset => {
            hub.counters.increment(Counter::LagClosedReset);
            let (code, reason) = (code::POSITION_LOST, "stream position lost");
            slow::close(peer, id, code, reason, hub, now);
        }
    }
}

/// Sends a session what a worker has read of a room that it is behind in, and goes on from there.
pub(super) fn take(
    peer: &mut Peer,
    id: PeerId,
    read: &StreamRead,
    missed: Missed,
    hub: &mut Hub,
    now: Now,
) {
    let Some(mut refill) = Refill::of(peer, id, hub, now) else {
        return;
    };
    refill.behind.set_reading(false);
    let since = Position {
        epoch: read.position.epoch,
        offset: read.since,
    };
    // It may have left the room meanwhile, or begun again from elsewhere.
    if refill.is_behind_after(&read.room, since) {
        let Some(missed) = missed else {
            return give_up(peer, id, Lost::Gone, hub, now);
        };
        for (_, publication) in missed {
            let outbox = &refill.outlet.outbox;
            let has_space = outbox.takes(publication.payload.len(), &refill.share);
            let delivery = Delivery::new(publication);
            if !has_space || refill.send(&delivery, RoomSet::FIRST) == Space::Full {
                break;
            }
        }
    }
    self::refill(peer, id, hub, now);
}

/// One session on its way to catching up.
struct Refill<'a> {
    peer: PeerId,
    session: SessionId,
    dialect: Dialect,
    behind: &'a mut BehindIn,
    outlet: Outlet<'a>,
    /// How much may have to be sent.
    share: OutboxLimits,
    /// How much may wait, with what may be dropped.
    limits: OutboxLimits,
    hub: &'a mut Hub,
    /// The rooms of which the next is no longer in memory.
    stored: Vec<Membership>,
    now: Mono,
}

/// Whether there is room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Space {
    Left,
    Full,
}

impl<'a> Refill<'a> {
    /// The refill of a session that is behind. What it is behind with stays in the session: a panic
    /// must not lose it uncounted.
    fn of(peer: &'a mut Peer, id: PeerId, hub: &'a mut Hub, now: Now) -> Option<Self> {
        let limits = hub.outbox_limits;
        let (session, outlet) = peer.open_outlet(id)?;
        if session.behind.is_empty() {
            return None;
        }
        Some(Self {
            peer: id,
            session: session.id,
            dialect: session.dialect,
            behind: &mut session.behind,
            outlet,
            share: Remedy::FallBehind.share(limits),
            limits,
            hub,
            stored: Vec::new(),
            now: now.mono,
        })
    }

    /// Whether the session wants everything of a room after this position.
    fn is_behind_after(&self, room: &RoomName, after: Position) -> bool {
        let entries = self.behind.entries();
        let memberships = entries.iter().map(|behind| behind.membership);
        let place = self.hub.rooms.position(room, memberships);
        let behind = place.and_then(|place| entries.get(place));
        behind.is_some_and(|behind| matches!(behind.wants, Wants::After(at) if at == after))
    }

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
    ///
    /// What is no longer in memory is read by a worker, of one room after the other.
    fn read(&mut self) -> Result<(BTreeMap<u64, Arc<Publication>>, u64), Lost> {
        let (mut publications, mut horizon) = (BTreeMap::new(), u64::MAX);
        let (mut wanted, mut stored) = (None, Vec::new());
        for behind in self.behind.entries() {
            let (Wants::After(position), Some(room)) =
                (behind.wants, self.hub.rooms.room(behind.membership))
            else {
                continue;
            };
            let heard = self.hub.rooms.heard(behind.membership);
            let rooms = &self.hub.services.rooms;
            let page = match rooms.missed(room, &position, heard.offset, PAGE, self.now) {
                Ok(page) => page,
                Err(Lost::Stored) => {
                    let offset = heard.offset;
                    stored.push(behind.membership);
                    wanted = Some(StreamRead {
                        room: room.name.clone(),
                        position: Position { offset, ..position },
                        since: position.offset,
                        purpose: ReadPurpose::Refill,
                    });
                    continue;
                }
                Err(lost) => return Err(lost),
            };
            if page.more
                && let Some((_, last)) = page.items.last()
            {
                horizon = horizon.min(last.sequence);
            }
            let missed = page.items.into_iter();
            publications.extend(missed.map(|(_, publication)| (publication.sequence, publication)));
        }
        self.stored = stored;
        if let Some(read) = wanted.filter(|_| !self.behind.is_reading()) {
            self.behind.set_reading(true);
            self.hub.read(self.peer, read);
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
                    // What a worker reads comes before this one.
                    let waits = position.epoch == placement.epoch
                        && position.offset < placement.offset
                        && !self.stored.contains(&behind.membership);
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
            let form = self.outlet.form(delivery, &self.dialect);
            let frame = form.frame(delivery, set, compressing);
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
