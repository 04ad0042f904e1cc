//! The oracle of the native dialect: what a client says, and what it is told.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::base::clock::Wall;
use crate::base::limits;
use crate::config::SlowConsumer;
use crate::dialect::native::decode::{Correlation, CorrelationKey, Decoded, decode};
use crate::dialect::native::encode;
use crate::dialect::publication::{Placement, Publication, RoomSet};
use crate::domain::command::{Command, Payload, Publish};
use crate::domain::event::check_publishable;
use crate::domain::fault::{Code, Fault};
use crate::domain::position::Epoch;
use crate::domain::run_command::RunCommand;
use crate::testkit::choices::Choices;
use crate::testkit::oracles::device;
use crate::testkit::oracles::messages::{chosen_message, spell};

/// Bytes of an error reply: a sentence, what it quotes, an id. None of it grows with the message.
const ERROR_BYTES_MAX: usize = 2048;

/// For every text: it is a command within its bounds or a fault with a code, a short sentence and
/// the message's id; a command spelt as a message again is read as the same command; what is
/// published is the JSON that was sent, on one line; every reply repeats the id as it was spelt.
/// The decoder of the device dialect reads the same messages; see `device::check`.
///
/// The first byte of `input` chooses whether the others are the text or choose its members.
///
/// # Panics
/// If that does not hold.
pub fn native_message(input: &[u8]) {
    let mut choices = Choices::new(input);
    if choices.one_in(2) {
        let text = chosen_message(&mut choices);
        device::check(text.as_bytes());
        check(&text);
    } else {
        let bytes = choices.take(input.len());
        device::check(bytes);
        check(&String::from_utf8_lossy(bytes));
    }
}

fn check(text: &str) {
    if panics_on_purpose(text) {
        return;
    }
    let sent: Option<Value> = serde_json::from_str(text).ok();
    let Decoded {
        correlation,
        command,
    } = decode(text);
    if let Some(sent) = &sent {
        assert_correlation(&correlation, command.as_ref().err(), sent);
    }
    assert_repeats(&correlation);
    match command {
        Err(fault) => {
            assert!(matches!(
                fault.code,
                Code::InvalidMessage | Code::ValidationFailed
            ));
            assert_error(&correlation, &fault);
        }
        Ok((kind, command)) => {
            assert_bounded(&command, text.len(), &correlation);
            if let Command::Publish(publish) = &command {
                assert_published(publish, sent.as_ref());
            }
            let Some(spelt) = spell(kind, &correlation, &command) else {
                return;
            };
            let again = decode(&spelt);
            assert_eq!(again.correlation.id, correlation.id, "{spelt}");
            assert_eq!(again.correlation.project_id, correlation.project_id);
            let again = again.command.map(|(kind, command)| (kind.name, command));
            let (again, first) = (
                format!("{again:?}"),
                format!("{:?}", Ok::<_, Fault>((kind.name, command))),
            );
            assert_eq!(again, first, "{spelt}");
        }
    }
}

/// Whether the message is the one that tests panics with.
fn panics_on_purpose(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Typed {
        r#type: String,
    }
    serde_json::from_str::<Typed>(text).is_ok_and(|message| message.r#type == "testkit.panic")
}

/// Expects that the id is the message's own.
fn assert_correlation(correlation: &Correlation, fault: Option<&Fault>, sent: &Value) {
    let member = |key: CorrelationKey| sent.get(key.name()).filter(|id| !id.is_null());
    let (id, request_id) = (
        member(CorrelationKey::Id),
        member(CorrelationKey::RequestId),
    );
    match &correlation.id {
        Some((CorrelationKey::Id, raw)) => assert_eq!(parse(raw.as_bytes()), id.cloned()),
        Some((CorrelationKey::RequestId, raw)) => {
            assert_eq!((parse(raw.as_bytes()), None), (request_id.cloned(), id));
        }
        // Without an id, or with one that is no id, or before one was found.
        None if fault.is_none() => assert_eq!((id, request_id), (None, None)),
        None => {
            let is_plain = |id: &Value| id.is_u64() || id.as_str().is_some_and(|id| id.len() < 20);
            let is_known = id.or(request_id).is_some_and(is_plain);
            let is_ambiguous = fault.is_some_and(|fault| fault.message.contains("ambiguous"));
            assert!(!is_known || is_ambiguous, "{fault:?} lost its id");
        }
    }
    let project_id = correlation.project_id.as_deref().unwrap_or_default();
    assert!(project_id.chars().count() <= 64);
}

/// Expects that replies repeat the id as it was spelt.
fn assert_repeats(correlation: &Correlation) {
    let mut out = Vec::new();
    encode::pong(correlation, Wall::default(), &mut out);
    assert_json(&out);
    let id = match &correlation.id {
        Some((key, raw)) => format!(",\"{}\":{raw}", key.name()),
        None => String::new(),
    };
    let begins = format!("{{\"type\":\"pong\"{id},\"timestamp\":");
    assert!(out.starts_with(begins.as_bytes()), "{begins}");
}

fn assert_error(correlation: &Correlation, fault: &Fault) {
    let mut out = Vec::new();
    encode::error(correlation, fault, Wall::default(), &mut out);
    assert!(out.len() <= ERROR_BYTES_MAX, "{} bytes", out.len());
    assert_json(&out);
    assert!(!fault.message.is_empty());
    if let Some(reply) = parse(&out) {
        assert_eq!(reply["data"]["code"], fault.code.as_str());
        assert_eq!(reply["error"], fault.message.as_str());
    }
}

/// Expects that the command keeps to its bounds and takes no more than the message did.
fn assert_bounded(command: &Command, bytes: usize, correlation: &Correlation) {
    match command {
        Command::Subscribe { rooms, .. } | Command::Unsubscribe { rooms, .. } => {
            assert!((1..=limits::ROOMS_PER_SUBSCRIBE).contains(&rooms.len()));
            for fault in rooms.iter().filter_map(|room| room.as_ref().err()) {
                assert_eq!(fault.code, Code::ValidationFailed);
                assert_error(correlation, fault);
            }
        }
        Command::Publish(publish) => {
            let rooms = &publish.rooms;
            assert!((1..=limits::ROOMS_PER_PUBLISH).contains(&rooms.len()));
            assert!(!(1..rooms.len()).any(|index| rooms[..index].contains(&rooms[index])));
            assert!(check_publishable(&publish.event).is_ok());
            assert!(publish.payload.len() <= bytes.max("null".len()));
            assert!(publish.except.len() <= limits::EXCEPT_SESSIONS);
            let source = publish.source.as_ref().map_or(0, |source| source.len());
            assert!(source <= limits::SOURCE_BYTES);
            let key = publish.key.as_ref().map_or(1, |key| key.len());
            assert!((1..=limits::IDEMPOTENCY_KEY_BYTES).contains(&key));
        }
        Command::History(query) => assert!((1..=limits::PAGE).contains(&query.limit)),
        Command::Auth { token } => assert!(token.len() <= bytes),
        Command::Run(RunCommand::Messages(query)) => assert!((1..=1000).contains(&query.limit)),
        Command::Run(RunCommand::ListRuns { limit, .. }) => {
            assert!((1..=limits::PAGE).contains(limit));
        }
        Command::Run(_)
        | Command::Acknowledge(_)
        | Command::Presence(_)
        | Command::Health
        | Command::Ping
        | Command::Pong => {}
    }
}

/// Expects that members are told the data that was sent, each message on one line.
fn assert_published(publish: &Publish, sent: Option<&Value>) {
    let placements = publish.rooms.iter().map(|room| Placement {
        room: room.clone(),
        offset: 7,
        epoch: Epoch::parse("epoch").expect("a good epoch"),
        slow_consumer: SlowConsumer::Close,
    });
    let publication = Publication {
        event: publish.event.clone(),
        payload: publish.payload.clone(),
        source: publish.source.clone(),
        timestamp: Wall::default(),
        uid: 7,
        has_copies: publish.rooms.len() > 1,
        placements: placements.collect(),
        sequence: 7,
        except: Box::default(),
    };
    let set = (0..publish.rooms.len()).fold(RoomSet::default(), RoomSet::with);
    let (mut live, mut entry) = (Vec::new(), Vec::new());
    encode::publication(&publication, set, &mut live);
    encode::history_entry(&publication, 7, &mut entry);
    for told in [live, entry] {
        assert!(!told.contains(&b'\n') && !told.contains(&b'\r'));
        assert_json(&told);
        let Some((told, sent)) = parse(&told).zip(sent) else {
            continue;
        };
        assert_eq!(told["type"], *publish.event);
        match &publish.payload {
            Payload::Json(_) => {
                assert_eq!(told["data"], *sent.get("data").unwrap_or(&Value::Null));
            }
            Payload::Bytes(_) => assert_eq!(told["data"]["base64"], sent["data_base64"]),
        }
    }
}

/// Expects JSON as RFC 8259 has it, which lets half a surrogate pair be escaped.
fn assert_json(text: &[u8]) {
    let read = serde_json::from_slice::<IgnoredAny>(text);
    assert!(read.is_ok(), "{read:?}: {}", String::from_utf8_lossy(text));
}

/// The value of JSON that has one: not half a surrogate pair, not 128 levels.
fn parse(json: &[u8]) -> Option<Value> {
    serde_json::from_slice(json).ok()
}
