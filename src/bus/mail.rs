//! What may be put into a shard's mailbox.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};

use crate::base::ids::{PeerId, SessionId};
use crate::bus::job::Answer;
use crate::bus::mailbox::Mailbox;
use crate::dialect::delivery::Delivery;

/// One piece of mail for a shard.
#[derive(Debug)]
pub enum Mail {
    /// A publication for the shard's members of its rooms. Mail of one room arrives in the order
    /// of its offsets.
    Deliver {
        /// What to deliver.
        delivery: Arc<Delivery>,
        /// Its number among all publications of all rooms. Unlike an offset it never begins
        /// anew, so it says whether a member joined before, even if the stream was reset or the
        /// room is another one of the same name.
        sequence: u64,
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
    /// Go by another configuration from now on.
    Reconfigure,
    /// The server shuts down: everything is to be over after this time.
    Drain(Duration),
    /// The server shuts down now: cut what is left.
    Cut,
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

/// How long a shard may take to say who is there.
const LIST_TIMEOUT: Duration = Duration::from_secs(1);

/// Asks one shard for its first `limit` sessions and waits for the answer: for workers only.
/// `None` if the shard has more mail than it can hold, ends, or takes longer than a second: nobody
/// knows then who is there.
#[must_use]
pub fn list_sessions(mailbox: &Mailbox, limit: usize) -> Option<Vec<SessionSummary>> {
    if !mailbox.has_room() {
        return None;
    }
    let (reply, answer) = bounded(1);
    mailbox.push(Mail::ListSessions { limit, reply });
    answer.recv_timeout(LIST_TIMEOUT).ok()
}
