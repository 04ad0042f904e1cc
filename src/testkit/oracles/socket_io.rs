//! The oracle of Socket.IO: packets against a model over values, and what a session makes of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::base::clock::Mono;
use crate::protocol::socket_session::{Rules, SocketSession, Step};
use crate::wire::engine_io::packet::Packet as Carrier;
use crate::wire::engine_io::payload::{PayloadLimits, packets};
use crate::wire::socket_io::array::EventPayload;
use crate::wire::socket_io::auth::Auth;
use crate::wire::socket_io::packet::{ATTACHMENTS, Body, Packet, RESERVED_EVENTS};

/// For every body of messages: what is read as a packet is written back the same and means what a
/// reader of values finds in it; and a session that lets everybody in hands on events of those only
/// whom it let in, with as many attachments as they claim.
///
/// # Panics
/// If that does not hold.
pub fn socket_io(input: &[u8]) {
    let limits = PayloadLimits {
        bytes: usize::MAX,
        packets: usize::MAX,
    };
    let Ok(messages) = packets(input, &limits) else {
        return;
    };
    let messages: Vec<Carrier<'_>> = messages.map_while(Result::ok).collect();
    for message in &messages {
        if let Carrier::Message(text) = message {
            packet(text);
        }
    }
    session(messages);
}

fn packet(text: &str) {
    let Ok(packet) = Packet::parse(text) else {
        return;
    };
    let mut written = Vec::new();
    packet.write(&mut written);
    let written = String::from_utf8(written).expect("what was text is written as text");
    assert_eq!(Packet::parse(&written).as_ref(), Ok(&packet));
    assert_eq!(packet.clone().into_owned(), packet);
    assert!(packet.namespace.starts_with('/') && !packet.namespace.contains(','));
    let attachments = packet.attachments();
    assert!(attachments <= ATTACHMENTS);
    match &packet.body {
        Body::Event { payload, .. } => {
            assert!(!RESERVED_EVENTS.contains(&payload.name()));
            event(payload);
            places(payload.json(), attachments);
        }
        Body::Ack { payload, .. } => {
            assert_eq!(format!("[{}]", payload.inside()), payload.json());
            places(payload.json(), attachments);
        }
        Body::Connect(auth) => shown(auth.as_deref().unwrap_or("{}")),
        Body::Disconnect | Body::ConnectError(_) => {}
    }
}

/// An event's name and arguments are the first and the other elements of its array.
fn event(payload: &EventPayload<'_>) {
    // Values are fewer than raw texts: no half of a surrogate pair, no deep nesting.
    let Ok(values) = serde_json::from_str::<Vec<Value>>(payload.json()) else {
        return;
    };
    let (first, rest) = values.split_first().expect("an event has a name");
    if let Value::String(name) = first {
        assert_eq!(payload.name(), name);
    } else {
        assert!(first.is_number());
    }
    let arguments = format!("[{}]", payload.arguments());
    assert_eq!(
        serde_json::from_str::<Vec<Value>>(&arguments)
            .ok()
            .as_deref(),
        Some(rest)
    );
    for (index, value) in rest.iter().enumerate() {
        let argument = payload.argument(index).expect("it is there");
        assert_eq!(
            serde_json::from_str::<Value>(argument).ok().as_ref(),
            Some(value)
        );
    }
    assert_eq!(payload.argument(rest.len()), None);
}

/// What a client shows are the strings among its object's members.
fn shown(json: &str) {
    let Ok(value) = serde_json::from_str::<Value>(json) else {
        return;
    };
    let member = |name: &str| value.get(name).and_then(Value::as_str);
    let auth = Auth::parse(Some(json));
    assert_eq!(auth.token.as_deref(), member("token"));
    assert_eq!(auth.recovery.as_deref(), member("pid"));
    assert_eq!(auth.offset.as_deref(), member("offset"));
}

/// Each place in a packet with attachments is for one of them, and for no other place's.
fn places(json: &str, attachments: usize) {
    fn collect(value: &Value, found: &mut Vec<Option<u64>>) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
            Value::Object(members) => {
                if members.get("_placeholder") == Some(&Value::Bool(true)) {
                    found.push(members.get("num").and_then(Value::as_u64));
                }
                members.values().for_each(|value| collect(value, found));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    if attachments == 0 {
        return;
    }
    let value: Value = serde_json::from_str(json).expect("a binary packet can be read whole");
    let mut found = Vec::new();
    collect(&value, &mut found);
    let distinct: BTreeSet<Option<u64>> = found.iter().copied().collect();
    assert_eq!(distinct.len(), found.len());
    assert!(
        found
            .iter()
            .all(|number| { number.is_some_and(|number| number < attachments as u64) })
    );
}

fn session(messages: Vec<Carrier<'_>>) {
    let rules = Rules {
        namespaces: Arc::from([Arc::from("/"), Arc::from("/ws")]),
        connect_timeout: Duration::from_secs(45),
        attachment_timeout: Duration::from_secs(10),
        packet_bytes: 100_000,
    };
    let now = Mono::ZERO;
    let mut session = SocketSession::new(&rules, now);
    let mut is_in = BTreeSet::new();
    for message in messages {
        let step = match message {
            Carrier::Message(text) => session.text(text, &rules, now),
            Carrier::Binary(bytes) => session.binary(bytes, &rules, now),
            Carrier::Open(_)
            | Carrier::Close
            | Carrier::Ping(_)
            | Carrier::Pong(_)
            | Carrier::Upgrade
            | Carrier::Noop => continue,
        };
        match step {
            // The session would be closed.
            Err(_) => return,
            Ok(Step::Connect { namespace, .. }) => {
                assert!(session.connected(&namespace));
                assert!(is_in.insert(namespace), "nobody comes in twice");
            }
            Ok(Step::Left(namespace)) => assert!(is_in.remove(&namespace)),
            Ok(Step::Event {
                namespace,
                attachments,
                ..
            }) => {
                assert!(is_in.contains(&namespace));
                assert!(attachments.len() <= ATTACHMENTS);
            }
            Ok(Step::UnknownNamespace(name)) => {
                assert!(!rules.namespaces.iter().any(|known| **known == *name));
            }
            Ok(Step::Acknowledged { .. }) => unreachable!("nothing was asked"),
            Ok(Step::Nothing) => {}
        }
        assert_eq!(session.namespaces().count(), is_in.len());
    }
}
