//! Streams of Server-Sent Events: what they say, how they go on, and what ends them.

mod access;
mod durable;
mod random;
mod slow;
mod streams;

use kinglet::testkit::events::{Event, EventReader};
use kinglet::testkit::world::{ClientId, World};
use serde_json::Value;

use crate::{ask, publish};

/// A client that listens to a stream.
struct Stream {
    client: ClientId,
    reader: EventReader,
}

impl Stream {
    /// Asks for the stream at `target`; nothing is read of it yet.
    fn ask(world: &mut World, target: &str, headers: &[(&str, &str)]) -> Self {
        let client = world.open();
        world.client(client).keep_raw();
        world.client(client).request_with("GET", target, headers);
        Self {
            client,
            reader: EventReader::default(),
        }
    }

    /// A stream that has begun.
    fn open(world: &mut World, target: &str) -> Self {
        Self::ask(world, target, &[])
    }

    /// The same of one who comes back with the id of the last event.
    fn resume(world: &mut World, target: &str, id: &str) -> Self {
        Self::ask(world, target, &[("Last-Event-ID", id)])
    }

    /// What came since the last call.
    fn take(&mut self, world: &mut World) -> Vec<Event> {
        world.settle();
        let bytes = world.client(self.client).take_raw();
        self.reader.feed(&bytes)
    }

    fn head(&self) -> &str {
        self.reader.head.as_deref().unwrap_or("")
    }

    /// The last comment that is not empty: why the stream ended.
    fn ending(&self) -> &str {
        let mut comments = self.reader.comments.iter().rev();
        comments.find(|it| !it.is_empty()).map_or("", |it| it)
    }

    fn has_ended(&self, world: &mut World) -> bool {
        world.client(self.client).end.is_some()
    }
}

/// The data of the publications among `events`.
fn said(events: &[Event]) -> Vec<Value> {
    let json: Vec<Value> = events.iter().map(Event::json).collect();
    crate::said(&json)
}

/// Publishes to `room` from a session that is elsewhere.
fn say(world: &mut World, talker: ClientId, room: &str, data: u64) {
    ask(world, talker, publish(room, data));
}
