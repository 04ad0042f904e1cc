//! From the outboxes of a session and its namespaces to what carries the session.
//!
//! A WebSocket is filled to half; what is left waits where it is, under the rules of its own rooms,
//! and is asked for when the socket has drained. A poll takes what is there, up to the size that
//! clients are told. Invariant: a frame of several messages, an event with its attachments, goes
//! whole.

use std::time::Duration;

use crate::base::ids::PeerId;
use crate::dialect::frame::Frame;
use crate::protocol::engine_session::step::Outlet;
use crate::protocol::timers::Timer;
use crate::shard::engine::Desk;
use crate::shard::outbox::Keep;
use crate::shard::peer::{Conversation, Pause};
use crate::shard::{dispatch, refill};
use crate::wire::engine_io::payload;
use crate::wire::websocket::frame::Opcode;

/// A namespace with something left counts as slow; the session's heartbeat ends it long before this
/// does.
const SLOW: Duration = Duration::from_secs(24 * 3600);

/// Packets that a poll is answered with: python-socketio's client takes no more. A publication has
/// two at most.
const PACKETS_PER_POLL: usize = 16;

impl Desk<'_> {
    /// Sends what can be sent.
    pub(super) fn flush(&mut self) {
        match self.engine.engine.outlet() {
            Outlet::Nowhere => {}
            Outlet::Socket(socket) => self.flush_to_socket(socket),
            Outlet::Poll(_) => {
                if self.has_output()
                    && let Some(poll) = self.engine.engine.take_poll()
                {
                    let body = self.take_body_of_poll(false);
                    self.answer_with(poll, body);
                }
            }
        }
        let mut next = 0;
        while let Some(source) = self.source(next) {
            self.note_left(source);
            next += 1;
        }
    }

    /// The peer whose outbox is emptied as the `index`-th, from 0: the session's own, then its
    /// namespaces'.
    fn source(&self, index: usize) -> Option<PeerId> {
        let Some(index) = index.checked_sub(1) else {
            return Some(self.id);
        };
        self.engine.namespaces.get(index).map(|(_, part)| *part)
    }

    fn has_output(&self) -> bool {
        let parts = self.engine.namespaces.iter().map(|(_, part)| *part);
        let mut sources = std::iter::once(self.id).chain(parts);
        sources.any(|id| {
            let peer = self.peers.get(id);
            peer.is_some_and(|peer| !peer.outbox.is_empty())
        })
    }

    fn flush_to_socket(&mut self, socket: PeerId) {
        let mut next = 0;
        while let Some(source) = self.source(next) {
            next += 1;
            loop {
                let limits = self.hub.outbox_limits;
                let Some(peer) = self.peers.get_mut(socket) else {
                    return;
                };
                if !peer.outbox.is_within(2, &limits) {
                    if let Conversation::Carrier(carrier) = &mut peer.conversation {
                        carrier.is_behind = true;
                    }
                    return;
                }
                let Some(frame) = self.take_frame(source) else {
                    break;
                };
                if let Some(peer) = self.peers.get_mut(socket) {
                    peer.outbox.push_shared(frame, Keep::Always);
                    self.hub.touch(peer, socket);
                }
            }
        }
    }

    /// What a poll is answered with: all that is queued, or as much as clients expect in one body.
    pub(super) fn take_body_of_poll(&mut self, is_all: bool) -> Vec<u8> {
        let most = self.hub.engines.settings.rules.packet_bytes;
        let (mut body, mut packets) = (Vec::new(), 0);
        let mut next = 0;
        while let Some(source) = self.source(next) {
            next += 1;
            while is_all || (body.len() < most && packets + 2 <= PACKETS_PER_POLL) {
                let Some(frame) = self.take_frame(source) else {
                    break;
                };
                packets += frame.messages();
                for (opcode, message) in frame.payloads() {
                    match opcode {
                        Opcode::Binary => payload::push_binary(message, &mut body),
                        _ => payload::push_text(message, &mut body),
                    }
                }
            }
        }
        body
    }

    /// The next frame of one outbox, which is refilled as it drains.
    fn take_frame(&mut self, source: PeerId) -> Option<std::sync::Arc<Frame>> {
        let peer = self.peers.get_mut(source)?;
        let frame = peer.outbox.take_frame()?;
        if peer.is_behind() && peer.outbox.is_within(4, &self.hub.outbox_limits) {
            refill::refill(peer, source, self.hub, self.now);
        }
        Some(frame)
    }

    /// Notes what is left in one outbox, and lets those go on who waited for it to drain.
    fn note_left(&mut self, source: PeerId) {
        let Some(peer) = self.peers.get_mut(source) else {
            return;
        };
        let has_left = !peer.outbox.is_empty() || peer.is_behind();
        if !has_left {
            peer.timers.clear(Timer::Stall);
        } else if !peer.timers.is_set(Timer::Stall) {
            peer.timers.set(Timer::Stall, SLOW, self.now.mono);
        }
        if peer.pause == Some(Pause::Outbox) && peer.outbox.is_within(2, &self.hub.outbox_limits) {
            dispatch::resume(peer, source, Pause::Outbox, self.hub, self.now);
        }
        self.hub.arm(peer, source);
    }
}
