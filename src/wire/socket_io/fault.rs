//! What can be wrong with a packet of Socket.IO; each ends the session, as the protocol demands.

/// Why a packet is refused; the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketFault {
    /// The first character is no type.
    #[error("a packet begins with its type, a digit from 0 to 6")]
    UnknownType,
    /// The namespace is too long.
    #[error("a namespace has at most {limit} bytes")]
    NamespaceTooLong {
        /// Bytes allowed.
        limit: usize,
    },
    /// The number of attachments is no number, or none.
    #[error("a binary packet says its number of attachments, from 1, before a hyphen")]
    AttachmentCount,
    /// More attachments than one packet may have.
    #[error("a packet has at most {limit} attachments")]
    TooManyAttachments {
        /// Attachments allowed.
        limit: usize,
    },
    /// An acknowledgement without its id, a packet with one that has none, or one too large.
    #[error("events may have an id up to 2^53-1, acknowledgements have theirs, nothing else has")]
    Id,
    /// The payload is not what this type carries.
    #[error(
        "events carry a JSON array that begins with their name, acknowledgements an array, \
         CONNECT an object or nothing, DISCONNECT nothing"
    )]
    Payload,
    /// The event has a name that libraries keep for themselves.
    #[error(
        "connect, connect_error, disconnect, disconnecting, newListener and removeListener are no \
         names of events"
    )]
    ReservedEvent,
    /// An object that claims to stand for an attachment and does not.
    #[error(
        "an attachment's place is {{\"_placeholder\":true,\"num\":N}} with N below their number, \
         and each has at most one"
    )]
    Placeholder,
    /// The JSON of a binary packet nests too deep, or has half of a surrogate pair.
    #[error("a packet with attachments may nest 127 deep, and its strings must be Unicode")]
    Unreadable,
    /// Text came where an attachment was due.
    #[error("a packet's attachments follow it without anything between")]
    AttachmentMissing,
    /// Bytes came where no attachment was due.
    #[error("bytes are sent as the attachments of a packet before them")]
    AttachmentUnexpected,
    /// The packet and its attachments are too big together.
    #[error("a packet and its attachments have at most {limit} bytes together")]
    TooBig {
        /// Bytes allowed.
        limit: usize,
    },
    /// The attachments did not come in time.
    #[error("the attachments of a packet did not come in time")]
    AttachmentTimeout,
}
