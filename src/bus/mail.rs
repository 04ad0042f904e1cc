//! What may be put into a shard's mailbox.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::base::clock::Wall;
use crate::base::ids::{PeerId, SessionId};
use crate::bus::job::Answer;
use crate::bus::mailbox::Mailbox;
use crate::bus::reclaim::{Asker, Claim, Given};
use crate::dialect::Dialect;
use crate::dialect::delivery::Delivery;
use crate::domain::presence::Present;
use crate::domain::room::RoomName;

/// One piece of mail for a shard.
#[derive(Debug)]
pub enum Mail {
    /// A publication for the shard's members of its rooms. Mail of one room arrives in the order
    /// of its offsets.
    Deliver(Arc<Delivery>),
    /// What a worker made of a job of this shard.
    Answer {
        /// The peer that waits; it may be gone by now.
        peer: PeerId,
        /// The outcome.
        answer: Answer,
    },
    /// A client has come back to a session that may be here; see [`crate::bus::reclaim`].
    Claim(Box<Claim>),
    /// What came of a claim of this shard; the session, if it was found and is given away.
    Claimed(Asker, Option<Box<Given>>),
    /// What the shard has given away is in its rooms elsewhere: this peer is to leave them.
    LetGo(PeerId),
    /// Go by another configuration from now on.
    Reconfigure,
    /// Give memory back that can be had again when it is needed.
    Release,
    /// The server shuts down: everything is to be over after this time.
    Drain(Duration),
    /// The server shuts down now: cut what is left.
    Cut,
    /// Somebody wants to know which sessions are here; a receiver that has gone away is no error.
    ListSessions {
        /// Which of them.
        page: SessionPage,
        /// Where the list goes; must have room for one message.
        reply: Sender<Vec<SessionSummary>>,
    },
    /// Somebody wants to know who is in a room here; a receiver that has gone away is no error.
    ListPresent {
        /// The room.
        room: RoomName,
        /// Where the list goes; must have room for one message.
        reply: Sender<Vec<Present>>,
    },
    /// An operator wants something done with sessions; with how many it was done is replied.
    Manage {
        /// With which.
        who: Who,
        /// What.
        what: Manage,
        /// Where the outcome goes; must have room for one message.
        reply: Sender<Managed>,
    },
}

/// Which sessions are to be listed.
#[derive(Clone, Debug, Default)]
pub struct SessionPage {
    /// At most so many, those with the smallest ids.
    pub limit: usize,
    /// Those with greater ids.
    pub after: Option<SessionId>,
    /// Those of this user.
    pub user: Option<Box<str>>,
}

/// Sessions that are meant.
#[derive(Clone, Debug)]
pub enum Who {
    /// The one of this id.
    Session(SessionId),
    /// All of this user.
    User(Box<str>),
}

/// What is to be done with them.
#[derive(Clone, Debug)]
pub enum Manage {
    /// Close them.
    Disconnect {
        /// The close code.
        code: u16,
        /// At most 123 bytes.
        reason: Box<str>,
    },
    /// Make them members, whatever their own rights.
    Subscribe(RoomName),
    /// End their membership.
    Unsubscribe(RoomName),
}

/// With how many sessions something was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Managed {
    /// It was done.
    pub done: usize,
    /// It could not be: they are in too many rooms, the server has too many, or their rooms are
    /// settled once for all.
    pub refused: usize,
}

/// What is told of a session.
#[derive(Clone, Debug)]
pub struct SessionSummary {
    /// Its id on the wire.
    pub id: SessionId,
    /// Its user, if it has one.
    pub user: Option<Box<str>>,
    /// When its token ends.
    pub expires: Option<Wall>,
    /// Where it is connected from; behind a trusted proxy, what that says.
    pub address: IpAddr,
    /// When it opened.
    pub connected_at: Wall,
    /// What it speaks.
    pub dialect: Dialect,
    /// The rooms it is in.
    pub rooms: Vec<RoomName>,
    /// The channels of a device that are no rooms.
    pub channels: Vec<Box<str>>,
}

/// How long a shard may take to answer.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// Puts mail that is answered into every mailbox and waits for all answers: for workers only.
/// `None` if a shard has more mail than it can hold, ends, or takes longer than a second: nobody
/// knows then.
#[must_use]
pub fn ask_all<T>(mailboxes: &[Arc<Mailbox>], mail: impl Fn(Sender<T>) -> Mail) -> Option<Vec<T>> {
    let answers = ask(mailboxes, mail)?;
    let answers = mailboxes
        .iter()
        .map(|_| answers.recv_timeout(REPLY_TIMEOUT).ok());
    answers.collect()
}

/// Where answers come, one by one.
pub type Answers<T> = Receiver<T>;

/// Puts mail that is answered into every mailbox; the answers come one by one. `None` if a shard
/// has more mail than it can hold: nobody is asked then.
#[must_use]
pub fn ask<T>(mailboxes: &[Arc<Mailbox>], mail: impl Fn(Sender<T>) -> Mail) -> Option<Answers<T>> {
    if !mailboxes.iter().all(|mailbox| mailbox.has_room()) {
        return None;
    }
    let (reply, answers) = bounded(mailboxes.len());
    for mailbox in mailboxes {
        mailbox.push(mail(reply.clone()));
    }
    Some(answers)
}
