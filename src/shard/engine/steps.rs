//! What a session of Engine.IO wants done with its connections.

use crate::app::engine_io;
use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::base::slab::GenerationalSlab;
use crate::dialect::frame::Frame;
use crate::metrics::names::Counter;
use crate::protocol::engine_session::step::{EndReason, PollAnswer, Step};
use crate::shard::engine::{Desk, carrier};
use crate::shard::outbox::Keep;
use crate::shard::peer::{Conversation, Pause, Peer};
use crate::shard::{Hub, dispatch, http};
use crate::wire::engine_io::packet::PROBE;
use crate::wire::engine_io::packet::Packet;
use crate::wire::http::response::Response;
use crate::wire::websocket::close as code;

impl Desk<'_> {
    /// Does what the session says, in its order.
    pub(super) fn perform(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::QueuePing => self.push(&Packet::Ping("")),
                Step::AnswerPoll(connection, answer) => self.answer_poll(connection, answer),
                Step::AnswerPost(connection) => self.answer(connection, engine_io::ok()),
                Step::Refuse(connection, fault) => {
                    self.hub.counters.increment(Counter::EngineRequestsRefused);
                    log::debug!("engine_refused sid={} fault=\"{fault}\"", self.engine.sid);
                    self.answer(connection, engine_io::refusal(fault));
                }
                Step::AnswerProbe(socket) => {
                    if let Some(peer) = self.peers.get_mut(socket) {
                        let frame = frame(&Packet::Pong(PROBE));
                        peer.outbox.push_shared(frame, Keep::Always);
                        self.hub.touch(peer, socket);
                    }
                }
                Step::CloseSocket(socket) => {
                    let code = self.engine.close_code.unwrap_or(code::NORMAL);
                    if let Some(peer) = self.peers.get_mut(socket) {
                        carrier::close(peer, socket, code, self.hub, self.now);
                    }
                }
                // What is queued goes there from now on.
                Step::MoveTo(_) => self.hub.counters.increment(Counter::EngineUpgrades),
                Step::End(reason) => self.end(reason),
            }
        }
    }

    /// Queues a packet of the session's own.
    pub(super) fn push(&mut self, packet: &Packet<'_>) {
        if let Some(peer) = self.peers.get_mut(self.id) {
            peer.outbox.push_shared(frame(packet), Keep::Always);
        }
    }

    fn answer_poll(&mut self, connection: PeerId, answer: PollAnswer) {
        let mut body = match answer {
            PollAnswer::Noop => Vec::new(),
            PollAnswer::QueuedOrNoop => self.take_body_of_poll(false),
            PollAnswer::QueuedThenClose => {
                self.push(&Packet::Close);
                self.take_body_of_poll(true)
            }
        };
        if body.is_empty() {
            Packet::Noop.write_frame(&mut body);
        }
        self.answer_with(connection, body);
    }

    /// Answers a poll with packets.
    pub(super) fn answer_with(&mut self, connection: PeerId, packets: Vec<u8>) {
        let peer = self.peers.get_mut(connection);
        let accepts = peer.and_then(|peer| peer.http_mut()?.accepts.take());
        self.answer(connection, engine_io::body(packets, accepts.as_deref()));
    }

    /// Answers a request of the session.
    pub(super) fn answer(&mut self, connection: PeerId, response: Response) {
        if let Some(peer) = self.peers.get_mut(connection) {
            answer(peer, connection, response, self.hub, self.now);
        }
    }

    /// The session is over, and with it its part in every namespace.
    fn end(&mut self, reason: EndReason) {
        self.is_over = true;
        self.hub.counters.increment(Counter::EngineSessionsClosed);
        log::debug!(
            "engine_ended sid={} reason={}",
            self.engine.sid,
            reason.name()
        );
        let is_lost = match reason {
            EndReason::ClientClosed
            | EndReason::ServerClosed
            | EndReason::ConnectionLost
            | EndReason::PingTimeout => true,
            EndReason::Fault(_) => false,
        };
        for (_, part) in std::mem::take(&mut self.engine.namespaces) {
            match is_lost {
                true => self.detach(part),
                false => self.end_part(part),
            }
        }
    }

    /// Ends a namespace's peer.
    pub(super) fn end_part(&mut self, part: PeerId) {
        end_part(part, self.peers, self.hub);
    }
}

/// The same, of whatever session it is part.
pub(super) fn end_part(part: PeerId, peers: &mut GenerationalSlab<Peer>, hub: &mut Hub) {
    let Some(peer) = peers.get_mut(part) else {
        return;
    };
    if let Conversation::Namespace(namespace) = &mut peer.conversation {
        namespace.is_open = false;
        hub.leave_all(&mut namespace.session);
    }
    hub.end(peer, part);
}

/// Answers a request; its connection goes on with what came behind it.
pub(super) fn answer(peer: &mut Peer, id: PeerId, response: Response, hub: &mut Hub, now: Now) {
    if let Some(http) = peer.http_mut() {
        http.engine = None;
        http::answer(peer, response, hub, now);
    }
    if peer.pause == Some(Pause::Engine) {
        dispatch::resume(peer, id, Pause::Engine, hub, now);
    } else {
        // Its body was still being read.
        dispatch::settle(peer, id, hub);
    }
}

/// The frame of a packet that is text.
fn frame(packet: &Packet<'_>) -> std::sync::Arc<Frame> {
    let mut text = Vec::new();
    packet.write_frame(&mut text);
    Frame::text(&text)
}
