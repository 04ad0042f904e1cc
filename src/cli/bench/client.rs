//! One connection of the generator with its socket.
//!
//! May not touch: other connections. Invariant: WouldBlock and Interrupted end here.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, SockRef, Socket, Type};

use crate::base::rng::Rng;
use crate::cli::bench::peer::{Event, Outgoing, Peer};
use crate::cli::bench::reason::Reason;
use crate::cli::tls::{TlsPipe, Trust};
use crate::os::socket::is_connecting;

/// Full buffers read from one connection in a turn, so that a flood does not keep us from the
/// clock.
const READS_MAX: usize = 16;

/// A connection.
pub(super) struct Client {
    stream: TcpStream,
    peer: Peer,
    /// With wss, what the peer's bytes go through.
    tls: Option<TlsPipe>,
    progress: Progress,
    /// When connecting began, or closing if it has begun.
    since: Instant,
}

/// What TLS connections are made from.
#[derive(Clone, Debug)]
pub(super) struct Secure {
    pub(super) trust: Trust,
    /// The host whose certificate is expected.
    pub(super) host: String,
}

impl Secure {
    /// TLS for one more connection.
    pub(super) fn pipe(&self) -> io::Result<TlsPipe> {
        TlsPipe::new(&self.trust, &self.host).map_err(io::Error::other)
    }
}

/// How far the connection under a peer has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Connecting,
    Connected,
    /// The server sends nothing more.
    HalfClosed,
}

/// What an event allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Readiness {
    pub(super) may_write: bool,
    pub(super) may_read: bool,
    /// Less than a full buffer means that nothing is left, and an event will tell of more.
    pub(super) short_read_is_last: bool,
}

impl Readiness {
    /// Of what was not read to its end.
    pub(super) const READ_ON: Self = Self {
        may_write: false,
        may_read: true,
        short_read_is_last: false,
    };
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// We closed, the server closed, the connection ended.
    Closed,
    /// Otherwise.
    Reason(Reason),
}

/// What is next for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Served {
    /// To wait for its next event.
    Waiting,
    /// To be read on without waiting.
    Unread,
    /// Nothing: it is over.
    Over(End),
}

impl Client {
    /// Begins to connect.
    pub(super) fn dial(
        address: SocketAddr,
        source: Option<SocketAddr>,
        (peer, tls): (Peer, Option<TlsPipe>),
        registry: &Registry,
        index: usize,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = source {
            socket.bind(&source.into())?;
        }
        match socket.connect(&address.into()) {
            Ok(()) => {}
            Err(error) if is_connecting(&error) => {}
            Err(error) => return Err(error),
        }
        let mut stream = TcpStream::from_std(socket.into());
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut stream, Token(index), interest)?;
        Ok(Self {
            stream,
            peer,
            tls,
            progress: Progress::Connecting,
            since: Instant::now(),
        })
    }

    /// Whether the server accepted it.
    pub(super) fn is_opened(&self) -> bool {
        self.progress != Progress::Connecting && self.peer.is_accepted()
    }

    /// What is there if nothing has happened for `opening` while it was opened, or for `closing`
    /// after we closed it.
    pub(super) fn overdue(
        &self,
        opening: Duration,
        closing: Duration,
        now: Instant,
    ) -> Option<End> {
        let waited = now.saturating_duration_since(self.since);
        if !self.is_opened() {
            (waited >= opening).then_some(End::Reason(Reason::Silent))
        } else if self.peer.is_closing() {
            let end = self.peer.ended().map(|_| End::Reason(Reason::Silent));
            (waited >= closing).then_some(end.unwrap_or(End::Closed))
        } else {
            None
        }
    }

    /// Whether it is for HTTP requests.
    pub(super) fn is_http(&self) -> bool {
        self.peer.is_http()
    }

    /// When connecting began, or closing if it has begun.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Lets `act` send something, if the connection is open and was not closed by us.
    pub(super) fn send(
        &mut self,
        rng: &mut Rng,
        act: impl FnOnce(&mut Outgoing<'_>),
    ) -> Option<End> {
        if !self.is_opened() || self.peer.is_closing() {
            return None;
        }
        self.peer.send(rng, act);
        if self.peer.is_closing() {
            self.since = Instant::now();
        }
        self.flush().err()
    }

    /// Does what an event allows.
    pub(super) fn serve(
        &mut self,
        readiness: Readiness,
        scratch: &mut [u8],
        rng: &mut Rng,
        mut handle: impl FnMut(&mut Outgoing<'_>, Event<'_>, Instant),
    ) -> Served {
        let was_opened = self.is_opened();
        if readiness.may_write
            && let Err(end) = self.write()
        {
            return Served::Over(end);
        }
        // A WebSocket tells that it is open; for requests it is enough to be connected.
        if self.is_http() && self.is_opened() && !was_opened {
            let now = Instant::now();
            let act = |outgoing: &mut Outgoing<'_>| handle(outgoing, Event::Opened, now);
            if let Some(end) = self.send(rng, act) {
                return Served::Over(end);
            }
        }
        if !readiness.may_read || self.progress == Progress::Connecting {
            return Served::Waiting;
        }
        self.read(readiness.short_read_is_last, scratch, rng, handle)
            .unwrap_or_else(Served::Over)
    }

    /// Ends the connection. Who ends one first keeps its port busy for a minute, and there are only
    /// so many: unless the server closed, the connection is reset.
    pub(super) fn hang_up(self, end: End) {
        let was_closed = match end {
            End::Reason(Reason::Closed(_) | Reason::ClosedWithoutCode) => true,
            End::Closed | End::Reason(_) => self.progress == Progress::HalfClosed,
        };
        if !was_closed {
            // Where that is refused, ports are kept busy.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }

    fn write(&mut self) -> Result<(), End> {
        if self.progress == Progress::Connecting {
            let refused = |error: io::Error| End::Reason(Reason::Connect(error.kind()));
            if let Some(error) = self.stream.take_error().map_err(refused)? {
                return Err(refused(error));
            }
            if self.stream.peer_addr().is_err() {
                return Ok(()); // Not yet.
            }
            self.progress = Progress::Connected;
        }
        self.flush()
    }

    fn read(
        &mut self,
        short_read_is_last: bool,
        scratch: &mut [u8],
        rng: &mut Rng,
        mut handle: impl FnMut(&mut Outgoing<'_>, Event<'_>, Instant),
    ) -> Result<Served, End> {
        for _ in 0..READS_MAX {
            let count = match self.stream.read(scratch) {
                Ok(0) => {
                    self.progress = Progress::HalfClosed;
                    return Err(self.peer.ended().map_or(End::Closed, End::Reason));
                }
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Served::Waiting),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.broken(&error)),
            };
            let now = Instant::now();
            let was_closing = self.peer.is_closing();
            let mut input = scratch.get_mut(..count).unwrap_or_default();
            let mut plain = Vec::new();
            if let Some(tls) = &mut self.tls {
                let decrypted = tls.receive(input, &mut plain);
                decrypted.map_err(|error| self.broken(&error))?;
                input = &mut plain;
            }
            let received = self.peer.receive(input, rng, |outgoing, event| {
                handle(outgoing, event, now);
            });
            if !was_closing && self.peer.is_closing() {
                self.since = now;
            }
            let flushed = self.flush();
            received.map_err(End::Reason)?;
            flushed?;
            if count < scratch.len() && short_read_is_last {
                return Ok(Served::Waiting);
            }
        }
        Ok(Served::Unread)
    }

    fn flush(&mut self) -> Result<(), End> {
        loop {
            let unsent = self.peer.unsent();
            let written = match &mut self.tls {
                Some(tls) => {
                    let sent = tls.send(unsent);
                    unsent.clear();
                    if sent.is_ok() && !tls.wants_write() {
                        return Ok(());
                    }
                    sent.and_then(|()| tls.write_to(&mut self.stream))
                }
                None if unsent.is_empty() => return Ok(()),
                None => self.stream.write(unsent).inspect(|taken| {
                    unsent.drain(..*taken);
                }),
            };
            match written {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(&error)),
            }
        }
    }

    fn broken(&self, error: &io::Error) -> End {
        let reason = self.peer.broken(error.kind());
        reason.map_or(End::Closed, End::Reason)
    }
}
