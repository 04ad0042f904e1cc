//! Rooms whose events are printed, over one connection after another.
//!
//! ```text
//! /ws?room=… ─▶ hello ─▶ subscribe {room, since} ─▶ its reply ─▶ live
//! (a member)   (where    (rooms with a position)    (what came   (everything
//!               it is)                               since)       after it)
//! ```
//!
//! With `--durable` the server keeps the position as well, and a room without one asks where it was.
//!
//! May not touch: when to connect. Invariants: per room, lines are in the order of offsets and none
//! comes twice, whatever connection brought it; a position only moves past what was printed or said
//! to be lost. A publication to several followed rooms is printed once while it is live, and what
//! was missed once for each of them (its `uid` is the same), because each has its own stream. A
//! room that the server took away is not asked for again.

use std::borrow::Cow;
use std::convert::Infallible;
use std::time::Duration;

use form_urlencoded::Serializer;
use serde::Deserialize;

use crate::base::clock::{Clock, Mono};
use crate::cli::acknowledging::Acknowledging;
use crate::cli::comeback::Ended;
use crate::cli::output::Sink;
use crate::cli::recovery::{Entry, print_history};
use crate::cli::server::Server;
use crate::cli::socket_client::{Received, Socket};
use crate::cli::transport::{ANSWER_TIMEOUT, TransportFault};
use crate::cli::{Failure, output};
use crate::domain::command::Since;
use crate::domain::durable::DurableName;
use crate::domain::position::Epoch;
use crate::domain::room::RoomName;
use crate::wire::json::object::Object;

/// The subprotocol that begins with a hello.
pub(super) const SUBPROTOCOL: &str = "kinglet.v1";

/// A room whose events are printed.
pub(super) struct Following {
    room: RoomName,
    /// The last publication that was dealt with; unknown until the first hello, or as asked for.
    position: Option<Since>,
    stage: Stage,
    /// The server keeps the position, too, under a name.
    durable: Option<Acknowledging>,
}

/// How far a room has got on the connection at hand.
#[derive(PartialEq, Eq)]
enum Stage {
    /// The server was asked what came after the position.
    Asking,
    /// It could not say, so the history was paged through, and the server was asked again.
    AskingAgain,
    /// What comes after the position is printed as it comes.
    Live,
}

impl Following {
    /// Follows `room` from `since`, or from what the server keeps under a name, or from the first
    /// connection on.
    pub(super) fn new(room: RoomName, since: Option<Since>, durable: Option<DurableName>) -> Self {
        Self {
            room,
            position: since,
            stage: Stage::Live,
            durable: durable.map(Acknowledging::new),
        }
    }

    /// Whether it is `room` that is followed.
    pub(super) fn is_of(&self, room: &RoomName) -> bool {
        self.room == *room
    }

    /// Whether nothing is awaited before live publications.
    pub(super) fn is_live(&self) -> bool {
        self.stage == Stage::Live
    }

    /// Prints what is retained after the position, if there is one.
    pub(super) fn print_missed(
        &mut self,
        server: &Server,
        sink: &mut dyn Sink,
    ) -> Result<(), Ended> {
        match &mut self.position {
            // Of a room without a stream, subscribing tells.
            Some(position) => print_history(server, &self.room, position, sink).map(drop),
            None => Ok(()),
        }
    }

    /// Asks for what came after the position, if there is one.
    fn ask(&mut self, socket: &mut Socket, stage: Stage) -> Result<(), TransportFault> {
        let name = self.durable.as_ref().map(|durable| &durable.name);
        if self.position.is_none() && name.is_none() {
            self.stage = Stage::Live;
            return Ok(());
        }
        self.stage = stage;
        socket.send(&request(&self.room, self.position.as_ref(), name))
    }

    /// Where the room is, as the first hello says; of what the server keeps, its answer tells.
    fn begin(&mut self, epoch: &str, offset: u64) {
        if self.durable.is_none() {
            let epoch = Epoch::parse(epoch);
            self.position.get_or_insert(Since { epoch, offset });
        }
    }

    /// Takes over what the server knows to have been printed.
    fn take_kept(&mut self, reply: &Message<'_>) {
        let Some(durable) = &mut self.durable else {
            return;
        };
        durable.begin(reply.acknowledged);
        if let Some(offset) = reply.acknowledged {
            let epoch = reply.epoch.as_deref().and_then(Epoch::parse);
            self.position.get_or_insert(Since { epoch, offset });
        }
    }

    /// Tells the server what was printed, if it is time to; if not, how long that is away.
    fn acknowledge(
        &mut self,
        socket: &mut Socket,
        now: Mono,
    ) -> Result<Option<Duration>, TransportFault> {
        let (Stage::Live, Some(durable), Some(position)) =
            (&self.stage, &mut self.durable, &self.position)
        else {
            return Ok(None);
        };
        let wait = durable.wait(position.offset, now);
        if wait == Some(Duration::ZERO) {
            socket.send(&durable.tell(&self.room, position.offset, now))?;
            return Ok(None);
        }
        Ok(wait)
    }

    /// Whether a publication at `offset` is new; if so, it counts as printed.
    fn advance(&mut self, offset: u64) -> bool {
        let position = self.position.get_or_insert(Since {
            epoch: None,
            offset: 0,
        });
        let is_new = offset > position.offset;
        position.offset = position.offset.max(offset);
        is_new
    }

    /// Prints what a `subscribed` brings back, says that something is lost, or looks further.
    fn recover(
        &mut self,
        reply: &Message<'_>,
        offset: u64,
        server: &Server,
        socket: &mut Socket,
        sink: &mut dyn Sink,
    ) -> Result<(), Ended> {
        self.take_kept(reply);
        if reply.recovered == Some(true) {
            for entry in &reply.publications {
                if self.advance(entry.offset) {
                    sink.event(&entry.as_live(&self.room))?;
                }
            }
        } else if self.position.is_none() {
            output::warning(&format!(
                "{}: the room's stream began anew; going on with what comes after offset {offset}",
                self.room
            ));
        } else if self.stage == Stage::Asking {
            self.print_missed(server, sink)?;
            return Ok(self.ask(socket, Stage::AskingAgain)?);
        } else if let Some(position) = &self.position {
            output::warning(&lost(&self.room, position, reply.epoch.as_deref(), offset));
        }
        let epoch = reply.epoch.as_deref().and_then(Epoch::parse);
        self.position = Some(Since { epoch, offset });
        self.stage = Stage::Live;
        Ok(())
    }
}

/// Connects as a member of `rooms` and asks for what they missed.
pub(super) fn connect(server: &Server, rooms: &mut [Following]) -> Result<Socket, TransportFault> {
    let mut socket = Socket::open(server, &path(rooms), SUBPROTOCOL)?;
    for following in rooms {
        following.ask(&mut socket, Stage::Asking)?;
    }
    Ok(socket)
}

/// Prints what comes until the connection ends, or nobody reads.
pub(super) fn print_events(
    server: &Server,
    mut socket: Socket,
    rooms: &mut Vec<Following>,
    sink: &mut dyn Sink,
    clock: &Clock,
) -> Result<Infallible, Ended> {
    loop {
        let mut wait: Option<Duration> = None;
        for following in &mut *rooms {
            let left = following.acknowledge(&mut socket, clock.now().mono)?;
            wait = wait.into_iter().chain(left).min();
        }
        let received = match wait {
            Some(wait) => socket.receive_within(wait)?,
            None => Some(socket.receive()?),
        };
        match received {
            Some(Received::Text(text)) => {
                take(&text, rooms, server, (&mut socket, &mut *sink))?;
            }
            Some(Received::Closed { code, reason }) => return Err(Ended::Closed { code, reason }),
            None => {}
        }
    }
}

fn path(rooms: &[Following]) -> String {
    let mut query = Serializer::new(String::new());
    for following in rooms {
        query.append_pair("room", following.room.as_str());
    }
    format!("/ws?{}", query.finish())
}

fn request(room: &RoomName, since: Option<&Since>, durable: Option<&DurableName>) -> String {
    let mut out = Vec::with_capacity(128);
    let mut object = Object::begin(&mut out)
        .string("type", "subscribe")
        .string("room", room.as_str())
        .string_if("durable", durable.map(DurableName::as_str));
    if let Some(since) = since {
        object = object.value("since", |out| {
            Object::begin(out)
                .string_if("epoch", since.epoch.as_ref().map(|epoch| epoch.as_str()))
                .number("offset", since.offset)
                .end();
        });
    }
    object.end();
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
    #[serde(borrow)]
    epoch: Option<Cow<'a, str>>,
    offset: Option<u64>,
    ping_interval_ms: Option<u64>,
    /// Of a hello.
    #[serde(borrow, default)]
    rooms: Vec<Place<'a>>,
    /// Of a publication: where else it is.
    #[serde(borrow, default)]
    also: Vec<Place<'a>>,
    recovered: Option<bool>,
    acknowledged: Option<u64>,
    #[serde(borrow, default)]
    publications: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Place<'a> {
    #[serde(borrow)]
    room: Cow<'a, str>,
    #[serde(borrow, default)]
    epoch: Cow<'a, str>,
    offset: u64,
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

fn take(
    text: &str,
    rooms: &mut Vec<Following>,
    server: &Server,
    (socket, sink): (&mut Socket, &mut dyn Sink),
) -> Result<(), Ended> {
    let unknown = |_| TransportFault::NotKinglet("a message makes no sense");
    // An error's `data` is an object, a publication's anything, so each has a type of its own.
    let message: Message<'_> = serde_json::from_str(text).map_err(unknown)?;
    match &*message.kind {
        "connected" => return greet(&message, rooms, socket),
        "unsubscribed" => return give_up(&message, rooms),
        "error" => {
            let error: ErrorMessage = serde_json::from_str(text).map_err(unknown)?;
            let ErrorData { code, message } = error.data;
            return Err(Ended::Error { code, message });
        }
        _ => {}
    }
    let (Some(room), Some(offset)) = (&message.room, message.offset) else {
        return Ok(()); // Nothing that we asked for.
    };
    let Some(following) = find(rooms, room) else {
        return Ok(());
    };
    match (&*message.kind, &following.stage) {
        ("acknowledged", _) => {
            if let Some(durable) = &mut following.durable {
                durable.answered(offset);
            }
            Ok(())
        }
        ("subscribed", Stage::Asking | Stage::AskingAgain) => {
            following.recover(&message, offset, server, socket, sink)
        }
        // A socket is a member of its rooms before it asks what it missed, so what is live until
        // the reply is in the reply.
        ("subscribed", Stage::Live) | (_, Stage::Asking | Stage::AskingAgain) => Ok(()),
        (_, Stage::Live) => {
            if following.advance(offset) {
                sink.event(text)?;
                for place in &message.also {
                    if let Some(other) = find(rooms, &place.room).filter(|other| other.is_live()) {
                        other.advance(place.offset);
                    }
                }
            }
            Ok(())
        }
    }
}

fn greet(hello: &Message<'_>, rooms: &mut [Following], socket: &mut Socket) -> Result<(), Ended> {
    for place in &hello.rooms {
        if let Some(following) = find(rooms, &place.room) {
            following.begin(&place.epoch, place.offset);
        }
    }
    let interval = Duration::from_millis(hello.ping_interval_ms.unwrap_or_default());
    // The server pings a silent connection; two of those missed, and it is gone.
    let timeout = interval.saturating_mul(2).saturating_add(ANSWER_TIMEOUT);
    Ok(socket.set_silence_timeout(timeout)?)
}

/// Ends with a room that an operator or a newer token took away, for good: asking for it again
/// would undo what somebody decided.
fn give_up(message: &Message<'_>, rooms: &mut Vec<Following>) -> Result<(), Ended> {
    let lost = message.room.as_deref();
    let place = rooms
        .iter()
        .position(|following| Some(following.room.as_str()) == lost);
    let Some(place) = place else {
        return Ok(());
    };
    let room = rooms.remove(place).room;
    let what = format!("{room}: the server took this room away");
    if rooms.is_empty() {
        return Err(Failure::Failed(format!("{what}; no other is followed")).into());
    }
    output::warning(&format!("{what}; going on without it"));
    Ok(())
}

fn find<'a>(rooms: &'a mut [Following], room: &str) -> Option<&'a mut Following> {
    rooms
        .iter_mut()
        .find(|following| following.room.as_str() == room)
}

/// What to say when the server cannot tell what came after `position`; `epoch` and `now` are where
/// the room is.
fn lost(room: &RoomName, position: &Since, epoch: Option<&str>, now: u64) -> String {
    let after = position.offset;
    let known = position.epoch.as_ref().map(|epoch| epoch.as_str());
    let why = match known {
        Some(known) if epoch != Some(known) => "the room's stream began anew",
        Some(_) | None => "it is no longer kept",
    };
    format!(
        "{room}: what came after offset {after} cannot be recovered, because {why}; going on with \
         what comes after offset {now}"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn room(name: &str) -> RoomName {
        RoomName::parse(name).unwrap()
    }

    fn since(epoch: &str, offset: u64) -> Since {
        Since {
            epoch: Epoch::parse(epoch),
            offset,
        }
    }

    #[test]
    fn each_offset_counts_once() {
        let mut following = Following::new(room("a"), None, None);
        following.begin("e", 4);
        following.begin("another", 9);
        let new: Vec<bool> = [4, 5, 5, 7, 6].map(|n| following.advance(n)).into();
        assert_eq!(new, [false, true, false, true, false]);
        assert_eq!(following.position, Some(since("e", 7)));
    }

    #[test]
    fn asks_with_what_is_known() {
        let check = |position: Since, expected: &str| {
            assert_eq!(request(&room("a"), Some(&position), None), expected);
        };
        let name = DurableName::parse("n").unwrap();
        assert_eq!(
            request(&room("a"), None, Some(&name)),
            r#"{"type":"subscribe","room":"a","durable":"n"}"#
        );
        check(
            since("e", 7),
            r#"{"type":"subscribe","room":"a","since":{"epoch":"e","offset":7}}"#,
        );
        check(
            since("", 0),
            r#"{"type":"subscribe","room":"a","since":{"offset":0}}"#,
        );
        let rooms = ["a:1", "b&c"].map(|name| Following::new(room(name), None, None));
        assert_eq!(path(&rooms), "/ws?room=a%3A1&room=b%26c");
    }

    #[test]
    fn says_why_something_is_lost() {
        let check = |position: Since, words: &str| {
            let said = lost(&room("a"), &position, Some("e"), 9);
            assert!(said.contains(words), "{said}");
            assert!(said.ends_with("after offset 9"), "{said}");
        };
        check(since("old", 3), "began anew");
        check(
            since("e", 3),
            "after offset 3 cannot be recovered, because it is no",
        );
        check(since("", 3), "no longer kept");
    }
}
