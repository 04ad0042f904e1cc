//! What clients ask of the store, on its way to the store's thread.
//!
//! One bounded queue. Whoever asks has one order in flight and is paused until it is answered, as
//! with a [`job`](crate::bus::job); for what the server says by itself nobody waits. Invariant: an
//! order owns all it needs, and what it may do has been checked already.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use crate::base::ids::{PeerId, ShardId};
use crate::bus::execution::{Record, RunForm, RunOrder, Ticket};
use crate::dialect::native::decode::Correlation;
use crate::domain::command::{Publish, Since};
use crate::domain::durable::DurableName;
use crate::domain::fault::Fault;
use crate::domain::idempotency::{Fingerprint, Scope};
use crate::domain::room::RoomName;

/// What came of a request: its answer, or what the store or the executor is to do before there is
/// one.
#[derive(Debug)]
pub enum Outcome<T> {
    /// The answer.
    Done(T),
    /// The store is asked first.
    Order(Order),
    /// The executor is asked first, and answers in this form.
    Request(RunOrder, RunForm),
}

impl<T> Outcome<T> {
    /// The same with another kind of answer.
    #[must_use]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Done(done) => Outcome::Done(change(done)),
            Self::Order(order) => Outcome::Order(order),
            Self::Request(order, form) => Outcome::Request(order, form),
        }
    }

    /// The answer, if it is there.
    #[must_use]
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(done) => Some(done),
            Self::Order(_) | Self::Request(..) => None,
        }
    }
}

/// What one request asks of the store.
#[derive(Debug)]
pub struct Order {
    /// What is to be done, in order.
    pub steps: Vec<Step>,
    /// How it is answered.
    pub form: Form,
}

/// One thing to do.
#[derive(Debug)]
pub enum Step {
    /// Publish, to durable rooms or, as part of a batch with some, to others.
    Publish(Box<Commission>),
    /// Begin a room's stream anew.
    Clear(RoomName),
    /// Look after the position of a durable subscription.
    Keep(Box<Keep>),
    /// Keep what there is to say of a project or a run.
    Record(Record),
    /// Nothing, as part of a batch: this is what was wrong with it.
    Refused(Fault),
    /// Nothing, as part of a batch: it was done before, and this is the answer.
    Answered(Vec<u8>),
}

/// A publication that may be repeated without harm.
#[derive(Debug)]
pub struct Commission {
    /// What is published.
    pub publish: Publish,
    /// Where its key is valid, and what it was used for.
    pub key: Option<(Scope, Fingerprint)>,
}

/// A durable subscription, and what is to be done with it.
#[derive(Debug)]
pub struct Keep {
    /// Whose it is, see [`crate::domain::durable::owner`].
    pub owner: Box<str>,
    /// What its owner calls it.
    pub name: DurableName,
    /// To which room.
    pub room: RoomName,
    /// What is asked.
    pub what: Keeping,
}

/// What is done with a durable subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// Say what was acknowledged; the first time, that is where the room stands.
    Begin,
    /// Everything up to this offset was dealt with.
    Acknowledge(u64),
    /// Keep it no longer.
    Forget,
}

/// What a session goes on with when the store has answered for each room.
#[derive(Debug)]
pub struct Sequel {
    /// The command's type, for the log.
    pub name: &'static str,
    /// What its replies repeat.
    pub correlation: Correlation,
    /// What it does then.
    pub then: Then,
}

impl Sequel {
    /// What a command that is answered to this goes on with.
    #[must_use]
    pub const fn new(name: &'static str, correlation: Correlation, then: Then) -> Self {
        Self {
            name,
            correlation,
            then,
        }
    }
}

/// What the command was that waits.
#[derive(Debug)]
pub enum Then {
    /// A subscribe under a name; recovers from here in place of what was kept.
    Subscribe(DurableName, Option<Since>),
    /// An unsubscribe that gives up what is kept under a name.
    Unsubscribe(DurableName),
}

/// How an order is answered.
#[derive(Debug)]
pub enum Form {
    /// By a message of the native dialect.
    Reply(Correlation),
    /// By the argument of an acknowledgement of Socket.IO, for the one step.
    Acknowledgement,
    /// By the session itself, with a message for each step.
    Session(Box<Sequel>),
    /// Over HTTP, for the one step.
    Http,
    /// Over HTTP, for each step of a batch.
    Batch,
    /// Over HTTP, to a delivery of GitHub's.
    Webhook(Box<Delivery>),
}

/// A delivery of GitHub's, as its headers describe it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The kind of event.
    pub event: Box<str>,
    /// Its id, if it has one.
    pub id: Option<Box<str>>,
}

/// What the store is to do, and who waits for the answer.
#[derive(Debug)]
pub struct Errand {
    /// What is to be done, in order.
    pub steps: Vec<Step>,
    /// Who waits.
    pub waiter: Waiter,
}

/// Who waits for an errand.
#[derive(Debug)]
pub enum Waiter {
    /// Nobody: the server says by itself who has come and gone.
    Nobody,
    /// Nobody: an emitter has no way to be answered.
    Emitter,
    /// A peer.
    Peer(Asker),
    /// The executor, for which all of it is done or nothing of it.
    Executor(Ticket),
}

/// Who waits for the answer to an errand.
#[derive(Debug)]
pub struct Asker {
    /// The shard that waits.
    pub shard: ShardId,
    /// The peer it is for.
    pub peer: PeerId,
    /// How it is answered.
    pub form: Form,
}

/// The sending end of the queue.
#[derive(Clone, Debug)]
pub struct StoreQueue(Sender<Option<Errand>>);

/// The receiving end.
#[derive(Debug)]
pub struct StoreInbox {
    errands: Receiver<Option<Errand>>,
    /// The last errand has been taken.
    is_over: bool,
}

/// What is in the queue.
#[derive(Debug)]
pub enum Taken {
    /// An errand.
    Errand(Errand),
    /// Nothing at the moment.
    Nothing,
    /// Nothing, ever.
    Over,
}

/// Why an errand does not get into the queue.
#[derive(Debug)]
pub enum Unsent {
    /// The queue is full.
    Full(Errand),
    /// Nobody looks any more.
    Gone(Errand),
}

/// A queue for so many errands.
#[must_use]
pub fn store_queue(capacity: usize) -> (StoreQueue, StoreInbox) {
    let (sender, receiver) = bounded(capacity);
    let inbox = StoreInbox {
        errands: receiver,
        is_over: false,
    };
    (StoreQueue(sender), inbox)
}

impl StoreQueue {
    /// Puts an errand into the queue.
    ///
    /// # Errors
    /// The errand, given back.
    pub fn submit(&self, errand: Errand) -> Result<(), Unsent> {
        let unsent = match self.0.try_send(Some(errand)) {
            Ok(()) | Err(TrySendError::Full(None) | TrySendError::Disconnected(None)) => {
                return Ok(());
            }
            Err(TrySendError::Full(Some(errand))) => Unsent::Full(errand),
            Err(TrySendError::Disconnected(Some(errand))) => Unsent::Gone(errand),
        };
        Err(unsent)
    }

    /// Says that nothing comes after what is in the queue; waits for a place to say it.
    pub fn finish(&self) {
        // A receiver that has gone away needs not be told.
        let _ = self.0.send(None);
    }

    /// Whether one more would find no place.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.is_full()
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl StoreInbox {
    /// The next errand, waiting for it at most so long.
    pub fn take(&mut self, timeout: Duration) -> Taken {
        if self.is_over {
            return Taken::Over;
        }
        match self.errands.recv_timeout(timeout) {
            Ok(Some(errand)) => Taken::Errand(errand),
            Err(RecvTimeoutError::Timeout) => Taken::Nothing,
            Ok(None) | Err(RecvTimeoutError::Disconnected) => {
                self.is_over = true;
                Taken::Over
            }
        }
    }

    /// The next errand, if one waits.
    pub fn take_waiting(&mut self) -> Option<Errand> {
        if self.is_over {
            return None;
        }
        let next = self.errands.try_recv().ok()?;
        self.is_over = next.is_none();
        next
    }
}
