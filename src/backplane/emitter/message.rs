//! What an emitter asks for, whatever it is written in.

use crate::base::ids::SessionId;
use crate::bus::mail::Manage;
use crate::domain::command::Payload;

/// What an emitter asks for.
#[derive(Debug)]
pub enum Message {
    /// Something is to be told to rooms.
    Emit(Emit),
    /// Something is to be done with a session.
    Manage(SessionId, Manage),
    /// Nothing that this server does: closing rooms, answers to other servers, other servers'
    /// sessions.
    Ignored,
}

/// Something to be told, as it was asked for; [`super::publication`] checks it.
#[derive(Debug, PartialEq, Eq)]
pub struct Emit {
    /// The Socket.IO namespace that it is for.
    pub namespace: Box<str>,
    /// The event's name.
    pub event: String,
    /// Its arguments: null for none, the one, or a list of several.
    pub payload: Payload,
    /// The rooms; none for everybody in the namespace.
    pub rooms: Vec<String>,
    /// The sessions of this server that are not to hear it.
    pub except: Vec<SessionId>,
}
