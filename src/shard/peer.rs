//! One connection of a shard, and the session on it.
//!
//! A connection is how (a stream of bytes with its framing), a session is who (rooms, dialect,
//! rate). Sessions of Engine.IO outlive their connections, so they and their namespaces are peers
//! of their own, without a socket. Invariant: an idle peer owns no buffer; what it costs is pinned
//! by a test.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use crate::base::clock::{Mono, Wall};
use crate::base::ids::{PeerId, SessionId};
use crate::dialect::Dialect;
use crate::dialect::events::Track;
use crate::dialect::socket_io::encode::PacketForm;
use crate::dialect::socket_io::namespace::Namespace;
use crate::domain::access::Identity;
use crate::domain::durable::DurableName;
use crate::domain::fault::Fault;
use crate::domain::project::ProjectId;
use crate::domain::rate_limit::TokenBucket;
use crate::domain::room::RoomName;
use crate::protocol::engine_session::EngineSession;
use crate::protocol::http_exchange::HttpExchange;
use crate::protocol::socket_session::SocketSession;
use crate::protocol::timers::{Tick, Timers};
use crate::protocol::tls::connection::TlsConnection;
use crate::protocol::websocket::WebSocket;
use crate::shard::behind::BehindIn;
use crate::shard::compression::Party;
use crate::shard::deadlines::Armed;
use crate::shard::engine::recovery::Recovery;
use crate::shard::event_stream::Pending;
use crate::shard::outbox::Outbox;
use crate::shard::outlet::{Outlet, Spelling};
use crate::shard::rooms::Membership;
use crate::wire::websocket::extension::Agreement;

/// One connection.
#[derive(Debug)]
pub(super) struct Peer {
    /// The client's: behind a trusted proxy, as its last request said.
    pub(super) address: IpAddr,
    /// It counts among the connections of its address.
    pub(super) is_counted: bool,
    pub(super) stage: Stage,
    /// Why input is left in `tail` instead of being worked on.
    pub(super) pause: Option<Pause>,
    /// Whether it stands in the turn's list of those with something to write.
    pub(super) dirty: bool,
    /// The peer has closed its sending side.
    pub(super) eof: bool,
    /// What was agreed on about compression.
    pub(super) compression: Option<Agreement>,
    /// Where its entries among the deadlines stand.
    pub(super) armed: Armed,
    pub(super) timers: Timers,
    pub(super) outbox: Outbox,
    /// Input that could not be worked on yet; empty most of the time.
    pub(super) tail: Vec<u8>,
    /// What the bytes go through, if the listener speaks TLS.
    pub(super) tls: Option<Box<TlsConnection>>,
    pub(super) conversation: Conversation,
}

/// Where a connection stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Input is worked on.
    Serving,
    /// Input is dropped; when the outbox is empty the connection ends.
    Flushing,
    /// Input is dropped; when the outbox is empty our side is shut and the peer's end is awaited,
    /// so that unread input does not turn our last bytes into a reset.
    FlushingThenLingering,
    /// Our side is shut; so many more bytes of input are dropped before the connection is cut.
    Lingering(u32),
    /// Nothing more; it is removed at the end of the turn.
    Ended,
}

/// Why a peer's input waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// A worker has its last request.
    Job,
    /// It sent more messages than its rate allows.
    Rate,
    /// It does not read its replies.
    Outbox,
    /// The Engine.IO session that it carries, or asks for, has its last request.
    Engine,
    /// It goes to another shard, which is to decide on its request.
    Move,
}

/// What is spoken on a connection.
#[derive(Debug)]
pub(super) enum Conversation {
    /// HTTP/1.1; most connections begin here and some stay.
    Http(Box<HttpPeer>),
    /// A WebSocket and its session.
    Socket(SocketPeer),
    /// A stream of Server-Sent Events and its session; open while its stage is serving.
    Events(Box<EventsPeer>),
    /// A WebSocket that carries a session of Engine.IO, or tries to.
    Carrier(CarrierPeer),
    /// A session of Engine.IO, which has no socket; `None` while it is worked on.
    Engine(Option<Box<EnginePeer>>),
    /// A session in a namespace of Socket.IO, which has no socket.
    Namespace(Box<NamespacePeer>),
    /// Nothing: it was refused at accept.
    Refused,
}

/// An HTTP connection.
#[derive(Debug, Default)]
pub(super) struct HttpPeer {
    pub(super) exchange: HttpExchange,
    /// It counts as a handshake in progress: no request was complete yet.
    pub(super) is_handshake: bool,
    /// The address of the trusted proxy whose connection this is.
    pub(super) proxy: Option<IpAddr>,
    /// It is on a place kept for health checks and administration.
    pub(super) is_reserved: bool,
    /// The request being read, once it is welcome.
    pub(super) admitted: Option<Admitted>,
    /// The stream that the current request asks for, while a worker reads for it.
    pub(super) pending: Option<Box<Pending>>,
    /// The origin that the current answer is for, if CORS headers are due.
    pub(super) cors_origin: Option<Box<str>>,
    /// The Engine.IO session that answers the current request.
    pub(super) engine: Option<PeerId>,
    /// What that request says of the codings that its client reads.
    pub(super) accepts: Option<Box<str>>,
}

/// A request that is welcome, while its body is read.
#[derive(Debug)]
pub(super) struct Admitted {
    /// The route, an index into the table of routes.
    pub(super) route: usize,
    /// What its path leaves open.
    pub(super) parameters: Vec<String>,
    /// Who asks.
    pub(super) identity: Identity,
}

/// A WebSocket connection with its session.
#[derive(Debug)]
pub(super) struct SocketPeer {
    pub(super) socket: WebSocket,
    pub(super) session: Session,
}

/// A connection that gets a stream of Server-Sent Events.
#[derive(Debug)]
pub(super) struct EventsPeer {
    pub(super) session: Session,
    /// How far the stream has got.
    pub(super) track: Track,
}

/// A WebSocket that speaks Engine.IO.
#[derive(Debug)]
pub(super) struct CarrierPeer {
    pub(super) socket: WebSocket,
    /// The session that it carries or tries to; none before it has one and after it was given up.
    pub(super) engine: Option<PeerId>,
    /// The session has more for it than it took.
    pub(super) is_behind: bool,
}

/// A session of Engine.IO with that of Socket.IO on it.
#[derive(Debug)]
pub(super) struct EnginePeer {
    pub(super) sid: SessionId,
    pub(super) engine: EngineSession,
    pub(super) socket: SocketSession,
    /// Whose it is by the request that it began with.
    pub(super) shown: Result<Identity, Fault>,
    /// The namespaces that its client is in, by the peers that stand for them.
    pub(super) namespaces: Vec<(Namespace, PeerId)>,
    /// What came and cannot be worked on before `waits_for` goes on.
    pub(super) held: VecDeque<(PeerId, Held)>,
    /// The peer that is paused: a namespace's, or the session's own.
    pub(super) waits_for: Option<PeerId>,
    /// The WebSockets that are not read because of it.
    pub(super) unread: Vec<PeerId>,
    /// How often its client may come into namespaces and leave them.
    pub(super) bucket: TokenBucket,
    /// The code that its WebSocket is closed with, once it is closed from our side.
    pub(super) close_code: Option<u16>,
}

/// Something that came for a session of Engine.IO.
#[derive(Debug)]
pub(super) enum Held {
    /// A text frame.
    Text(Box<str>),
    /// A binary frame.
    Binary(Box<[u8]>),
    /// What is left of the body of a POST.
    Body(Box<str>),
}

/// A session in a namespace of Socket.IO.
#[derive(Debug)]
pub(super) struct NamespacePeer {
    pub(super) session: Session,
    /// The session of Engine.IO that it is part of.
    pub(super) engine: PeerId,
    /// How publications are spelt to it.
    pub(super) form: PacketForm,
    /// Neither side has left.
    pub(super) is_open: bool,
    /// Under which id the event is to be acknowledged whose answer is awaited.
    pub(super) awaits: Option<u64>,
    /// What its client needs to come back to it, if it can.
    pub(super) recovery: Option<Box<Recovery>>,
}

/// A participant.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) dialect: Dialect,
    /// Commands in a row that were mistakes.
    pub(super) errors: u8,
    /// A message was carried out without a token.
    pub(super) owes_token: bool,
    pub(super) bucket: TokenBucket,
    pub(super) pauses: Pauses,
    /// Without room to grow, which most sessions never need.
    pub(super) memberships: Box<[Membership]>,
    /// Those in which it is behind; nothing for one that keeps up.
    pub(super) behind: BehindIn,
    pub(super) connected_at: Wall,
    pub(super) identity: Identity,
    /// What only some sessions keep in mind.
    pub(super) asides: Option<Box<Asides>>,
}

impl Session {
    /// A session in no room yet.
    pub(super) fn new(id: SessionId, dialect: Dialect, identity: Identity, now: Wall) -> Self {
        Self {
            id,
            dialect,
            errors: 0,
            owes_token: false,
            bucket: TokenBucket::default(),
            pauses: Pauses::default(),
            memberships: Box::default(),
            behind: BehindIn::default(),
            connected_at: now,
            identity,
            asides: None,
        }
    }
}

/// What a session keeps in mind beside its memberships.
#[derive(Debug, Default)]
pub(super) struct Asides {
    /// Those it asked for at the upgrade, to be joined once it has shown a token.
    pub(super) waiting: Vec<RoomName>,
    /// Those an operator put it in, whatever its own rights.
    pub(super) placed: Vec<RoomName>,
    /// Its durable subscriptions, to rooms that it is in.
    pub(super) durable: Vec<(RoomName, DurableName)>,
    /// A device's channels that are no rooms, of which it never hears anything.
    pub(super) channels: Vec<Box<str>>,
    /// The project that it joined last and has not left.
    pub(super) project: Option<ProjectId>,
}

/// How long reading was paused for the message rate in the current minute.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pauses {
    minute_began: Tick,
    paused_ms: u32,
}

impl Pauses {
    /// Adds a pause that begins now; returns how long the pauses of this minute are in all.
    pub(super) fn add(&mut self, pause: Duration, now: Mono) -> Duration {
        let tick = Tick::reached(now);
        if tick >= Tick::at_or_after(self.minute_began.begins() + Duration::from_secs(60)) {
            *self = Self {
                minute_began: tick,
                paused_ms: 0,
            };
        }
        let millis = u32::try_from(pause.as_millis()).unwrap_or(u32::MAX).max(1);
        self.paused_ms = self.paused_ms.saturating_add(millis);
        Duration::from_millis(u64::from(self.paused_ms))
    }
}

impl Peer {
    pub(super) fn new(address: IpAddr, conversation: Conversation) -> Self {
        Self {
            address,
            is_counted: false,
            stage: Stage::Serving,
            pause: None,
            dirty: false,
            eof: false,
            compression: None,
            armed: Armed::default(),
            timers: Timers::default(),
            outbox: Outbox::default(),
            tail: Vec::new(),
            tls: None,
            conversation,
        }
    }

    /// The connection as the one to compress for, or to inflate from.
    pub(super) fn party(&self, peer: PeerId) -> Party {
        let agreement = self.compression;
        Party { peer, agreement }
    }

    /// Whether its input shall be read from the socket.
    pub(super) fn wants_input(&self) -> bool {
        match self.stage {
            Stage::Serving => match self.pause {
                None => true,
                // It may end while its poll hangs.
                Some(Pause::Engine) => self.tail.is_empty(),
                Some(Pause::Job | Pause::Rate | Pause::Outbox | Pause::Move) => false,
            },
            Stage::Flushing | Stage::FlushingThenLingering | Stage::Lingering(_) => true,
            Stage::Ended => false,
        }
    }

    /// Whether the socket has something to take: what is queued, what TLS has made of it, or the
    /// word that this was the last of it.
    pub(super) fn has_output(&self) -> bool {
        let of_tls = |tls: &TlsConnection| {
            let is_last = match self.stage {
                Stage::Flushing | Stage::FlushingThenLingering => tls.owes_close(),
                Stage::Serving | Stage::Lingering(_) | Stage::Ended => false,
            };
            is_last || !tls.unsent().is_empty()
        };
        !self.outbox.is_empty() || self.tls.as_deref().is_some_and(of_tls)
    }

    /// Whether its TLS handshake is still to be done.
    pub(super) fn is_shaking(&self) -> bool {
        self.tls
            .as_deref()
            .is_some_and(TlsConnection::is_handshaking)
    }

    /// Whether it is an HTTP connection between two requests with nothing left to send.
    pub(super) fn is_resting(&self) -> bool {
        match &self.conversation {
            Conversation::Http(http) => {
                !self.is_shaking()
                    && http.exchange.awaits_head()
                    && self.tail.is_empty()
                    && !self.has_output()
            }
            Conversation::Socket(_)
            | Conversation::Events(_)
            | Conversation::Carrier(_)
            | Conversation::Engine(_)
            | Conversation::Namespace(_)
            | Conversation::Refused => false,
        }
    }

    /// Whether it has a socket.
    pub(super) fn has_socket(&self) -> bool {
        !matches!(
            self.conversation,
            Conversation::Engine(_) | Conversation::Namespace(_)
        )
    }

    /// What it is while it speaks HTTP.
    pub(super) fn http(&self) -> Option<&HttpPeer> {
        match &self.conversation {
            Conversation::Http(http) => Some(http),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub(super) fn http_mut(&mut self) -> Option<&mut HttpPeer> {
        match &mut self.conversation {
            Conversation::Http(http) => Some(http),
            _ => None,
        }
    }

    /// Whether it has a session that is behind in some room.
    pub(super) fn is_behind(&self) -> bool {
        let session = self.session();
        session.is_some_and(|session| !session.behind.is_empty())
    }

    /// Its session, open or not.
    pub(super) fn session(&self) -> Option<&Session> {
        match &self.conversation {
            Conversation::Socket(peer) => Some(&peer.session),
            Conversation::Events(peer) => Some(&peer.session),
            Conversation::Namespace(peer) => Some(&peer.session),
            Conversation::Http(_)
            | Conversation::Carrier(_)
            | Conversation::Engine(_)
            | Conversation::Refused => None,
        }
    }

    /// Whether a worker reads for a room that its session is behind in.
    #[cfg(any(test, feature = "testkit"))]
    pub(super) fn is_read_for(&self) -> bool {
        let session = self.session();
        session.is_some_and(|session| session.behind.is_reading())
    }

    /// Its session, open or not, to be changed.
    pub(super) fn session_mut(&mut self) -> Option<&mut Session> {
        match &mut self.conversation {
            Conversation::Socket(peer) => Some(&mut peer.session),
            Conversation::Events(peer) => Some(&mut peer.session),
            Conversation::Namespace(peer) => Some(&mut peer.session),
            Conversation::Http(_)
            | Conversation::Carrier(_)
            | Conversation::Engine(_)
            | Conversation::Refused => None,
        }
    }

    /// Whether it has a session and both sides are open.
    pub(super) fn has_open_session(&self) -> bool {
        let is_open = match &self.conversation {
            Conversation::Socket(peer) => peer.socket.is_open(),
            Conversation::Events(_) => true,
            Conversation::Namespace(peer) => peer.is_open,
            Conversation::Http(_)
            | Conversation::Carrier(_)
            | Conversation::Engine(_)
            | Conversation::Refused => false,
        };
        is_open && self.stage == Stage::Serving
    }

    /// Its session while both sides are open.
    pub(super) fn open_session(&mut self) -> Option<&mut Session> {
        match (&mut self.conversation, self.stage) {
            (Conversation::Socket(peer), Stage::Serving) if peer.socket.is_open() => {
                Some(&mut peer.session)
            }
            (Conversation::Events(peer), Stage::Serving) => Some(&mut peer.session),
            (Conversation::Namespace(peer), Stage::Serving) if peer.is_open => {
                Some(&mut peer.session)
            }
            _ => None,
        }
    }

    /// Its session while both sides are open, and the way that publications take to it.
    pub(super) fn open_outlet(&mut self, id: PeerId) -> Option<(&mut Session, Outlet<'_>)> {
        let to = self.party(id);
        let (session, spelling) = match (&mut self.conversation, self.stage) {
            (Conversation::Socket(peer), Stage::Serving) if peer.socket.is_open() => {
                (&mut peer.session, Spelling::Frames(to))
            }
            (Conversation::Events(peer), Stage::Serving) => {
                (&mut peer.session, Spelling::Lines(&mut peer.track))
            }
            (Conversation::Namespace(peer), Stage::Serving) if peer.is_open => (
                &mut peer.session,
                Spelling::Packets(peer.form, peer.recovery.as_deref_mut()),
            ),
            _ => return None,
        };
        let outbox = &mut self.outbox;
        Some((session, Outlet { outbox, spelling }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_stays_small() {
        assert!(size_of::<Peer>() <= 256, "{} bytes", size_of::<Peer>());
    }
}
