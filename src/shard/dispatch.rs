//! From bytes to the conversation they belong to, and from a finished write to what follows.
//!
//! The one place that knows how input is kept when it cannot be worked on yet: a peer that is
//! paused, or sent part of something, leaves the rest in its `tail`; nobody's tail is longer than
//! a turn's read plus a request head.

use crate::app::durable::submit;
use crate::app::runs;
use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::base::limits;
use crate::bus::execution::{RunForm, RunOrder};
use crate::bus::job::{Answer, ReadPurpose};
use crate::bus::order::Order;
use crate::metrics::names::Counter;
use crate::protocol::timers::Timer;
use crate::shard::engine::{Happened, carrier, namespace};
use crate::shard::peer::{CarrierPeer, Conversation, Pause, Peer, SocketPeer, Stage};
use crate::shard::{
    AfterWrite, Hub, durable, event_stream, http, membership, refill, tls, websocket,
};

/// What a conversation made of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// Something was done: look again, the conversation may have changed.
    Continue,
    /// More input is needed.
    Wait,
}

pub(super) fn receive(peer: &mut Peer, id: PeerId, input: &mut [u8], hub: &mut Hub, now: Now) {
    match peer.stage {
        Stage::Serving => {}
        Stage::Lingering(left) => {
            match left.checked_sub(u32::try_from(input.len()).unwrap_or(u32::MAX)) {
                Some(left) => peer.stage = Stage::Lingering(left),
                None => hub.end(peer, id),
            }
            return;
        }
        Stage::Flushing | Stage::FlushingThenLingering | Stage::Ended => return,
    }
    if peer.tail.is_empty() && peer.pause.is_none() {
        let taken = work(peer, id, input, hub, now);
        if let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) {
            peer.tail.extend_from_slice(rest);
        }
    } else {
        peer.tail.extend_from_slice(input);
        work_on_tail(peer, id, hub, now);
    }
    if peer.eof && peer.pause.is_none() {
        after_eof(peer, id, hub);
    }
    settle(peer, id, hub);
}

fn work_on_tail(peer: &mut Peer, id: PeerId, hub: &mut Hub, now: Now) {
    if peer.pause.is_some() || peer.tail.is_empty() {
        return;
    }
    let mut tail = std::mem::take(&mut peer.tail);
    let taken = work(peer, id, &mut tail, hub, now);
    if taken < tail.len() {
        tail.drain(..taken);
        peer.tail = tail;
    }
}

/// Works on `input` as far as it goes; returns how many bytes were used up.
fn work(peer: &mut Peer, id: PeerId, input: &mut [u8], hub: &mut Hub, now: Now) -> usize {
    let mut at = 0;
    while peer.stage == Stage::Serving && peer.pause.is_none() {
        let Some(rest) = input.get_mut(at..) else {
            break;
        };
        let (taken, flow) = match &peer.conversation {
            Conversation::Http(_) => http::receive(peer, id, rest, hub, now),
            Conversation::Socket(_) => websocket::receive(peer, id, rest, hub, now),
            Conversation::Carrier(_) => carrier::receive(peer, id, rest, hub, now),
            Conversation::Events(_)
            | Conversation::Engine(_)
            | Conversation::Namespace(_)
            | Conversation::Refused => (rest.len(), Flow::Wait),
        };
        at += taken;
        if flow == Flow::Wait {
            break;
        }
    }
    if peer.stage == Stage::Serving {
        at
    } else {
        input.len()
    }
}

/// What every piece of work ends with.
pub(super) fn settle(peer: &mut Peer, id: PeerId, hub: &mut Hub) {
    if matches!(peer.stage, Stage::Flushing | Stage::FlushingThenLingering) {
        peer.tail = Vec::new();
        peer.pause = None;
        if peer.stage == Stage::Flushing && !peer.has_output() {
            hub.end(peer, id);
        }
    }
    hub.touch(peer, id);
    hub.arm(peer, id);
}

/// Lets a paused peer go on, if `pause` is why it waits.
pub(super) fn resume(peer: &mut Peer, id: PeerId, pause: Pause, hub: &mut Hub, now: Now) {
    if peer.pause != Some(pause) {
        return;
    }
    peer.pause = None;
    go_on(peer, id, hub, now);
}

/// Goes on with a peer that has come from another shard.
pub(super) fn adopt(peer: &mut Peer, id: PeerId, hub: &mut Hub, now: Now) {
    peer.pause = None;
    http::go_on(peer, id, hub, now);
    go_on(peer, id, hub, now);
}

/// An answer of a worker or the store: reply, then go on with what arrived meanwhile.
pub(super) fn answer(peer: &mut Peer, id: PeerId, answer: Answer, hub: &mut Hub, now: Now) {
    let answer = match answer {
        Answer::Read(read, missed) if matches!(read.purpose, ReadPurpose::Refill) => {
            // Nothing was paused for it.
            refill::take(peer, id, &read, missed, hub, now);
            return settle(peer, id, hub);
        }
        answer => answer,
    };
    if peer.pause != Some(Pause::Job) {
        return;
    }
    peer.pause = None;
    give(peer, id, answer, hub, now);
    go_on(peer, id, hub, now);
}

/// Lets a peer go on whose pause is over, unless what ended it has begun another: it may wait for
/// the next room's part.
fn go_on(peer: &mut Peer, id: PeerId, hub: &mut Hub, now: Now) {
    if peer.pause.is_some() {
        return settle(peer, id, hub);
    }
    work_on_tail(peer, id, hub, now);
    match &peer.conversation {
        Conversation::Namespace(part) => hub.engines.note(Happened::Resumed(part.engine)),
        Conversation::Engine(_) => hub.engines.note(Happened::Resumed(id)),
        _ if peer.wants_input() => hub.resumed.push(id),
        _ => {}
    }
    if peer.eof && peer.pause.is_none() {
        after_eof(peer, id, hub);
    }
    settle(peer, id, hub);
}

fn give(peer: &mut Peer, id: PeerId, answer: Answer, hub: &mut Hub, now: Now) {
    match answer {
        Answer::Http(response) => http::answer(peer, response, hub, now),
        Answer::Reply(reply) => match &peer.conversation {
            Conversation::Namespace(_) => namespace::acknowledge(peer, id, &reply, hub),
            _ => websocket::reply(peer, id, &reply, hub, now),
        },
        Answer::Read(read, missed) => match &read.purpose {
            ReadPurpose::Recovery(_) => membership::recovered(peer, id, *read, missed, hub, now),
            ReadPurpose::Stream => event_stream::take(peer, id, &read, missed, hub, now),
            // It is not waited for; see `answer`.
            ReadPurpose::Refill => {}
        },
        Answer::Kept(sequel, kept) => durable::take(peer, id, *sequel, kept, hub, now),
    }
}

/// Has the store do something for a peer, which waits for the answer.
pub(super) fn order(peer: &mut Peer, id: PeerId, order: Order, hub: &mut Hub, now: Now) {
    match submit(order, hub.shard, id, hub.context(now)) {
        Ok(()) => peer.pause = Some(Pause::Job),
        Err(refusal) => give(peer, id, refusal, hub, now),
    }
}

/// Asks the executor for a peer, which waits for the answer.
pub(super) fn request(
    peer: &mut Peer,
    id: PeerId,
    order: RunOrder,
    form: RunForm,
    hub: &mut Hub,
    now: Now,
) {
    match runs::submit(order, form, hub.shard, id, hub.context(now)) {
        Ok(()) => peer.pause = Some(Pause::Job),
        Err(refusal) => give(peer, id, refusal, hub, now),
    }
}

pub(super) fn end_of_input(peer: &mut Peer, id: PeerId, hub: &mut Hub) {
    peer.eof = true;
    if peer.pause == Some(Pause::Engine) {
        // Nobody would read the answer that its session has for it.
        return hub.end(peer, id);
    }
    if peer.pause.is_none() {
        after_eof(peer, id, hub);
        settle(peer, id, hub);
    }
}

/// The peer sends nothing more. A session has ended then: a client that closes an event stream shows
/// nothing else. Another HTTP client may still wait for what it asked.
fn after_eof(peer: &mut Peer, id: PeerId, hub: &mut Hub) {
    match peer.stage {
        Stage::Serving => match &mut peer.conversation {
            Conversation::Http(http) if http.exchange.awaits_answer() => {}
            Conversation::Http(http) => {
                http.exchange.finish();
                peer.stage = Stage::Flushing;
            }
            Conversation::Socket(_)
            | Conversation::Carrier(_)
            | Conversation::Events(_)
            | Conversation::Engine(_)
            | Conversation::Namespace(_)
            | Conversation::Refused => {
                tls::end(peer, id, hub);
            }
        },
        Stage::Flushing | Stage::FlushingThenLingering => peer.stage = Stage::Flushing,
        Stage::Lingering(_) => hub.end(peer, id),
        Stage::Ended => {}
    }
}

fn note_taken(peer: &mut Peer, taken: usize, hub: &mut Hub) {
    hub.counters.add(Counter::BytesSent, taken as u64);
    match &mut peer.tls {
        None => {
            let completed = peer.outbox.wrote(taken);
            hub.counters.add(Counter::MessagesSent, completed as u64);
        }
        // Its messages were counted when they were encrypted.
        Some(tls) => tls.wrote(taken, &mut hub.tls.space),
    }
}

/// Notes progress of a write and does what waited for it.
pub(super) fn wrote(
    peer: &mut Peer,
    id: PeerId,
    taken: usize,
    hub: &mut Hub,
    now: Now,
) -> AfterWrite {
    note_taken(peer, taken, hub);
    if hub.draining && peer.stage == Stage::Serving && peer.is_resting() {
        // It was promised to stay before the drain began; its answer is all that it gets.
        peer.stage = Stage::FlushingThenLingering;
    }
    if peer.has_output() || peer.is_behind() {
        // Each byte taken earns the peer another full write timeout.
        if taken > 0 || !peer.timers.is_set(Timer::Stall) {
            let timeout = hub.live.config.limits.write_timeout;
            peer.timers.set(Timer::Stall, timeout, now.mono);
        }
        if peer.outbox.is_within(2, &hub.outbox_limits) {
            resume(peer, id, Pause::Outbox, hub, now);
        }
        if peer.outbox.is_within(4, &hub.outbox_limits) {
            refill::refill(peer, id, hub, now);
            carrier::ask_for_more(peer, hub);
        }
        hub.arm(peer, id);
        if peer.has_output() {
            return AfterWrite::More;
        }
    }
    peer.timers.clear(Timer::Stall);
    match peer.stage {
        Stage::Serving => {
            carrier::ask_for_more(peer, hub);
            if let Conversation::Socket(SocketPeer { socket, .. })
            | Conversation::Carrier(CarrierPeer { socket, .. }) = &peer.conversation
                && !socket.is_open()
            {
                // Our Close is out; from now on the peer has its time to answer.
                peer.timers
                    .set(Timer::Close, limits::CLOSE_TIMEOUT, now.mono);
                hub.arm(peer, id);
            }
            resume(peer, id, Pause::Outbox, hub, now);
            AfterWrite::Done
        }
        Stage::Flushing => {
            hub.end(peer, id);
            AfterWrite::Done
        }
        Stage::FlushingThenLingering => {
            peer.stage = match peer.conversation {
                Conversation::Refused => Stage::Lingering(limits::REFUSAL_DRAIN_BYTES as u32),
                Conversation::Http(_)
                | Conversation::Socket(_)
                | Conversation::Carrier(_)
                | Conversation::Events(_)
                | Conversation::Engine(_)
                | Conversation::Namespace(_) => Stage::Lingering(u32::MAX),
            };
            peer.timers.clear_all();
            peer.timers
                .set(Timer::Linger, limits::LINGER_TIMEOUT, now.mono);
            if peer.eof {
                hub.end(peer, id);
            }
            hub.arm(peer, id);
            AfterWrite::ShutdownWrite
        }
        Stage::Lingering(_) | Stage::Ended => AfterWrite::Done,
    }
}
