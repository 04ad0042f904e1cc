//! What a device says and is told: its channels, its hello, the newest of what it begins to hear.
//!
//! Invariant: channels that are no rooms are remembered only to be listed, and are few and short.

use crate::app::chain;
use crate::base::clock::{Now, Wall};
use crate::base::ids::PeerId;
use crate::base::limits::{DEVICE_CHANNEL_BYTES, DEVICE_CHANNELS};
use crate::bus::job::Reply;
use crate::config::PublishPolicy;
use crate::dialect::device::channel;
use crate::dialect::device::decode::Message;
use crate::dialect::device::encode;
use crate::domain::access::{self, Action, Caller};
use crate::domain::fault::{Code, Fault};
use crate::domain::position::Position;
use crate::domain::room::RoomName;
use crate::metrics::names::Counter;
use crate::shard::peer::{Peer, Session};
use crate::shard::rate::{charge_user, spend_token};
use crate::shard::{Hub, membership, websocket};

/// Tells a new session who it is, then what was published last in its rooms.
pub(super) fn hello(
    peer: &mut Peer,
    id: PeerId,
    joined: &[(RoomName, Position)],
    hub: &mut Hub,
    now: Now,
) {
    let Some(session) = peer.open_session() else {
        return;
    };
    let rooms = joined.iter();
    let channels: Vec<&str> = rooms.filter_map(|(room, _)| channel::name(room)).collect();
    let mut json = Vec::new();
    encode::hello(session.id, &channels, now.wall, &mut json);
    websocket::push_text(peer, id, &json, hub);
    for (room, position) in joined {
        send_newest(peer, id, room, position, hub, now);
    }
}

/// One message of a device; only `ping` and mistakes are answered.
pub(super) fn message(
    peer: &mut Peer,
    id: PeerId,
    message: Result<Message, Fault>,
    hub: &mut Hub,
    now: Now,
) {
    let message = match message {
        Ok(Message::Ping | Message::Nothing) => message,
        message => charge_user(peer, hub, now).and(message),
    };
    let outcome = match message {
        Ok(Message::Subscribe(name)) => subscribe(peer, id, name, hub, now),
        Ok(Message::Unsubscribe(name)) => {
            unsubscribe(peer, &name, hub);
            Ok(())
        }
        Ok(Message::Ping) => {
            let mut json = Vec::new();
            encode::pong(now.wall, &mut json);
            websocket::push_text(peer, id, &json, hub);
            Ok(())
        }
        Ok(Message::Nothing) => {
            hub.counters.increment(Counter::DeviceMessagesIgnored);
            Ok(())
        }
        Err(fault) => Err(fault),
    };
    match outcome {
        Ok(()) => {
            if let Some(session) = peer.open_session() {
                session.errors = 0;
            }
            hub.touch(peer, id);
        }
        Err(fault) => {
            let answered = error(&fault, hub, now);
            websocket::reply(peer, id, &answered, hub, now);
        }
    }
    spend_token(peer, hub, now);
}

fn error(fault: &Fault, hub: &Hub, now: Now) -> Reply {
    if fault.code == Code::InternalError {
        hub.counters.increment(Counter::HandlerPanics);
    }
    let mut json = Vec::new();
    encode::error(&fault.message, now.wall, &mut json);
    Reply {
        json,
        error: Some(fault.code),
    }
}

/// Makes a session hear a channel. What was published there last follows if it did not before.
fn subscribe(
    peer: &mut Peer,
    id: PeerId,
    name: Box<str>,
    hub: &mut Hub,
    now: Now,
) -> Result<(), Fault> {
    let Some(session) = peer.open_session() else {
        return Ok(());
    };
    let Some(room) = channel::room(&name) else {
        return remember(session, name, hub);
    };
    if is_member(session, &room, hub) {
        return Ok(());
    }
    let entered = chain::guard("subscribe", session.id, || {
        membership::join(&room, None, session, id, hub, now.mono)
    })?;
    send_newest(peer, id, &room, &entered.position, hub, now);
    Ok(())
}

/// Notes a channel that is no room.
fn remember(session: &mut Session, name: Box<str>, hub: &Hub) -> Result<(), Fault> {
    let channels = session.asides.as_ref().map(|asides| &asides.channels);
    if channels.is_some_and(|channels| channels.contains(&name)) {
        return Ok(());
    }
    let count = channels.map_or(0, Vec::len);
    if count >= DEVICE_CHANNELS || name.len() > DEVICE_CHANNEL_BYTES {
        hub.counters.increment(Counter::DeviceChannelsRefused);
        return Err(Fault::new(
            Code::ResourceLimit,
            format!(
                "a client may be in {DEVICE_CHANNELS} channels beside those that exist, whose \
                 names have at most {DEVICE_CHANNEL_BYTES} bytes"
            ),
        ));
    }
    session.asides.get_or_insert_default().channels.push(name);
    Ok(())
}

fn unsubscribe(peer: &mut Peer, name: &str, hub: &mut Hub) {
    let Some(session) = peer.open_session() else {
        return;
    };
    if let Some(room) = channel::room(name) {
        membership::leave(&room, session, hub);
    } else if let Some(asides) = &mut session.asides {
        asides.channels.retain(|channel| **channel != *name);
    }
}

/// What a session is told that an operator has taken out of a room: its clients know no word for
/// it but an error.
pub(super) fn taken_out(room: &RoomName, now: Wall, out: &mut Vec<u8>) {
    let channel = channel::name(room).unwrap_or(room.as_str());
    let message = format!("an operator has ended the subscription to {channel}");
    encode::error(&message, now, out);
}

fn is_member(session: &Session, room: &RoomName, hub: &Hub) -> bool {
    let memberships = session.memberships.iter().copied();
    hub.rooms.position(room, memberships).is_some()
}

/// Sends what was published last in a room up to the position at which the session joined it, if
/// the room retains it and the session may see what came before itself.
fn send_newest(
    peer: &mut Peer,
    id: PeerId,
    room: &RoomName,
    position: &Position,
    hub: &mut Hub,
    now: Now,
) {
    let (Some(session), Some(before)) = (peer.open_session(), position.offset.checked_sub(1))
    else {
        return;
    };
    let caller = Caller::Session { is_member: true };
    let (action, policy) = (Action::History, PublishPolicy::Grant);
    if access::check(&session.identity, caller, action, room, policy).is_err() {
        return;
    }
    let Some(local) = hub.rooms.find(room) else {
        return;
    };
    let before = Position {
        offset: before,
        ..*position
    };
    let rooms = &hub.services.rooms;
    let Ok(page) = rooms.missed(&local.room, &before, position.offset, 1, now.mono) else {
        return;
    };
    for (_, publication) in page.items {
        hub.send_live(peer, id, &publication, room);
    }
}
