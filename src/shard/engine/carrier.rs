//! The WebSockets that carry sessions of Engine.IO: their frames in, their end.
//!
//! What a message means is for the session, see [`super::packets`]. Nothing is compressed: packets
//! are shared with whoever polls, and few are long.

use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::metrics::names::Counter;
use crate::protocol::timers::Timer;
use crate::protocol::websocket::Step;
use crate::shard::Hub;
use crate::shard::dispatch::Flow;
use crate::shard::engine::Happened;
use crate::shard::peer::{CarrierPeer, Conversation, Held, Pause, Peer, Stage};
use crate::shard::websocket::{push_close, push_frame};
use crate::wire::websocket::assembler::AssemblerLimits;
use crate::wire::websocket::close as code;
use crate::wire::websocket::frame::Opcode;

/// Works on input of a WebSocket that carries a session; see [`crate::shard::dispatch`].
pub(in crate::shard) fn receive(
    peer: &mut Peer,
    id: PeerId,
    input: &mut [u8],
    hub: &mut Hub,
    _now: Now,
) -> (usize, Flow) {
    let Conversation::Carrier(CarrierPeer { socket, engine, .. }) = &mut peer.conversation else {
        return (0, Flow::Wait);
    };
    if !peer.outbox.takes(0, &hub.outbox_limits) && socket.is_open() {
        hub.counters.increment(Counter::OutboxPauses);
        peer.pause = Some(Pause::Outbox);
        return (0, Flow::Wait);
    }
    let fragments = hub.live.config.limits.fragments;
    let fragments = fragments.and_then(|most| u32::try_from(most).ok());
    let limits = AssemblerLimits {
        message_bytes: hub.engines.settings.rules.packet_bytes,
        fragments: fragments.unwrap_or(u32::MAX),
    };
    let (taken, step) = socket.next(input, &limits);
    let said = match step {
        Step::More => return (taken, Flow::Wait),
        Step::Heard | Step::Compressed(..) => None,
        Step::Ping(payload) => {
            push_frame(&mut peer.outbox, Opcode::Pong, payload);
            None
        }
        Step::Text(text) => Some(Held::Text(text.into())),
        Step::Binary(bytes) => Some(Held::Binary(bytes.into())),
        Step::Closing(code) => {
            push_close(&mut peer.outbox, code, "");
            peer.stage = Stage::Flushing;
            None
        }
        Step::Closed => {
            peer.stage = Stage::Flushing;
            None
        }
        Step::Fault(fault) => {
            socket.fail();
            hub.counters.increment(match fault.close_code() {
                code::MESSAGE_TOO_BIG => Counter::MessagesTooLarge,
                _ => Counter::ProtocolFaults,
            });
            push_close(&mut peer.outbox, fault.close_code(), fault.reason());
            peer.stage = Stage::FlushingThenLingering;
            None
        }
    };
    if let (Some(said), Some(engine)) = (said, *engine) {
        hub.engines.note(Happened::Said(engine, id, said));
    }
    if peer.stage != Stage::Serving {
        hub.engines.note_end(peer, id);
    }
    (taken, Flow::Continue)
}

/// Asks the session for what did not fit before.
pub(in crate::shard) fn ask_for_more(peer: &mut Peer, hub: &mut Hub) {
    if let Conversation::Carrier(carrier) = &mut peer.conversation
        && std::mem::take(&mut carrier.is_behind)
        && let Some(engine) = carrier.engine
    {
        hub.engines.note(Happened::Flush(engine));
    }
}

/// Begins the close handshake, once; the session has let go of it.
pub(super) fn close(peer: &mut Peer, id: PeerId, code: u16, hub: &mut Hub, now: Now) {
    let Conversation::Carrier(carrier) = &mut peer.conversation else {
        return;
    };
    carrier.engine = None;
    if !carrier.socket.begin_close() {
        return;
    }
    push_close(&mut peer.outbox, code, "");
    peer.timers.clear_all();
    let timeout = hub.live.config.limits.write_timeout;
    peer.timers.set(Timer::Stall, timeout, now.mono);
    if peer.pause.take().is_some() {
        hub.resumed.push(id);
    }
    hub.touch(peer, id);
    hub.arm(peer, id);
}
