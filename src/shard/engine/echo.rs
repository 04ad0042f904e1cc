//! With `debug.echo`: the namespaces answer as the public protocol suites expect of a server.
//!
//! On CONNECT an event `auth` with what was shown; `message` comes back as `message-back`, and is
//! acknowledged if that is asked for; `message-with-ack` is only acknowledged.

use bytes::Bytes;

use crate::base::ids::PeerId;
use crate::shard::Hub;
use crate::shard::engine::namespace::{own_offset, push, push_event, with_attachments};
use crate::shard::peer::Peer;
use crate::wire::socket_io::array::EventPayload;
use crate::wire::socket_io::encode::{self, EventText};

/// The event that follows the answer to a CONNECT, with what was shown.
pub(super) const GREETING: &str = "auth";

/// Sends an event back; false if it is not one of these.
pub(super) fn answer(
    peer: &mut Peer,
    part: PeerId,
    namespace: &str,
    id: Option<u64>,
    payload: &EventPayload<'_>,
    attachments: &[Bytes],
    hub: &mut Hub,
) -> bool {
    let comes_back = match payload.name() {
        "message" => true,
        "message-with-ack" => false,
        _ => return false,
    };
    let (arguments, count) = (payload.arguments(), attachments.len());
    if comes_back {
        let offset = own_offset(peer);
        let text = EventText {
            name: "message-back",
            arguments,
            attachments: count,
            offset: offset.as_deref(),
            ..EventText::default()
        };
        let frame = with_attachments(|out| encode::event(namespace, &text, out), attachments);
        push_event(peer, part, frame, hub);
    }
    if let Some(id) = id {
        let write = |out: &mut Vec<u8>| encode::ack(namespace, id, arguments, count, out);
        push(peer, part, with_attachments(write, attachments), hub);
    }
    true
}
