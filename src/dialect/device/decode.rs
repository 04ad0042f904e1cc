//! A client's message on `/ws/metrics`: from bytes to what it asks for.
//!
//! As lenient as the server that the clients were written for: what asks for nothing known is
//! ignored, and only what is no JSON object is a mistake. Invariant: nothing is allocated beyond
//! what the message itself holds.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::fault::{Code, Fault};

/// What the answer to a message says that cannot be read; clients show it as it is.
pub const UNREADABLE: &str = "Invalid message format";

/// What a message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// To hear a channel; its name is not empty, and may be any.
    Subscribe(Box<str>),
    /// To hear it no more.
    Unsubscribe(Box<str>),
    /// To be answered.
    Ping,
    /// Nothing: its type is unknown or missing, or it names no channel.
    Nothing,
}

/// Reads one message. `subscribe` and `unsubscribe` have their `channel` at the top level or in
/// `data`, where the clients' own helper puts it; the former counts if both are there.
///
/// # Errors
/// INVALID_MESSAGE, in the clients' words, when it is no JSON object in UTF-8 or has one of the
/// members twice that are looked at.
pub fn decode(message: &[u8]) -> Result<Message, Fault> {
    // A derived Deserialize would take an array for a struct, too.
    if !message.trim_ascii_start().starts_with(b"{") {
        return Err(unreadable());
    }
    let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(message) else {
        return Err(unreadable());
    };
    let Some(kind) = text(envelope.kind) else {
        return Ok(Message::Nothing);
    };
    Ok(match &*kind {
        "subscribe" => envelope.channel().map(Message::Subscribe),
        "unsubscribe" => envelope.channel().map(Message::Unsubscribe),
        "ping" => Some(Message::Ping),
        _ => None,
    }
    .unwrap_or(Message::Nothing))
}

fn unreadable() -> Fault {
    Fault::new(Code::InvalidMessage, UNREADABLE)
}

/// The members that are looked at.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    channel: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

impl Envelope<'_> {
    fn channel(&self) -> Option<Box<str>> {
        #[derive(Deserialize)]
        struct Nested<'a> {
            #[serde(borrow, default)]
            channel: Option<&'a RawValue>,
        }
        let nested = || {
            let data = self.data.map(RawValue::get)?;
            let nested: Nested<'_> = serde_json::from_str(data).ok()?;
            text(nested.channel)
        };
        let found = text(self.channel).or_else(nested)?;
        Some(found.into())
    }
}

/// A string that says something; anything else counts as absent.
fn text(raw: Option<&RawValue>) -> Option<String> {
    let text: String = serde_json::from_str(raw?.get()).ok()?;
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::needless_pass_by_value)]
    fn check(message: &str, expected: Option<Message>) {
        assert_eq!(decode(message.as_bytes()).ok(), expected, "{message}");
    }

    #[test]
    fn a_channel_may_stand_at_the_top_or_in_the_data() {
        let subscribe = |channel: &str| Some(Message::Subscribe(channel.into()));
        check(
            r#"{"type":"subscribe","channel":"metrics"}"#,
            subscribe("metrics"),
        );
        check(
            r#"{"type":"subscribe","data":{"channel":"processes"},"timestamp":"t"}"#,
            subscribe("processes"),
        );
        check(
            r#"{"channel":"a","data":{"channel":"b"},"type":"subscribe"}"#,
            subscribe("a"),
        );
        for top in ["null", "7", "{}", r#""""#, r#""\ud800""#] {
            let message =
                format!(r#"{{"type":"subscribe","channel":{top},"data":{{"channel":"b"}}}}"#);
            check(&message, subscribe("b"));
        }
        check(
            r#" {"type":"subscribe","channel":"gr\u00fcn \n*"}"#,
            subscribe("grün \n*"),
        );
        check(
            r#"{"type":"unsubscribe","data":{"channel":"metrics"}}"#,
            Some(Message::Unsubscribe("metrics".into())),
        );
    }

    #[test]
    fn what_names_no_channel_or_no_known_type_asks_for_nothing() {
        for message in [
            r#"{"type":"subscribe"}"#,
            r#"{"type":"subscribe","channel":""}"#,
            r#"{"type":"unsubscribe","channel":["metrics"]}"#,
            r#"{"type":"unsubscribe","data":"metrics"}"#,
            r#"{"type":"subscribe","data":{"channel":null}}"#,
            r#"{"type":"subscribe","data":{"channel":"a","channel":"b"}}"#,
            r#"{"type":"subscribe","room":"metrics"}"#,
            r#"{"type":"auth","token":"t"}"#,
            r#"{"type":"Ping"}"#,
            r#"{"type":null}"#,
            r#"{"type":1}"#,
            "{}",
        ] {
            check(message, Some(Message::Nothing));
        }
    }

    #[test]
    fn a_ping_needs_nothing_else() {
        check(r#"{"type":"ping"}"#, Some(Message::Ping));
        let padded = "\t{ \"data\" : 1e999, \"type\" : \"p\\u0069ng\" }\r\n";
        check(padded, Some(Message::Ping));
    }

    #[test]
    fn what_is_no_json_object_is_a_mistake() {
        for message in [
            "",
            "hello",
            "{",
            r#"{"type":"ping"}x"#,
            r#"{"type":"ping",}"#,
            r#"{"type":"ping","type":"ping"}"#,
            r#"["subscribe","metrics"]"#,
            r#""ping""#,
            "null",
        ] {
            check(message, None);
        }
        let fault = decode(b"{\"type\":\"\xff\"}").err();
        let told = fault.map(|fault| (fault.code, fault.message));
        let expected = (Code::InvalidMessage, "Invalid message format".into());
        assert_eq!(told, Some(expected));
    }

    #[test]
    fn every_beginning_of_a_message_is_a_mistake() {
        let whole = br#"{"type":"subscribe","data":{"channel":"metrics"}}"#;
        for length in 0..whole.len() {
            assert!(decode(whole.get(..length).unwrap_or_default()).is_err());
        }
        assert!(decode(whole).is_ok());
    }
}
