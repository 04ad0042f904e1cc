//! What clients ask of the executor, on its way to the executor's thread, and what it has the store
//! write.
//!
//! The executor owns what is active; whoever asks has one request in flight and is paused until it
//! is answered, as with a [`job`](crate::bus::job). Invariant: a request owns all it needs, and what
//! the asker may do has been checked already.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use crate::base::ids::{PeerId, ShardId};
use crate::dialect::native::decode::Correlation;
use crate::domain::fault::Fault;
use crate::domain::idempotency::{Fingerprint, Scope};
use crate::domain::launch::Launch;
use crate::domain::monitor::Excess;
use crate::domain::project::{Project, ProjectId};
use crate::domain::run::{PendingPermission, Run, RunId};
use crate::domain::run_command::{Decision, RunInput};

/// What one client asks of the executor.
#[derive(Debug)]
pub struct Request {
    /// What is to be done.
    pub order: RunOrder,
    /// Who waits for the answer.
    pub asker: RunAsker,
}

/// Who waits for the answer to a request.
#[derive(Debug)]
pub struct RunAsker {
    /// The shard that waits.
    pub shard: ShardId,
    /// The peer it is for.
    pub peer: PeerId,
    /// How it is answered.
    pub form: RunForm,
}

/// How a request is answered.
#[derive(Clone, Debug)]
pub enum RunForm {
    /// Over HTTP.
    Http,
    /// By a message of the native dialect; `name` is the type that was asked with.
    Reply {
        /// What the reply repeats.
        to: Correlation,
        /// The type of the command.
        name: &'static str,
    },
}

/// One thing to be done with projects and runs.
#[derive(Debug)]
pub enum RunOrder {
    /// Register a directory. Its path was resolved; that it nests in no other is still to be checked.
    CreateProject {
        /// The real path.
        path: Box<str>,
        /// What people call it.
        name: Option<Box<str>>,
        /// At most so many projects; `None` for any number.
        projects_max: Option<usize>,
    },
    /// Forget a project with its runs and its stream. Its directory stays.
    DeleteProject(ProjectId),
    /// Let the next run of a project begin a new session of its agent.
    ResetSession(ProjectId),
    /// Start a run, or let it wait.
    Start(Box<StartOrder>),
    /// End a run, or take it out of the queue.
    Cancel(RunTarget, CancelAnswer),
    /// Say something to a running agent.
    Input {
        /// The run.
        run: RunId,
        /// What.
        input: RunInput,
    },
    /// Answer what an agent asks permission for.
    Decide {
        /// The run.
        run: RunId,
        /// The id that the agent gave its question.
        request: Box<str>,
        /// The answer.
        decision: Decision,
    },
}

/// A run that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunTarget {
    /// The one of this id.
    Run(RunId),
    /// The active one of a project.
    ActiveIn(ProjectId),
}

/// When a request to end a run is answered. A run that waits is taken out of the queue first, either
/// way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelAnswer {
    /// As soon as the run is being ended.
    AtOnce,
    /// After its last event: nothing of it is left then.
    WhenOver,
}

/// A run that is to be started.
#[derive(Debug)]
pub struct StartOrder {
    /// Where.
    pub project: ProjectId,
    /// The agent's name.
    pub agent: Box<str>,
    /// What was asked of it.
    pub prompt: Box<str>,
    /// The options as the client spelt them, a JSON object.
    pub options: Option<Box<str>>,
    /// The parameters as the client spelt them, a JSON object.
    pub params: Option<Box<str>>,
    /// What is executed.
    pub launch: Launch,
    /// Whether it waits if the project, or the host, is busy; else it is refused.
    pub waits: bool,
    /// Runs that may be active on the host; `None` for any number.
    pub runs_max: Option<usize>,
    /// Why the host takes no run at the moment; those that were started already are told again.
    pub excess: Option<Excess>,
    /// A repeat with the same key gets the run of the first request.
    pub key: Option<(Scope, Fingerprint)>,
}

/// What came of a request; the answer is made of it.
#[derive(Clone, Debug, PartialEq)]
pub enum RunAnswer {
    /// The project is registered.
    Created(Project),
    /// It is forgotten.
    Deleted(ProjectId),
    /// Its next run begins a new session; this was the old one.
    Reset(Project, Option<Box<str>>),
    /// The run is started, or waits at this place, from 1.
    Started(Box<Run>, Option<usize>),
    /// A start with this key was carried out before, and its run is over: this is its id, and the
    /// store has the rest.
    Repeated(RunId),
    /// The run is being ended, or has been taken out of the queue: as it stands now.
    Cancelled(Box<Run>),
    /// The agent was told.
    Told(RunId),
}

/// What is to be kept of projects and runs, in the transaction of the publications that tell of it.
#[derive(Clone, Debug)]
pub enum Record {
    /// As it stands now.
    Project(Box<Project>),
    /// It is gone, and with it its runs.
    ProjectDeleted(ProjectId),
    /// As it stands now, but for its offsets: those it remembers stay unless the mark names one.
    Run(Box<Run>, Mark),
    /// What agents ask permission for in a project, all of it. For those who join its room, and not
    /// for the disk: a run that is lost asks nothing any more.
    Permissions(ProjectId, Box<[PendingPermission]>),
}

impl Record {
    /// The project that it is about.
    #[must_use]
    pub fn project(&self) -> ProjectId {
        match self {
            Self::Project(project) => project.id,
            Self::ProjectDeleted(id) => *id,
            Self::Run(run, _) => run.project,
            Self::Permissions(project, _) => *project,
        }
    }
}

/// Which offset of its room a run is to remember: that of the publication before it in the same
/// errand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// None.
    None,
    /// As its first.
    First,
    /// As its last.
    Last,
}

/// Marks an errand of the executor, so that its outcome finds what it was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What became of an errand: all of it is on disk and told, or nothing of it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// Which.
    pub ticket: Ticket,
    /// Why nothing was done.
    pub outcome: Result<(), Fault>,
}

/// The sending end of the queue to the executor's thread.
#[derive(Clone)]
pub struct ExecutorQueue {
    requests: Sender<Request>,
    notices: Sender<Notice>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for ExecutorQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ExecutorQueue({})", self.requests.len())
    }
}

/// The receiving end.
#[derive(Debug)]
pub struct ExecutorInbox {
    requests: Receiver<Request>,
    notices: Receiver<Notice>,
}

/// What the executor's thread is told.
#[derive(Debug)]
pub enum Notice {
    /// A client asks for something.
    Request(Request),
    /// What became of an errand of its own.
    Settled(Settlement),
    /// Another configuration is in force.
    Reconfigure,
    /// The server shuts down: nothing is started any more, and what runs is ended.
    Drain,
    /// The server shuts down now: what runs is killed, and the next start tells of it.
    Cut,
}

/// A queue for so many requests. `wake` ends the sleep of whoever takes from it.
#[must_use]
pub fn executor_queue(
    capacity: usize,
    wake: Box<dyn Fn() + Send + Sync>,
) -> (ExecutorQueue, ExecutorInbox) {
    let (requests, waiting) = bounded(capacity);
    let (notices, told) = unbounded();
    let queue = ExecutorQueue {
        requests,
        notices,
        wake: wake.into(),
    };
    let inbox = ExecutorInbox {
        requests: waiting,
        notices: told,
    };
    (queue, inbox)
}

impl ExecutorQueue {
    /// Puts a request into the queue.
    ///
    /// # Errors
    /// The request, given back: the queue is full, or nobody looks any more.
    pub fn submit(&self, request: Request) -> Result<(), Box<Request>> {
        let sent = self.requests.try_send(request);
        sent.map_err(|unsent| Box::new(unsent.into_inner()))?;
        (self.wake)();
        Ok(())
    }

    /// Says what became of an errand. There is always room: the executor bounds its own errands.
    pub fn settled(&self, settlement: Settlement) {
        self.tell(Notice::Settled(settlement));
    }

    /// Says that another configuration is in force.
    pub fn reconfigure(&self) {
        self.tell(Notice::Reconfigure);
    }

    /// Says that the server shuts down.
    pub fn drain(&self) {
        self.tell(Notice::Drain);
    }

    /// Says that the server shuts down now.
    pub fn cut(&self) {
        self.tell(Notice::Cut);
    }

    /// How many requests wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    fn tell(&self, notice: Notice) {
        // An executor that has ended need not be told.
        if self.notices.send(notice).is_ok() {
            (self.wake)();
        }
    }
}

impl ExecutorInbox {
    /// What is to be dealt with next, if anything is: what became of errands before new requests.
    #[must_use]
    pub fn try_take(&self) -> Option<Notice> {
        let notice = self.notices.try_recv().ok();
        notice.or_else(|| self.requests.try_recv().ok().map(Notice::Request))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::base::rng::Rng;

    fn request() -> Request {
        Request {
            order: RunOrder::DeleteProject(ProjectId::random(&mut Rng::from_seed(1))),
            asker: RunAsker {
                shard: ShardId(0),
                peer: PeerId {
                    slot: 0,
                    generation: 0,
                },
                form: RunForm::Http,
            },
        }
    }

    #[test]
    fn requests_are_bounded_and_stand_behind_what_became_of_errands() {
        let woken = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&woken);
        let wake = move || {
            counted.fetch_add(1, Ordering::Relaxed);
        };
        let (queue, inbox) = executor_queue(1, Box::new(wake));
        assert!(inbox.try_take().is_none());
        queue.submit(request()).unwrap();
        assert!(queue.submit(request()).is_err(), "it is full");
        for number in 0..3 {
            queue.settled(Settlement {
                ticket: Ticket(number),
                outcome: Ok(()),
            });
        }
        queue.drain();
        assert_eq!((queue.len(), woken.load(Ordering::Relaxed)), (1, 5));
        for number in 0..3 {
            let notice = inbox.try_take().unwrap();
            assert!(matches!(notice, Notice::Settled(told) if told.ticket == Ticket(number)));
        }
        assert!(matches!(inbox.try_take(), Some(Notice::Drain)));
        assert!(matches!(inbox.try_take(), Some(Notice::Request(_))));
        drop(inbox);
        assert!(queue.submit(request()).is_err(), "nobody looks any more");
        queue.reconfigure();
    }
}
