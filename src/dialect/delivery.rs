//! A publication on its way to its members, with its encoded forms.
//!
//! Encoded when the first recipient of a form needs it and never again: once per dialect, and, if
//! it went to several rooms, once per distinct set of rooms that a session is in (a session in
//! several of them gets one message that names them). Invariant: the forms live only as long as
//! somebody still has to get them; what rooms retain is the [`Publication`] alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use crate::base::locks::lock;
use crate::dialect::frame::Frame;
use crate::dialect::native::encode;
use crate::dialect::publication::{Publication, RoomSet};

/// A publication and the frames made of it so far.
#[derive(Debug)]
pub struct Delivery {
    publication: Arc<Publication>,
    /// The frame of a publication that has one room.
    single: OnceLock<Arc<Frame>>,
    /// The frames of a publication that has several, by the rooms they name.
    sets: Mutex<BTreeMap<RoomSet, Arc<Frame>>>,
}

impl Delivery {
    /// A delivery of which nothing is encoded yet.
    #[must_use]
    pub fn new(publication: Arc<Publication>) -> Self {
        let (single, sets) = (OnceLock::new(), Mutex::default());
        Self {
            publication,
            single,
            sets,
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
}
