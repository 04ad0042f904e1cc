//! What Socket.IO clients ask for, and what they may not.

use super::*;
use crate::domain::fault::Code;
use crate::wire::json::object::string;

/// What was asked for, in short: `+room`, `-room`, a word, or the fault's message.
fn asked(json: &str, attachments: &[Bytes]) -> String {
    let join_events =
        [("join", "leave"), ("joinRoom", "publish")].map(|(join, leave)| JoinEvents {
            join: join.to_owned(),
            leave: leave.to_owned(),
        });
    let payload = EventPayload::parse(json).unwrap();
    match decode(&payload, attachments, &join_events) {
        Ok(Asked::Subscribe(room)) => format!("+{room}"),
        Ok(Asked::Unsubscribe(room)) => format!("-{room}"),
        Ok(Asked::Ping) => "ping".to_owned(),
        Ok(Asked::Rooms) => "rooms".to_owned(),
        Ok(Asked::Publish(publish)) => format!("{:?}", publish.payload),
        Ok(Asked::Unknown) => "unknown".to_owned(),
        Err(fault) => {
            assert_eq!(fault.code, Code::ValidationFailed, "{json:.80}");
            fault.message
        }
    }
}

fn check(json: &str, expected: &str) {
    assert_eq!(asked(json, &[]), expected, "{json:.120}");
}

const WRONG: &str = "the argument must be the room's name or {\"room\":\"…\"}";

#[test]
fn a_room_is_named_by_a_text_or_in_an_object() {
    for (event, sign) in [("subscribe", '+'), ("unsubscribe", '-')] {
        for argument in [
            r#""project:1""#,
            r#"{"room":"project:1"}"#,
            r#" {"x":1,"room" : "project\u003a1","__proto__":{"room":"b"}} , "more""#,
        ] {
            let json = format!(r#"["{event}",{argument}]"#);
            check(&json, &format!("{sign}project:1"));
        }
    }
}

#[test]
fn an_event_without_a_room_is_a_mistake_and_no_more() {
    for event in ["subscribe", "unsubscribe", "join", "leave"] {
        let told = |argument: &str, expected: &str| {
            check(&format!(r#"["{event}"{argument}]"#), expected);
        };
        for nothing in [
            "",
            ",null",
            ",{}",
            r#","""#,
            r#",{"room":null}"#,
            r#",{"room":""}"#,
            r#",{"Room":"a"}"#,
            r#",{"__proto__":{"room":"a"}}"#,
        ] {
            told(nothing, "Room not specified");
        }
        for other in [
            ",1",
            ",true",
            r#",["a"]"#,
            r#",{"room":1}"#,
            r#",{"room":["a"]}"#,
            r#",{"room":"a","room":"b"}"#,
            r#",{"_placeholder":true,"num":0,"room":{}}"#,
            r#","\ud800""#,
        ] {
            told(other, WRONG);
        }
    }
}

#[test]
fn a_room_is_named_as_everywhere() {
    let long = "a".repeat(1_000_000);
    for name in ["a b", "a*", "ä", &long] {
        let mut json = Vec::new();
        string(name, &mut json);
        let json = String::from_utf8(json).unwrap();
        let found = asked(&format!(r#"["subscribe",{json}]"#), &[]);
        let expected = members::room(name).unwrap_err().message;
        assert_eq!(found, expected, "{name:.20}");
    }
}

#[test]
fn other_spellings_are_the_configurations_and_never_take_a_name_away() {
    check(r#"["join","a"]"#, "+a");
    check(r#"["joinRoom",{"room":"a","username":"ada"}]"#, "+a");
    check(r#"["leave","a"]"#, "-a");
    check(r#"["Join","a"]"#, "unknown");
    check(
        r#"["publish",{"room":"a","event":"said"}]"#,
        "Json(\"null\")",
    );
}

#[test]
fn what_needs_no_argument_takes_any() {
    for arguments in ["", ",null", ",{},[],1"] {
        check(&format!(r#"["ping"{arguments}]"#), "ping");
        check(&format!(r#"["debug:rooms"{arguments}]"#), "rooms");
    }
    for name in [
        r#""""#,
        r#""said""#,
        "7",
        r#""__proto__""#,
        r#""constructor""#,
    ] {
        check(&format!("[{name}]"), "unknown");
    }
}

#[test]
fn a_publish_is_one_object_with_the_members_of_the_native_command() {
    let json = r#"["publish",{"rooms":["a","b"],"event":"said","data":[1.0],"source":"s","key":"k","except":"00000000000000000000000000000007"}]"#;
    let payload = EventPayload::parse(json).unwrap();
    let Ok(Asked::Publish(publish)) = decode(&payload, &[], &[]) else {
        unreachable!("it asks for a publish");
    };
    let rooms: Vec<&str> = publish.rooms.iter().map(RoomName::as_str).collect();
    assert_eq!(rooms, ["a", "b"]);
    assert_eq!(&*publish.event, "said");
    assert_eq!(publish.payload, Payload::Json("[1.0]".into()));
    assert_eq!(publish.source.as_deref(), Some("s"));
    assert_eq!(publish.key.as_deref(), Some("k"));
    assert_eq!(publish.except.len(), 1);

    let object = "publish takes one object: {\"room\":\"…\",\"event\":\"…\",\"data\":…}";
    for argument in [
        "",
        ",null",
        r#","a""#,
        r#",["a","said"]"#,
        r#","a","said",1"#,
    ] {
        check(&format!(r#"["publish"{argument}]"#), object);
    }
    let told = |members: &str, expected: &str| {
        check(&format!(r#"["publish",{{{members}}}]"#), expected);
    };
    told("", "no room named: give room or rooms");
    told(r#""room":"a""#, "event is missing: name what is published");
    told(r#""room":{}"#, "room must be a string");
    told(
        r#""room":"a","event":"e","data_base64":"AP8=""#,
        "Bytes(b\"\\0\\xff\")",
    );
    let reserved = |name: &str| {
        format!("the event name \"{name}\" is reserved for the server; choose another one")
    };
    // A client of Socket.IO raises these itself, and takes `error` for its own.
    for name in [
        "connect",
        "disconnect",
        "error",
        "ping",
        "connection_established",
    ] {
        told(&format!(r#""room":"a","event":"{name}""#), &reserved(name));
    }
}

#[test]
fn attachments_are_bytes_as_data_and_base64_inside_of_it() {
    let attachments = [Bytes::from_static(b"\0\xff"), Bytes::from_static(b"")];
    let told = |data: &str, expected: &str| {
        let json = format!(r#"["publish",{{"room":"a","event":"e","data":{data}}}]"#);
        assert_eq!(asked(&json, &attachments), expected, "{data}");
    };
    told(r#"{"_placeholder":true,"num":0}"#, "Bytes(b\"\\0\\xff\")");
    told(r#"{"num":1,"_placeholder":true}"#, "Bytes(b\"\")");
    let filled = |json: &str| format!("{:?}", Payload::Json(json.into()));
    told(
        r#"{"a":[1e400,{"_placeholder":true,"num":0}]}"#,
        &filled(r#"{"a":[1e400,{"base64":"AP8="}]}"#),
    );
    // The packet was refused before, so what becomes of these matters to nobody.
    for number in ["-1", "2", "1e9", "\"0\"", "null", "99999999999999999999"] {
        let mark = format!(r#"{{"_placeholder":true,"num":{number}}}"#);
        told(&mark, &filled(&mark));
    }
    let told_of = |member: &str| {
        let json = format!(
            r#"["publish",{{"room":"a","event":"e","{member}":{{"_placeholder":true,"num":0}}}}]"#
        );
        asked(&json, &attachments)
    };
    assert_eq!(told_of("source"), "source must be a string");
    assert_eq!(told_of("key"), "key must be a string");
}

#[test]
fn data_without_attachments_stays_as_it_is() {
    for data in [
        r#"{"_placeholder":true,"num":0}"#,
        r#"{"__proto__":{"a":1}}"#,
        "null",
    ] {
        check(
            &format!(r#"["publish",{{"room":"a","event":"e","data":{data}}}]"#),
            &format!("{:?}", Payload::Json(data.into())),
        );
    }
}

#[test]
fn what_nests_too_deep_is_refused_wherever_it_stands() {
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let too_deep = "arrays and objects may be nested 126 deep, not deeper";
    for depth in [200, 100_000] {
        let deep = deep(depth);
        check(
            &format!(r#"["publish",{{"room":"a","event":"e","data":{deep}}}]"#),
            too_deep,
        );
        check(&format!(r#"["subscribe",{{"room":"a","x":{deep}}}]"#), "+a");
        check(&format!(r#"["subscribe",{deep}]"#), WRONG);
        check(&format!(r#"["said",{deep}]"#), "unknown");
    }
    let attachments = [Bytes::from_static(b"a")];
    let around = "[".repeat(200) + r#"{"_placeholder":true,"num":0}"# + &"]".repeat(200);
    let json = format!(r#"["publish",{{"room":"a","event":"e","data":{around}}}]"#);
    assert_eq!(asked(&json, &attachments), too_deep);
}
