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
