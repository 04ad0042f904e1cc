//! One packet of Socket.IO 5, as the text that an Engine.IO message carries.
//!
//! ```text
//! <type>[<attachments>-][<namespace>,][<id>][<JSON>]      451-/chat,7["photo",{…}] is type 5,
//! ```
//! with one attachment, in `/chat`, with id 7, once Engine.IO's `4` is off. Invariant: what is
//! parsed is whole and of the shape that its type demands; the text of its JSON is kept.

use std::borrow::Cow;

use crate::wire::socket_io::array::{Array, EventPayload, is_object};
use crate::wire::socket_io::encode;
use crate::wire::socket_io::fault::PacketFault;
use crate::wire::socket_io::placeholder;

/// The namespace that packets are in which name none.
pub const MAIN_NAMESPACE: &str = "/";

/// Bytes of a namespace.
pub const NAMESPACE_BYTES: usize = 255;

/// Attachments of one packet, as in the reference library since CVE-2026-33151; its clients take no
/// more either.
pub const ATTACHMENTS: usize = 10;

/// The largest id of an event: JavaScript counts no further.
pub const ID_MAX: u64 = (1 << 53) - 1;

/// Names that no event may have: the libraries raise them by themselves.
pub const RESERVED_EVENTS: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// One packet, borrowed from its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it belongs to; begins with `/` and has no comma.
    pub namespace: Cow<'a, str>,
    /// What it says.
    pub body: Body<'a>,
}

/// What a packet says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// The client wants in, with an object to show; or is in, with an object that says who it is.
    Connect(Option<Cow<'a, str>>),
    /// One side leaves the namespace.
    Disconnect,
    /// Something happens.
    Event {
        /// Under which id an acknowledgement is awaited.
        id: Option<u64>,
        /// Its name and arguments.
        payload: EventPayload<'a>,
        /// So many attachments follow, at most [`ATTACHMENTS`].
        attachments: usize,
    },
    /// The answer to an event.
    Ack {
        /// The event's id.
        id: u64,
        /// The answer's arguments.
        payload: Array<'a>,
        /// So many attachments follow, at most [`ATTACHMENTS`].
        attachments: usize,
    },
    /// The client is not let in; an object or a string says why.
    ConnectError(Cow<'a, str>),
}

/// The types by their digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Type {
    Connect = b'0',
    Disconnect = b'1',
    Event = b'2',
    Ack = b'3',
    ConnectError = b'4',
    BinaryEvent = b'5',
    BinaryAck = b'6',
}

impl Type {
    const ALL: [Self; 7] = [
        Self::Connect,
        Self::Disconnect,
        Self::Event,
        Self::Ack,
        Self::ConnectError,
        Self::BinaryEvent,
        Self::BinaryAck,
    ];

    fn is_binary(self) -> bool {
        matches!(self, Self::BinaryEvent | Self::BinaryAck)
    }
}

/// What stands before the JSON.
struct Head<'a> {
    kind: Type,
    attachments: usize,
    namespace: &'a str,
    id: Option<u64>,
    json: &'a str,
}

impl<'a> Packet<'a> {
    /// Reads the text of a packet; its attachments, if it has any, come in messages of their own.
    ///
    /// # Errors
    /// What was wrong; the session is to be closed.
    pub fn parse(text: &'a str) -> Result<Self, PacketFault> {
        let head = Head::parse(text)?;
        let body = match head.kind {
            Type::Connect => head.connect()?,
            Type::Disconnect => head.disconnect()?,
            Type::ConnectError => head.connect_error()?,
            Type::Event | Type::BinaryEvent => head.event()?,
            Type::Ack | Type::BinaryAck => head.ack()?,
        };
        Ok(Self {
            namespace: Cow::Borrowed(head.namespace),
            body,
        })
    }

    /// How many attachments follow.
    #[must_use]
    pub fn attachments(&self) -> usize {
        match &self.body {
            Body::Event { attachments, .. } | Body::Ack { attachments, .. } => *attachments,
            Body::Connect(_) | Body::Disconnect | Body::ConnectError(_) => 0,
        }
    }

    /// Writes its text, without Engine.IO's type before it.
    pub fn write(&self, out: &mut Vec<u8>) {
        let namespace = &self.namespace;
        match &self.body {
            Body::Connect(payload) => {
                encode::head(Type::Connect, 0, namespace, None, out);
                out.extend_from_slice(payload.as_deref().unwrap_or_default().as_bytes());
            }
            Body::Disconnect => encode::disconnect(namespace, out),
            Body::Event {
                id,
                payload,
                attachments,
            } => {
                let kind = match attachments {
                    0 => Type::Event,
                    _ => Type::BinaryEvent,
                };
                encode::head(kind, *attachments, namespace, *id, out);
                out.extend_from_slice(payload.json().as_bytes());
            }
            Body::Ack {
                id,
                payload,
                attachments,
            } => encode::ack(namespace, *id, payload.inside(), *attachments, out),
            Body::ConnectError(payload) => {
                encode::head(Type::ConnectError, 0, namespace, None, out);
                out.extend_from_slice(payload.as_bytes());
            }
        }
    }

    /// The same on its own.
    #[must_use]
    pub fn into_owned(self) -> Packet<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let body = match self.body {
            Body::Connect(payload) => Body::Connect(payload.map(owned)),
            Body::Disconnect => Body::Disconnect,
            Body::Event {
                id,
                payload,
                attachments,
            } => Body::Event {
                id,
                payload: payload.into_owned(),
                attachments,
            },
            Body::Ack {
                id,
                payload,
                attachments,
            } => Body::Ack {
                id,
                payload: payload.into_owned(),
                attachments,
            },
            Body::ConnectError(payload) => Body::ConnectError(owned(payload)),
        };
        Packet {
            namespace: owned(self.namespace),
            body,
        }
    }
}

impl<'a> Head<'a> {
    fn parse(text: &'a str) -> Result<Self, PacketFault> {
        let first = text.bytes().next();
        let kind = Type::ALL
            .into_iter()
            .find(|kind| first == Some(*kind as u8));
        let kind = kind.ok_or(PacketFault::UnknownType)?;
        let mut rest = text.get(1..).unwrap_or_default();
        let mut attachments = 0;
        if kind.is_binary() {
            (attachments, rest) = attachment_count(rest)?;
        }
        let mut namespace = MAIN_NAMESPACE;
        if rest.starts_with('/') {
            // A namespace may end the packet, as the reference library takes it.
            (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
        }
        if namespace.len() > NAMESPACE_BYTES {
            return Err(PacketFault::NamespaceTooLong {
                limit: NAMESPACE_BYTES,
            });
        }
        let json = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = rest.strip_suffix(json).unwrap_or_default();
        let id = match digits {
            "" => None,
            // Leading zeros mean nothing; an id that is too large is none.
            digits => match digits.parse::<u64>() {
                Ok(id) if id <= ID_MAX => Some(id),
                Ok(_) | Err(_) => return Err(PacketFault::Id),
            },
        };
        Ok(Self {
            kind,
            attachments,
            namespace,
            id,
            json,
        })
    }

    fn connect(&self) -> Result<Body<'a>, PacketFault> {
        self.no_id()?;
        match self.json {
            "" => Ok(Body::Connect(None)),
            json if is_object(json) => Ok(Body::Connect(Some(Cow::Borrowed(json)))),
            _ => Err(PacketFault::Payload),
        }
    }

    fn disconnect(&self) -> Result<Body<'a>, PacketFault> {
        self.no_id()?;
        match self.json {
            "" => Ok(Body::Disconnect),
            _ => Err(PacketFault::Payload),
        }
    }

    fn connect_error(&self) -> Result<Body<'a>, PacketFault> {
        self.no_id()?;
        let is_string = serde_json::from_str::<String>(self.json).is_ok();
        if is_string || is_object(self.json) {
            Ok(Body::ConnectError(Cow::Borrowed(self.json)))
        } else {
            Err(PacketFault::Payload)
        }
    }

    fn event(&self) -> Result<Body<'a>, PacketFault> {
        let payload = EventPayload::parse(self.json).ok_or(PacketFault::Payload)?;
        if RESERVED_EVENTS.contains(&payload.name()) {
            return Err(PacketFault::ReservedEvent);
        }
        self.check_placeholders()?;
        Ok(Body::Event {
            id: self.id,
            payload,
            attachments: self.attachments,
        })
    }

    fn ack(&self) -> Result<Body<'a>, PacketFault> {
        let payload = Array::parse(self.json).ok_or(PacketFault::Payload)?;
        self.check_placeholders()?;
        Ok(Body::Ack {
            id: self.id.ok_or(PacketFault::Id)?,
            payload,
            attachments: self.attachments,
        })
    }

    /// In a packet without attachments what looks like a placeholder is data.
    fn check_placeholders(&self) -> Result<(), PacketFault> {
        match self.attachments {
            0 => Ok(()),
            attachments => placeholder::check(self.json, attachments),
        }
    }

    fn no_id(&self) -> Result<(), PacketFault> {
        match self.id {
            None => Ok(()),
            Some(_) => Err(PacketFault::Id),
        }
    }
}

/// The number of attachments before its hyphen, and what is behind it.
fn attachment_count(text: &str) -> Result<(usize, &str), PacketFault> {
    let (digits, rest) = text.split_once('-').ok_or(PacketFault::AttachmentCount)?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(PacketFault::AttachmentCount);
    }
    // A number that does not fit is larger than any limit.
    match digits.parse().unwrap_or(usize::MAX) {
        // A packet without attachments that waits for some waits forever (GHSA-2m8v-j782-fhvr).
        0 => Err(PacketFault::AttachmentCount),
        count if count > ATTACHMENTS => Err(PacketFault::TooManyAttachments { limit: ATTACHMENTS }),
        count => Ok((count, rest)),
    }
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
