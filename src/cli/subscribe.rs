//! `subscribe`: the events of rooms as lines, what was missed first if asked for.
//!
//! ```text
//! history pages ─▶ /ws?room=… ─▶ subscribe {room, since} ─▶ its reply ─▶ live
//!                  (a member)    (what came since)          (everything after it)
//! ```
//!
//! Invariant: per room, lines are in the order of offsets and none comes twice. A socket is a
//! member of its rooms before it asks what it missed, so what is live until the reply is in the
//! reply and is not printed by itself.

use std::borrow::Cow;
use std::time::Duration;

use form_urlencoded::Serializer;
use serde::Deserialize;

use crate::cli::arguments::SubscribeArguments;
use crate::cli::recovery::{Entry, print_history};
use crate::cli::server::Server;
use crate::cli::socket_client::{Received, Socket};
use crate::cli::transport::{ANSWER_TIMEOUT, TransportFault};
use crate::cli::{Exit, Failure, output};
use crate::domain::command::Since;
use crate::domain::room::RoomName;
use crate::wire::json::object::Object;

/// The subprotocol that begins with a hello.
const SUBPROTOCOL: &str = "kinglet.v1";

/// Prints until the server closes, which is a failure, or nobody reads.
pub(super) fn run(asked: SubscribeArguments) -> Result<Exit, Failure> {
    let mut rooms: Vec<Following> = Vec::with_capacity(asked.rooms.len());
    for room in asked.rooms {
        if rooms.iter().all(|following| following.room != room) {
            let stage = Stage::Live { after: 0 };
            rooms.push(Following { room, stage });
        }
    }
    if rooms.len() > 1
        && asked
            .since
            .as_ref()
            .is_some_and(|since| since.epoch.is_some())
    {
        let reason = "an epoch belongs to one room: give --since OFFSET for several rooms";
        return Err(Failure::Misuse(reason.to_owned()));
    }
    let server = Server::new(asked.server)?;
    if let Some(since) = &asked.since {
        for following in &mut rooms {
            let reached = print_history(&server, &following.room, since)?;
            following.stage = Stage::Asking { reached };
        }
    }
    let mut socket = Socket::open(&server, &path(&rooms), SUBPROTOCOL)?;
    for following in &rooms {
        if let Stage::Asking { reached } = &following.stage {
            socket.send(&request(&following.room, reached))?;
        }
    }
    loop {
        match socket.receive()? {
            Received::Text(text) => take(&text, &mut rooms, &socket)?,
            Received::Closed { code, reason } => {
                return Err(Failure::Failed(closed(code, &reason)));
            }
        }
    }
}

/// A room whose events are printed.
struct Following {
    room: RoomName,
    stage: Stage,
}

/// How far a room has got.
enum Stage {
    /// The server was asked what came after `reached`.
    Asking { reached: Since },
    /// What comes after offset `after` is printed as it comes.
    Live { after: u64 },
}

fn path(rooms: &[Following]) -> String {
    let mut query = Serializer::new(String::new());
    for following in rooms {
        query.append_pair("room", following.room.as_str());
    }
    format!("/ws?{}", query.finish())
}

fn request(room: &RoomName, since: &Since) -> String {
    let mut out = Vec::with_capacity(128);
    Object::begin(&mut out)
        .string("type", "subscribe")
        .string("room", room.as_str())
        .value("since", |out| {
            Object::begin(out)
                .string_if("epoch", since.epoch.as_ref().map(|epoch| epoch.as_str()))
                .number("offset", since.offset)
                .end();
        })
        .end();
    // Everything put in was text.
    String::from_utf8(out).unwrap_or_default()
}

/// Everything that is read of any message; which of it is there depends on the type.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    room: Option<Cow<'a, str>>,
    offset: Option<u64>,
    ping_interval_ms: Option<u64>,
    recovered: Option<bool>,
    #[serde(borrow, default)]
    publications: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct ErrorMessage {
    data: ErrorData,
}

#[derive(Deserialize)]
struct ErrorData {
    code: String,
    message: String,
}

fn take(text: &str, rooms: &mut [Following], socket: &Socket) -> Result<(), Failure> {
    let unknown = |_| TransportFault::NotKinglet("a message makes no sense");
    let message: Message<'_> = serde_json::from_str(text).map_err(unknown)?;
    match &*message.kind {
        "connected" => {
            let interval = Duration::from_millis(message.ping_interval_ms.unwrap_or_default());
            // The server pings a silent connection; two of those missed, and it is gone.
            let timeout = interval.saturating_mul(2).saturating_add(ANSWER_TIMEOUT);
            socket.set_silence_timeout(timeout)?;
            return Ok(());
        }
        "error" => {
            let error: ErrorMessage = serde_json::from_str(text).map_err(unknown)?;
            let ErrorData { code, message } = error.data;
            return Err(Failure::Failed(format!("{code}: {message}")));
        }
        _ => {}
    }
    let (Some(room), Some(offset)) = (&message.room, message.offset) else {
        return Ok(()); // Nothing that we asked for.
    };
    let Some(following) = rooms.iter_mut().find(|f| f.room.as_str() == room) else {
        return Ok(());
    };
    match (&*message.kind, &following.stage) {
        ("subscribed", Stage::Asking { reached }) => {
            if message.recovered == Some(true) {
                for entry in &message.publications {
                    output::line(&output::one_line(&entry.as_live(&following.room)))?;
                }
            } else {
                output::warning(&lost(&following.room, reached.offset, offset));
            }
            following.stage = Stage::Live { after: offset };
            Ok(())
        }
        ("subscribed", Stage::Live { .. }) | (_, Stage::Asking { .. }) => Ok(()),
        (_, Stage::Live { after }) if offset <= *after => Ok(()),
        (_, Stage::Live { .. }) => output::line(&output::one_line(text)),
    }
}

fn lost(room: &RoomName, reached: u64, now: u64) -> String {
    format!(
        "{room}: what came after offset {reached} cannot be recovered; going on with what comes \
         after offset {now}"
    )
}

fn closed(code: Option<u16>, reason: &str) -> String {
    match code {
        Some(code) if reason.is_empty() => format!("the server closed the connection: {code}"),
        Some(code) => format!("the server closed the connection: {code} {reason}"),
        None => "the server closed the connection".to_owned(),
    }
}
