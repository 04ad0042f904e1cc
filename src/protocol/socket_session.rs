//! A session of Socket.IO 5: which namespaces it is in, and what its messages mean there.
//!
//! ```text
//! CONNECT ─▶ Asked ─ connected() ─▶ Connected ─ DISCONNECT, or disconnect() ─▶ out
//!              └─── refused() ────▶ out
//! ```
//! One Engine.IO session carries all namespaces. May not touch: connections (that is
//! [`engine_session`](super::engine_session)), who may come in, what events do. Invariants: an event
//! is handed on only for a namespace that the client was let into; a session in no namespace has a
//! deadline; what a client can make it hold is bounded by the namespaces configured, by
//! [`ASKED`] and by the assembler's limits.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::base::clock::Mono;
use crate::wire::socket_io::array::{Array, EventPayload};
use crate::wire::socket_io::assembler::{Assembled, Assembler};
use crate::wire::socket_io::fault::PacketFault;
use crate::wire::socket_io::packet::Body;

/// Acknowledgements awaited from one client; beyond them the oldest is not awaited any more.
pub const ASKED: usize = 64;

/// What holds for all sessions.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The namespaces there are, each beginning with `/`.
    pub namespaces: Arc<[Arc<str>]>,
    /// How long a session may be in no namespace.
    pub connect_timeout: Duration,
    /// How long the attachments of a packet may take.
    pub attachment_timeout: Duration,
    /// Bytes of a packet with its attachments.
    pub packet_bytes: usize,
}

/// One client's part in its namespaces.
#[derive(Debug)]
pub struct SocketSession {
    places: Vec<Place>,
    /// Until when it has to be in a namespace; none while it is in one.
    connect_due: Option<Mono>,
    assembler: Assembler,
    /// The ids of events that the client shall acknowledge, oldest first.
    asked: Vec<(Arc<str>, u64)>,
    /// The id of the last such event.
    last_asked: u64,
}

/// A namespace that the client has to do with.
#[derive(Debug)]
struct Place {
    namespace: Arc<str>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It asked to be let in.
    Asked,
    /// It is in.
    Connected,
    /// We put it out; what it sent before it knew is dropped.
    PutOut,
}

/// What a message led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Nothing to do: it waits for attachments, or came too late to matter.
    Nothing,
    /// A client asks to be let in: say [`SocketSession::connected`] or [`SocketSession::refused`],
    /// and tell the client.
    Connect {
        /// Into which namespace.
        namespace: Arc<str>,
        /// The object that it shows, for [`Auth`](crate::wire::socket_io::auth::Auth).
        auth: Option<Cow<'a, str>>,
    },
    /// There is no such namespace: answer with a CONNECT_ERROR that says [`NO_NAMESPACE`].
    UnknownNamespace(Cow<'a, str>),
    /// A client that is in says that something happens.
    Event {
        /// In which namespace.
        namespace: Arc<str>,
        /// Under which id it awaits an acknowledgement.
        id: Option<u64>,
        /// Name and arguments.
        payload: EventPayload<'a>,
        /// What the placeholders in the arguments stand for.
        attachments: Vec<Bytes>,
    },
    /// The acknowledgement of an event whose id is from [`SocketSession::ask`].
    Acknowledged {
        /// In which namespace.
        namespace: Arc<str>,
        /// The event's id.
        id: u64,
        /// Its arguments.
        payload: Array<'a>,
        /// What the placeholders in them stand for.
        attachments: Vec<Bytes>,
    },
    /// The client left; nothing is answered.
    Left(Arc<str>),
}

/// What the reference server says of a namespace that there is not.
pub const NO_NAMESPACE: &str = "Invalid namespace";

/// Why a session is to be closed; the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SocketFault {
    /// A packet is none.
    #[error("{0}")]
    Packet(#[from] PacketFault),
    /// A packet for a namespace that the client is not in.
    #[error("a packet came for a namespace whose CONNECT was not answered yet, or never sent")]
    NotConnected,
    /// A second CONNECT.
    #[error("a CONNECT came for a namespace that was connected to already")]
    AlreadyConnected,
    /// A packet that only servers send.
    #[error("CONNECT_ERROR is a server's to send")]
    FromServer,
    /// No CONNECT came, or none that let the client in.
    #[error("the client was in no namespace for too long")]
    ConnectTimeout,
}

impl SocketSession {
    /// A session that is in no namespace yet.
    #[must_use]
    pub fn new(rules: &Rules, now: Mono) -> Self {
        Self {
            places: Vec::new(),
            connect_due: Some(now + rules.connect_timeout),
            assembler: Assembler::default(),
            asked: Vec::new(),
            last_asked: 0,
        }
    }

    /// Takes a message of text.
    ///
    /// # Errors
    /// Why the session is to be closed.
    pub fn text<'a>(
        &mut self,
        text: &'a str,
        rules: &Rules,
        now: Mono,
    ) -> Result<Step<'a>, SocketFault> {
        let due = now + rules.attachment_timeout;
        let whole = self.assembler.text(text, rules.packet_bytes, due)?;
        whole.map_or(Ok(Step::Nothing), |whole| self.packet(whole, rules, now))
    }

    /// Takes a message of bytes: an attachment.
    ///
    /// # Errors
    /// Why the session is to be closed.
    pub fn binary(
        &mut self,
        bytes: Cow<'_, [u8]>,
        rules: &Rules,
        now: Mono,
    ) -> Result<Step<'static>, SocketFault> {
        let whole = self.assembler.binary(bytes, rules.packet_bytes)?;
        whole.map_or(Ok(Step::Nothing), |whole| self.packet(whole, rules, now))
    }

    /// The client that asked for this namespace is in; tell it before anything else there. False
    /// if it has left meanwhile.
    pub fn connected(&mut self, namespace: &str) -> bool {
        let place = self.place_mut(namespace);
        let Some(place) = place.filter(|place| place.state == State::Asked) else {
            return false;
        };
        place.state = State::Connected;
        self.connect_due = None;
        true
    }

    /// The client that asked for this namespace is not let in; it may ask again. False if it has
    /// left meanwhile.
    pub fn refused(&mut self, namespace: &str) -> bool {
        let asked = |place: &Place| place.state == State::Asked && &*place.namespace == namespace;
        let before = self.places.len();
        self.places.retain(|place| !asked(place));
        self.places.len() < before
    }

    /// Puts the client out of a namespace; tell it. False if it is not in.
    pub fn disconnect(&mut self, namespace: &str, rules: &Rules, now: Mono) -> bool {
        let place = self.place_mut(namespace);
        let Some(place) = place.filter(|place| place.state == State::Connected) else {
            return false;
        };
        place.state = State::PutOut;
        self.forget_asked(namespace);
        self.watch(rules, now);
        true
    }

    /// An id for an event that the client shall acknowledge; `None` if it is not in this namespace.
    pub fn ask(&mut self, namespace: &str) -> Option<u64> {
        let place = self.place_mut(namespace);
        let place = place.filter(|place| place.state == State::Connected)?;
        let namespace = Arc::clone(&place.namespace);
        if self.asked.len() >= ASKED {
            self.asked.remove(0);
        }
        self.last_asked += 1;
        self.asked.push((namespace, self.last_asked));
        Some(self.last_asked)
    }

    /// The namespaces that the client is in.
    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<str>> {
        let places = self.places.iter();
        places
            .filter(|place| place.state == State::Connected)
            .map(|place| &place.namespace)
    }

    /// When to say [`SocketSession::timeout`].
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        [self.connect_due, self.assembler.due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Checks that nothing is overdue. A call when nothing is due is harmless.
    ///
    /// # Errors
    /// Why the session is to be closed.
    pub fn timeout(&self, now: Mono) -> Result<(), SocketFault> {
        if self.connect_due.is_some_and(|due| due <= now) {
            return Err(SocketFault::ConnectTimeout);
        }
        if self.assembler.due().is_some_and(|due| due <= now) {
            return Err(PacketFault::AttachmentTimeout.into());
        }
        Ok(())
    }

    fn packet<'a>(
        &mut self,
        whole: Assembled<'a>,
        rules: &Rules,
        now: Mono,
    ) -> Result<Step<'a>, SocketFault> {
        let Assembled {
            packet,
            attachments,
        } = whole;
        let namespace = packet.namespace;
        match packet.body {
            Body::Connect(auth) => self.connect(namespace, auth, rules),
            Body::Disconnect => self.leave(&namespace, rules, now),
            Body::ConnectError(_) => Err(SocketFault::FromServer),
            Body::Event { id, payload, .. } => Ok(match self.place(&namespace)? {
                None => Step::Nothing,
                Some(namespace) => Step::Event {
                    namespace,
                    id,
                    payload,
                    attachments,
                },
            }),
            Body::Ack { id, payload, .. } => {
                let Some(namespace) = self.place(&namespace)? else {
                    return Ok(Step::Nothing);
                };
                let is_it = |asked: &(Arc<str>, u64)| asked.0 == namespace && asked.1 == id;
                // One that nobody awaits is late, or a second one; the reference server drops it.
                let Some(index) = self.asked.iter().position(is_it) else {
                    return Ok(Step::Nothing);
                };
                self.asked.remove(index);
                Ok(Step::Acknowledged {
                    namespace,
                    id,
                    payload,
                    attachments,
                })
            }
        }
    }

    fn connect<'a>(
        &mut self,
        name: Cow<'a, str>,
        auth: Option<Cow<'a, str>>,
        rules: &Rules,
    ) -> Result<Step<'a>, SocketFault> {
        let known = rules.namespaces.iter().find(|known| ***known == *name);
        let Some(namespace) = known.map(Arc::clone) else {
            return Ok(Step::UnknownNamespace(name));
        };
        match self.place_mut(&namespace) {
            Some(place) if place.state == State::PutOut => place.state = State::Asked,
            Some(_) => return Err(SocketFault::AlreadyConnected),
            None => self.places.push(Place {
                namespace: Arc::clone(&namespace),
                state: State::Asked,
            }),
        }
        Ok(Step::Connect { namespace, auth })
    }

    fn leave(
        &mut self,
        name: &str,
        rules: &Rules,
        now: Mono,
    ) -> Result<Step<'static>, SocketFault> {
        let is_it = |place: &Place| &*place.namespace == name;
        let index = self.places.iter().position(is_it);
        let place = index.map(|index| self.places.swap_remove(index));
        let place = place.ok_or(SocketFault::NotConnected)?;
        self.forget_asked(name);
        self.watch(rules, now);
        Ok(match place.state {
            // Nobody has heard of it yet if it only asked; its answer will find it gone.
            State::Asked | State::Connected => Step::Left(place.namespace),
            State::PutOut => Step::Nothing,
        })
    }

    /// The namespace of a packet from a client that is in; `None` if it was put out.
    fn place(&self, name: &str) -> Result<Option<Arc<str>>, SocketFault> {
        let mut places = self.places.iter();
        let place = places.find(|place| &*place.namespace == name);
        match place.map(|place| (place.state, &place.namespace)) {
            Some((State::Connected, namespace)) => Ok(Some(Arc::clone(namespace))),
            Some((State::PutOut, _)) => Ok(None),
            Some((State::Asked, _)) | None => Err(SocketFault::NotConnected),
        }
    }

    fn place_mut(&mut self, name: &str) -> Option<&mut Place> {
        let mut places = self.places.iter_mut();
        places.find(|place| &*place.namespace == name)
    }

    fn forget_asked(&mut self, namespace: &str) {
        self.asked.retain(|asked| &*asked.0 != namespace);
    }

    /// Whoever has left the last namespace has to come into one again.
    fn watch(&mut self, rules: &Rules, now: Mono) {
        if self.namespaces().next().is_none() {
            self.connect_due.get_or_insert(now + rules.connect_timeout);
        }
    }
}
