//! A Socket.IO client without a connection: what it hears, what it would answer, what it says.
//!
//! It reads packets of Engine.IO from frames or bodies and keeps what they mean, as socket.io-client
//! 4 does: pongs are ready to be sent, and with a `pid` the last argument of an event without an id
//! is where it stands, if it is a string. May not touch: sockets, clocks.
#![allow(clippy::expect_used, clippy::panic)]

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::base::clock::Mono;
use crate::wire::engine_io::packet::{PROBE, Packet as Carrier};
use crate::wire::engine_io::payload::{PayloadLimits, packets};
use crate::wire::socket_io::assembler::{Assembled, Assembler};
use crate::wire::socket_io::encode::{self, EventText};
use crate::wire::socket_io::packet::Body;

/// What the server said of itself first.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Open {
    /// The session's id.
    pub sid: String,
    /// Transports that it may go over to.
    pub upgrades: Vec<String>,
    /// Milliseconds between pings.
    pub ping_interval: u64,
    /// Milliseconds that a pong may take.
    pub ping_timeout: u64,
    /// Bytes of a body or a message.
    pub max_payload: usize,
}

/// What a server said in a namespace, or of the session.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// It let the client into this namespace, with this object.
    Connected(String, Value),
    /// It did not let the client into this namespace, with this object.
    Refused(String, Value),
    /// It put the client out of this namespace.
    Disconnected(String),
    /// It tells an event.
    Event {
        /// In which namespace.
        namespace: String,
        /// Under which id it wants to be answered.
        id: Option<u64>,
        /// The name and the arguments.
        array: Vec<Value>,
        /// What belongs in their places.
        attachments: Vec<Bytes>,
    },
    /// It answers an event.
    Ack {
        /// In which namespace.
        namespace: String,
        /// The event's id.
        id: u64,
        /// The arguments.
        array: Vec<Value>,
        /// What belongs in their places.
        attachments: Vec<Bytes>,
    },
    /// It answered the probe.
    Probed,
    /// It ended the session.
    Closed,
}

/// Where a client could come back to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The secret that the server gave.
    pub pid: Option<String>,
    /// The last event it knows of.
    pub offset: Option<String>,
}

/// One client.
#[derive(Debug, Default)]
pub struct SocketIoClient {
    /// What the server said first.
    pub open: Option<Open>,
    /// What came since it was last taken.
    pub heard: Vec<Heard>,
    /// Frames to be sent: pongs.
    pub owed: Vec<String>,
    /// Where it could come back to, by namespace.
    pub recovery: BTreeMap<String, Recovery>,
    assembler: Assembler,
}

impl SocketIoClient {
    /// Reads the body of an answered poll.
    ///
    /// # Panics
    /// If it is none, or says what no server says.
    pub fn body(&mut self, body: &[u8]) {
        let limits = PayloadLimits {
            bytes: usize::MAX,
            packets: usize::MAX,
        };
        let packets = packets(body, &limits).expect("a poll is answered with text");
        for packet in packets {
            self.packet(packet.expect("a body is packets"));
        }
    }

    /// Reads a text frame.
    ///
    /// # Panics
    /// If it is no packet, or says what no server says.
    pub fn text(&mut self, text: &str) {
        self.packet(Carrier::parse(text).expect("a frame is a packet"));
    }

    /// Reads a binary frame.
    ///
    /// # Panics
    /// If no attachment is awaited.
    pub fn binary(&mut self, bytes: &[u8]) {
        self.packet(Carrier::binary(bytes));
    }

    /// Takes what was heard.
    pub fn take(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.heard)
    }

    /// The frame that asks for a namespace, and to come back to it if that is possible.
    #[must_use]
    pub fn connect(&self, namespace: &str, auth: Option<&Value>) -> String {
        let recovery = self.recovery.get(namespace).cloned().unwrap_or_default();
        let mut shown = auth.cloned();
        if let Some(pid) = recovery.pid {
            let members = shown.get_or_insert_with(|| json!({}));
            members["pid"] = Value::String(pid);
            if let Some(offset) = recovery.offset {
                members["offset"] = Value::String(offset);
            }
        }
        let shown = shown.map(|shown| shown.to_string());
        message(|out| encode::connect(namespace, shown.as_deref(), out))
    }

    fn packet(&mut self, packet: Carrier<'_>) {
        match packet {
            Carrier::Open(json) => {
                assert_eq!(self.open, None, "a session is opened once");
                self.open = Some(serde_json::from_str(json).expect("what clients expect"));
            }
            Carrier::Close => self.heard.push(Heard::Closed),
            Carrier::Ping(data) => self.owed.push(format!("3{data}")),
            Carrier::Pong(PROBE) => self.heard.push(Heard::Probed),
            Carrier::Pong(_) | Carrier::Upgrade => panic!("no server says {packet:?}"),
            Carrier::Message(text) => {
                let whole = self.assembler.text(text, usize::MAX, Mono::ZERO);
                self.whole(whole.expect("a server's packets are whole"));
            }
            Carrier::Binary(bytes) => {
                let bytes = Cow::Borrowed(&*bytes);
                let whole = self.assembler.binary(bytes, usize::MAX);
                self.whole(whole.expect("attachments have a packet"));
            }
            Carrier::Noop => {}
        }
    }

    fn whole(&mut self, whole: Option<Assembled<'_>>) {
        let Some(Assembled {
            packet,
            attachments,
        }) = whole
        else {
            return;
        };
        let namespace = packet.namespace.into_owned();
        let heard = match packet.body {
            Body::Connect(payload) => {
                let payload = value(payload.as_deref().expect("a server says the sid"));
                let pid = payload.get("pid").and_then(Value::as_str);
                if let Some(pid) = pid {
                    let recovery = self.recovery.entry(namespace.clone()).or_default();
                    recovery.pid = Some(pid.to_owned());
                }
                Heard::Connected(namespace, payload)
            }
            Body::ConnectError(payload) => Heard::Refused(namespace, value(&payload)),
            Body::Disconnect => Heard::Disconnected(namespace),
            Body::Event { id, payload, .. } => {
                let array = values(payload.json());
                let recovery = self.recovery.get_mut(&namespace);
                if let (Some(recovery), Some(Value::String(last)), None) =
                    (recovery, array.last(), id)
                {
                    recovery.offset = Some(last.clone());
                }
                Heard::Event {
                    namespace,
                    id,
                    array,
                    attachments,
                }
            }
            Body::Ack { id, payload, .. } => Heard::Ack {
                namespace,
                id,
                array: values(payload.json()),
                attachments,
            },
        };
        self.heard.push(heard);
    }
}

/// The frame of an event whose arguments are `arguments`, an array, of which so many are places of
/// attachments.
#[must_use]
pub fn event(
    namespace: &str,
    name: &str,
    arguments: &Value,
    attachments: usize,
    id: Option<u64>,
) -> String {
    let arguments = inside(arguments);
    let text = EventText {
        name,
        arguments: &arguments,
        attachments,
        id,
        offset: None,
    };
    message(|out| encode::event(namespace, &text, out))
}

/// The frame of an answer to the event `id`, with its arguments as in [`event`].
#[must_use]
pub fn ack(namespace: &str, id: u64, arguments: &Value, attachments: usize) -> String {
    let arguments = inside(arguments);
    message(|out| encode::ack(namespace, id, &arguments, attachments, out))
}

/// The place of an attachment.
#[must_use]
pub fn place(number: usize) -> Value {
    json!({"_placeholder": true, "num": number})
}

fn message(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = b"4".to_vec();
    write(&mut out);
    String::from_utf8(out).expect("packets are text")
}

fn inside(array: &Value) -> String {
    let text = array.to_string();
    let inside = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    inside.expect("arguments are an array").to_owned()
}

fn value(json: &str) -> Value {
    serde_json::from_str(json).expect("a server says JSON")
}

fn values(json: &str) -> Vec<Value> {
    serde_json::from_str(json).expect("a server says JSON")
}
