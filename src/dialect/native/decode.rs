//! A client's message on a native socket: from JSON text to a checked command.
//!
//! [`COMMANDS`] is the one table of message types with their checks; a new command is a new row.
//! Members are taken as raw JSON first and typed one by one, so that a wrong member gets an answer
//! that names it and `data` is passed on as the client spelt it. Invariant: nothing is allocated
//! beyond what the message itself holds.

mod runs;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::base::limits;
use crate::dialect::native::members::{
    epoch, except, invalid, page_limit, payload, publish_event, publish_key, publish_rooms,
    publish_source, room, shorten, since,
};
use crate::domain::command::{Acknowledge, Command, HistoryQuery, Payload, Publish};
use crate::domain::durable::DurableName;
use crate::domain::fault::{Code, Fault};
use crate::domain::room::RoomName;
use crate::domain::run_command::RunCommand;

/// Where a command is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the session's shard, at once: it cannot block and is short.
    Shard,
    /// By a worker: it may block or takes long.
    Worker,
}

/// One message type: its name, its checks, where it runs.
#[derive(Debug)]
pub struct CommandType {
    /// The `type` that asks for it.
    pub name: &'static str,
    /// Where it is carried out.
    pub place: Place,
    parse: fn(&Envelope<'_>) -> Result<Command, Fault>,
}

/// Every message type of the native dialect.
pub static COMMANDS: &[CommandType] = &[
    row("subscribe", Place::Shard, subscribe),
    row("unsubscribe", Place::Shard, unsubscribe),
    row("ack", Place::Shard, acknowledge),
    row("publish", Place::Shard, |envelope| {
        publish_of(envelope, |_| Ok(None)).map(Command::Publish)
    }),
    row("history", Place::Worker, history),
    row("presence", Place::Worker, |envelope| {
        Ok(Command::Presence(one_room(envelope)?))
    }),
    row("auth", Place::Shard, auth),
    row("ping", Place::Shard, |_| Ok(Command::Ping)),
    row("pong", Place::Shard, |_| Ok(Command::Pong)),
    row("project_create", Place::Worker, runs::project_create),
    row("project_list", Place::Worker, |_| {
        Ok(Command::Run(RunCommand::ListProjects))
    }),
    row("project_delete", Place::Worker, |envelope| {
        runs::about_project(envelope, RunCommand::DeleteProject)
    }),
    row("project_join", Place::Shard, |envelope| {
        runs::about_project(envelope, RunCommand::Join)
    }),
    row("project_leave", Place::Shard, |envelope| {
        runs::about_project(envelope, RunCommand::Leave)
    }),
    row("execute", Place::Worker, runs::execute),
    row("agent_new_session", Place::Worker, |envelope| {
        runs::about_project(envelope, RunCommand::ResetSession)
    }),
    row("agent_kill", Place::Worker, runs::agent_kill),
    row("get_messages", Place::Worker, runs::get_messages),
    row("health_check", Place::Shard, |_| Ok(Command::Health)),
    row("health", Place::Shard, |_| Ok(Command::Health)),
    row("run.start", Place::Worker, runs::start),
    row("run.cancel", Place::Worker, runs::cancel),
    row("run.input", Place::Worker, runs::input),
    row("run.list", Place::Worker, runs::list),
    row("run.get", Place::Worker, runs::get),
    row("permission.answer", Place::Worker, runs::decide),
    // Lets a test of the real binary see what a panic does to the others: nothing.
    #[cfg(any(test, feature = "testkit"))]
    row("testkit.panic", Place::Shard, panic_on_purpose),
];

const fn row(
    name: &'static str,
    place: Place,
    parse: fn(&Envelope<'_>) -> Result<Command, Fault>,
) -> CommandType {
    CommandType { name, place, parse }
}

/// What a reply repeats so that the client can match it.
#[derive(Clone, Debug, Default)]
pub struct Correlation {
    /// The key the id came in and its JSON spelling.
    pub id: Option<(CorrelationKey, Box<str>)>,
    /// The project the message named; errors repeat it.
    pub project_id: Option<Box<str>>,
}

/// The two names a message's id may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorrelationKey {
    /// `id`.
    Id,
    /// `request_id`.
    RequestId,
}

impl CorrelationKey {
    /// The member's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::RequestId => "request_id",
        }
    }
}

/// A message taken apart.
#[derive(Debug)]
pub struct Decoded {
    /// What its replies repeat.
    pub correlation: Correlation,
    /// The type of the message and what it asks for, or why it cannot be asked.
    pub command: Result<(&'static CommandType, Command), Fault>,
}

/// Takes one message apart. Never fails as a whole: what is wrong is in [`Decoded::command`].
#[must_use]
pub fn decode(text: &str) -> Decoded {
    let envelope = match envelope(text) {
        Ok(envelope) => envelope,
        Err(fault) => {
            return Decoded {
                correlation: Correlation::default(),
                command: Err(fault),
            };
        }
    };
    let mut correlation = match envelope.correlation() {
        Ok(correlation) => correlation,
        Err(fault) => {
            return Decoded {
                correlation: Correlation::default(),
                command: Err(fault),
            };
        }
    };
    let command = command(&envelope);
    if command.is_err() && correlation.project_id.is_none() {
        let named = runs::named_project(&envelope);
        correlation.project_id = named.map(|id| shorten(&id).into());
    }
    Decoded {
        correlation,
        command,
    }
}

fn command(envelope: &Envelope<'_>) -> Result<(&'static CommandType, Command), Fault> {
    let Some(kind) = text(envelope.kind, "type")? else {
        return Err(invalid(
            "type is missing: say what the message asks for, as in \"ping\"",
        ));
    };
    let Some(known) = COMMANDS.iter().find(|known| known.name == kind) else {
        let names: Vec<&str> = COMMANDS.iter().map(|known| known.name).collect();
        let (kind, names) = (shorten(&kind), names.join(", "));
        return Err(invalid(format!(
            "unknown type \"{kind}\"; known are {names}"
        )));
    };
    Ok((known, (known.parse)(envelope)?))
}

/// The members a message may have; all others are ignored.
#[derive(Debug, Default, Deserialize)]
struct Envelope<'a> {
    /// The whole message.
    #[serde(skip)]
    text: &'a str,
    #[serde(rename = "type", borrow, default)]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    request_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    project_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    room: Option<&'a RawValue>,
    #[serde(borrow, default)]
    rooms: Option<&'a RawValue>,
    #[serde(borrow, default)]
    channel: Option<&'a RawValue>,
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
    #[serde(borrow, default)]
    token: Option<&'a RawValue>,
    #[serde(borrow, default)]
    event: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data_base64: Option<&'a RawValue>,
    #[serde(borrow, default)]
    source: Option<&'a RawValue>,
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
    #[serde(borrow, default)]
    except: Option<&'a RawValue>,
    #[serde(borrow, default)]
    since: Option<&'a RawValue>,
    #[serde(borrow, default)]
    epoch: Option<&'a RawValue>,
    #[serde(borrow, default)]
    limit: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reverse: Option<&'a RawValue>,
    #[serde(borrow, default)]
    durable: Option<&'a RawValue>,
    #[serde(borrow, default)]
    offset: Option<&'a RawValue>,
    #[serde(borrow, default)]
    forget: Option<&'a RawValue>,
}

fn envelope(text: &str) -> Result<Envelope<'_>, Fault> {
    // A derived Deserialize would take an array for a struct, too.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => invalid("a message is a JSON object, as in {\"type\":\"ping\"}"),
            Err(error) => unparsable(&error),
        });
    }
    let envelope = serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => invalid(format!("the message is ambiguous: {error}")),
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof => unparsable(&error),
    })?;
    Ok(Envelope { text, ..envelope })
}

impl Envelope<'_> {
    fn correlation(&self) -> Result<Correlation, Fault> {
        let id = match (self.id, self.request_id) {
            (Some(raw), _) => Some((CorrelationKey::Id, raw)),
            (None, Some(raw)) => Some((CorrelationKey::RequestId, raw)),
            (None, None) => None,
        };
        if let Some((key, raw)) = id {
            let is_scalar = matches!(
                raw.get().as_bytes().first(),
                Some(b'"' | b'-' | b'0'..=b'9')
            );
            if !is_scalar || raw.get().len() > CORRELATION_BYTES {
                return Err(invalid(format!(
                    "{} must be a string or number of at most {CORRELATION_BYTES} bytes",
                    key.name()
                )));
            }
        }
        // A project_id of another type says nothing about which project; commands that need it
        // refuse it by name.
        let project_id = text(self.project_id, "project_id").ok().flatten();
        Ok(Correlation {
            id: id.map(|(key, raw)| (key, raw.get().into())),
            project_id: project_id.map(|id| shorten(&id).into()),
        })
    }
}

/// Bytes of an id that is repeated in replies; a UUID in quotes has 38.
const CORRELATION_BYTES: usize = 128;

#[cfg(any(test, feature = "testkit"))]
#[allow(clippy::panic)]
fn panic_on_purpose(_: &Envelope<'_>) -> Result<Command, Fault> {
    panic!("asked to by a test")
}

fn subscribe(envelope: &Envelope<'_>) -> Result<Command, Fault> {
    let since = match envelope.since {
        Some(raw) => Some(since(raw)?),
        None => None,
    };
    Ok(Command::Subscribe {
        rooms: named_rooms(envelope)?,
        since,
        durable: durable(envelope)?,
    })
}

fn unsubscribe(envelope: &Envelope<'_>) -> Result<Command, Fault> {
    let durable = durable(envelope)?;
    let is_forgotten = flag(envelope.forget, "forget")?;
    if is_forgotten && durable.is_none() {
        return Err(invalid(
            "forget needs durable: name the subscription to forget",
        ));
    }
    Ok(Command::Unsubscribe {
        rooms: named_rooms(envelope)?,
        forget: durable.filter(|_| is_forgotten),
    })
}

fn acknowledge(envelope: &Envelope<'_>) -> Result<Command, Fault> {
    let room = one_room(envelope)?;
    let Some(offset) = number(envelope.offset, "offset")? else {
        return Err(invalid("offset is missing: give the last one dealt with"));
    };
    Ok(Command::Acknowledge(Acknowledge {
        room,
        offset,
        durable: durable(envelope)?,
    }))
}

/// Reads the name of a durable subscription, if there is one.
fn durable(envelope: &Envelope<'_>) -> Result<Option<DurableName>, Fault> {
    let name = text(envelope.durable, "durable")?;
    let name = name.map(|name| DurableName::parse(&name)).transpose();
    name.map_err(|fault| invalid(format!("durable: {fault}")))
}

/// Reads the rooms from any of the spellings that the clients of the replaced systems use.
fn named_rooms(envelope: &Envelope<'_>) -> Result<Vec<Result<RoomName, Fault>>, Fault> {
    #[derive(Deserialize)]
    struct Nested<'a> {
        #[serde(borrow, default)]
        channel: Option<&'a RawValue>,
    }
    if let Some(raw) = envelope.rooms {
        let names: Vec<String> = typed(raw, "rooms", "a list of strings")?;
        if names.is_empty() || names.len() > limits::ROOMS_PER_SUBSCRIBE {
            let most = limits::ROOMS_PER_SUBSCRIBE;
            return Err(invalid(format!("rooms must name 1 to {most} rooms")));
        }
        return Ok(names.iter().map(|name| room(name)).collect());
    }
    let nested = || {
        let raw = envelope.data?.get();
        serde_json::from_str::<Nested<'_>>(raw).ok()?.channel
    };
    for (member, raw) in [
        ("room", envelope.room),
        ("channel", envelope.channel),
        ("resource", envelope.resource),
        ("data.channel", nested()),
    ] {
        if let Some(name) = text(raw, member)? {
            return Ok(vec![room(&name)]);
        }
    }
    Err(invalid(
        "no room named: give room, rooms, channel or resource",
    ))
}

fn auth(envelope: &Envelope<'_>) -> Result<Command, Fault> {
    match text(envelope.token, "token")? {
        Some(token) => Ok(Command::Auth {
            token: token.into(),
        }),
        None => Err(invalid("token is missing: give the token to show")),
    }
}

/// Reads a publish from an object with the members of the command. `data` is published as what
/// `attached` makes of it, if it makes something of it.
///
/// # Errors
/// What is wrong with a member; INVALID_MESSAGE and VALIDATION_FAILED if `json` is no object.
pub(in crate::dialect) fn publish_object(
    json: &str,
    attached: impl FnOnce(&RawValue) -> Result<Option<Payload>, Fault>,
) -> Result<Publish, Fault> {
    publish_of(&envelope(json)?, attached)
}

fn publish_of(
    envelope: &Envelope<'_>,
    attached: impl FnOnce(&RawValue) -> Result<Option<Payload>, Fault>,
) -> Result<Publish, Fault> {
    let names = match (text(envelope.room, "room")?, envelope.rooms) {
        (Some(name), None) => vec![name],
        (None, Some(raw)) => typed(raw, "rooms", "a list of strings")?,
        (None, None) => return Err(invalid("no room named: give room or rooms")),
        (Some(_), Some(_)) => return Err(invalid("give room or rooms, not both")),
    };
    let Some(event) = text(envelope.event, "event")? else {
        return Err(invalid("event is missing: name what is published"));
    };
    let attached = match envelope.data {
        Some(data) => attached(data)?,
        None => None,
    };
    Ok(Publish {
        rooms: publish_rooms(&names)?,
        event: publish_event(event)?,
        payload: match attached {
            Some(payload) => payload,
            None => payload(envelope.data, text(envelope.data_base64, "data_base64")?)?,
        },
        source: publish_source(text(envelope.source, "source")?)?,
        key: publish_key(text(envelope.key, "key")?)?,
        except: match envelope.except {
            Some(raw) => except(raw)?,
            None => Vec::new(),
        },
    })
}

/// Reads the room of a command that is about one.
fn one_room(envelope: &Envelope<'_>) -> Result<RoomName, Fault> {
    match text(envelope.room, "room")? {
        Some(name) => room(&name),
        None => Err(invalid("no room named: give room")),
    }
}

fn history(envelope: &Envelope<'_>) -> Result<Command, Fault> {
    let room = one_room(envelope)?;
    let Some(limit) = page_limit(number(envelope.limit, "limit")?) else {
        return Err(invalid(format!("limit must be from 1 to {}", limits::PAGE)));
    };
    Ok(Command::History(HistoryQuery {
        room,
        epoch: match text(envelope.epoch, "epoch")? {
            Some(spelt) => Some(epoch(&spelt)?),
            None => None,
        },
        since: number(envelope.since, "since")?,
        limit,
        reverse: flag(envelope.reverse, "reverse")?,
    }))
}

fn number(raw: Option<&RawValue>, member: &str) -> Result<Option<u64>, Fault> {
    raw.map(|raw| typed(raw, member, "a number from 0"))
        .transpose()
}

/// False if it is not there.
fn flag(raw: Option<&RawValue>, member: &str) -> Result<bool, Fault> {
    raw.map_or(Ok(false), |raw| typed(raw, member, "true or false"))
}

fn text(raw: Option<&RawValue>, member: &str) -> Result<Option<String>, Fault> {
    match raw {
        Some(raw) => typed(raw, member, "a string").map(Some),
        None => Ok(None),
    }
}

fn typed<'a, T: Deserialize<'a>>(
    raw: &'a RawValue,
    member: &str,
    expected: &str,
) -> Result<T, Fault> {
    serde_json::from_str(raw.get()).map_err(|_| invalid(format!("{member} must be {expected}")))
}

fn unparsable(error: &serde_json::Error) -> Fault {
    Fault::new(
        Code::InvalidMessage,
        format!("the message is not JSON: {error}"),
    )
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
