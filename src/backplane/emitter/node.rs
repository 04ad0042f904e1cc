//! The messages of Node's emitters: `[uid, {type, data, nsp}, {rooms, except, flags}]`, as
//! `@socket.io/redis-emitter` and `socket.io-emitter` write them, and the Redis adapter of
//! Socket.IO's own servers.
//!
//! `data` is the event's name and its arguments. `type` is 2, or 5 from those of old that told
//! packets with bytes apart.

use crate::backplane::emitter::document::{Document, Item};
use crate::backplane::emitter::fault::EmitterFault;
use crate::backplane::emitter::message::{Emit, Message};
use crate::base::ids::SessionId;

/// What a message says that came in `channel`.
///
/// # Errors
/// [`EmitterFault::Shape`] if something is missing, or if rooms are excepted: their members would
/// hear what they shall not.
pub(super) fn message(
    document: &Document<'_>,
    channel: &str,
    limit: usize,
) -> Result<Message, EmitterFault> {
    let Some([_, packet, options, ..]) = document.items(document.root()) else {
        return Err(EmitterFault::Shape(
            "it is no list of uid, packet and options",
        ));
    };
    let member = |name| document.member(*packet, name);
    if !matches!(member("type"), Item::Integer(2 | 5)) {
        return Ok(Message::Ignored);
    }
    let Some([Item::Text(event), arguments @ ..]) = document.items(member("data")) else {
        return Err(EmitterFault::Shape("its packet has no event"));
    };
    let namespace = match member("nsp") {
        Item::Text(namespace) => namespace,
        Item::Null => "/",
        _ => return Err(EmitterFault::Shape("its namespace is no text")),
    };
    let option = |name, wrong| document.names(document.member(*options, name), wrong);
    let mut rooms = option("rooms", "its rooms are no names")?;
    // Version 1 of socket.io-emitter publishes once for each room and names all of them each time.
    let of_channel = |room: &String| {
        let before = channel
            .strip_suffix('#')
            .and_then(|name| name.strip_suffix(room.as_str()));
        before.is_some_and(|before| before.ends_with('#'))
    };
    if rooms.len() > 1
        && let Some(one) = rooms.iter().position(of_channel)
    {
        rooms = vec![rooms.swap_remove(one)];
    }
    let except = option("except", "its except are no names")?;
    let except = except.iter().map(|name| SessionId::parse(name));
    let except: Option<Vec<SessionId>> = except.collect();
    Ok(Message::Emit(Emit {
        namespace: namespace.into(),
        event: (*event).to_owned(),
        payload: document.payload(arguments, limit)?,
        rooms,
        except: except.ok_or(EmitterFault::Shape(
            "it excepts rooms; only sessions of this server can be left out",
        ))?,
    }))
}
