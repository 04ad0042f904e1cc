//! A publication on its way to its members, with its encoded forms.
//!
//! Encoded when the first recipient of a form needs it and never again: once per dialect, and, if
//! it went to several rooms, once per distinct set of rooms that a session is in (a session in
//! several of them gets one message that names them). So is each of these compressed: once for each
//! window that recipients agreed on; and as lines of event streams, once for each [`EventForm`] and
//! room that they name. Invariant: the forms live only as long as somebody still has to
//! get them; what rooms retain is the [`Publication`] alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use crate::base::locks::lock;
use crate::dialect::events::{self, EventForm};
use crate::dialect::frame::Frame;
use crate::dialect::native::encode;
use crate::dialect::publication::{Publication, RoomSet};
use crate::wire::websocket::extension::WindowBits;

/// A publication and the frames made of it so far.
#[derive(Debug)]
pub struct Delivery {
    publication: Arc<Publication>,
    /// The frame of a publication that has one room.
    single: OnceLock<Arc<Frame>>,
    /// The frames of a publication that has several, by the rooms they name.
    sets: Mutex<BTreeMap<RoomSet, Arc<Frame>>>,
    /// The compressed frames, by the rooms they name and the window.
    compressed: Mutex<BTreeMap<(RoomSet, WindowBits), Arc<Frame>>>,
    /// The lines of event streams, by the room they name and their form.
    lines: Mutex<BTreeMap<(RoomSet, EventForm), Arc<Frame>>>,
}

impl Delivery {
    /// A delivery of which nothing is encoded yet.
    #[must_use]
    pub fn new(publication: Arc<Publication>) -> Self {
        Self {
            publication,
            single: OnceLock::new(),
            sets: Mutex::default(),
            compressed: Mutex::default(),
            lines: Mutex::default(),
        }
    }

    /// What is delivered.
    #[must_use]
    pub fn publication(&self) -> &Publication {
        &self.publication
    }

    /// The frame for native sessions that are in the rooms of `set`. Ask once per set: it takes a
    /// lock that the other shards take, too.
    #[must_use]
    pub fn native_frame(&self, set: RoomSet) -> Arc<Frame> {
        let encode = || {
            let mut json = Vec::with_capacity(160 + self.publication.payload.len());
            encode::publication(&self.publication, set, &mut json);
            Frame::text(&json)
        };
        if self.publication.placements.len() == 1 {
            return Arc::clone(self.single.get_or_init(encode));
        }
        let mut sets = lock(&self.sets);
        Arc::clone(sets.entry(set).or_insert_with(encode))
    }

    /// What `compress` made of [`Delivery::native_frame`] for the first who asked with this set and
    /// window. Ask once for both: it takes a lock that the other shards take, too.
    pub fn compressed_frame(
        &self,
        set: RoomSet,
        window: WindowBits,
        compress: impl FnOnce(Arc<Frame>) -> Arc<Frame>,
    ) -> Arc<Frame> {
        let plain = self.native_frame(set);
        let mut frames = lock(&self.compressed);
        let frame = frames.entry((set, window));
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
}
