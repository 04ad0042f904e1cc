//! A publication on its way to its members, with its encoded forms.
//!
//! Encoded when the first recipient of a form needs it and never again: once per dialect, and, if
//! it went to several rooms, once per distinct set of rooms that a session is in (a session in
//! several of them gets one message that names them). What happens in a project is also worded as
//! P1's clients know it, and what a device's channels carry as P4's do ([`Wording`]). So is each of
//! these compressed: once for each window that recipients agreed on; and as lines of event streams,
//! once for each [`EventForm`] and room that they name, and as events of Socket.IO, once for each
//! [`PacketForm`]. Invariant: the forms live only as long as somebody still has to get them; what
//! rooms retain is the [`Publication`] alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use crate::base::locks::lock;
use crate::dialect::Dialect;
use crate::dialect::device;
use crate::dialect::events::{self, EventForm};
use crate::dialect::frame::Frame;
use crate::dialect::native::{encode, translation};
use crate::dialect::publication::{Publication, RoomSet};
use crate::dialect::socket_io::encode::{self as socket_io, PacketForm};
use crate::wire::websocket::extension::WindowBits;

/// Whose names a publication is told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wording {
    /// Kinglet's.
    Neutral,
    /// P1's, if it has others.
    P1,
    /// P4's.
    Device,
}

/// A publication and the frames made of it so far.
#[derive(Debug)]
pub struct Delivery {
    publication: Arc<Publication>,
    /// Whose words it has besides ours; ours if nobody's.
    other: Wording,
    /// The frame in those words.
    other_frame: OnceLock<Arc<Frame>>,
    /// The frame of a publication that has one room.
    single: OnceLock<Arc<Frame>>,
    /// The frames of a publication that has several, by the rooms they name.
    sets: Mutex<BTreeMap<RoomSet, Arc<Frame>>>,
    /// The compressed frames, by their words, the rooms they name and the window.
    compressed: Mutex<BTreeMap<(Wording, RoomSet, WindowBits), Arc<Frame>>>,
    /// The lines of event streams, by the room they name and their form.
    lines: Mutex<BTreeMap<(RoomSet, EventForm), Arc<Frame>>>,
    /// The events of Socket.IO, which name no room.
    packets: Mutex<BTreeMap<PacketForm, Arc<Frame>>>,
}

impl Delivery {
    /// A delivery of which nothing is encoded yet.
    #[must_use]
    pub fn new(publication: Arc<Publication>) -> Self {
        Self {
            other: other_wording(&publication),
            other_frame: OnceLock::new(),
            publication,
            single: OnceLock::new(),
            sets: Mutex::default(),
            compressed: Mutex::default(),
            lines: Mutex::default(),
            packets: Mutex::default(),
        }
    }

    /// What is delivered.
    #[must_use]
    pub fn publication(&self) -> &Publication {
        &self.publication
    }

    /// How a session of this dialect is told it.
    #[must_use]
    #[inline]
    pub fn wording(&self, dialect: &Dialect) -> Wording {
        // The dialect is looked at only if it matters: it is the session's, and they are many.
        let theirs = match self.other {
            Wording::Neutral => return Wording::Neutral,
            Wording::P1 => Dialect::Native,
            Wording::Device => Dialect::Device,
        };
        match *dialect == theirs {
            true => self.other,
            false => Wording::Neutral,
        }
    }

    /// The frame for sessions that are told it in these words and are in the rooms of `set`. Ask
    /// once per set: it takes a lock that the other shards take, too.
    #[must_use]
    pub fn frame(&self, wording: Wording, set: RoomSet) -> Arc<Frame> {
        match wording {
            Wording::Neutral => self.neutral_frame(set),
            Wording::P1 => {
                let translate = || {
                    let translated = translation::frame(&self.publication);
                    translated.unwrap_or_else(|| self.neutral_frame(set))
                };
                Arc::clone(self.other_frame.get_or_init(translate))
            }
            Wording::Device => {
                let encode = || self.encode(device::encode::publication);
                Arc::clone(self.other_frame.get_or_init(encode))
            }
        }
    }

    fn neutral_frame(&self, set: RoomSet) -> Arc<Frame> {
        let encode = || self.encode(|publication, out| encode::publication(publication, set, out));
        if self.publication.placements.len() == 1 {
            return Arc::clone(self.single.get_or_init(encode));
        }
        let mut sets = lock(&self.sets);
        Arc::clone(sets.entry(set).or_insert_with(encode))
    }

    fn encode(&self, write: impl FnOnce(&Publication, &mut Vec<u8>)) -> Arc<Frame> {
        let mut json = Vec::with_capacity(160 + self.publication.payload.len());
        write(&self.publication, &mut json);
        Frame::text(&json)
    }

    /// What `compress` made of [`Delivery::frame`] for the first who asked with this set and
    /// window. Ask once for both: it takes a lock that the other shards take, too.
    pub fn compressed_frame(
        &self,
        wording: Wording,
        set: RoomSet,
        window: WindowBits,
        compress: impl FnOnce(Arc<Frame>) -> Arc<Frame>,
    ) -> Arc<Frame> {
        let plain = self.frame(wording, set);
        let mut frames = lock(&self.compressed);
        let frame = frames.entry((wording, set, window));
        Arc::clone(frame.or_insert_with(|| compress(plain)))
    }

    /// The lines for event streams of this form that are in the rooms of `set`. They name the first
    /// of these and no other. Ask once for both: it takes a lock that the other shards take, too.
    #[must_use]
    pub fn lines(&self, set: RoomSet, form: EventForm) -> Arc<Frame> {
        let room = set.first();
        let mut lines = lock(&self.lines);
        let encode = || Frame::lines(events::publication(&self.publication, room, form));
        Arc::clone(lines.entry((room, form)).or_insert_with(encode))
    }

    /// The event for sessions of Socket.IO of this form, whatever rooms they hear it in. Ask once
    /// for all of them: it takes a lock that the other shards take, too.
    #[must_use]
    pub fn packets(&self, form: PacketForm) -> Arc<Frame> {
        let mut packets = lock(&self.packets);
        let encode = || socket_io::publication(&self.publication, form);
        Arc::clone(packets.entry(form).or_insert_with(encode))
    }
}

/// Whose words a publication has besides ours. What P1 has other names for is in the room of a
/// project alone, so there are one other's at most.
fn other_wording(publication: &Publication) -> Wording {
    if translation::is_translated(publication) {
        return Wording::P1;
    }
    let mut rooms = publication.placements.iter().map(|place| &place.room);
    match rooms.any(|room| device::channel::name(room).is_some()) {
        true => Wording::Device,
        false => Wording::Neutral,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::base::clock::Wall;
    use crate::config::SlowConsumer;
    use crate::dialect::publication::Placement;
    use crate::dialect::socket_io::namespace::Namespace;
    use crate::domain::command::Payload;
    use crate::domain::position::Epoch;
    use crate::domain::room::RoomName;

    fn delivery(event: &str, rooms: &[&str]) -> Delivery {
        let placement = |room: &&str| Placement {
            room: RoomName::parse(room).unwrap(),
            offset: 1,
            epoch: Epoch::parse("e").unwrap(),
            slow_consumer: SlowConsumer::Latest,
        };
        Delivery::new(Arc::new(Publication {
            event: event.into(),
            payload: Payload::Json("{}".into()),
            source: None,
            timestamp: Wall::from_millis(0),
            uid: 1,
            has_copies: rooms.len() > 1,
            placements: rooms.iter().map(placement).collect(),
            sequence: 1,
            except: Box::default(),
        }))
    }

    #[test]
    fn each_dialect_has_the_words_that_its_clients_know() {
        let check = |event, rooms: &[&str], native: Wording, device: Wording| {
            let delivery = delivery(event, rooms);
            let found = [
                delivery.wording(&Dialect::Native),
                delivery.wording(&Dialect::NativeV1),
                delivery.wording(&Dialect::Device),
            ];
            assert_eq!(
                found,
                [native, Wording::Neutral, device],
                "{event} {rooms:?}"
            );
        };
        let neutral = Wording::Neutral;
        check("metrics", &["metrics"], neutral, Wording::Device);
        check("any", &["a", "metrics:processes"], neutral, Wording::Device);
        check("metrics", &["metrics:other"], neutral, neutral);
        check("run.exited", &["project:1"], Wording::P1, neutral);
    }

    #[test]
    fn devices_share_one_frame_whatever_rooms_they_are_in() {
        let delivery = delivery("metrics", &["metrics", "metrics:processes"]);
        let both = RoomSet::FIRST.with(1);
        let first = delivery.frame(Wording::Device, RoomSet::FIRST);
        let second = delivery.frame(Wording::Device, both);
        assert!(Arc::ptr_eq(&first, &second));
        let neutral = delivery.frame(Wording::Neutral, both);
        assert!(neutral.bytes().len() > first.bytes().len());
    }

    #[test]
    fn sessions_of_socket_io_share_one_frame_for_each_form() {
        let delivery = delivery("said", &["a", "b"]);
        let packets = |namespace, has_offset| {
            let namespace = Namespace::named(namespace);
            delivery.packets(PacketForm {
                namespace,
                has_offset,
            })
        };
        let first = packets("/", false);
        assert!(Arc::ptr_eq(&first, &packets("/", false)));
        for other in [packets("/", true), packets("/ws", false)] {
            assert_ne!(other, first);
        }
    }
}
