//! TLS between a peer's socket and its conversation.
//!
//! What arrived is decrypted and handed on; what is queued is encrypted when the socket has taken
//! all that was encrypted before, so that the outbox's policy, not a heap of ciphertext, decides
//! about a slow reader. Handshakes have a budget of their own in each turn: whoever is over it is
//! not read, and comes first in the next turn. Invariant: a peer without TLS never gets here.

use std::io::IoSlice;

use crate::app::http::https_expected_response;
use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::base::limits;
use crate::metrics::counters::Counters;
use crate::metrics::names::Counter;
use crate::protocol::tls::connection::{Handshake, Space, TlsConnection};
use crate::protocol::tls::fault::TlsFault;
use crate::shard::outbox::Outbox;
use crate::shard::peer::{Peer, Stage};
use crate::shard::{Hub, dispatch, http};

/// The handshakes of one turn, and what connections share.
#[derive(Debug, Default)]
pub(super) struct Shaking {
    /// Those that were moved on in this turn.
    moved: usize,
    /// Those for which there was no place, in the order in which they came.
    waiting: Vec<PeerId>,
    pub(super) space: Space,
    /// Where plaintext goes that arrived.
    plain: Vec<u8>,
}

impl Shaking {
    /// Whether the handshake of `id` may be moved on in this turn; it waits for the next otherwise.
    pub(super) fn take_turn(&mut self, id: PeerId) -> bool {
        if self.moved >= limits::TLS_HANDSHAKES_PER_TURN {
            self.waiting.push(id);
            return false;
        }
        self.moved += 1;
        true
    }

    /// Begins another turn: moves those who wait into `into`, and returns how many they are.
    pub(super) fn next_turn(&mut self, into: &mut Vec<PeerId>) -> u64 {
        self.moved = 0;
        let waiting = self.waiting.len() as u64;
        into.append(&mut self.waiting);
        waiting
    }
}

/// Works on bytes that came from the socket.
pub(super) fn receive(peer: &mut Peer, id: PeerId, input: &mut [u8], hub: &mut Hub, now: Now) {
    let Some(tls) = peer
        .tls
        .as_deref_mut()
        .filter(|_| peer.stage == Stage::Serving)
    else {
        // Nobody will read it.
        return dispatch::receive(peer, id, input, hub, now);
    };
    let was_shaking = tls.is_handshaking();
    let mut plain = std::mem::take(&mut hub.tls.plain);
    plain.clear();
    match tls.receive(input, &mut plain, now.wall) {
        Ok(received) => {
            if let Some(handshake) = received.handshake {
                hub.counters.increment(match handshake {
                    Handshake::Full => Counter::TlsHandshakesFull,
                    Handshake::Resumed => Counter::TlsHandshakesResumed,
                });
            }
            if plain.is_empty() {
                dispatch::settle(peer, id, hub);
            } else {
                dispatch::receive(peer, id, &mut plain, hub, now);
            }
            hear_end(peer, id, hub);
        }
        Err(TlsFault::PlainHttp) => {
            hub.counters.increment(Counter::TlsFailedHttp);
            peer.tls = None;
            http::answer_last(peer, https_expected_response(), hub, now);
            dispatch::settle(peer, id, hub);
        }
        Err(fault) => fail(peer, id, &fault, was_shaking, hub),
    }
    hub.tls.plain = plain;
}

/// The peer's last word from us is the alert that belongs to its fault.
fn fail(peer: &mut Peer, id: PeerId, fault: &TlsFault, was_shaking: bool, hub: &mut Hub) {
    count(fault, was_shaking, &hub.counters);
    log::debug!("tls_fault address={} fault=\"{fault}\"", peer.address);
    http::end_handshake(peer, hub);
    leave(peer, hub);
    peer.outbox = Outbox::default();
    peer.stage = Stage::FlushingThenLingering;
    if !peer.has_output() {
        return hub.end(peer, id);
    }
    dispatch::settle(peer, id, hub);
}

fn count(fault: &TlsFault, was_shaking: bool, counters: &Counters) {
    counters.increment(match fault {
        _ if !was_shaking => Counter::TlsRecordsBroken,
        TlsFault::PlainHttp => Counter::TlsFailedHttp,
        TlsFault::NotTls(_) => Counter::TlsFailedGarbage,
        TlsFault::Incompatible(_) => Counter::TlsFailedIncompatible,
        TlsFault::NoProtocol => Counter::TlsFailedProtocol,
        TlsFault::Alert(_) => Counter::TlsFailedAlert,
        TlsFault::Oversized | TlsFault::Broken(_) | TlsFault::Exhausted => Counter::TlsFailedBroken,
    });
}

/// The socket brings nothing more.
pub(super) fn end_of_input(peer: &mut Peer, id: PeerId, hub: &mut Hub) {
    if peer.stage == Stage::Serving {
        if peer.is_shaking() {
            hub.counters.increment(Counter::TlsFailedGone);
            return hub.end(peer, id);
        }
        let said_so = peer.tls.as_deref().is_some_and(TlsConnection::has_ended);
        if !said_so {
            hub.counters.increment(Counter::TlsTruncated);
        }
    }
    dispatch::end_of_input(peer, id, hub);
}

/// Notes that the peer has said that it sends nothing more, once all that it sent is worked on: a
/// paused one still has something to ask.
pub(super) fn hear_end(peer: &mut Peer, id: PeerId, hub: &mut Hub) {
    let has_ended = peer.tls.as_deref().is_some_and(TlsConnection::has_ended);
    if has_ended && !peer.eof && peer.pause.is_none() {
        dispatch::end_of_input(peer, id, hub);
    }
}

/// Ends a peer that is owed nothing but, with TLS, the word that this was all (RFC 8446 section
/// 6.1).
pub(super) fn end(peer: &mut Peer, id: PeerId, hub: &mut Hub) {
    let owes = peer.tls.as_deref().is_some_and(TlsConnection::owes_close);
    if !owes || peer.stage != Stage::Serving {
        return hub.end(peer, id);
    }
    leave(peer, hub);
    peer.stage = Stage::Flushing;
    dispatch::settle(peer, id, hub);
}

fn leave(peer: &mut Peer, hub: &mut Hub) {
    if let Some(session) = peer.session_mut() {
        hub.leave_all(session);
    }
}

/// Encrypts what `peer` has to send next, unless the socket has some of it left to take.
pub(super) fn seal(peer: &mut Peer, id: PeerId, hub: &mut Hub) {
    let Some(tls) = peer.tls.as_deref_mut() else {
        return;
    };
    if !tls.unsent().is_empty() || tls.is_handshaking() {
        return;
    }
    let mut pieces = [IoSlice::new(&[]); limits::WRITE_PIECES];
    let (filled, total) = peer.outbox.gather(&mut pieces, limits::TLS_SEALED_BYTES);
    let pieces = pieces.get(..filled).unwrap_or_default();
    let mut sealed = tls.seal(pieces, &mut hub.tls.space);
    let completed = peer.outbox.wrote(total);
    hub.counters.add(Counter::MessagesSent, completed as u64);
    let is_last = match peer.stage {
        Stage::Flushing | Stage::FlushingThenLingering => peer.outbox.is_empty(),
        Stage::Serving | Stage::Lingering(_) | Stage::Ended => false,
    };
    if is_last && sealed.is_ok() {
        sealed = tls.close();
    }
    if let Err(fault) = sealed {
        count(&fault, false, &hub.counters);
        hub.end(peer, id);
    }
}

/// What [`seal`] has made.
pub(super) fn gather<'a>(tls: &'a TlsConnection, slices: &mut [IoSlice<'a>]) -> (usize, usize) {
    let unsent = tls.unsent();
    match slices.first_mut() {
        Some(slot) if !unsent.is_empty() => {
            *slot = IoSlice::new(unsent);
            (1, unsent.len())
        }
        Some(_) | None => (0, 0),
    }
}
