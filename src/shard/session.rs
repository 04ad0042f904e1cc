//! What is done with a session whatever is spoken on its connection: tell it something, end it.

use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::dialect::Dialect;
use crate::shard::engine::{Happened, namespace, recovery};
use crate::shard::peer::{Conversation, Peer};
use crate::shard::{Hub, event_stream, websocket};
use crate::wire::websocket::close as code;

/// Queues a message that is no publication: JSON, whose type is `name`.
pub(super) fn tell(peer: &mut Peer, id: PeerId, name: &str, json: &[u8], hub: &mut Hub) {
    match &peer.conversation {
        Conversation::Socket(_) => websocket::push_text(peer, id, json, hub),
        Conversation::Events(_) => event_stream::push_event(peer, name, json),
        Conversation::Namespace(_) => namespace::tell(peer, id, name, json, hub),
        Conversation::Http(_)
        | Conversation::Carrier(_)
        | Conversation::Engine(_)
        | Conversation::Refused => {}
    }
}

/// Ends a session because the server shuts down, in words that its clients know.
pub(super) fn say_goodbye(peer: &mut Peer, id: PeerId, hub: &mut Hub, now: Now) {
    if let Conversation::Engine(_) = &peer.conversation {
        hub.engines.note(Happened::Close(id, code::GOING_AWAY));
        return;
    }
    if recovery::is_given(peer) {
        // Its client hears of it where it is now.
        return hub.end(peer, id);
    }
    let Some(session) = peer.open_session() else {
        return;
    };
    let (code, reason) = match session.dialect {
        Dialect::Device => (code::NORMAL, "Server shutting down"),
        Dialect::Native
        | Dialect::NativeV1
        | Dialect::Echo
        | Dialect::Events
        | Dialect::SocketIo
        | Dialect::SocketIoEnveloped => (code::GOING_AWAY, "server shutting down"),
    };
    close(peer, id, code, reason, hub, now);
}

/// Ends a session from our side, once; memberships end now.
pub(super) fn close(peer: &mut Peer, id: PeerId, code: u16, reason: &str, hub: &mut Hub, now: Now) {
    match &peer.conversation {
        Conversation::Socket(_) => websocket::close(peer, id, code, reason, hub, now),
        Conversation::Events(_) => event_stream::close(peer, code, reason, hub, now),
        Conversation::Namespace(_) => namespace::close(peer, id, code, reason, hub),
        Conversation::Http(_)
        | Conversation::Carrier(_)
        | Conversation::Engine(_)
        | Conversation::Refused => {}
    }
}
