//! What is published of what an emitter asks for.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::backplane::emitter::fault::EmitterFault;
use crate::backplane::emitter::message::Emit;
use crate::base::limits;
use crate::dialect::native::members;
use crate::dialect::socket_io::namespace::ENVELOPED;
use crate::domain::command::{Payload, Publish};

/// The room of those who are in a namespace.
const EVERYBODY: &str = "global";

/// The one argument of an event in the namespace [`ENVELOPED`].
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    timestamp: Option<String>,
    source: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// What is published: in the rooms named, or in `global` if none is. What the namespace `/ws` is
/// told loses its envelope; sessions get it again in the form of their own dialect.
///
/// # Errors
/// [`EmitterFault::Namespace`] if it is for none of `namespaces`; [`EmitterFault::Refused`] if it
/// would be over HTTP, too.
pub fn publication<N: AsRef<str>>(
    emit: Emit,
    namespaces: impl IntoIterator<Item = N>,
) -> Result<Publish, EmitterFault> {
    let is_known = |known: N| known.as_ref() == &*emit.namespace;
    if !namespaces.into_iter().any(is_known) {
        let named = emit.namespace.chars().take(NAMED).collect::<String>();
        return Err(EmitterFault::Namespace(named.into()));
    }
    if emit.except.len() > limits::EXCEPT_SESSIONS {
        return Err(EmitterFault::Shape("it leaves out more than 100 sessions"));
    }
    let rooms = match emit.rooms.is_empty() {
        true => vec![EVERYBODY.to_owned()],
        false => emit.rooms,
    };
    let (payload, source) = match emit.payload {
        Payload::Json(json) if &*emit.namespace == ENVELOPED => unwrapped(json),
        payload => (payload, None),
    };
    Ok(Publish {
        rooms: members::publish_rooms(&rooms)?,
        event: members::publish_event(emit.event)?,
        payload,
        source: members::publish_source(source)?,
        key: None,
        except: emit.except,
    })
}

/// Characters of an unknown namespace that are quoted.
const NAMED: usize = 64;

/// What is in the envelope, and who it says sent it; what is in none stays as it is.
fn unwrapped(json: Box<str>) -> (Payload, Option<String>) {
    match serde_json::from_str::<Envelope<'_>>(&json) {
        Ok(Envelope {
            kind: Some(_),
            timestamp: Some(_),
            source,
            data: Some(data),
        }) if json.trim_start().starts_with('{') => (Payload::Json(data.get().into()), source),
        Ok(_) | Err(_) => (Payload::Json(json), None),
    }
}
