//! What Socket.IO clients are told, as it stands on the wire.

use super::*;
use crate::config::SlowConsumer;
use crate::dialect::publication::Placement;
use crate::domain::position::Epoch;
use crate::domain::room::RoomName;
use crate::wire::socket_io::packet::{Body, Packet};
use crate::wire::websocket::frame::Opcode;

/// 2026-01-01T00:00:00.123Z.
const NOW: Wall = Wall::from_millis(1_767_225_600_123);

fn said(payload: Payload) -> Publication {
    let place = |room, epoch| Placement {
        room: RoomName::parse(room).unwrap(),
        offset: 7,
        epoch: Epoch::parse(epoch).unwrap(),
        slow_consumer: SlowConsumer::Close,
    };
    Publication {
        event: "said".into(),
        payload,
        source: None,
        timestamp: NOW,
        uid: 1,
        has_copies: true,
        placements: [place("chat:1", "E-1"), place("b", "E-2")].into(),
        sequence: 0x1f,
        except: Box::default(),
    }
}

fn json(text: &str) -> Payload {
    Payload::Json(text.into())
}

fn form(namespace: &str, has_offset: bool) -> PacketForm {
    let namespace = Namespace::named(namespace);
    PacketForm {
        namespace,
        has_offset,
    }
}

/// The messages of its frame; those of bytes in quotes.
fn told(publication: &Publication, form: PacketForm) -> Vec<String> {
    let frame = super::publication(publication, form);
    let spelt = frame.payloads().map(|(opcode, payload)| match opcode {
        Opcode::Text => String::from_utf8(payload.to_vec()).unwrap(),
        _ => format!("{payload:?}"),
    });
    spelt.collect()
}

#[test]
fn a_publication_is_its_event_and_its_data() {
    let check = |data: &str, namespace, has_offset, expected: &str| {
        let told = told(&said(json(data)), form(namespace, has_offset));
        assert_eq!(told, [expected], "{data} {namespace} {has_offset}");
        let packet = Packet::parse(expected.strip_prefix('4').unwrap()).unwrap();
        assert!(matches!(packet.body, Body::Event { id: None, .. }));
    };
    check("{\"a\": 1}", "/", false, r#"42["said",{"a": 1}]"#);
    check("null", "/", false, r#"42["said",null]"#);
    check("null", "/", true, r#"42["said",null,"E-1:1f"]"#);
    check("[1]", "/admin", false, r#"42/admin,["said",[1]]"#);
    let time = "2026-01-01T00:00:00.123Z";
    let enveloped = |data: &str, offset: &str| {
        format!(
            r#"42/ws,["said",{{"type":"said","timestamp":"{time}","source":null,"data":{data}}}{offset}]"#
        )
    };
    check("[1]", "/ws", false, &enveloped("[1]", ""));
    check("null", "/ws", true, &enveloped("null", r#","E-1:1f""#));
    // What looks like a placeholder is data where nothing is attached.
    let mark = r#"{"_placeholder":true,"num":0}"#;
    check(mark, "/", false, &format!(r#"42["said",{mark}]"#));
}

#[test]
fn whoever_published_is_named_in_the_envelope_alone() {
    let mut publication = said(json("1"));
    publication.event = "a\"b".into();
    publication.source = Some("cron \"1\"".into());
    let check = |namespace, expected: &str| {
        assert_eq!(told(&publication, form(namespace, false)), [expected]);
    };
    check("/", r#"42["a\"b",1]"#);
    check(
        "/ws",
        r#"42/ws,["a\"b",{"type":"a\"b","timestamp":"2026-01-01T00:00:00.123Z","source":"cron \"1\"","data":1}]"#,
    );
}

#[test]
fn bytes_follow_their_event_in_the_same_frame() {
    let publication = said(Payload::Bytes(b"\0\xff"[..].into()));
    let check = |form, expected: &str| {
        assert_eq!(told(&publication, form), [expected, "[0, 255]"], "{form:?}");
        let packet = Packet::parse(expected.strip_prefix('4').unwrap()).unwrap();
        assert_eq!(packet.attachments(), 1);
    };
    check(
        form("/", true),
        r#"451-["said",{"_placeholder":true,"num":0},"E-1:1f"]"#,
    );
    check(
        form("/ws", false),
        r#"451-/ws,["said",{"type":"said","timestamp":"2026-01-01T00:00:00.123Z","source":null,"data":{"_placeholder":true,"num":0}}]"#,
    );
    let empty = said(Payload::Bytes(b""[..].into()));
    let told = told(&empty, form("/", false));
    assert_eq!(
        told,
        [r#"451-["said",{"_placeholder":true,"num":0}]"#, "[]"]
    );
}

#[test]
fn publications_from_the_store_are_told_apart_by_room_and_place() {
    let mut publication = said(json("1"));
    publication.sequence = FROM_STORE;
    assert_eq!(offset_of(&publication), "E-1:7:chat:1");
    publication.sequence = 1;
    assert_eq!(offset_of(&publication), "E-1:1");
}

/// What it wrote; in `expected` `TIME` stands for the timestamp.
fn check(write: impl FnOnce(&mut Vec<u8>), expected: &str) {
    let mut out = Vec::new();
    write(&mut out);
    let found = String::from_utf8(out).unwrap();
    let time = r#""timestamp":"2026-01-01T00:00:00.123Z""#;
    assert_eq!(found, expected.replace("TIME", time));
}

#[test]
fn acknowledgements_are_spelt_as_p3_spells_them() {
    let room = RoomName::parse("project:1").unwrap();
    check(
        |out| subscription(&room, out),
        r#"{"status":"success","room":"project:1"}"#,
    );
    check(pong, r#"{"status":"pong"}"#);
    check(
        |out| rooms([&room, &RoomName::parse("global").unwrap()], out),
        r#"{"status":"success","rooms":["project:1","global"]}"#,
    );
    check(|out| rooms([], out), r#"{"status":"success","rooms":[]}"#);
}

#[test]
fn what_was_published_is_acknowledged_with_its_places() {
    check(
        |out| published(&said(json("1")).placements, out),
        r#"{"status":"success","room":"chat:1","offset":7,"epoch":"E-1","results":[{"room":"chat:1","offset":7,"epoch":"E-1"},{"room":"b","offset":7,"epoch":"E-2"}]}"#,
    );
}

#[test]
fn refusals_have_the_words_that_clients_of_p3_compare() {
    let told = |code, message: &str, expected: &str| {
        let expected = format!(r#"{{"status":"error","message":{expected}}}"#);
        check(|out| refused(&Fault::new(code, message), out), &expected);
    };
    told(
        Code::PermissionDenied,
        "the room \"user:2\" is closed",
        r#""Access denied","code":"PERMISSION_DENIED""#,
    );
    told(
        Code::Unauthorized,
        "show a token first",
        r#""Unauthorized","code":"UNAUTHORIZED""#,
    );
    told(
        Code::ValidationFailed,
        "a \"name\"",
        r#""a \"name\"","code":"VALIDATION_FAILED""#,
    );
}

#[test]
fn the_hello_says_who_the_client_is() {
    let hello_of = |user: Option<UserId>, expected: &str| {
        check(
            |out| hello("s-1", user.as_ref(), NOW, out),
            &format!(
                r#"{{"type":"connection.established",TIME,"source":null,"data":{{"connection_id":"s-1","user_id":{expected},TIME,"protocol_version":"1.0"}}}}"#
            ),
        );
    };
    hello_of(None, "null");
    hello_of(UserId::parse("ada").ok(), r#""ada""#);
}

#[test]
fn whom_an_operator_moves_is_told_the_room() {
    let room = RoomName::parse("a").unwrap();
    check(
        |out| placed("subscribed", &room, Dialect::SocketIo, NOW, out),
        r#"{"room":"a"}"#,
    );
    check(
        |out| {
            placed("unsubscribed", &room, Dialect::SocketIoEnveloped, NOW, out);
        },
        r#"{"type":"unsubscribed",TIME,"source":null,"data":{"room":"a"}}"#,
    );
}

#[test]
fn who_is_not_let_in_is_told_why_in_words_and_by_a_code() {
    let fault = Fault::new(Code::Unauthorized, "the token has expired");
    check(
        |out| connect_error("/ws", &fault, out),
        r#"4/ws,{"message":"the token has expired","data":{"code":"UNAUTHORIZED"}}"#,
    );
}
