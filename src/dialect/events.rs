//! Server-Sent Events: publications as lines of `text/event-stream` (HTML Standard section 9.2).
//!
//! An event's `id` says how far the stream has got in all of its rooms, so that a client that comes
//! back with it misses nothing. In a stream of one room that is the publication's own place: all
//! such streams share the lines, id included. In a stream of several rooms each has its own id,
//! which stands before lines that are shared with all others. May not touch: sessions, outboxes.
//! Invariant: no value written holds a line break, as names, epochs and JSON of publications have
//! none.

use std::sync::Arc;

use crate::base::clock::Wall;
use crate::dialect::native::encode;
use crate::dialect::publication::{Publication, RoomSet};
use crate::domain::position::Position;
use crate::domain::room::RoomName;
use crate::domain::run::PendingPermission;

/// What a stream is as a medium (RFC 9110 section 8.3).
pub const MEDIA_TYPE: &str = "text/event-stream";

/// An empty comment, which keeps a stream from looking dead.
pub const COMMENT: &[u8] = b":\n\n";

/// What streams must have in common to share the lines of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventForm {
    /// Each event has a line with its name; browsers then hand it to listeners of that name only.
    pub is_named: bool,
    /// The stream has one room, so the id is the publication's place there.
    pub is_alone: bool,
}

/// The rooms of one stream and how far it has got in each.
#[derive(Debug)]
pub struct Track {
    is_named: bool,
    /// In the order asked for; never empty.
    places: Box<[(RoomName, Position)]>,
}

impl Track {
    /// A stream of these rooms, from these positions on.
    #[must_use]
    pub fn new(is_named: bool, places: Vec<(RoomName, Position)>) -> Self {
        debug_assert!(!places.is_empty(), "a stream has a room");
        let places = places.into();
        Self { is_named, places }
    }

    /// What it shares with others.
    #[must_use]
    pub fn form(&self) -> EventForm {
        EventForm {
            is_named: self.is_named,
            is_alone: self.places.len() == 1,
        }
    }

    /// Bytes at most of what [`Track::advance`] returns.
    #[must_use]
    pub fn mark_bytes(&self) -> usize {
        /// The separators and an offset's digits.
        const AROUND: usize = 18;
        let epochs = self.places.iter().map(|(_, place)| place.epoch.as_str());
        let places: usize = epochs.map(|epoch| epoch.len() + AROUND).sum();
        if self.form().is_alone { 0 } else { places + 5 }
    }

    /// Notes that the stream is sent a publication, which it hears in the rooms of `set`; returns
    /// the line that must stand before the shared ones, if they have no id.
    pub fn advance(&mut self, publication: &Publication, set: RoomSet) -> Option<Box<[u8]>> {
        if self.form().is_alone {
            return None;
        }
        for placement in publication.placements_in(set) {
            let mut places = self.places.iter_mut();
            if let Some((_, place)) = places.find(|(room, _)| *room == placement.room) {
                *place = placement.position();
            }
        }
        let mut line = Vec::with_capacity(self.mark_bytes());
        self.id(&mut line);
        Some(line.into())
    }

    /// The word that a stream has begun in a room whose stream stands at `position`; `recovered`
    /// if the client told where it had stopped; `pending` is what agents ask permission for there.
    pub fn subscribed(
        &self,
        room: &RoomName,
        position: &Position,
        recovered: Option<bool>,
        pending: &[Arc<PendingPermission>],
        now: Wall,
        out: &mut Vec<u8>,
    ) {
        self.id(out);
        self.event("subscribed", out, |out| {
            encode::subscribed_without(room, position, recovered, pending, now, out);
        });
    }

    /// Any other event, which leaves the stream where it is.
    pub fn event(&self, name: &str, out: &mut Vec<u8>, json: impl FnOnce(&mut Vec<u8>)) {
        event(self.is_named.then_some(name), out, json);
    }

    /// The id of an event after which the stream is where it is now.
    fn id(&self, out: &mut Vec<u8>) {
        let places = self.places.iter().map(|(_, place)| place);
        id(places, out);
    }
}

/// The lines of a publication for streams that hear it first in the only room of `set`. Without an
/// id if they are of several rooms.
#[must_use]
pub fn publication(publication: &Publication, set: RoomSet, form: EventForm) -> Vec<u8> {
    let mut out = Vec::with_capacity(224 + publication.payload.len());
    if form.is_alone {
        let places = publication.placements_in(set).map(|it| it.position());
        let places: Vec<Position> = places.collect();
        id(&places, &mut out);
    }
    let name = form.is_named.then_some(&*publication.event);
    event(name, &mut out, |out| {
        encode::publication(publication, set, out);
    });
    out
}

/// How long a client should wait before it comes back.
pub fn retry(millis: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("retry: {millis}\n\n").as_bytes());
}

/// Why the stream ends, for those who read it with their own eyes: browsers skip comments.
pub fn ending(code: u16, reason: &str, out: &mut Vec<u8>) {
    // An operator may have written the reason.
    let reason = reason.replace(char::is_control, " ");
    out.extend_from_slice(format!(": {code} {reason}\n\n").as_bytes());
}

fn id<'a>(places: impl IntoIterator<Item = &'a Position>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"id: ");
    for (index, place) in places.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(place.to_string().as_bytes());
    }
    out.push(b'\n');
}

fn event(name: Option<&str>, out: &mut Vec<u8>, json: impl FnOnce(&mut Vec<u8>)) {
    if let Some(name) = name {
        for part in ["event: ", name, "\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    out.extend_from_slice(b"data: ");
    json(out);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "events_tests.rs"]
mod tests;
