//! What a server says in Socket.IO 5: packets written behind whatever is in `out` already.
//!
//! Engine.IO's type (`4`) is the caller's to put before. Invariants: JSON that is given is written
//! as it is and must be valid; a namespace begins with `/` and has no comma.

use crate::wire::json::object::{Object, string};
use crate::wire::socket_io::packet::{MAIN_NAMESPACE, Type};

/// An event to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventText<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its arguments as JSON, separated by commas; empty if there are none.
    pub arguments: &'a str,
    /// How many of the arguments' placeholders stand for attachments, which follow it.
    pub attachments: usize,
    /// Under which id an acknowledgement is awaited.
    pub id: Option<u64>,
    /// Where it stands in what the session gets: one more argument, for a client whose CONNECT was
    /// answered with a `pid`. It takes the last argument for an offset if that is a string, so then
    /// every event without an id has one.
    pub offset: Option<&'a str>,
}

/// Lets a client into a namespace as `id`; with `recovery`, which is secret, it can come back to
/// what it missed.
pub fn connected(namespace: &str, id: &str, recovery: Option<&str>, out: &mut Vec<u8>) {
    head(Type::Connect, 0, namespace, None, out);
    Object::begin(out)
        .string("sid", id)
        .string_if("pid", recovery)
        .end();
}

/// Asks to be let in, as clients do; `auth` is an object.
pub fn connect(namespace: &str, auth: Option<&str>, out: &mut Vec<u8>) {
    head(Type::Connect, 0, namespace, None, out);
    out.extend_from_slice(auth.unwrap_or_default().as_bytes());
}

/// Does not let a client in; `data` is JSON that programs read.
pub fn connect_error(namespace: &str, message: &str, data: Option<&str>, out: &mut Vec<u8>) {
    head(Type::ConnectError, 0, namespace, None, out);
    let object = Object::begin(out).string("message", message);
    match data {
        Some(data) => object.raw("data", data).end(),
        None => object.end(),
    }
}

/// Ends the session's part in a namespace.
pub fn disconnect(namespace: &str, out: &mut Vec<u8>) {
    head(Type::Disconnect, 0, namespace, None, out);
}

/// Tells an event.
pub fn event(namespace: &str, event: &EventText<'_>, out: &mut Vec<u8>) {
    let kind = match event.attachments {
        0 => Type::Event,
        _ => Type::BinaryEvent,
    };
    head(kind, event.attachments, namespace, event.id, out);
    out.push(b'[');
    string(event.name, out);
    if !event.arguments.is_empty() {
        out.push(b',');
        out.extend_from_slice(event.arguments.as_bytes());
    }
    if let Some(offset) = event.offset {
        out.push(b',');
        string(offset, out);
    }
    out.push(b']');
}

/// Answers the event with this id; `arguments` are as in [`EventText`].
pub fn ack(namespace: &str, id: u64, arguments: &str, attachments: usize, out: &mut Vec<u8>) {
    let kind = match attachments {
        0 => Type::Ack,
        _ => Type::BinaryAck,
    };
    head(kind, attachments, namespace, Some(id), out);
    out.push(b'[');
    out.extend_from_slice(arguments.as_bytes());
    out.push(b']');
}

/// Stands for the attachment `number`, from 0, in the arguments of a packet.
pub fn placeholder(number: usize, out: &mut Vec<u8>) {
    Object::begin(out)
        .boolean("_placeholder", true)
        .number("num", number as u64)
        .end();
}

/// What stands before the JSON of a packet.
pub(super) fn head(
    kind: Type,
    attachments: usize,
    namespace: &str,
    id: Option<u64>,
    out: &mut Vec<u8>,
) {
    debug_assert!(namespace.starts_with('/') && !namespace.contains(','));
    out.push(kind as u8);
    if attachments > 0 {
        out.extend_from_slice(attachments.to_string().as_bytes());
        out.push(b'-');
    }
    if namespace != MAIN_NAMESPACE {
        out.extend_from_slice(namespace.as_bytes());
        out.push(b',');
    }
    if let Some(id) = id {
        out.extend_from_slice(id.to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn connections_are_answered_as_the_protocol_says() {
        let check = |expected: &str, write: &dyn Fn(&mut Vec<u8>)| {
            assert_eq!(written(write), expected);
        };
        check(r#"0{"sid":"a"}"#, &|out| connected("/", "a", None, out));
        check(r#"0/ws,{"sid":"a","pid":"b"}"#, &|out| {
            connected("/ws", "a", Some("b"), out);
        });
        check("0", &|out| connect("/", None, out));
        check(r#"0/admin,{"token":"1"}"#, &|out| {
            connect("/admin", Some(r#"{"token":"1"}"#), out);
        });
        check(r#"4/random,{"message":"Invalid namespace"}"#, &|out| {
            connect_error("/random", "Invalid namespace", None, out);
        });
        check(r#"4{"message":"no","data":{"code":7}}"#, &|out| {
            connect_error("/", "no", Some(r#"{"code":7}"#), out);
        });
        check("1", &|out| disconnect("/", out));
        check("1/admin,", &|out| disconnect("/admin", out));
    }

    #[test]
    fn events_and_answers_carry_their_arguments_as_they_are() {
        let check = |namespace: &str, text: EventText<'_>, expected: &str| {
            assert_eq!(written(|out| event(namespace, &text, out)), expected);
        };
        let foo = EventText {
            name: "foo",
            ..EventText::default()
        };
        check("/", foo, r#"2["foo"]"#);
        let arguments = EventText {
            arguments: r#"1,"2""#,
            id: Some(13),
            ..foo
        };
        check("/admin", arguments, r#"2/admin,13["foo",1,"2"]"#);
        let placeholder = written(|out| placeholder(0, out));
        let binary = EventText {
            arguments: &placeholder,
            attachments: 1,
            ..foo
        };
        check(
            "/admin",
            binary,
            r#"51-/admin,["foo",{"_placeholder":true,"num":0}]"#,
        );
        let quoted = EventText {
            name: "a\"\n",
            offset: Some("7:e:1"),
            ..foo
        };
        check("/", quoted, r#"2["a\"\n","7:e:1"]"#);
        let last = EventText {
            offset: Some("x"),
            ..arguments
        };
        check("/", last, r#"213["foo",1,"2","x"]"#);
        let acked =
            |arguments: &str, attachments| written(|out| ack("/", 12, arguments, attachments, out));
        assert_eq!(acked("", 0), "312[]");
        assert_eq!(acked("\"bar\"", 0), r#"312["bar"]"#);
        assert_eq!(acked(&placeholder, 1), format!("61-12[{placeholder}]"));
    }
}
