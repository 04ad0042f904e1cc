//! What is done with a session whatever is spoken on its connection: tell it something, end it.

use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::shard::peer::{Conversation, Peer};
use crate::shard::{Hub, event_stream, websocket};

/// Queues a message that is no publication: JSON, whose type is `name`.
pub(super) fn tell(peer: &mut Peer, id: PeerId, name: &str, json: &[u8], hub: &mut Hub) {
    match &peer.conversation {
        Conversation::Socket(_) => websocket::push_text(peer, id, json, hub),
        Conversation::Events(_) => event_stream::push_event(peer, name, json),
        Conversation::Http(_) | Conversation::Refused => {}
    }
}

/// Ends a session from our side, once; memberships end now.
pub(super) fn close(peer: &mut Peer, id: PeerId, code: u16, reason: &str, hub: &mut Hub, now: Now) {
    match &peer.conversation {
        Conversation::Socket(_) => websocket::close(peer, id, code, reason, hub, now),
        Conversation::Events(_) => event_stream::close(peer, code, reason, hub, now),
        Conversation::Http(_) | Conversation::Refused => {}
    }
}
