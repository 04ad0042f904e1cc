//! What must hold of a shard between two turns, checked by tests after each of them.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::app::services::Live;
use crate::base::ids::PeerId;
use crate::base::limits;
use crate::base::network::client_key;
use crate::protocol::timers::Timer;
use crate::shard::Shard;
use crate::shard::behind::Behind;
use crate::shard::deadlines::UNARMED;
use crate::shard::engine::recovery;
use crate::shard::outbox::OutboxLimits;
use crate::shard::peer::{Conversation, HttpPeer, Pause, Peer, Stage};

impl Shard {
    /// Recounts everything that is counted and follows every reference both ways.
    ///
    /// # Panics
    /// When something does not hold.
    pub fn check_invariants(&self) {
        let hub = &self.hub;
        assert_eq!(hub.outbox_limits, OutboxLimits::of(&hub.live.config.limits));
        let count = |is: fn(&Peer) -> bool| self.peers.iter().filter(|(_, peer)| is(peer)).count();
        let refusals = count(|peer| matches!(peer.conversation, Conversation::Refused));
        assert_eq!(hub.refusals, refusals);
        let dirty: HashSet<PeerId> = hub.dirty.iter().copied().collect();
        assert_eq!(dirty.len(), hub.dirty.len(), "nobody is dirty twice");
        let ended: HashSet<PeerId> = hub.ended.iter().copied().collect();
        assert_eq!(ended.len(), hub.ended.len(), "nobody ends twice");
        for (id, peer) in self.peers.iter() {
            assert_eq!(peer.dirty, dirty.contains(&id), "{id}: {peer:?}");
            let is_ended = peer.stage == Stage::Ended;
            assert_eq!(is_ended, ended.contains(&id), "{id}: {peer:?}");
            let entries = hub.moves.iter().filter(|(leaving, _)| *leaving == id);
            let entries = entries.count();
            let leaves = peer.pause == Some(Pause::Move) && peer.stage == Stage::Serving;
            assert!(entries == 1 || entries == 0 && !leaves, "{id}: {peer:?}");
            if !is_ended {
                self.check_peer(peer);
            }
        }
        self.check_rooms();
        hub.engines.check_invariants(&self.peers);
        let parties: Vec<_> = self.peers.iter().map(|(id, peer)| peer.party(id)).collect();
        hub.compressing.check_invariants(&parties);
        hub.inflating.check_invariants(&parties);
    }

    /// Whether a configuration is the one that this shard goes by.
    #[must_use]
    pub fn goes_by(&self, live: &Arc<Live>) -> bool {
        Arc::ptr_eq(&self.hub.live, live)
    }

    /// Changes of presence that happened here and are not settled.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.hub.changes.unsettled()
    }

    /// Connections here that have not finished their first request.
    #[must_use]
    pub fn handshakes(&self) -> usize {
        let peers = self.peers.iter().map(|(_, peer)| &peer.conversation);
        peers
            .filter(|talk| matches!(talk, Conversation::Http(http) if http.is_handshake))
            .count()
    }

    /// Connections here that count for their clients, by client.
    #[must_use]
    pub fn counted_clients(&self) -> BTreeMap<IpAddr, usize> {
        let mut clients = BTreeMap::new();
        for (_, peer) in self.peers.iter().filter(|(_, peer)| peer.is_counted) {
            *clients.entry(client_key(peer.address)).or_default() += 1;
        }
        clients
    }

    /// The most bytes that wait for one peer.
    #[must_use]
    pub fn outbox_bytes_max(&self) -> usize {
        let bytes = self.peers.iter().map(|(_, peer)| peer.outbox.bytes());
        bytes.max().unwrap_or(0)
    }

    fn check_peer(&self, peer: &Peer) {
        let config = &self.hub.live.config.limits;
        let timers = &peer.timers;
        let waits = peer.dirty || timers.is_set(Timer::Stall) || timers.is_set(Timer::Linger);
        assert!(!peer.has_output() || waits, "who writes? {peer:?}");
        assert!(
            !peer.is_behind() || !peer.outbox.is_empty() || peer.is_read_for(),
            "who refills? {peer:?}"
        );
        match peer.pause {
            Some(Pause::Rate) => assert!(timers.is_set(Timer::Resume), "{peer:?}"),
            Some(Pause::Outbox) => assert!(!peer.outbox.is_empty(), "{peer:?}"),
            Some(Pause::Move) => {
                let awaits_verdict =
                    |http: &HttpPeer| http.exchange.head().is_some() && http.engine.is_none();
                let leaves = peer.http().is_some_and(awaits_verdict);
                assert!(leaves || peer.stage != Stage::Serving, "{peer:?}");
            }
            Some(Pause::Job | Pause::Engine) => {}
            // What is to be written gets its time when the socket is offered it.
            None => assert!(
                peer.dirty || timers.next().is_some() || ends_with_another(peer),
                "nothing ends {peer:?}"
            ),
        }
        if let Some(next) = timers.next() {
            assert!(
                peer.armed.next != UNARMED && peer.armed.next <= next,
                "{peer:?}"
            );
        }
        if let Some(tls) = &peer.tls {
            let most = 2 * limits::TLS_UNUSED_BYTES + 128 * 1024;
            assert!(tls.buffered() <= most, "{} bytes", tls.buffered());
            assert!(!peer.is_shaking() || peer.outbox.is_empty(), "{peer:?}");
        }
        let tail_max = limits::READ_BYTES_PER_TURN + config.head_bytes;
        assert!(peer.tail.len() <= tail_max, "{} bytes", peer.tail.len());
        match &peer.conversation {
            Conversation::Socket(peer) if !peer.socket.is_open() => {
                assert!(peer.session.memberships.is_empty(), "{peer:?}");
                assert!(peer.session.behind.is_empty(), "{peer:?}");
            }
            Conversation::Events(events) if peer.stage != Stage::Serving => {
                assert!(events.session.memberships.is_empty(), "{peer:?}");
            }
            Conversation::Socket(_)
            | Conversation::Events(_)
            | Conversation::Http(_)
            | Conversation::Carrier(_)
            | Conversation::Refused => {}
            Conversation::Engine(engine) => assert!(engine.is_some(), "{peer:?}"),
            Conversation::Namespace(part) => {
                assert!(
                    part.is_open || part.session.memberships.is_empty() || recovery::is_given(peer),
                    "{peer:?}"
                );
            }
        }
    }

    fn check_rooms(&self) {
        let hub = &self.hub;
        let mut members: BTreeMap<&str, u32> = BTreeMap::new();
        let mut behind: Vec<Behind> = Vec::new();
        for (id, peer) in self.peers.iter() {
            let Some(session) = peer.session() else {
                continue;
            };
            for membership in &session.memberships {
                assert!(
                    hub.rooms.is_held_by(*membership, id),
                    "{id}: {membership:?}"
                );
                let room = hub.rooms.room(*membership);
                let name = room.map_or("", |room| room.name.as_str());
                *members.entry(name).or_default() += 1;
            }
            let entries = session.behind.entries();
            for (place, entry) in entries.iter().enumerate() {
                let is_member = session.memberships.contains(&entry.membership);
                let mut before = entries.iter().take(place);
                let is_second = before.any(|other| other.membership == entry.membership);
                assert!(is_member && !is_second, "{id}: {entries:?}");
            }
            behind.extend(entries);
        }
        hub.rooms.check_invariants(&members);
        hub.rooms.check_behind(&behind);
        let rooms = &hub.services.rooms;
        let counted = rooms.members_on(hub.shard);
        let recounted = members
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count));
        assert_eq!(counted, recounted.collect::<BTreeMap<_, _>>());
        rooms.check_invariants();
    }
}

/// Whether the heartbeat of the session that it belongs to ends a peer.
fn ends_with_another(peer: &Peer) -> bool {
    match &peer.conversation {
        Conversation::Namespace(_) => true,
        Conversation::Carrier(carrier) => carrier.engine.is_some(),
        Conversation::Http(_)
        | Conversation::Socket(_)
        | Conversation::Events(_)
        | Conversation::Engine(_)
        | Conversation::Refused => false,
    }
}
