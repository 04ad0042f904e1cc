//! The messages of python-socketio, from `PubSubManager` of its versions 4 and 5.
//!
//! A message is a map with a `method`. `emit` has `event`, `data` (a tuple is several arguments),
//! `namespace`, `room` (a name, a list of them, or none) and `skip_sid`; `disconnect`, `enter_room`
//! and `leave_room` have `sid`. `callback` and `host_id` concern the servers among each other.

use crate::backplane::emitter::document::{Document, Item, Node};
use crate::backplane::emitter::fault::EmitterFault;
use crate::backplane::emitter::message::{Emit, Message};
use crate::base::ids::SessionId;
use crate::bus::mail::Manage;
use crate::dialect::native::members;
use crate::domain::command::Payload;
use crate::wire::websocket::close;

/// What a message says, but for its data.
pub(super) struct Told {
    pub(super) method: String,
    pub(super) event: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) rooms: Vec<String>,
    pub(super) skip: Vec<String>,
    pub(super) sid: Option<String>,
}

impl Told {
    /// The message, with what `data` makes of its data.
    ///
    /// # Errors
    /// [`EmitterFault::Shape`] if something is missing; [`EmitterFault::Refused`] for a room that
    /// cannot be one; as `data`.
    pub(super) fn with(
        self,
        data: impl FnOnce() -> Result<Payload, EmitterFault>,
    ) -> Result<Message, EmitterFault> {
        let sid = self.sid.as_deref().and_then(SessionId::parse);
        let room = || {
            let name = self.rooms.first();
            let name = name.ok_or(EmitterFault::Shape("it has no room"))?;
            Ok::<_, EmitterFault>(members::room(name)?)
        };
        let (sid, what) = match (self.method.as_str(), sid) {
            ("emit", _) => {
                return Ok(Message::Emit(Emit {
                    namespace: self.namespace.unwrap_or_else(|| "/".to_owned()).into(),
                    event: self.event.ok_or(EmitterFault::Shape("it has no event"))?,
                    payload: data()?,
                    rooms: self.rooms,
                    // Others are sessions of other servers.
                    except: self
                        .skip
                        .iter()
                        .filter_map(|id| SessionId::parse(id))
                        .collect(),
                }));
            }
            ("disconnect", Some(sid)) => {
                let code = close::DISCONNECTED;
                let reason = "disconnected by a back end".into();
                (sid, Manage::Disconnect { code, reason })
            }
            ("enter_room", Some(sid)) => (sid, Manage::Subscribe(room()?)),
            ("leave_room", Some(sid)) => (sid, Manage::Unsubscribe(room()?)),
            _ => return Ok(Message::Ignored),
        };
        Ok(Message::Manage(sid, what))
    }
}

/// What a pickle says.
///
/// # Errors
/// As [`Told::with`].
pub(super) fn from_pickle(pickle: &Document<'_>, limit: usize) -> Result<Message, EmitterFault> {
    let member = |name| pickle.member(pickle.root(), name);
    let text = |name| match member(name) {
        Item::Text(text) => Some(text.to_owned()),
        _ => None,
    };
    let told = Told {
        method: text("method").ok_or(EmitterFault::Shape("it has no method"))?,
        event: text("event"),
        namespace: text("namespace"),
        rooms: pickle.names(
            member("room"),
            "its room is neither a name nor a list of names",
        )?,
        skip: pickle.names(
            member("skip_sid"),
            "its skip_sid is neither an id nor a list of ids",
        )?,
        sid: text("sid"),
    };
    told.with(|| {
        let data = member("data");
        match pickle.node(data) {
            Some(Node::Tuple(arguments)) => pickle.payload(arguments, limit),
            Some(Node::List(_) | Node::Map(_)) | None => pickle.payload(&[data], limit),
        }
    })
}
