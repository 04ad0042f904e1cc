//! A message of a WebSocket, taken apart as its session's dialect spells it.
//!
//! The one place that knows which dialect's decoder reads what. A panic in one of them is answered
//! like one in a handler.

use crate::app::chain;
use crate::dialect::Dialect;
use crate::dialect::device::decode as device;
use crate::dialect::native::decode::{Correlation, Decoded};
use crate::domain::fault::{Code, Fault};
use crate::shard::compression::{Compressing, Party};
use crate::shard::outbox::Outbox;
use crate::shard::peer::Session;
use crate::wire::websocket::frame::Opcode;

/// A message as it came.
pub(super) enum Said<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

impl Said<'_> {
    fn payload(&self) -> (Opcode, &[u8]) {
        match self {
            Self::Text(text) => (Opcode::Text, text.as_bytes()),
            Self::Binary(bytes) => (Opcode::Binary, bytes),
        }
    }
}

/// A message taken apart.
pub(super) enum Heard {
    Native(Decoded),
    Device(Result<device::Message, Fault>),
}

/// Takes a message apart as the session's dialect spells it; `None` if that is to send it back.
pub(super) fn hear(
    session: &Session,
    said: &Said<'_>,
    outbox: &mut Outbox,
    to: Party,
    compressing: &mut Compressing,
) -> Option<Heard> {
    let (opcode, payload) = said.payload();
    match session.dialect {
        Dialect::Echo => {
            compressing.push(outbox, to, opcode, payload);
            None
        }
        Dialect::Device => {
            let decode = || device::decode(payload);
            Some(Heard::Device(chain::guard("device", session.id, decode)))
        }
        Dialect::Native
        | Dialect::NativeV1
        | Dialect::Events
        | Dialect::SocketIo
        | Dialect::SocketIoEnveloped => {
            let text = match said {
                Said::Text(text) => Ok(*text),
                Said::Binary(bytes) => simdutf8::basic::from_utf8(bytes),
            };
            let validate = |text| chain::validate(text, session.id);
            Some(Heard::Native(text.map_or_else(|_| not_text(), validate)))
        }
    }
}

fn not_text() -> Decoded {
    let fault = Fault::new(
        Code::InvalidMessage,
        "a binary message must hold JSON in UTF-8",
    );
    Decoded {
        correlation: Correlation::default(),
        command: Err(fault),
    }
}
