//! Messages as clients spell them, and what is made of them.

use super::{COMMANDS, decode};
use crate::domain::command::{Command, Payload};

/// A command in one line, or the code and the text of its fault.
fn spell(text: &str) -> String {
    match decode(text).command {
        Ok((kind, command)) => format!("{} {}", kind.name, command_of(&command)),
        Err(fault) => format!("{} {}", fault.code.as_str(), fault.message),
    }
}

fn command_of(command: &Command) -> String {
    let rooms = |rooms: &[Result<_, _>]| {
        let spell = |room: &Result<crate::domain::room::RoomName, _>| match room {
            Ok(room) => room.as_str().to_owned(),
            Err(_) => "!".to_owned(),
        };
        rooms.iter().map(spell).collect::<Vec<_>>().join(",")
    };
    match command {
        Command::Subscribe {
            rooms: to,
            since,
            durable,
        } => {
            let mut spelt = rooms(to);
            if let Some(since) = since {
                let epoch = since.epoch.map(|epoch| epoch.as_str().to_owned());
                spelt += &format!(" since {epoch:?} {}", since.offset);
            }
            if let Some(name) = durable {
                spelt += &format!(" durable {name}");
            }
            spelt
        }
        Command::Unsubscribe {
            rooms: from,
            forget,
        } => match forget {
            Some(name) => format!("{} forget {name}", rooms(from)),
            None => rooms(from),
        },
        Command::Acknowledge(acknowledge) => {
            let name = acknowledge.durable.as_ref().map(|name| name.as_str());
            let (room, offset) = (acknowledge.room.as_str(), acknowledge.offset);
            format!("{room} {offset} {name:?}")
        }
        Command::Auth { token } => token.to_string(),
        Command::Publish(publish) => {
            let rooms: Vec<&str> = publish.rooms.iter().map(|room| room.as_str()).collect();
            let Payload::Json(data) = &publish.payload else {
                return "bytes".to_owned();
            };
            let (event, source, key) = (&publish.event, &publish.source, &publish.key);
            let except = publish.except.len();
            format!(
                "{} {event} {data} {source:?} {key:?} {except}",
                rooms.join(",")
            )
        }
        Command::History(query) => {
            let epoch = query.epoch.map(|epoch| epoch.as_str().to_owned());
            let (since, limit, reverse) = (query.since, query.limit, query.reverse);
            format!(
                "{} {epoch:?} {since:?} {limit} {reverse}",
                query.room.as_str()
            )
        }
        Command::Presence(room) => room.as_str().to_owned(),
        Command::Run(command) => format!("{command:?}"),
        Command::Health | Command::Ping | Command::Pong => String::new(),
    }
}

fn check(text: &str, expected: &str) {
    let found = spell(text);
    assert!(
        found.starts_with(expected),
        "{text}\nfound    {found}\nexpected {expected}"
    );
}

#[test]
fn rooms_may_be_named_as_each_replaced_system_named_them() {
    check(r#"{"type":"subscribe","room":"a"}"#, "subscribe a");
    check(
        r#"{"type":"subscribe","rooms":["a","*","b"]}"#,
        "subscribe a,!,b",
    );
    check(r#"{"type":"subscribe","channel":"cpu"}"#, "subscribe cpu");
    check(r#"{"type":"subscribe","resource":"x"}"#, "subscribe x");
    check(
        r#"{"type":"subscribe","data":{"channel":"cpu"}}"#,
        "subscribe cpu",
    );
    check(r#"{"type":"unsubscribe","rooms":["a"]}"#, "unsubscribe a");
    check(r#"{"type":"subscribe"}"#, "VALIDATION_FAILED no room named");
    check(
        r#"{"type":"subscribe","room":7}"#,
        "VALIDATION_FAILED room must be a string",
    );
    check(
        r#"{"type":"subscribe","rooms":[]}"#,
        "VALIDATION_FAILED rooms must name 1 to 100",
    );
    check(
        r#"{"type":"subscribe","rooms":"a"}"#,
        "VALIDATION_FAILED rooms must be a list",
    );
}

#[test]
fn since_is_an_offset_or_a_position() {
    let check = |since: &str, expected: &str| {
        let text = format!(r#"{{"type":"subscribe","room":"a","since":{since}}}"#);
        check(&text, expected);
    };
    check("null", "subscribe a");
    check("0", "subscribe a since None 0");
    check("7", "subscribe a since None 7");
    check(
        r#"{"epoch":"e1","offset":7}"#,
        r#"subscribe a since Some("e1") 7"#,
    );
    check(r#"{"epoch":"","offset":0}"#, "subscribe a since None 0");
    check(r#"{"offset":3}"#, "subscribe a since None 3");
    for wrong in ["-1", "1.5", "\"7\"", "[1,2]", r#"{"epoch":"e"}"#] {
        check(wrong, "VALIDATION_FAILED since must be");
    }
    check(
        r#"{"epoch":"no spaces","offset":1}"#,
        "VALIDATION_FAILED epoch must be",
    );
}

#[test]
fn publish_takes_its_data_as_it_is_spelt_on_one_line() {
    check(
        r#"{"type":"publish","room":"a","event":"e","data":{"n": 1e400,
            "s":"\u0041"}}"#,
        r#"publish a e {"n":1e400,"s":"\u0041"} None None 0"#,
    );
    check(
        r#"{"type":"publish","rooms":["b","a","b"],"event":"e","source":"s","key":"k"}"#,
        r#"publish b,a e null Some("s") Some("k") 0"#,
    );
    let id = "0123456789abcdef0123456789abcdef";
    check(
        &format!(r#"{{"type":"publish","room":"a","event":"e","except":["{id}","{id}"]}}"#),
        "publish a e null None None 2",
    );
    check(
        &format!(r#"{{"type":"publish","room":"a","event":"e","except":"{id}"}}"#),
        "publish a e null None None 1",
    );
}

#[test]
fn publish_refuses_what_is_wrong_by_its_name() {
    let check = |members: &str, expected: &str| {
        let text = format!(r#"{{"type":"publish",{members}}}"#);
        check(&text, &format!("VALIDATION_FAILED {expected}"));
    };
    check(r#""event":"e""#, "no room named");
    check(
        r#""room":"a","rooms":["b"],"event":"e""#,
        "give room or rooms, not both",
    );
    check(
        r#""rooms":[],"event":"e""#,
        "an event is published to 1 to 100 rooms",
    );
    check(r#""room":"a""#, "event is missing");
    check(r#""room":"a","event":"""#, "");
    check(r#""room":"a","event":"subscribe""#, "");
    check(r#""room":"a","event":"run.started""#, "");
    check(r#""room":"a b","event":"e""#, "");
    check(
        r#""room":"a","event":"e","key":"""#,
        "an idempotency key has 1 to 255 bytes",
    );
    check(
        r#""room":"a","event":"e","except":"me""#,
        "except must be a session id",
    );
    let long = "s".repeat(256);
    check(
        &format!(r#""room":"a","event":"e","source":"{long}""#),
        "source must have at most 255",
    );
    let deep = format!("{}{}", "[".repeat(127), "]".repeat(127));
    check(&format!(r#""room":"a","event":"e","data":{deep}"#), "");
}

#[test]
fn history_has_bounds_and_defaults() {
    check(
        r#"{"type":"history","room":"a"}"#,
        "history a None None 300 false",
    );
    check(
        r#"{"type":"history","room":"a","epoch":"e","since":5,"limit":1,"reverse":true}"#,
        r#"history a Some("e") Some(5) 1 true"#,
    );
    for limit in ["0", "301", "1e9", "18446744073709551616"] {
        let text = format!(r#"{{"type":"history","room":"a","limit":{limit}}}"#);
        check(&text, "VALIDATION_FAILED limit must be");
    }
    check(r#"{"type":"history"}"#, "VALIDATION_FAILED no room named");
}

#[test]
fn presence_is_of_one_room() {
    check(r#"{"type":"presence","room":"a"}"#, "presence a");
    check(
        r#"{"type":"presence","rooms":["a"]}"#,
        "VALIDATION_FAILED no room named",
    );
    check(
        r#"{"type":"presence","room":7}"#,
        "VALIDATION_FAILED room must be a string",
    );
    check(r#"{"type":"presence","room":"*"}"#, "VALIDATION_FAILED");
}

#[test]
fn only_what_is_not_json_is_an_invalid_message() {
    for text in [
        "",
        "{",
        "nonsense",
        "{\"type\":\"ping\"} x",
        "{'a':1}",
        "\u{feff}{}",
    ] {
        check(text, "INVALID_MESSAGE the message is not JSON");
    }
    for text in ["[]", "1", "null", "\"ping\"", " [{\"type\":\"ping\"}]"] {
        check(text, "VALIDATION_FAILED a message is a JSON object");
    }
    check("{}", "VALIDATION_FAILED type is missing");
    check(r#"{"type":1}"#, "VALIDATION_FAILED type must be a string");
    check(
        r#"{"type":"ping","type":"ping"}"#,
        "VALIDATION_FAILED the message is ambiguous",
    );
    check(
        r#"{"type":"Ping"}"#,
        "VALIDATION_FAILED unknown type \"Ping\"",
    );
    check(r#" {"type" : "ping" , "more" : [1] } "#, "ping");
}

#[test]
fn an_unknown_type_is_quoted_shortly() {
    let text = format!(r#"{{"type":"{}"}}"#, "é".repeat(10_000));
    assert!(spell(&text).len() < 500);
}

#[test]
fn the_id_is_kept_as_it_is_spelt_under_its_own_key() {
    let check = |members: &str, expected: Option<(&str, &str)>| {
        let decoded = decode(&format!(r#"{{"type":"ping",{members}}}"#));
        let id = decoded.correlation.id.as_ref();
        let found = id.map(|(key, raw)| (key.name(), &**raw));
        assert_eq!(found, expected, "{members}");
        assert_eq!(
            decoded.command.is_ok(),
            expected.is_some() || !members.contains("id\"")
        );
    };
    check(r#""id":"x""#, Some(("id", "\"x\"")));
    check(
        r#""id":12345678901234567890"#,
        Some(("id", "12345678901234567890")),
    );
    check(r#""request_id":-1.50"#, Some(("request_id", "-1.50")));
    check(r#""id":1,"request_id":2"#, Some(("id", "1")));
    check(r#""other":1"#, None);
    check(r#""id":true"#, None);
    check(r#""id":{"a":1}"#, None);
    check(&format!(r#""id":"{}""#, "x".repeat(127)), None);
}

#[test]
fn errors_know_the_project_they_are_about() {
    let decoded = decode(r#"{"type":"nonsense","project_id":"p1","id":1}"#);
    assert_eq!(decoded.correlation.project_id.as_deref(), Some("p1"));
    assert!(decoded.correlation.id.is_some());
    assert!(decode(r#"{"type":"ping","project_id":7}"#).command.is_ok());
}

#[test]
fn every_type_has_one_row() {
    for (index, row) in COMMANDS.iter().enumerate() {
        let first = COMMANDS.iter().position(|other| other.name == row.name);
        assert_eq!(first, Some(index), "{}", row.name);
    }
}

#[test]
fn an_unknown_type_is_told_which_are_known() {
    for kind in ["dance", "runner", "run", "run.stop", "project_get"] {
        let told = spell(&format!("{{\"type\":\"{kind}\"}}"));
        let expected = format!("VALIDATION_FAILED unknown type \"{kind}\"; known are subscribe, ");
        assert!(told.starts_with(&expected), "{told}");
    }
}

#[test]
fn durable_subscriptions_have_a_name() {
    check(
        r#"{"type":"subscribe","rooms":["a","b"],"durable":"phone"}"#,
        "subscribe a,b durable phone",
    );
    check(
        r#"{"type":"subscribe","room":"a","durable":"p.1_-","since":3}"#,
        "subscribe a since None 3 durable p.1_-",
    );
    for name in [r#""""#, r#""a b""#, "7", r#""é""#] {
        let text = format!(r#"{{"type":"subscribe","room":"a","durable":{name}}}"#);
        check(&text, "VALIDATION_FAILED durable");
    }
    check(r#"{"type":"ack","room":"a","offset":7}"#, "ack a 7 None");
    check(
        r#"{"type":"ack","room":"a","offset":0,"durable":"phone"}"#,
        r#"ack a 0 Some("phone")"#,
    );
    check(
        r#"{"type":"ack","room":"a"}"#,
        "VALIDATION_FAILED offset is missing",
    );
    check(
        r#"{"type":"ack","room":"a","offset":-1}"#,
        "VALIDATION_FAILED offset must be a number from 0",
    );
    check(r#"{"type":"ack","offset":1}"#, "VALIDATION_FAILED no room");
    check(
        r#"{"type":"unsubscribe","room":"a","durable":"phone"}"#,
        "unsubscribe a",
    );
    check(
        r#"{"type":"unsubscribe","room":"a","durable":"phone","forget":true}"#,
        "unsubscribe a forget phone",
    );
    check(
        r#"{"type":"unsubscribe","room":"a","forget":true}"#,
        "VALIDATION_FAILED forget needs durable",
    );
    check(
        r#"{"type":"unsubscribe","room":"a","durable":"phone","forget":1}"#,
        "VALIDATION_FAILED forget must be true or false",
    );
}
