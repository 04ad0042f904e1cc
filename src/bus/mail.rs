//! What may be put into a shard's mailbox.

use std::sync::Arc;

use crossbeam_channel::Sender;

use crate::base::ids::{PeerId, SessionId};
use crate::bus::job::Answer;
use crate::dialect::publication::Publication;

/// One piece of mail for a shard.
#[derive(Debug)]
pub enum Mail {
    /// A publication for the shard's members of its rooms. Mail of one room arrives in the order
    /// of its offsets.
    Deliver {
        /// What to deliver.
        publication: Arc<Publication>,
        /// Sessions that do not get it.
        except: Arc<[SessionId]>,
    },
    /// What a worker made of a job of this shard.
    Answer {
        /// The peer that waits; it may be gone by now.
        peer: PeerId,
        /// The outcome.
        answer: Answer,
    },
    /// Somebody wants to know which sessions are here; a receiver that has gone away is no error.
    ListSessions {
        /// At most so many.
        limit: usize,
        /// Where the list goes; must have room for one message.
        reply: Sender<Vec<SessionSummary>>,
    },
}

/// What statistics tell of a session.
#[derive(Clone, Debug)]
pub struct SessionSummary {
    /// Its id on the wire.
    pub id: SessionId,
    /// When it opened, in milliseconds since 1970.
    pub connected_at_ms: u64,
    /// The dialect's name.
    pub dialect: &'static str,
    /// The rooms it is in.
    pub rooms: Vec<crate::domain::room::RoomName>,
}
