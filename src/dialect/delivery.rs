//! A publication on its way to its members, with its encoded forms.
//!
//! Encoded when the first recipient of a form needs it and never again: once per dialect, and, if
//! it went to several rooms, once per distinct set of rooms that a session is in (a session in
//! several of them gets one message that names them). What happens in a project is also worded as
//! P1's clients know it ([`Wording`]). So is each of these compressed: once for each
//! window that recipients agreed on; and as lines of event streams, once for each [`EventForm`] and
//! room that they name. Invariant: the forms live only as long as somebody still has to
//! get them; what rooms retain is the [`Publication`] alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use crate::base::locks::lock;
use crate::dialect::Dialect;
use crate::dialect::events::{self, EventForm};
use crate::dialect::frame::Frame;
use crate::dialect::native::{encode, translation};
use crate::dialect::publication::{Publication, RoomSet};
use crate::wire::websocket::extension::WindowBits;

/// Whose names a publication is told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wording {
    /// Kinglet's.
    Neutral,
    /// P1's, if it has others.
    P1,
}

/// A publication and the frames made of it so far.
#[derive(Debug)]
pub struct Delivery {
    publication: Arc<Publication>,
    /// P1 has other names for it.
    is_translated: bool,
    /// The frame in P1's words.
    translated: OnceLock<Arc<Frame>>,
    /// The frame of a publication that has one room.
    single: OnceLock<Arc<Frame>>,
    /// The frames of a publication that has several, by the rooms they name.
    sets: Mutex<BTreeMap<RoomSet, Arc<Frame>>>,
    /// The compressed frames, by their words, the rooms they name and the window.
    compressed: Mutex<BTreeMap<(Wording, RoomSet, WindowBits), Arc<Frame>>>,
    /// The lines of event streams, by the room they name and their form.
    lines: Mutex<BTreeMap<(RoomSet, EventForm), Arc<Frame>>>,
}

impl Delivery {
    /// A delivery of which nothing is encoded yet.
    #[must_use]
    pub fn new(publication: Arc<Publication>) -> Self {
        Self {
            is_translated: translation::is_translated(&publication),
            translated: OnceLock::new(),
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

    /// How a session of this dialect is told it.
    #[must_use]
    #[inline]
    pub fn wording(&self, dialect: &Dialect) -> Wording {
        // The dialect is looked at only if it matters: it is the session's, and they are many.
        match self.is_translated && *dialect == Dialect::Native {
            true => Wording::P1,
            false => Wording::Neutral,
        }
    }

    /// The frame for native sessions that are in the rooms of `set`. Ask once per set: it takes a
    /// lock that the other shards take, too.
    #[must_use]
    pub fn native_frame(&self, wording: Wording, set: RoomSet) -> Arc<Frame> {
        if wording == Wording::P1 {
            let translate = || {
                let translated = translation::frame(&self.publication);
                translated.unwrap_or_else(|| self.native_frame(Wording::Neutral, set))
            };
            return Arc::clone(self.translated.get_or_init(translate));
        }
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
        wording: Wording,
        set: RoomSet,
        window: WindowBits,
        compress: impl FnOnce(Arc<Frame>) -> Arc<Frame>,
    ) -> Arc<Frame> {
        let plain = self.native_frame(wording, set);
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
}
