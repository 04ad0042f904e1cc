//! Connections as they come: those that are served and those that are refused.

use std::net::IpAddr;
use std::sync::Arc;

use crate::app::admission::Admitted;
use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::base::limits;
use crate::protocol::timers::Timer;
use crate::protocol::tls::connection::TlsConnection;
use crate::shard::Shard;
use crate::shard::peer::{Conversation, HttpPeer, Peer, Stage};

impl Shard {
    /// Takes a new connection from `address` in, as it was admitted. `None` if no slot is left;
    /// close it then.
    pub fn open(&mut self, address: IpAddr, admitted: Admitted, now: Now) -> Option<PeerId> {
        let http = HttpPeer {
            is_handshake: true,
            proxy: admitted.is_proxy.then_some(address),
            is_reserved: admitted.is_reserved,
            ..HttpPeer::default()
        };
        let mut peer = Peer::new(address, Conversation::Http(Box::new(http)));
        peer.is_counted = admitted.is_counted;
        let acceptor = self.hub.live.tls.as_ref();
        peer.tls = acceptor.map(|acceptor| Box::new(TlsConnection::new(Arc::clone(acceptor))));
        let timeout = if self.hub.draining {
            // It was accepted before the drain began and was on its way since.
            limits::CLOSE_TIMEOUT
        } else {
            self.hub.live.config.limits.handshake_timeout
        };
        peer.timers.set(Timer::Handshake, timeout, now.mono);
        self.insert(peer)
    }

    /// Takes a connection in that gets `answer` and nothing else: a refusal at accept.
    pub fn refuse(&mut self, address: IpAddr, answer: &[u8], now: Now) -> Option<PeerId> {
        let mut peer = Peer::new(address, Conversation::Refused);
        peer.outbox.push_own(|out| out.extend_from_slice(answer));
        peer.stage = Stage::FlushingThenLingering;
        peer.timers
            .set(Timer::Linger, limits::LINGER_TIMEOUT, now.mono);
        self.hub.refusals += 1;
        let id = self.insert(peer)?;
        if let Some(peer) = self.peers.get_mut(id) {
            self.hub.touch(peer, id);
        }
        Some(id)
    }

    /// Gives `peer` a slot; if none is left, lets go of all that it has.
    pub(super) fn insert(&mut self, peer: Peer) -> Option<PeerId> {
        match self.peers.insert(peer) {
            Ok(id) => {
                let peer = self.peers.get_mut(id)?;
                self.hub.arm(peer, id);
                Some(id)
            }
            Err(mut peer) => {
                self.hub.let_go(&mut peer);
                None
            }
        }
    }
}
