//! Packets as text: the protocol page's examples, what is refused, and that all is written back.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::base::rng::Rng;

const PLACE: &str = r#"{"_placeholder":true,"num":0}"#;

/// What a packet is, in few words.
fn described(packet: &Packet<'_>) -> String {
    let namespace = &packet.namespace;
    match &packet.body {
        Body::Connect(payload) => format!("connect {namespace} {payload:?}"),
        Body::Disconnect => format!("disconnect {namespace}"),
        Body::ConnectError(payload) => format!("refused {namespace} {payload}"),
        Body::Event {
            id,
            payload,
            attachments,
        } => format!(
            "event {namespace} {id:?} {} ({}) +{attachments}",
            payload.name(),
            payload.arguments()
        ),
        Body::Ack {
            id,
            payload,
            attachments,
        } => format!("ack {namespace} {id} ({}) +{attachments}", payload.inside()),
    }
}

fn printed(packet: &Packet<'_>) -> String {
    let mut out = Vec::new();
    packet.write(&mut out);
    String::from_utf8(out).unwrap()
}

/// Reads `text`, which is also how it is written.
fn check(text: &str, expected: &str) {
    check_loose(text, expected);
    assert_eq!(printed(&Packet::parse(text).unwrap()), text);
}

/// Reads `text`, which may be spelt in another way than ours.
fn check_loose(text: &str, expected: &str) {
    let packet = Packet::parse(text).unwrap();
    assert_eq!(described(&packet), expected, "{text}");
    let printed = printed(&packet);
    assert_eq!(Packet::parse(&printed), Ok(packet.clone()), "{text}");
    assert_eq!(packet.clone().into_owned(), packet);
}

fn refused(text: &str, expected: PacketFault) {
    assert_eq!(Packet::parse(text), Err(expected), "{text:.100}");
}

#[test]
fn the_examples_of_the_protocol_page_are_understood() {
    check("0", "connect / None");
    check(
        r#"0{"sid":"wZX3oN0bSVIhsaknAAAI"}"#,
        r#"connect / Some("{\"sid\":\"wZX3oN0bSVIhsaknAAAI\"}")"#,
    );
    check("0/admin,", "connect /admin None");
    check(
        r#"0/admin,{"sid":"oSO0OpakMV_3jnilAAAA"}"#,
        r#"connect /admin Some("{\"sid\":\"oSO0OpakMV_3jnilAAAA\"}")"#,
    );
    check(
        r#"4{"message":"Not authorized"}"#,
        r#"refused / {"message":"Not authorized"}"#,
    );
    check(r#"2["foo"]"#, "event / None foo () +0");
    check(r#"2/admin,["bar"]"#, "event /admin None bar () +0");
    check(
        &format!(r#"51-["baz",{PLACE}]"#),
        &format!("event / None baz ({PLACE}) +1"),
    );
    let two = format!(r#"{PLACE},{{"_placeholder":true,"num":1}}"#);
    check(
        &format!(r#"52-/admin,["baz",{two}]"#),
        &format!("event /admin None baz ({two}) +2"),
    );
    check(r#"212["foo"]"#, "event / Some(12) foo () +0");
    check("312[]", "ack / 12 () +0");
    check(r#"2/admin,13["foo"]"#, "event /admin Some(13) foo () +0");
    check(r#"3/admin,13["bar"]"#, "ack /admin 13 (\"bar\") +0");
    check(
        &format!(r#"51-14["foo",{PLACE}]"#),
        &format!("event / Some(14) foo ({PLACE}) +1"),
    );
    check(
        &format!(r#"61-15["bar",{PLACE}]"#),
        &format!("ack / 15 (\"bar\",{PLACE}) +1"),
    );
    check("1", "disconnect /");
    check("1/admin,", "disconnect /admin");
}

#[test]
fn other_spellings_of_the_same_are_understood() {
    check_loose("0/random", "connect /random None");
    check_loose("1/custom", "disconnect /custom");
    check_loose("0/,", "connect / None");
    check_loose(r#"2007["a"]"#, "event / Some(7) a () +0");
    check_loose("30 [ 1 ] ", "ack / 0 ( 1 ) +0");
    check_loose(r#"0 {"a" : 1}"#, r#"connect / Some(" {\"a\" : 1}")"#);
    check_loose(r#"4"no""#, "refused / \"no\"");
    check_loose(r#"2/a?b=1,["x"]"#, "event /a?b=1 None x () +0");
    check_loose(r#"2["error",7]"#, "event / None error (7) +0");
    let plain = format!(r#"2["a",{PLACE},{PLACE}]"#);
    check(&plain, &format!("event / None a ({PLACE},{PLACE}) +0"));
    check(
        "29007199254740991[1]",
        "event / Some(9007199254740991) 1 () +0",
    );
}

#[test]
fn what_is_no_packet_is_refused() {
    for text in ["", "7", "abc", "9[]", " 2[\"a\"]", "é", "-1"] {
        refused(text, PacketFault::UnknownType);
    }
    for text in [
        "2",
        "2{}",
        "2[]",
        "2abc",
        "2[null]",
        "2[{}]",
        "2abc[\"a\"]",
        "2[\"a\"",
        "2\"a\"",
        "21",
        "2/admin",
        "2/admin[\"a\"]",
        "2[\"a\"]x",
        "2,[\"a\"]",
        "3",
        "31{}",
        "31",
        "31null",
        "0null",
        "0[]",
        "0\"a\"",
        "0true",
        "0{",
        "1{}",
        "1\"\"",
        "1[]",
        "1/admin,{}",
        "4",
        "4[]",
        "4null",
        "47x",
        "2-[\"a\"]",
    ] {
        let fault = Packet::parse(text).unwrap_err();
        let expected = if text == "47x" {
            PacketFault::Id
        } else {
            PacketFault::Payload
        };
        assert_eq!(fault, expected, "{text}");
    }
}

#[test]
fn ids_stand_where_they_belong_and_stay_exact() {
    for text in [
        "07",
        "17",
        "0/admin,7{}",
        "3[]",
        "3/admin,[\"a\"]",
        "29007199254740992[\"a\"]",
        "299999999999999999999999[\"a\"]",
        "399999999999999999999999[]",
    ] {
        refused(text, PacketFault::Id);
    }
}

#[test]
fn attachments_are_counted_before_they_are_awaited() {
    let with = |count: &str| format!(r#"5{count}["a",{PLACE}]"#);
    for count in [
        "", "-", "a-", "1", "1.0-", "+1-", "-1-", " 1-", "0-", "00-", "1e1-",
    ] {
        refused(&with(count), PacketFault::AttachmentCount);
    }
    let too_many = PacketFault::TooManyAttachments { limit: 10 };
    for count in ["11-", "5999999-", "99999999999999999999999999-"] {
        refused(&with(count), too_many);
        refused(&format!("6{count}1[]"), too_many);
    }
    assert!(Packet::parse(&with("10-")).is_ok());
    refused(
        &format!(r#"51-["a",{PLACE},{PLACE}]"#),
        PacketFault::Placeholder,
    );
    refused(
        r#"51-["a",{"_placeholder":true,"num":1}]"#,
        PacketFault::Placeholder,
    );
    refused(
        r#"61-1[{"_placeholder":true,"num":-1}]"#,
        PacketFault::Placeholder,
    );
    refused("51-", PacketFault::Payload);
    refused("51-{}", PacketFault::Payload);
}

#[test]
fn names_that_libraries_raise_themselves_are_refused() {
    for name in RESERVED_EVENTS {
        refused(&format!("2[\"{name}\"]"), PacketFault::ReservedEvent);
        refused(
            &format!("51-[\"{name}\",{PLACE}]"),
            PacketFault::ReservedEvent,
        );
    }
    refused(r#"2["\u0063onnect"]"#, PacketFault::ReservedEvent);
    check(r#"2["__proto__"]"#, "event / None __proto__ () +0");
    let long = "x".repeat(1_000_000);
    assert!(Packet::parse(&format!("2[\"{long}\"]")).is_ok());
}

#[test]
fn a_namespace_is_bounded() {
    let longest = format!("/{}", "é".repeat(127));
    assert_eq!(longest.len(), NAMESPACE_BYTES);
    assert!(Packet::parse(&format!("0{longest},")).is_ok());
    let fault = PacketFault::NamespaceTooLong {
        limit: NAMESPACE_BYTES,
    };
    refused(&format!("0{longest}a,"), fault);
    refused(&format!("0/{}", "a".repeat(100_000)), fault);
}

#[test]
fn whatever_is_read_is_written_back_and_nothing_panics() {
    const TYPES: [&str; 8] = ["0", "1", "2", "2", "3", "4", "5", "6"];
    const COUNTS: [&str; 5] = ["", "", "", "1-", "2-"];
    const NAMESPACES: [&str; 5] = ["", "", "/a,", "/,", "/éb,"];
    const IDS: [&str; 4] = ["", "", "7", "0012"];
    const PAYLOADS: [&str; 8] = [
        "",
        "[]",
        "{}",
        r#"["a"]"#,
        r#" [ "a" , [1,{}] ] "#,
        r#"["a",{"_placeholder":true,"num":0}]"#,
        "[7,null]",
        r#""no""#,
    ];
    const NOISE: [&str; 8] = [",", "-", "[", "\"", "\\", "/", "9", "é"];
    fn pick<'a>(from: &[&'a str], rng: &mut Rng) -> &'a str {
        from[usize::try_from(rng.below(from.len() as u64)).unwrap()]
    }
    let mut understood = 0;
    for seed in 0..20_000 {
        let mut rng = Rng::from_seed(seed);
        let mut text = String::new();
        for part in [&TYPES[..], &COUNTS, &NAMESPACES, &IDS, &PAYLOADS] {
            text.push_str(pick(part, &mut rng));
            if rng.below(12) == 0 {
                text.push_str(pick(&NOISE, &mut rng));
            }
        }
        if let Ok(packet) = Packet::parse(&text) {
            understood += 1;
            let printed = printed(&packet);
            assert_eq!(Packet::parse(&printed), Ok(packet), "seed {seed} {text}");
        }
    }
    assert!(
        understood > 1000,
        "only {understood} of the texts were packets"
    );
}
