//! Messages of native clients made from arbitrary bytes, so that a fuzzer gets past the syntax, and
//! commands spelt as messages again.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::dialect::native::decode::{CommandType, Correlation};
use crate::domain::command::{Command, HistoryQuery, Payload, Publish, Since};
use crate::domain::durable::DurableName;
use crate::domain::fault::Fault;
use crate::domain::room::RoomName;
use crate::testkit::choices::Choices;
use crate::testkit::oracles::runs::spell_run;
use crate::wire::json::object::Object;

/// What the members of messages are called, and one that is nothing to us.
const MEMBERS: [&str; 32] = [
    "type",
    "type",
    "id",
    "request_id",
    "project_id",
    "room",
    "rooms",
    "channel",
    "resource",
    "event",
    "data",
    "data_base64",
    "source",
    "key",
    "except",
    "since",
    "epoch",
    "limit",
    "reverse",
    "unknown",
    "agent",
    "prompt",
    "options",
    "params",
    "run",
    "after",
    "text",
    "interrupt",
    "request",
    "allow",
    "message",
    "updated_input",
];

/// Texts that mean something in one place or another.
const TEXTS: [&str; 34] = [
    "subscribe",
    "unsubscribe",
    "publish",
    "presence",
    "history",
    "ping",
    "pong",
    "run.start",
    "a",
    "project:1",
    "room with a space",
    "said",
    "connected",
    "0123456789abcdef0123456789abcdef",
    "AAH/",
    "epoch_1",
    "",
    "a\\u0000b",
    "\\ud83d\\ude00",
    "ü",
    "project_create",
    "project_join",
    "project_leave",
    "execute",
    "agent_kill",
    "get_messages",
    "health_check",
    "run.cancel",
    "run.input",
    "run.list",
    "run.get",
    "permission.answer",
    "0f8fad5b-d9cb-469f-a165-70867728950e",
    "2026-01-02T03:04:05.678+02:00",
];

/// A message as `choices` have it: an object of a few members, mostly such that a command knows.
pub(super) fn chosen_message(choices: &mut Choices<'_>) -> String {
    let mut message = String::from("{");
    let mut between = "";
    while !choices.is_over() {
        let name = choices.one_of(&MEMBERS);
        message.push_str(between);
        let _ = write!(message, "\"{name}\":");
        push_value(choices, &mut message);
        between = choices.one_of(&[",", ",", ",", " ,\n"]);
    }
    message.push('}');
    message
}

fn push_value(choices: &mut Choices<'_>, out: &mut String) {
    match choices.byte() % 12 {
        0..=4 => {
            let text = choices.one_of(&TEXTS);
            let _ = write!(out, "\"{text}\"");
        }
        5 => {
            let count = choices.below(160);
            let text = String::from_utf8_lossy(choices.take(count));
            out.push_str(&Value::from(text.as_ref()).to_string());
        }
        6 => {
            let numbers = ["0", "1", "-0", "300", "301", "1e3", "18446744073709551616"];
            out.push_str(choices.one_of(&numbers));
        }
        7 => {
            let words = [
                "null",
                "true",
                "false",
                "{}",
                "[]",
                "[\n1 ,\t{\"a\" : \"\\n\"}\r]",
            ];
            out.push_str(choices.one_of(&words));
        }
        8 => {
            let depth = usize::from(choices.byte());
            let _ = write!(out, "{}{}", "[".repeat(depth), "]".repeat(depth));
        }
        9 => {
            let offset = choices.byte();
            let epoch = choices.one_of(&TEXTS);
            let _ = write!(out, "{{\"epoch\":\"{epoch}\",\"offset\":{offset}}}");
        }
        10 => {
            let member = choices.one_of(&["channel", "project_id", "path", "prompt", "since"]);
            let value = choices.one_of(&TEXTS);
            let _ = write!(out, "{{\"{member}\":\"{value}\"}}");
        }
        _ => {
            let count = choices.below(110);
            let texts: Vec<String> = (0..count)
                .map(|number| match choices.byte() {
                    0 => format!("\"{}\"", choices.one_of(&TEXTS)),
                    _ => format!("\"a{number}\""),
                })
                .collect();
            let _ = write!(out, "[{}]", texts.join(","));
        }
    }
}

/// A command as the message that asks for it; `None` if it names a room that is none.
pub(super) fn spell(kind: &CommandType, to: &Correlation, command: &Command) -> Option<String> {
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out).string("type", kind.name);
    if let Some((key, raw)) = &to.id {
        object = object.raw(key.name(), raw);
    }
    object = object.string_if("project_id", to.project_id.as_deref());
    object = match command {
        Command::Subscribe {
            rooms,
            since,
            durable,
        } => {
            let durable = durable.as_ref().map(DurableName::as_str);
            let object = spell_rooms(object, rooms)?.string_if("durable", durable);
            match since {
                Some(since) => object.value("since", |out| spell_since(since, out)),
                None => object,
            }
        }
        Command::Unsubscribe { rooms, forget } => {
            let object = spell_rooms(object, rooms)?;
            match forget {
                Some(name) => object
                    .string("durable", name.as_str())
                    .boolean("forget", true),
                None => object,
            }
        }
        Command::Acknowledge(acknowledge) => object
            .string("room", acknowledge.room.as_str())
            .number("offset", acknowledge.offset)
            .string_if(
                "durable",
                acknowledge.durable.as_ref().map(DurableName::as_str),
            ),
        Command::Publish(publish) => spell_publish(object, publish),
        Command::History(query) => spell_history(object, query),
        Command::Presence(room) => object.string("room", room.as_str()),
        Command::Auth { token } => object.string("token", token),
        Command::Run(command) => spell_run(object, command),
        Command::Health | Command::Ping | Command::Pong => object,
    };
    object.end();
    String::from_utf8(out).ok()
}

fn spell_rooms<'a>(object: Object<'a>, rooms: &[Result<RoomName, Fault>]) -> Option<Object<'a>> {
    let names = rooms.iter().map(|room| room.as_ref().ok());
    let names: Option<Vec<&RoomName>> = names.collect();
    Some(object.raw("rooms", &spell_names(&names?)))
}

fn spell_names(names: &[&RoomName]) -> String {
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    Value::from(names).to_string()
}

fn spell_since(since: &Since, out: &mut Vec<u8>) {
    let object = Object::begin(out).number("offset", since.offset);
    let epoch = since.epoch.as_ref().map(|epoch| epoch.as_str());
    object.string_if("epoch", epoch).end();
}

fn spell_publish<'a>(object: Object<'a>, publish: &Publish) -> Object<'a> {
    let rooms: Vec<&RoomName> = publish.rooms.iter().collect();
    let object = object
        .raw("rooms", &spell_names(&rooms))
        .string("event", &publish.event)
        .string_if("source", publish.source.as_deref())
        .string_if("key", publish.key.as_deref());
    let except: Vec<String> = publish.except.iter().map(ToString::to_string).collect();
    let object = object.raw("except", &Value::from(except).to_string());
    match &publish.payload {
        Payload::Json(json) => object.raw("data", json),
        Payload::Bytes(bytes) => object.string("data_base64", &STANDARD.encode(bytes)),
    }
}

fn spell_history<'a>(object: Object<'a>, query: &HistoryQuery) -> Object<'a> {
    let object = object
        .string("room", query.room.as_str())
        .string_if("epoch", query.epoch.as_ref().map(|epoch| epoch.as_str()))
        .number("limit", query.limit as u64)
        .boolean("reverse", query.reverse);
    match query.since {
        Some(since) => object.number("since", since),
        None => object,
    }
}
