//! A session of Engine.IO 4: which connections carry it, when it changes them, when it ends.
//!
//! ```text
//! GET ─▶ Polling ── WebSocket with its sid ─▶ + probe ── 2probe, 3probe, 5 ─▶ WebSocket
//!        one GET hangs, one POST arrives        └─ anything else, or too late: the probe is closed
//! 101 ─────────────────────────────────────────────────────────────────────▶ WebSocket
//! ```
//! It holds no output: what is queued is the caller's, who asks [`EngineSession::outlet`] where it
//! may go and does what the steps say, in their order. May not touch: sockets, clocks, what messages
//! mean. Invariants: whatever request comes in is answered exactly once, a WebSocket that is given up
//! is closed exactly once; [`Step::End`] is the last step, and comes once.

mod heartbeat;
pub mod step;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::base::clock::Mono;
use crate::base::ids::PeerId;
use crate::protocol::engine_session::heartbeat::{Heartbeat, Pulse};
use crate::protocol::engine_session::step::{EndReason, Outlet, PollAnswer, Received, Step};
use crate::wire::engine_io::fault::{BadRequest, PacketFault, RequestFault};
use crate::wire::engine_io::handshake::Transport;
use crate::wire::engine_io::packet::{PROBE, Packet};

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long after a pong the next ping is sent.
    pub ping_interval: Duration,
    /// How long the client may be silent after a ping.
    pub ping_timeout: Duration,
    /// How long a WebSocket may take to replace polling.
    pub upgrade_timeout: Duration,
    /// How long we wait for a poll that hears that we close.
    pub close_timeout: Duration,
}

/// One session's connections and heartbeat.
#[derive(Debug)]
pub struct EngineSession {
    carrier: Carrier,
    heartbeat: Heartbeat,
}

/// What carries a session's packets.
#[derive(Debug)]
enum Carrier {
    Polling(Polling),
    WebSocket(PeerId),
    Ended,
}

/// The requests of a session that is polled.
#[derive(Debug, Default)]
struct Polling {
    /// The GET that hangs.
    poll: Option<PeerId>,
    /// The POST that arrives.
    post: Option<PeerId>,
    /// The WebSocket that may replace them.
    probe: Option<Probe>,
    /// We close: the next poll hears of it, until then.
    closing: Option<Mono>,
}

/// A WebSocket that tries whether it can carry the session.
#[derive(Clone, Copy, Debug)]
struct Probe {
    socket: PeerId,
    /// `2probe` came and `3probe` went.
    is_answered: bool,
    due: Mono,
}

impl EngineSession {
    /// A session that begins with a GET, which is answered with the open packet.
    #[must_use]
    pub fn polling(timing: &Timing, now: Mono) -> Self {
        Self {
            carrier: Carrier::Polling(Polling::default()),
            heartbeat: Heartbeat::begin(timing, now),
        }
    }

    /// A session that begins on a WebSocket, where the open packet is the first.
    #[must_use]
    pub fn websocket(socket: PeerId, timing: &Timing, now: Mono) -> Self {
        Self {
            carrier: Carrier::WebSocket(socket),
            heartbeat: Heartbeat::begin(timing, now),
        }
    }

    /// What carries it; `None` once it is over.
    #[must_use]
    pub fn transport(&self) -> Option<Transport> {
        match self.carrier {
            Carrier::Polling(_) => Some(Transport::Polling),
            Carrier::WebSocket(_) => Some(Transport::WebSocket),
            Carrier::Ended => None,
        }
    }

    /// Where what is queued may go now.
    #[must_use]
    pub fn outlet(&self) -> Outlet {
        match &self.carrier {
            Carrier::Polling(polling) => polling.poll.map_or(Outlet::Nowhere, Outlet::Poll),
            Carrier::WebSocket(socket) => Outlet::Socket(*socket),
            Carrier::Ended => Outlet::Nowhere,
        }
    }

    /// The poll that hangs, which the caller answers with what is queued.
    pub fn take_poll(&mut self) -> Option<PeerId> {
        match &mut self.carrier {
            Carrier::Polling(polling) => polling.poll.take(),
            Carrier::WebSocket(_) | Carrier::Ended => None,
        }
    }

    /// A GET of the session has come. It hangs if the steps do not say otherwise.
    pub fn poll(&mut self, request: PeerId) -> Vec<Step> {
        let polling = match &mut self.carrier {
            Carrier::Polling(polling) => polling,
            Carrier::WebSocket(_) => return refuse(request, BadRequest::Upgraded),
            Carrier::Ended => return vec![Step::Refuse(request, RequestFault::SessionUnknown)],
        };
        if polling.poll.is_some() {
            let fault = RequestFault::BadRequest(BadRequest::ParallelPoll);
            return self.refuse_and_end(request, fault);
        }
        if polling.closing.is_some() {
            polling.poll = Some(request);
            return self.finish(PollAnswer::QueuedThenClose, EndReason::ServerClosed);
        }
        if polling.probe.is_some_and(|probe| probe.is_answered) {
            // The client waits for this answer before it goes over to the WebSocket.
            return vec![Step::AnswerPoll(request, PollAnswer::QueuedOrNoop)];
        }
        polling.poll = Some(request);
        Vec::new()
    }

    /// The head of a POST of the session has come. If the steps do not refuse it, give its packets
    /// to [`EngineSession::receive`] when it is whole, and then say [`EngineSession::posted`].
    pub fn post(&mut self, request: PeerId) -> Vec<Step> {
        let polling = match &mut self.carrier {
            Carrier::Polling(polling) => polling,
            Carrier::WebSocket(_) => return refuse(request, BadRequest::Upgraded),
            Carrier::Ended => return vec![Step::Refuse(request, RequestFault::SessionUnknown)],
        };
        if polling.post.is_some() {
            let fault = RequestFault::BadRequest(BadRequest::ParallelPost);
            return self.refuse_and_end(request, fault);
        }
        if polling.closing.is_some() {
            return refuse(request, BadRequest::Closing);
        }
        polling.post = Some(request);
        Vec::new()
    }

    /// All packets of a POST were received.
    pub fn posted(&mut self, request: PeerId) -> Vec<Step> {
        match &mut self.carrier {
            Carrier::Polling(polling) if polling.post == Some(request) => {
                polling.post = None;
                vec![Step::AnswerPost(request)]
            }
            // It was answered when the session ended or went over to its WebSocket.
            Carrier::Polling(_) | Carrier::WebSocket(_) | Carrier::Ended => Vec::new(),
        }
    }

    /// A WebSocket with the session's sid has come; only one may, while it is polled.
    pub fn attach(&mut self, socket: PeerId, timing: &Timing, now: Mono) -> Vec<Step> {
        match &mut self.carrier {
            Carrier::Polling(polling) if polling.probe.is_none() && polling.closing.is_none() => {
                polling.probe = Some(Probe {
                    socket,
                    is_answered: false,
                    due: now + timing.upgrade_timeout,
                });
                Vec::new()
            }
            // Closed rather than refused: clients expect the handshake to succeed.
            Carrier::Polling(_) | Carrier::WebSocket(_) | Carrier::Ended => {
                vec![Step::CloseSocket(socket)]
            }
        }
    }

    /// A packet has come, in the POST or on the WebSocket `from`. What comes from a connection that
    /// does not carry the session, or while we close, is dropped.
    pub fn receive<'a>(
        &mut self,
        from: PeerId,
        packet: Packet<'a>,
        timing: &Timing,
        now: Mono,
    ) -> Received<'a> {
        let is_carried = match &self.carrier {
            Carrier::Polling(polling) => {
                if polling.probe.is_some_and(|probe| probe.socket == from) {
                    return Received::Steps(self.receive_on_probe(from, &packet));
                }
                polling.post == Some(from) && polling.closing.is_none()
            }
            Carrier::WebSocket(socket) => *socket == from,
            Carrier::Ended => false,
        };
        if !is_carried {
            return Received::Steps(Vec::new());
        }
        self.heartbeat.heard(now);
        let steps = match packet {
            Packet::Message(text) => return Received::Text(text),
            Packet::Binary(bytes) => return Received::Binary(bytes),
            Packet::Pong(_) => {
                self.heartbeat.pong(timing, now);
                Vec::new()
            }
            Packet::Noop => Vec::new(),
            Packet::Close => self.finish(PollAnswer::Noop, EndReason::ClientClosed),
            // In version 4 it is the server that pings.
            Packet::Ping(_) | Packet::Open(_) | Packet::Upgrade => {
                self.fail(PacketFault::Unexpected)
            }
        };
        Received::Steps(steps)
    }

    /// What came could not be read as packets.
    pub fn fail(&mut self, fault: PacketFault) -> Vec<Step> {
        let reason = EndReason::Fault(RequestFault::from(fault));
        self.finish(PollAnswer::QueuedThenClose, reason)
    }

    /// A connection is gone, whatever it was for.
    pub fn gone(&mut self, connection: PeerId) -> Vec<Step> {
        match &mut self.carrier {
            Carrier::Polling(polling) => {
                if polling
                    .probe
                    .is_some_and(|probe| probe.socket == connection)
                {
                    polling.probe = None;
                    return Vec::new();
                }
                let is_request = [&mut polling.poll, &mut polling.post]
                    .into_iter()
                    .any(|request| request.take_if(|request| *request == connection).is_some());
                if !is_request {
                    return Vec::new();
                }
            }
            Carrier::WebSocket(socket) if *socket == connection => {
                self.carrier = Carrier::Ended;
                return vec![Step::End(EndReason::ConnectionLost)];
            }
            Carrier::WebSocket(_) | Carrier::Ended => return Vec::new(),
        }
        self.finish(PollAnswer::Noop, EndReason::ConnectionLost)
    }

    /// Ends the session from our side. A client that is polling but has no poll here is waited for.
    pub fn close(&mut self, timing: &Timing, now: Mono) -> Vec<Step> {
        match &mut self.carrier {
            Carrier::Polling(polling) if polling.poll.is_none() => {
                let due = now + timing.close_timeout;
                polling.closing.get_or_insert(due);
                let probe = polling.probe.take();
                probe.map_or_else(Vec::new, |probe| vec![Step::CloseSocket(probe.socket)])
            }
            Carrier::Polling(_) | Carrier::WebSocket(_) | Carrier::Ended => {
                self.finish(PollAnswer::QueuedThenClose, EndReason::ServerClosed)
            }
        }
    }

    /// When to say [`EngineSession::timeout`]; `None` once it is over.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        let beat = self.heartbeat.due();
        match &self.carrier {
            Carrier::Polling(polling) => {
                let probe = polling.probe.map_or(beat, |probe| probe.due.min(beat));
                Some(polling.closing.unwrap_or(probe))
            }
            Carrier::WebSocket(_) => Some(beat),
            Carrier::Ended => None,
        }
    }

    /// Does what is due. A call when nothing is due is harmless.
    pub fn timeout(&mut self, timing: &Timing, now: Mono) -> Vec<Step> {
        let mut steps = Vec::new();
        match &mut self.carrier {
            Carrier::Polling(polling) => {
                if let Some(due) = polling.closing {
                    if due > now {
                        return steps;
                    }
                    return self.finish(PollAnswer::QueuedThenClose, EndReason::ServerClosed);
                }
                if let Some(probe) = polling.probe.take_if(|probe| probe.due <= now) {
                    steps.push(Step::CloseSocket(probe.socket));
                }
            }
            Carrier::WebSocket(_) => {}
            Carrier::Ended => return steps,
        }
        match self.heartbeat.check(timing, now) {
            Pulse::Fine => {}
            Pulse::Ping => steps.push(Step::QueuePing),
            Pulse::Lost => {
                let end = self.finish(PollAnswer::QueuedThenClose, EndReason::PingTimeout);
                steps.extend(end);
            }
        }
        steps
    }

    /// `2probe` is answered, `5` behind it moves the session; anything else gives the probe up.
    fn receive_on_probe(&mut self, socket: PeerId, packet: &Packet<'_>) -> Vec<Step> {
        let Carrier::Polling(polling) = &mut self.carrier else {
            return Vec::new();
        };
        let Some(probe) = &mut polling.probe else {
            return Vec::new();
        };
        match packet {
            Packet::Ping(PROBE) => {
                probe.is_answered = true;
                let mut steps = vec![Step::AnswerProbe(socket)];
                let poll = polling.poll.take();
                steps.extend(poll.map(|poll| Step::AnswerPoll(poll, PollAnswer::QueuedOrNoop)));
                steps
            }
            Packet::Upgrade if probe.is_answered => {
                let mut steps = Vec::new();
                let poll = polling.poll.take();
                steps.extend(poll.map(|poll| Step::AnswerPoll(poll, PollAnswer::Noop)));
                let upgraded = RequestFault::BadRequest(BadRequest::Upgraded);
                let post = polling.post.take();
                steps.extend(post.map(|post| Step::Refuse(post, upgraded)));
                steps.push(Step::MoveTo(socket));
                self.carrier = Carrier::WebSocket(socket);
                steps
            }
            Packet::Open(_)
            | Packet::Close
            | Packet::Ping(_)
            | Packet::Pong(_)
            | Packet::Message(_)
            | Packet::Binary(_)
            | Packet::Upgrade
            | Packet::Noop => {
                polling.probe = None;
                vec![Step::CloseSocket(socket)]
            }
        }
    }

    fn refuse_and_end(&mut self, request: PeerId, fault: RequestFault) -> Vec<Step> {
        let mut steps = vec![Step::Refuse(request, fault)];
        steps.extend(self.finish(PollAnswer::QueuedThenClose, EndReason::Fault(fault)));
        steps
    }

    /// Lets go of every connection and ends, unless it is over already.
    fn finish(&mut self, answer: PollAnswer, reason: EndReason) -> Vec<Step> {
        let mut steps = Vec::new();
        match std::mem::replace(&mut self.carrier, Carrier::Ended) {
            Carrier::Ended => return steps,
            Carrier::WebSocket(socket) => steps.push(Step::CloseSocket(socket)),
            Carrier::Polling(polling) => {
                steps.extend(polling.poll.map(|poll| Step::AnswerPoll(poll, answer)));
                steps.extend(polling.post.map(|post| match reason {
                    EndReason::Fault(fault) => Step::Refuse(post, fault),
                    EndReason::ClientClosed
                    | EndReason::ServerClosed
                    | EndReason::ConnectionLost
                    | EndReason::PingTimeout => Step::AnswerPost(post),
                }));
                let probe = polling.probe.map(|probe| Step::CloseSocket(probe.socket));
                steps.extend(probe);
            }
        }
        steps.push(Step::End(reason));
        steps
    }
}

fn refuse(request: PeerId, why: BadRequest) -> Vec<Step> {
    vec![Step::Refuse(request, RequestFault::BadRequest(why))]
}
