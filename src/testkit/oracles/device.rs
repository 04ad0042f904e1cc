//! The oracle of the device dialect: what a client says.

use serde_json::{Value, json};

use crate::dialect::device::decode::{Message, decode};
use crate::domain::fault::Code;

/// For all bytes: what is read of them is what a plain JSON reader finds there; spelt as a message
/// again it is read as the same; an object that names nothing twice is never a mistake.
///
/// # Panics
/// If that does not hold.
pub(super) fn check(message: &[u8]) {
    let sent: Option<Value> = serde_json::from_slice(message).ok();
    let asked = match decode(message) {
        Err(fault) => {
            assert_eq!(fault.code, Code::InvalidMessage);
            if let Some(object) = sent.filter(Value::is_object) {
                let plainly = object.to_string();
                assert!(decode(plainly.as_bytes()).is_ok(), "{plainly}");
            }
            return;
        }
        Ok(asked) => asked,
    };
    let (kind, channel) = match &asked {
        Message::Subscribe(channel) => ("subscribe", Some(channel)),
        Message::Unsubscribe(channel) => ("unsubscribe", Some(channel)),
        Message::Ping => ("ping", None),
        Message::Nothing => return,
    };
    if let Some(sent) = &sent {
        let top = sent["channel"].as_str().filter(|name| !name.is_empty());
        let named = top.or_else(|| sent["data"]["channel"].as_str());
        assert_eq!(sent["type"], kind);
        if let Some(channel) = channel {
            assert_eq!(named, Some(&**channel));
        }
    }
    let again = match channel {
        Some(channel) => json!({"type": kind, "data": {"channel": channel}}),
        None => json!({"type": kind}),
    };
    assert_eq!(decode(again.to_string().as_bytes()).ok(), Some(asked));
}
