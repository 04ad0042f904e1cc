//! The packets of a session in their order, and what they mean for it.
//!
//! A namespace that waits for a worker, its rate or its reader holds everything up that comes behind:
//! it is kept here, and the WebSocket is not read on. Invariant: what is held is what one read of a
//! socket brought, or one body.

use crate::base::ids::PeerId;
use crate::dialect::frame::Frame;
use crate::domain::rate_limit::Rate;
use crate::metrics::names::Counter;
use crate::protocol::engine_session::step::{Outlet, Received};
use crate::protocol::socket_session::{NO_NAMESPACE, SocketFault, Step};
use crate::protocol::timers::Timer;
use crate::shard::dispatch;
use crate::shard::engine::{Desk, namespace};
use crate::shard::outbox::Keep;
use crate::shard::peer::{Conversation, Held, Pause};
use crate::shard::rate::pay_owed_token;
use crate::wire::engine_io::packet::Packet;
use crate::wire::engine_io::payload::{PayloadLimits, packets};
use crate::wire::socket_io::encode;
use crate::wire::websocket::close as code;

/// Packets in one body: more than any client gathers between two polls, and few enough to be read
/// in a turn.
const PACKETS_PER_BODY: usize = 4096;

impl Desk<'_> {
    /// Takes a message of a WebSocket.
    pub(super) fn take(&mut self, from: PeerId, said: Held) {
        if self.engine.waits_for.is_some() {
            self.hold(from, said);
        } else {
            self.hear(from, &said);
        }
    }

    /// Takes the body of a POST.
    pub(super) fn take_body(&mut self, from: PeerId, body: &[u8]) {
        match packets(body, &self.limits()) {
            Err(fault) => {
                let steps = self.engine.engine.fail(fault);
                self.perform(steps);
            }
            Ok(packets) => {
                let text = packets.rest().unwrap_or_default();
                self.take(from, Held::Body(text.into()));
            }
        }
    }

    /// Goes on with what was held, if nobody is waited for any more.
    pub(super) fn go_on(&mut self) {
        if let Some(id) = self.engine.waits_for {
            let peer = self.peers.get_mut(id);
            let waits = peer.is_some_and(|peer| {
                if peer.pause.is_none() {
                    pay_owed_token(peer, id, self.hub, self.now);
                    self.hub.arm(peer, id);
                }
                peer.pause.is_some()
            });
            self.engine.waits_for = Some(id).filter(|_| waits);
        }
        if self.engine.waits_for.is_none() {
            self.miss_answer();
        }
        while self.engine.waits_for.is_none() && !self.is_over {
            let Some((from, held)) = self.engine.held.pop_front() else {
                break;
            };
            self.hear(from, &held);
        }
        if self.engine.waits_for.is_some() {
            return;
        }
        for socket in std::mem::take(&mut self.engine.unread) {
            if let Some(peer) = self.peers.get_mut(socket) {
                dispatch::resume(peer, socket, Pause::Engine, self.hub, self.now);
            }
        }
    }

    /// Why the session is closed: the client's fault.
    pub(super) fn fail(&mut self, fault: &SocketFault) {
        self.hub.counters.increment(Counter::ProtocolFaults);
        log::debug!("engine_fault sid={} fault=\"{fault}\"", self.engine.sid);
        self.close(code::POLICY_VIOLATION);
    }

    /// Queues a message of Socket.IO that is in no namespace that the client is in.
    pub(super) fn say(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let frame = namespace::message(write);
        self.push_frame(frame);
    }

    /// Charges the session for coming into a namespace, or trying to: whoever comes and goes faster
    /// than it may speak waits.
    pub(super) fn spend(&mut self) {
        let limits = &self.hub.live.config.limits;
        let Some(per_second) = limits.messages_per_second else {
            return;
        };
        let rate = Rate::per_second(per_second, limits.message_burst);
        let Err(wait) = self.engine.bucket.take(rate, self.now.mono) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(self.id) else {
            return;
        };
        self.hub.counters.increment(Counter::RatePaused);
        peer.pause = Some(Pause::Rate);
        peer.timers.set(Timer::Resume, wait, self.now.mono);
        self.engine.waits_for = Some(self.id);
    }

    fn push_frame(&mut self, frame: std::sync::Arc<Frame>) {
        let limits = self.hub.outbox_limits;
        let Some(peer) = self.peers.get_mut(self.id) else {
            return;
        };
        peer.outbox.push_shared(frame, Keep::Always);
        if !peer.outbox.takes(0, &limits) && peer.pause != Some(Pause::Job) {
            peer.pause = Some(Pause::Outbox);
            self.engine.waits_for = Some(self.id);
        }
    }

    fn hold(&mut self, from: PeerId, said: Held) {
        self.engine.held.push_back((from, said));
        let Some(peer) = self.peers.get_mut(from) else {
            return;
        };
        if matches!(peer.conversation, Conversation::Carrier(_)) && peer.pause.is_none() {
            peer.pause = Some(Pause::Engine);
            self.engine.unread.push(from);
        }
    }

    fn limits(&self) -> PayloadLimits {
        PayloadLimits {
            bytes: self.hub.engines.settings.rules.packet_bytes,
            packets: PACKETS_PER_BODY,
        }
    }

    fn hear(&mut self, from: PeerId, said: &Held) {
        match said {
            Held::Binary(bytes) => self.packet(from, Packet::binary(bytes)),
            Held::Body(text) => self.body(from, text),
            Held::Text(text) => match Packet::parse(text) {
                Ok(packet) => self.packet(from, packet),
                Err(fault) if self.engine.engine.outlet() == Outlet::Socket(from) => {
                    let steps = self.engine.engine.fail(fault);
                    self.perform(steps);
                }
                // Nothing that belongs on a WebSocket that is only tried.
                Err(_) => self.packet(from, Packet::Noop),
            },
        }
    }

    fn body(&mut self, from: PeerId, text: &str) {
        let Ok(mut packets) = packets(text.as_bytes(), &self.limits()) else {
            return; // It was looked at when it came.
        };
        while !self.is_over {
            if self.engine.waits_for.is_some()
                && let Some(rest) = packets.rest()
            {
                self.engine.held.push_front((from, Held::Body(rest.into())));
                return;
            }
            match packets.next() {
                Some(Ok(packet)) => self.packet(from, packet),
                Some(Err(fault)) => {
                    let steps = self.engine.engine.fail(fault);
                    return self.perform(steps);
                }
                None => {
                    let steps = self.engine.engine.posted(from);
                    return self.perform(steps);
                }
            }
        }
    }

    fn packet(&mut self, from: PeerId, packet: Packet<'_>) {
        let (settings, now) = (&self.hub.engines.settings, self.now.mono);
        let (engine, socket) = (&mut self.engine.engine, &mut self.engine.socket);
        let meant = match engine.receive(from, packet, &settings.timing, now) {
            Received::Steps(steps) => return self.perform(steps),
            Received::Text(text) => socket.text(text, &settings.rules, now),
            Received::Binary(bytes) => socket.binary(bytes, &settings.rules, now),
        };
        match meant {
            Err(fault) => self.fail(&fault),
            // Nobody is asked for an acknowledgement.
            Ok(Step::Nothing | Step::Acknowledged { .. }) => {}
            Ok(Step::Connect { namespace, auth }) => {
                self.connect(&namespace, auth.as_deref());
            }
            Ok(Step::UnknownNamespace(name)) => {
                self.hub.counters.increment(Counter::NamespacesRefused);
                self.say(|out| encode::connect_error(&name, NO_NAMESPACE, None, out));
                self.spend();
            }
            Ok(Step::Event {
                namespace,
                id,
                payload,
                attachments,
            }) => {
                self.hub.counters.increment(Counter::MessagesReceived);
                self.event(&namespace, id, &payload, &attachments);
            }
            Ok(Step::Left(namespace)) => self.left(&namespace),
        }
    }
}
