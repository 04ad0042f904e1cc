//! The server's side of one TLS connection, without a socket.
//!
//! Bytes that arrived go into [`TlsConnection::receive`] and come out as plaintext; plaintext goes
//! into [`TlsConnection::seal`] and waits as [`TlsConnection::unsent`] for the socket. Invariants:
//! between two records nothing is owned but rustls's own state; at most
//! [`limits::TLS_UNUSED_BYTES`] that arrived wait for the rest of their record, and nothing is
//! sealed while something is unsent, so no more than one [`limits::TLS_SEALED_BYTES`] of it waits
//! beside what the handshake has to say.

use std::io::IoSlice;
use std::sync::Arc;
use std::{fmt, mem};

use rustls::HandshakeKind;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
    UnbufferedStatus, WriteTraffic,
};

use crate::base::clock::Wall;
use crate::base::limits;
use crate::protocol::tls::acceptor::TlsAcceptor;
use crate::protocol::tls::fault::TlsFault;

/// Bytes that a record has beside its content, at most: header, explicit nonce, type, tag.
const RECORD_OVERHEAD: usize = 32;

/// Bytes of content that a record has at most.
const RECORD_CONTENT: usize = 16 * 1024;

/// Bytes that wait for the socket at most: a chain of certificates as large as its file may be, and
/// what is sealed. Answers to what the peer sends without reading come to no more.
const UNSENT_MAX: usize = 128 * 1024;

/// One connection.
pub struct TlsConnection {
    state: State,
    /// The peer has said that it sends nothing more; what comes all the same is dropped.
    has_ended: bool,
    /// What arrived and cannot be used yet.
    unused: Vec<u8>,
    /// What the socket has not taken, after the first `sent` bytes of it.
    unsent: Vec<u8>,
    sent: usize,
}

enum State {
    /// Nothing has arrived.
    Awaiting(Arc<TlsAcceptor>),
    /// The handshake goes on.
    Shaking(UnbufferedServerConnection, Arc<TlsAcceptor>),
    /// Both sides may send.
    Open(UnbufferedServerConnection),
    /// We have said that we send nothing more.
    Closed,
    /// There is nothing to be said any more but what is unsent.
    Failed,
}

/// Where what is to be sent goes once both sides may send.
type Traffic<'a> = WriteTraffic<'a, ServerConnectionData>;

/// Buffers that the connections of a shard share from one use to the next.
#[derive(Debug, Default)]
pub struct Space {
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

/// What came of bytes that arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The handshake is done, and how.
    pub handshake: Option<Handshake>,
}

/// How a handshake was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// With a certificate and a signature.
    Full,
    /// With the ticket of an earlier session.
    Resumed,
}

impl fmt::Debug for TlsConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Awaiting(_) => "awaiting",
            State::Shaking(..) => "shaking",
            State::Open(_) => "open",
            State::Closed => "closed",
            State::Failed => "failed",
        };
        f.debug_struct("TlsConnection")
            .field("state", &state)
            .field("unused", &self.unused.len())
            .field("unsent", &self.unsent().len())
            .finish()
    }
}

impl TlsConnection {
    /// A connection of which nothing has arrived.
    #[must_use]
    pub const fn new(acceptor: Arc<TlsAcceptor>) -> Self {
        Self {
            state: State::Awaiting(acceptor),
            has_ended: false,
            unused: Vec::new(),
            unsent: Vec::new(),
            sent: 0,
        }
    }

    /// Whether the handshake is still to be done.
    #[must_use]
    pub const fn is_handshaking(&self) -> bool {
        matches!(self.state, State::Awaiting(_) | State::Shaking(..))
    }

    /// Whether the peer has said that it sends nothing more (close_notify).
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether the peer is to be told that nothing more is sent (close_notify).
    #[must_use]
    pub const fn owes_close(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Works on what arrived and appends the plaintext to `plain`, no more than `input` has; after
    /// a fault call it no more. What is to be sent at once, such as our part of a handshake or the
    /// alert that belongs to a fault, is [`TlsConnection::unsent`] then. `input` is overwritten.
    ///
    /// # Errors
    /// What the peer did wrong. After [`TlsFault::PlainHttp`] nothing is to be sent.
    pub fn receive(
        &mut self,
        input: &mut [u8],
        plain: &mut Vec<u8>,
        now: Wall,
    ) -> Result<Received, TlsFault> {
        if self.has_ended {
            return Ok(Received::default());
        }
        self.begin(input.first().copied(), now)?;
        let received = if self.unused.is_empty() {
            let (used, received) = self.process(input, plain)?;
            self.unused
                .extend_from_slice(input.get(used..).unwrap_or_default());
            received
        } else {
            let mut waiting = mem::take(&mut self.unused);
            waiting.extend_from_slice(input);
            let (used, received) = self.process(&mut waiting, plain)?;
            // A copy, because what arrived may be much more than what is left of it.
            self.unused = waiting.get(used..).unwrap_or_default().to_vec();
            received
        };
        if self.has_ended {
            self.unused = Vec::new();
        }
        if self.unused.len() > limits::TLS_UNUSED_BYTES || self.unsent.len() > UNSENT_MAX {
            self.state = State::Failed;
            return Err(TlsFault::Oversized);
        }
        Ok(received)
    }

    /// Makes the connection when the first byte is there, which tells what is spoken.
    fn begin(&mut self, first: Option<u8>, now: Wall) -> Result<(), TlsFault> {
        match &self.state {
            State::Awaiting(acceptor) => {
                let Some(first) = first else { return Ok(()) };
                if first.is_ascii_alphabetic() {
                    self.state = State::Failed;
                    return Err(TlsFault::PlainHttp);
                }
                acceptor.time.tell(now);
                let connection = UnbufferedServerConnection::new(Arc::clone(&acceptor.config))?;
                self.state = State::Shaking(connection, Arc::clone(acceptor));
            }
            State::Shaking(_, acceptor) => acceptor.time.tell(now),
            State::Open(_) | State::Closed | State::Failed => {}
        }
        Ok(())
    }

    /// Works on `input`; returns how much of it was used up.
    fn process(
        &mut self,
        input: &mut [u8],
        plain: &mut Vec<u8>,
    ) -> Result<(usize, Received), TlsFault> {
        let (State::Shaking(connection, _) | State::Open(connection)) = &mut self.state else {
            return Ok((input.len(), Received::default()));
        };
        let mut received = Received::default();
        let used = match drive(
            connection,
            input,
            plain,
            &mut self.unsent,
            &mut self.has_ended,
        ) {
            Ok(used) => used,
            Err(fault) => {
                send_alert(connection, input, &mut self.unsent);
                self.state = State::Failed;
                return Err(fault);
            }
        };
        if !connection.is_handshaking() {
            let kind = connection.handshake_kind();
            self.state = match mem::replace(&mut self.state, State::Failed) {
                State::Shaking(connection, _) => {
                    received.handshake = Some(match kind {
                        Some(HandshakeKind::Resumed) => Handshake::Resumed,
                        Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest)
                        | None => Handshake::Full,
                    });
                    State::Open(connection)
                }
                other => other,
            };
        }
        Ok((used, received))
    }

    /// Encrypts `pieces`, at most [`limits::TLS_SEALED_BYTES`] of them. Call it only when the
    /// handshake is done and nothing is [`TlsConnection::unsent`].
    ///
    /// # Errors
    /// When the keys are used up; the connection can only be cut then.
    pub fn seal(&mut self, pieces: &[IoSlice<'_>], space: &mut Space) -> Result<(), TlsFault> {
        debug_assert!(self.unsent.is_empty(), "one after the other");
        if self.unsent.capacity() == 0 {
            self.unsent = mem::take(&mut space.sealed);
        }
        let plain = match pieces {
            [] => return Ok(()),
            [only] => only,
            several => {
                // In one record where one will do: a record costs more than a copy.
                space.plain.clear();
                for piece in several {
                    space.plain.extend_from_slice(piece);
                }
                space.plain.as_slice()
            }
        };
        let room = plain.len() + RECORD_OVERHEAD * (plain.len() / RECORD_CONTENT + 2);
        self.write(room, |traffic, out| traffic.encrypt(plain, out))
    }

    /// Says that nothing more will be sent (close_notify), once; behind what is unsent.
    ///
    /// # Errors
    /// When the keys are used up.
    pub fn close(&mut self) -> Result<(), TlsFault> {
        if !self.owes_close() {
            return Ok(());
        }
        let written = self.write(2 * RECORD_OVERHEAD, |traffic, out| {
            traffic.queue_close_notify(out)
        });
        self.state = State::Closed;
        written
    }

    fn write(
        &mut self,
        room: usize,
        mut encrypt: impl FnMut(&mut Traffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<(), TlsFault> {
        let State::Open(connection) = &mut self.state else {
            debug_assert!(false, "only an open connection is written to");
            return Err(TlsFault::Exhausted);
        };
        loop {
            // What has not been used yet must be shown: rustls remembers places in it.
            let UnbufferedStatus { discard, state, .. } =
                connection.process_tls_records(&mut self.unused);
            let done = match state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    append(&mut self.unsent, room, |out| encrypt(&mut traffic, out))?;
                    true
                }
                ConnectionState::EncodeTlsData(data) => {
                    encode(data, &mut self.unsent);
                    false
                }
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    false
                }
                ConnectionState::ReadTraffic(mut traffic) => {
                    debug_assert!(false, "all that arrived was worked on");
                    while traffic.next_record().is_some() {}
                    false
                }
                ConnectionState::PeerClosed => false,
                _ => return Err(TlsFault::Exhausted),
            };
            self.unused.drain(..discard);
            if done {
                return Ok(());
            }
        }
    }

    /// What is to be sent next.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        self.unsent.get(self.sent..).unwrap_or_default()
    }

    /// Notes that the socket took `taken` bytes of [`TlsConnection::unsent`].
    pub fn wrote(&mut self, taken: usize, space: &mut Space) {
        debug_assert!(taken <= self.unsent().len(), "no more than there was");
        self.sent += taken;
        if self.sent >= self.unsent.len() {
            self.sent = 0;
            let mut unsent = mem::take(&mut self.unsent);
            if space.sealed.capacity() < unsent.capacity() {
                unsent.clear();
                space.sealed = unsent;
            }
        }
    }

    /// Bytes of buffers that it owns beside rustls's own state.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.unused.capacity() + self.unsent.capacity()
    }
}

/// Works on all records in `input` that are whole; returns how many bytes were used up.
fn drive(
    connection: &mut UnbufferedServerConnection,
    input: &mut [u8],
    plain: &mut Vec<u8>,
    unsent: &mut Vec<u8>,
    has_ended: &mut bool,
) -> Result<usize, TlsFault> {
    let mut used = 0;
    loop {
        let rest = input.get_mut(used..).unwrap_or_default();
        let UnbufferedStatus { discard, state, .. } = connection.process_tls_records(rest);
        used += discard;
        match state? {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    used += record.discard;
                    plain.extend_from_slice(record.payload);
                }
            }
            ConnectionState::EncodeTlsData(data) => encode(data, unsent),
            // It counts as sent when it is written down here.
            ConnectionState::TransmitTlsData(data) => data.done(),
            ConnectionState::PeerClosed => *has_ended = true,
            ConnectionState::BlockedHandshake
            | ConnectionState::WriteTraffic(_)
            | ConnectionState::Closed => return Ok(used),
            // Early data, which is not accepted.
            _ => return Ok(used),
        }
    }
}

/// Appends the alert that tells the peer what it did wrong.
fn send_alert(connection: &mut UnbufferedServerConnection, input: &mut [u8], unsent: &mut Vec<u8>) {
    while connection.wants_write() {
        match connection.process_tls_records(input).state {
            Ok(ConnectionState::EncodeTlsData(data)) => encode(data, unsent),
            Ok(_) | Err(_) => return,
        }
    }
}

fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, unsent: &mut Vec<u8>) {
    let start = unsent.len();
    let mut room = 0;
    // The first call says how much it needs.
    for _ in 0..2 {
        unsent.resize(start + room, 0);
        match data.encode(unsent.get_mut(start..).unwrap_or_default()) {
            Ok(written) => return unsent.truncate(start + written),
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                room = required_size;
            }
            Err(EncodeError::AlreadyEncoded) => return unsent.truncate(start),
        }
    }
}

/// Appends what `write` writes, which needs about `room` bytes.
fn append(
    out: &mut Vec<u8>,
    room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), TlsFault> {
    let start = out.len();
    let mut room = room;
    loop {
        out.resize(start + room, 0);
        match write(out.get_mut(start..).unwrap_or_default()) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size }))
                if required_size > room =>
            {
                room = required_size;
            }
            Err(EncryptError::InsufficientSize(_) | EncryptError::EncryptExhausted) => {
                out.truncate(start);
                return Err(TlsFault::Exhausted);
            }
        }
    }
}

#[cfg(test)]
mod tests;
