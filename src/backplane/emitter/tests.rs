//! What emitters write is read, and nothing else is: samples that the real packages wrote, each of
//! them cut and changed at every place, and pickles that Python would run.

#![allow(clippy::unwrap_used, clippy::panic)]

mod pickles;

use self::pickles::PICKLES;
use super::publication::publication;
use super::{Emit, EmitterFault, Message, Writer, read};
use crate::base::rng::Rng;
use crate::bus::mail::Manage;
use crate::domain::command::Payload;
use crate::testkit::oracles;

const LIMIT: usize = 1 << 20;

/// A session's id on the wire.
const SID: &str = "0123456789abcdef0123456789abcdef";

/// `@socket.io/redis-emitter` 5.1.0: `of("/ws").to("project:1").emit("project.updated", {…})`.
const PACKED: &[u8] =
    b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x92\xafproject.updated\x81\xa1a\x9c\x01\xfe\xcd\x01,\
    \xce\x00\x01\x11p\xcf\x00\x00\x01\x00\x00\x00\x00\x00\xd3\xff\xff\xff\x00\x00\x00\x00\x00\
    \xcb?\xf8\x00\x00\x00\x00\x00\x00\xc3\xc0\xa2\xc3\xa9\xd7\xff\x1dSS\x00eS\xf1\x00\xd6\xffeS\
    \xf1\x00\xa3nsp\xa3/ws\x83\xa5rooms\x91\xa9project:1\xa5flags\x80\xa6except\x90";

/// `socket.io-emitter` 3.2.0: `to("a").emit("x", date, undefined, buffer, arrayBuffer)`.
const PACKED_OLD: &[u8] =
    b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x95\xa1x\xd7\x00\x00\x00\x01\x8b\xcf\xe5h{\xd4\x00\
    \x00\xc4\x02\x01\x02\xc7\x02\x00\x00\x00\xa3nsp\xa1/\x82\xa5rooms\x91\xa1a\xa5flags\x80";

fn emitted(writer: Writer, channel: &str, message: &[u8]) -> Emit {
    match read(writer, channel, message, LIMIT) {
        Ok(Message::Emit(emit)) => emit,
        other => panic!("{other:?}"),
    }
}

fn json(emit: &Emit) -> &str {
    match &emit.payload {
        Payload::Json(text) => text,
        Payload::Bytes(bytes) => panic!("{bytes:?}"),
    }
}

#[test]
fn lengths_that_are_only_declared_take_no_memory() {
    let truncated = |writer, message: &[u8]| {
        let at = message.len();
        let fault = read(writer, "", message, LIMIT).unwrap_err();
        assert_eq!(fault, EmitterFault::Truncated { at }, "{message:?}");
    };
    for instruction in *b"X\x8dB\x8e\x96\x95" {
        let length = if matches!(instruction, b'X' | b'B') {
            4
        } else {
            8
        };
        let message = [b"\x80\x04".as_slice(), &[instruction], &vec![0xff; length]].concat();
        truncated(Writer::Python, &message);
    }
    for first in [0xc6, 0xc9, 0xdb, 0xdd, 0xdf] {
        truncated(Writer::Node, &[first, 0xff, 0xff, 0xff, 0xff]);
    }
}

#[test]
fn python_writes_json_in_three_ways() {
    let check = |members: &str, expected: &str| {
        let message = format!(r#"{{"method":"emit","event":"e",{members},"host_id":"h"}}"#);
        let emit = emitted(Writer::Python, "socketio", message.as_bytes());
        assert_eq!(json(&emit), expected, "{members}");
    };
    // 5.14.0 to 5.14.2
    check(r#""data":{"a": 1.0}"#, r#"{"a": 1.0}"#);
    check(r#""data":[1]"#, "[1]");
    check(r#""data":null"#, "null");
    check(r#""room":null"#, "null");
    // 5.14.3 to 5.15
    check(r#""data":{"a":1},"binary":false"#, r#"{"a":1}"#);
    check(
        r#""data":[{"a":{"_placeholder":true,"num":0}},"AP8="],"binary":true"#,
        r#"{"a":{"base64":"AP8="}}"#,
    );
    // 5.16 and later
    check(r#""data":[],"binary":false"#, "null");
    check(r#""data":[{"a":1}],"binary":false"#, r#"{"a":1}"#);
    check(r#""data":["a", 2],"binary":false"#, r#"["a", 2]"#);
    check(
        r#""data":[[1,{"b":[{"_placeholder":true,"num":0}]}],"AP8="],"binary":true"#,
        r#"[1,{"b":[{"base64":"AP8="}]}]"#,
    );
    let message = r#"{"method":"emit","event":"e","binary":true,
        "data":[[{"_placeholder":true,"num":0}],"AP8="]}"#;
    let emit = emitted(Writer::Python, "socketio", message.as_bytes());
    assert_eq!(emit.payload, Payload::Bytes(vec![0, 255].into()));
}

#[test]
fn json_that_no_emitter_writes_is_refused() {
    let check = |message: &str, expected: &str| {
        let fault = read(Writer::Python, "", message.as_bytes(), LIMIT).unwrap_err();
        assert!(fault.to_string().contains(expected), "{message}: {fault}");
    };
    let emit = |members: &str| format!(r#"{{"method":"emit","event":"e",{members}}}"#);
    check("", "not JSON as emitters write it, from line 1 column 0");
    check(r#"{"data":1}"#, "not JSON as emitters");
    check(r#"{"method":"emit"}"#, "it has no event");
    check(&emit(r#""data":NaN"#), "not JSON as emitters");
    check(&emit(r#""room":{}"#), "not JSON as emitters");
    check(
        &emit(r#""data":[[{"_placeholder":true,"num":1}],"AP8="],"binary":true"#),
        "do not match",
    );
    check(
        &emit(r#""data":[[{"_placeholder":true,"num":0}],"A"],"binary":true"#),
        "not base64",
    );
    check(
        &emit(r#""data":[[1,{"_placeholder":true,"num":0}],"A"],"binary":true"#),
        "not base64",
    );
    check(&emit(r#""data":[],"binary":true"#), "do not match");
    check(&emit(r#""data":[[],1],"binary":true"#), "do not match");
    // The same bytes in many places would be more than came.
    let twice = r#""data":[[{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}],"AP8="]"#;
    check(
        &emit(&format!(r#"{twice},"binary":true"#)),
        "without bytes of its own",
    );
    let deep = format!(r#""data":{}{}"#, "[".repeat(127), "]".repeat(127));
    check(&emit(&deep), "126 deep");
}

#[test]
fn sessions_are_managed_by_their_ids() {
    let check = |members: &str, expected: Option<&str>| {
        let message = format!(r#"{{"method":{members}}}"#);
        let found = match read(Writer::Python, "", message.as_bytes(), LIMIT).unwrap() {
            Message::Manage(session, what) => {
                assert_eq!(session.to_string(), SID);
                Some(match what {
                    Manage::Disconnect { code, .. } => format!("disconnect {code}"),
                    Manage::Subscribe(room) => format!("subscribe {room}"),
                    Manage::Unsubscribe(room) => format!("unsubscribe {room}"),
                })
            }
            Message::Ignored => None,
            Message::Emit(emit) => panic!("{emit:?}"),
        };
        assert_eq!(found.as_deref(), expected, "{members}");
    };
    let sid = format!(r#""sid":"{SID}""#);
    check(&format!(r#""disconnect",{sid}"#), Some("disconnect 4501"));
    check(
        &format!(r#""enter_room",{sid},"room":"a""#),
        Some("subscribe a"),
    );
    check(
        &format!(r#""leave_room",{sid},"room":"a""#),
        Some("unsubscribe a"),
    );
    check(r#""enter_room","sid":"of another server","room":"a""#, None);
    check(r#""close_room","room":"a""#, None);
    check(r#""callback","sid":"x","args":[]"#, None);
    let no_room = format!(r#"{{"method":"enter_room",{sid}}}"#);
    let fault = read(Writer::Python, "", no_room.as_bytes(), LIMIT).unwrap_err();
    assert_eq!(fault.to_string(), "it has no room");
}

#[test]
fn what_nodes_emitters_write_is_read() {
    let emit = emitted(Writer::Node, "socket.io#/ws#project:1#", PACKED);
    assert_eq!((&*emit.namespace, &*emit.event), ("/ws", "project.updated"));
    assert_eq!(emit.rooms, ["project:1"]);
    assert!(emit.except.is_empty());
    let numbers = "1,-2,300,70000,1099511627776,-1099511627776,1.5,true,null";
    let times = r#""2023-11-14T22:13:20.123Z","2023-11-14T22:13:20.000Z""#;
    assert_eq!(json(&emit), format!(r#"{{"a":[{numbers},"é",{times}]}}"#));
    let emit = emitted(Writer::Node, "socket.io#/#a#", PACKED_OLD);
    assert_eq!((&*emit.namespace, &*emit.event), ("/", "x"));
    let expected = r#"["2023-11-14T22:13:20.123Z",null,{"base64":"AQI="},{"base64":"AAA="}]"#;
    assert_eq!(json(&emit), expected);
}

#[test]
fn a_packet_of_node_is_checked() {
    let check = |message: &[u8], expected: Result<&str, &str>| {
        let found = match read(Writer::Node, "socket.io#/#b#", message, LIMIT) {
            Ok(Message::Emit(emit)) => Ok(format!("{} {:?}", json(&emit), emit.rooms)),
            Ok(_) => Ok("ignored".to_owned()),
            Err(fault) => Err(fault.to_string()),
        };
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (found, expected) => panic!("{found:?} {expected:?}"),
        }
    };
    let of = |packet: &[u8], options: &[u8]| [b"\x93\xa1u", packet, options].concat();
    let hello = b"\x82\xa4type\x02\xa4data\x92\xa1e\x07";
    check(&of(hello, b"\x80"), Ok("7 []"));
    check(
        &of(b"\x82\xa4type\x05\xa4data\x91\xa1e", b"\x80"),
        Ok("null []"),
    );
    check(
        &of(b"\x82\xa4type\x03\xa4data\x91\xa1e", b"\x80"),
        Ok("ignored"),
    );
    // Version 1 of socket.io-emitter tells each room of all of them.
    check(&of(hello, b"\x81\xa5rooms\x92\xa1a\xa1b"), Ok(r#"7 ["b"]"#));
    check(
        &of(hello, b"\x81\xa5rooms\x92\xa1a\xa1c"),
        Ok(r#"7 ["a", "c"]"#),
    );
    check(&of(hello, b"\x81\xa5rooms\x91\x07"), Ok(r#"7 ["7"]"#));
    check(&of(hello, b"\x81\xa5rooms\x91\xc3"), Err("no names"));
    check(
        &of(hello, b"\x81\xa6except\x91\xa1b"),
        Err("it excepts rooms"),
    );
    check(
        &of(b"\x82\xa4type\x02\xa4data\x91\x07", b"\x80"),
        Err("no event"),
    );
    check(&of(b"\x81\xa4type\x02", b"\x80"), Err("no event"));
    check(b"\x92\xa1u\x80", Err("no list of uid"));
    check(b"\xc0", Err("no list of uid"));
    check(b"\xc1", Err("byte 0 begins a msgpack value 0xc1"));
    check(b"\xd4\x05\x00", Err("byte 0 begins a msgpack value 0xd4"));
    check(b"\xd6\xff\x00", Err("it ends in the middle, at byte 3"));
    check(b"\xa1\xff", Err("text at byte 1 is not UTF-8"));
    check(b"\xc0\xc0", Err("goes on after its end, at byte 1"));
    check(&b"\x91".repeat(LIMIT), Err("nest deeper than 126"));
}

#[test]
fn everything_is_published_like_what_comes_over_http() {
    let asked = |namespace: &str, event: &str, rooms: &[&str], payload: &str| Emit {
        namespace: namespace.into(),
        event: event.to_owned(),
        payload: Payload::Json(payload.into()),
        rooms: rooms.iter().map(|room| (*room).to_owned()).collect(),
        except: Vec::new(),
    };
    let published = |emit| publication(emit, ["/", "/ws"]);
    let publish = published(asked(
        "/",
        "e",
        &[],
        "{\"type\":\"e\",\"timestamp\":\"t\",\"data\":1}",
    ));
    let publish = publish.unwrap();
    assert_eq!(
        publish
            .rooms
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["global"]
    );
    assert!(matches!(&publish.payload, Payload::Json(json) if json.starts_with("{\"type\"")));
    let unwrapped = |payload: &str| {
        let publish = published(asked("/ws", "e", &["a", "b"], payload)).unwrap();
        assert_eq!(publish.rooms.len(), 2);
        match publish.payload {
            Payload::Json(json) => (json.into_string(), publish.source.map(Into::into)),
            Payload::Bytes(bytes) => panic!("{bytes:?}"),
        }
    };
    let as_it_is = |payload: &str| assert_eq!(unwrapped(payload), (payload.to_owned(), None));
    let envelope = r#"{"type":"e","timestamp":"t","source":"s","data":{"a": 1}}"#;
    assert_eq!(
        unwrapped(envelope),
        ("{\"a\": 1}".to_owned(), Some("s".to_owned()))
    );
    let nameless = r#"{"type":"e","timestamp":"t","source":null,"data":{}}"#;
    assert_eq!(unwrapped(nameless), ("{}".to_owned(), None::<String>));
    as_it_is(r#"{"type":"e","data":{}}"#);
    as_it_is(r#"["e","t","s",1]"#);
    as_it_is("null");
    let check = |emit: Emit, expected: &str| {
        let fault = published(emit).unwrap_err().to_string();
        assert!(fault.contains(expected), "{fault}");
    };
    check(
        asked("/admin", "e", &[], "1"),
        "namespace /admin is not among socketio.namespaces",
    );
    check(asked("/", "connect", &[], "1"), "reserved for the server");
    check(asked("/", "e", &["a b"], "1"), "space");
    let source = format!(
        r#"{{"type":"e","timestamp":"t","source":"{}","data":1}}"#,
        "s".repeat(256)
    );
    check(asked("/ws", "e", &[], &source), "source must have at most");
}

/// Every sample, cut and changed at every place, and by chance.
#[test]
fn hostile_bytes_publish_nothing_that_may_not_be() {
    let samples = PICKLES.iter().map(|pickle| (0, *pickle));
    let samples = samples.chain([(1, PACKED), (1, PACKED_OLD)]);
    let mut rng = Rng::from_seed(29);
    for (kind, sample) in samples {
        let whole = [&[kind], sample].concat();
        for end in 0..whole.len() {
            oracles::emitter(&whole[..end]);
        }
        for at in 1..whole.len() {
            let mut changed = whole.clone();
            for _ in 0..24 {
                changed[at] = rng.below(256) as u8;
                let other = 1 + rng.below(whole.len() as u64 - 1) as usize;
                changed[other] = rng.below(256) as u8;
                oracles::emitter(&changed);
            }
        }
    }
    for seed in 0..2000 {
        let bytes = crate::testkit::choices::seeded(seed, 300);
        oracles::emitter(&[&[2], &bytes[..]].concat());
    }
}
