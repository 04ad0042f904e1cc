//! Compressed messages of one shard: one compressor and one inflater for all its connections, and
//! contexts of their own for those that agreed on them.
//!
//! Publications are compressed once for all who agreed on the same window and are shared like any
//! frame ([`Compressing::shared_frame`]); only replies, and everything for connections with a
//! context, are compressed for one alone. Invariants: a connection whose messages refer to no others
//! owns nothing here; what a context has compressed is sent, or nothing compressed ever after.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::ids::PeerId;
use crate::base::limits;
use crate::dialect::delivery::{Delivery, Wording};
use crate::dialect::frame::{Frame, Messages};
use crate::dialect::publication::RoomSet;
use crate::metrics::counters::Counters;
use crate::metrics::names::Counter;
use crate::protocol::websocket::Step;
use crate::shard::outbox::{Keep, Outbox};
use crate::wire::websocket::assembler::MessageKind;
use crate::wire::websocket::deflate::{DeflateContext, Deflater, InflateContext, Inflater};
use crate::wire::websocket::extension::{Agreement, WindowBits};
use crate::wire::websocket::fault::WebSocketFault;
use crate::wire::websocket::frame::{Opcode, write_compressed_header, write_header};

/// A connection, and what was agreed on with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Party {
    pub(super) peer: PeerId,
    pub(super) agreement: Option<Agreement>,
}

/// Makes compressed messages.
#[derive(Debug)]
pub(super) struct Compressing {
    deflater: Deflater,
    contexts: HashMap<PeerId, DeflateContext>,
    /// Connections whose messages may refer to earlier ones, either way.
    with_contexts: usize,
    /// Messages with fewer bytes are sent as they are.
    pub(super) min_bytes: usize,
    counters: Arc<Counters>,
}

impl Compressing {
    pub(super) fn new(min_bytes: usize, counters: Arc<Counters>) -> Self {
        Self {
            deflater: Deflater::default(),
            contexts: HashMap::new(),
            with_contexts: 0,
            min_bytes,
            counters,
        }
    }

    /// Lets go of the compressors that are nobody's; the next message makes another.
    pub(super) fn release(&mut self) {
        self.deflater = Deflater::default();
        self.contexts.shrink_to_fit();
    }

    /// Settles what a new connection gets: contexts only while few have some.
    pub(super) fn open(&mut self, agreement: Agreement) -> Agreement {
        self.counters.increment(Counter::SessionsCompressed);
        if !keeps_context(agreement) {
            return agreement;
        }
        if self.with_contexts >= limits::SESSIONS_WITH_CONTEXTS {
            self.counters.increment(Counter::ContextsRefused);
            return agreement.without_contexts();
        }
        self.with_contexts += 1;
        agreement
    }

    /// Queues a message for one connection.
    pub(super) fn push(&mut self, outbox: &mut Outbox, to: Party, opcode: Opcode, payload: &[u8]) {
        let compressed = match to.agreement {
            Some(agreement) if payload.len() >= self.min_bytes => {
                self.compress(context_of(to.peer, agreement), agreement.window(), payload)
            }
            Some(_) | None => None,
        };
        outbox.push_own(|out| match compressed {
            Some(bytes) => {
                write_compressed_header(true, opcode, bytes.len() as u64, None, out);
                out.extend_from_slice(bytes);
            }
            None => {
                write_header(true, opcode, payload.len() as u64, None, out);
                out.extend_from_slice(payload);
            }
        });
    }

    /// The frame of a publication that a connection shares with all others that agreed on the same.
    /// Ask once for all of them.
    pub(super) fn shared_frame(
        &mut self,
        delivery: &Delivery,
        wording: Wording,
        set: RoomSet,
        agreement: Option<Agreement>,
    ) -> Arc<Frame> {
        match agreement {
            Some(agreement) if !agreement.server_keeps_context() => {
                let window = agreement.window();
                let compress = |plain| self.frame(plain, None, window);
                delivery.compressed_frame(wording, set, window, compress)
            }
            Some(_) | None => delivery.frame(wording, set),
        }
    }

    /// Queues a publication, whose frame is that of [`Compressing::shared_frame`].
    ///
    /// One that may be dropped from a connection with a context goes out as it is: once compressed,
    /// it would be missed by all that come after it.
    pub(super) fn push_shared(
        &mut self,
        outbox: &mut Outbox,
        to: Party,
        frame: Arc<Frame>,
        keep: Keep,
    ) {
        let frame = match (to.agreement, keep) {
            (Some(agreement), Keep::Always) if agreement.server_keeps_context() => {
                self.frame(frame, Some(to.peer), agreement.window())
            }
            (Some(_) | None, Keep::Always | Keep::UntilFull) => frame,
        };
        outbox.push_shared(frame, keep);
    }

    /// The compressed form of a frame, each of its messages by itself; the frame itself if all are
    /// short, or would become no smaller. `context_of` as in [`Compressing::compress`].
    fn frame(
        &mut self,
        plain: Arc<Frame>,
        context_of: Option<PeerId>,
        window: WindowBits,
    ) -> Arc<Frame> {
        let min_bytes = self.min_bytes;
        if plain
            .payloads()
            .all(|(_, payload)| payload.len() < min_bytes)
        {
            return plain;
        }
        let (mut messages, mut is_compressed) = (Messages::default(), false);
        for (opcode, payload) in plain.payloads() {
            let is_long = payload.len() >= min_bytes;
            let compressed = is_long.then(|| self.compress(context_of, window, payload));
            match compressed.flatten() {
                Some(bytes) => {
                    messages.compressed(opcode, bytes);
                    is_compressed = true;
                }
                None => messages.message(opcode, payload),
            }
        }
        match is_compressed {
            true => messages.finish(),
            false => plain,
        }
    }

    /// Compresses a message, if that makes it smaller or it goes to a connection that has a context,
    /// `context_of`.
    fn compress(
        &mut self,
        context_of: Option<PeerId>,
        window: WindowBits,
        payload: &[u8],
    ) -> Option<&[u8]> {
        let compressed = match context_of {
            Some(peer) => {
                let counters = &self.counters;
                let context = self.contexts.entry(peer).or_insert_with(|| {
                    counters.increment(Counter::ContextsMade);
                    DeflateContext::default()
                });
                self.deflater.deflate_next(payload, window, context)
            }
            None => self.deflater.deflate(payload, window),
        };
        count_compressed(&self.counters, payload, compressed);
        compressed
    }

    /// Lets go of what a connection had.
    pub(super) fn close(&mut self, party: Party) {
        if !party.agreement.is_some_and(keeps_context) {
            return;
        }
        self.with_contexts -= 1;
        if self.contexts.remove(&party.peer).is_some() {
            self.counters.increment(Counter::ContextsFreed);
        }
    }

    /// Compares what is here with the connections of the shard.
    ///
    /// # Panics
    /// When something is left of one that is gone, or has no right to it.
    #[cfg(any(test, feature = "testkit"))]
    pub(super) fn check_invariants(&self, parties: &[Party]) {
        let entitled = parties
            .iter()
            .filter(|party| party.agreement.is_some_and(keeps_context));
        assert_eq!(self.with_contexts, entitled.count());
        for peer in self.contexts.keys() {
            let keeps = |party: &&Party| {
                let agreement = party.agreement;
                party.peer == *peer && agreement.is_some_and(Agreement::server_keeps_context)
            };
            assert!(parties.iter().any(|party| keeps(&party)), "{peer}");
        }
    }
}

/// Counts a message that was compressed, even if it is sent as it is because it became no smaller.
fn count_compressed(counters: &Counters, message: &[u8], compressed: Option<&[u8]>) {
    let sent = compressed.unwrap_or(message);
    counters.increment(Counter::MessagesDeflated);
    counters.add(Counter::DeflatedBytesBefore, message.len() as u64);
    counters.add(Counter::DeflatedBytesAfter, sent.len() as u64);
}

/// The connection whose context its messages are compressed with; `None` if with none.
fn context_of(peer: PeerId, agreement: Agreement) -> Option<PeerId> {
    agreement.server_keeps_context().then_some(peer)
}

fn keeps_context(agreement: Agreement) -> bool {
    agreement.server_keeps_context() || agreement.client_keeps_context()
}

/// Reads compressed messages.
#[derive(Debug)]
pub(super) struct Inflating {
    inflater: Inflater,
    contexts: HashMap<PeerId, InflateContext>,
    counters: Arc<Counters>,
}

impl Inflating {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self {
            inflater: Inflater::default(),
            contexts: HashMap::new(),
            counters,
        }
    }

    /// Lets go of the inflater that is nobody's; the next message makes another.
    pub(super) fn release(&mut self) {
        self.inflater = Inflater::default();
        self.contexts.shrink_to_fit();
    }

    /// What a compressed message of at most `limit` bytes is, once it is inflated and checked; a
    /// fault if it cannot be.
    pub(super) fn read(
        &mut self,
        from: Party,
        kind: MessageKind,
        message: &[u8],
        limit: usize,
    ) -> Step<'_> {
        let counters = &self.counters;
        let keeps = from.agreement.is_some_and(Agreement::client_keeps_context);
        let inflated = if keeps {
            let context = self.contexts.entry(from.peer).or_insert_with(|| {
                counters.increment(Counter::ContextsMade);
                InflateContext::default()
            });
            self.inflater.inflate_next(message, limit, context)
        } else {
            self.inflater.inflate(message, limit)
        };
        let bytes = match inflated {
            Ok(bytes) => bytes,
            Err(fault) => return Step::Fault(fault),
        };
        counters.increment(Counter::MessagesInflated);
        counters.add(Counter::InflatedBytesBefore, message.len() as u64);
        counters.add(Counter::InflatedBytesAfter, bytes.len() as u64);
        match kind {
            MessageKind::Text => simdutf8::basic::from_utf8(bytes)
                .map_or(Step::Fault(WebSocketFault::InvalidUtf8), Step::Text),
            MessageKind::Binary => Step::Binary(bytes),
        }
    }

    /// Lets go of what a connection had.
    pub(super) fn close(&mut self, party: Party) {
        if self.contexts.remove(&party.peer).is_some() {
            self.counters.increment(Counter::ContextsFreed);
        }
    }

    /// Compares what is here with the connections of the shard.
    ///
    /// # Panics
    /// When something is left of one that is gone, or has no right to it.
    #[cfg(any(test, feature = "testkit"))]
    pub(super) fn check_invariants(&self, parties: &[Party]) {
        for peer in self.contexts.keys() {
            let keeps = |party: &&Party| {
                let agreement = party.agreement;
                party.peer == *peer && agreement.is_some_and(Agreement::client_keeps_context)
            };
            assert!(parties.iter().any(|party| keeps(&party)), "{peer}");
        }
    }
}
