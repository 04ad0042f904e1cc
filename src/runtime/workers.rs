//! Threads for jobs that may block, over one bounded channel.
//!
//! A worker waits for a full mailbox; a shard never waits for a worker, so nobody waits in a ring.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::{io, thread};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::app::durable::{self, submit};
use crate::app::services::{Context, Services};
use crate::app::{commands, http, runs};
use crate::base::clock::{Clock, Now};
use crate::base::limits;
use crate::bus::job::{Answer, Job, StreamRead, Work};
use crate::bus::mail::Mail;
use crate::bus::order::Outcome;
use crate::dialect::native::decode::Correlation;
use crate::domain::fault::{Code, Fault};
use crate::metrics::counters::Counters;
use crate::metrics::histograms::Histogram;
use crate::metrics::names::Counter;

/// The running workers.
#[derive(Debug)]
pub(super) struct Workers {
    jobs: Sender<Job>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(super) fn start(count: usize, services: &Arc<Services>, clock: Clock) -> io::Result<Self> {
        let (jobs, queue) = bounded(limits::WORKER_JOBS);
        let mut threads = Vec::with_capacity(count);
        for number in 0..count {
            let (queue, services) = (Receiver::clone(&queue), Arc::clone(services));
            let thread = thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || work(&queue, &services, clock))?;
            threads.push(thread);
        }
        Ok(Self { jobs, threads })
    }

    /// Where jobs go in.
    pub(super) fn jobs(&self) -> Sender<Job> {
        self.jobs.clone()
    }

    /// Ends when all senders are gone and the queue is empty.
    pub(super) fn finish(self) {
        drop(self.jobs);
        for thread in self.threads {
            // A worker that panicked outside a job has nothing left to say.
            let _ = thread.join();
        }
    }
}

fn work(queue: &Receiver<Job>, services: &Services, clock: Clock) {
    let counters = services.counters_of_workers();
    while let Ok(Job { shard, peer, work }) = queue.recv() {
        let now = clock.now();
        let live = services.live();
        let context = services.context(&live, &counters, now);
        let outcome = attempt(work, &counters, now, |work| perform(work, context));
        counters.increment(Counter::JobsDone);
        counters.observe_time(Histogram::JobSeconds, clock.now().mono.since(now.mono));
        let answer = match outcome {
            Outcome::Done(answer) => answer,
            Outcome::Order(order) => match submit(order, shard, peer, context) {
                Ok(()) => continue,
                Err(answer) => answer,
            },
            Outcome::Request(order, form) => {
                match runs::submit(order, form, shard, peer, context) {
                    Ok(()) => continue,
                    Err(answer) => answer,
                }
            }
        };
        if let Some(mailbox) = services.mailboxes.get(shard.index())
            && mailbox.push_waiting(Mail::Answer { peer, answer })
        {
            counters.increment(Counter::MailboxFull);
        }
    }
}

/// Has one job done; whatever becomes of it, its peer gets an answer that it can match.
fn attempt(
    work: Work,
    counters: &Counters,
    now: Now,
    perform: impl FnOnce(Work) -> Outcome<Answer>,
) -> Outcome<Answer> {
    let asked = match &work {
        Work::Http(_) => Asked::Http,
        Work::Command { correlation, .. } => Asked::Command(correlation.clone()),
        Work::Read(read) => Asked::Read(read.clone()),
    };
    let done = catch_unwind(AssertUnwindSafe(|| perform(work)));
    done.unwrap_or_else(|_| Outcome::Done(failed(asked, counters, now)))
}

/// Who waits for a job that may come to nothing.
enum Asked {
    Http,
    Command(Correlation),
    Read(Box<StreamRead>),
}

/// Does one job, or says what the store is to do first; the part of a worker that is no thread.
pub(crate) fn perform(work: Work, context: Context<'_>) -> Outcome<Answer> {
    match work {
        Work::Http(call) => http::call(&call, context).map(Answer::Http),
        Work::Read(read) => {
            let missed = durable::answer_read(&read, context);
            Outcome::Done(Answer::Read(read, missed))
        }
        Work::Command {
            name,
            correlation,
            command,
            session,
            identity,
            address,
        } => {
            let asker = commands::Asker {
                session,
                identity: &identity,
                address,
                is_member: None,
            };
            commands::answer(name, &correlation, *command, &asker, context).map(Answer::Reply)
        }
    }
}

/// The answer to a job whose own chain could not make one.
fn failed(asked: Asked, counters: &Counters, now: Now) -> Answer {
    counters.increment(Counter::HandlerPanics);
    log::error!("job_panic");
    let fault = Fault::new(Code::InternalError, "the server failed to handle this");
    match asked {
        Asked::Command(to) => Answer::Reply(commands::fault_reply(&to, &fault, now.wall)),
        Asked::Http => Answer::Http(http::fault_response(&fault)),
        Asked::Read(read) => Answer::Read(read, None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::base::rng::Rng;
    use crate::dialect::native::decode::decode;
    use crate::domain::access::Identity;

    #[test]
    fn a_command_whose_job_panics_is_answered_under_its_id() {
        let decoded = decode(r#"{"type":"history","room":"a","request_id":"r-7"}"#);
        let (kind, command) = decoded.command.unwrap();
        let work = Work::Command {
            name: kind.name,
            correlation: decoded.correlation,
            command: Box::new(command),
            session: Rng::from_seed(1).session_id(),
            identity: Identity::Anonymous,
            address: IpAddr::from([127, 0, 0, 1]),
        };
        let counters = Counters::default();
        let answer = attempt(work, &counters, Clock::start().now(), |_| {
            panic!("on purpose")
        });
        let Outcome::Done(Answer::Reply(reply)) = answer else {
            panic!("a command is answered with a reply");
        };
        let reply_text = String::from_utf8(reply.json).unwrap();
        assert!(
            reply.error.is_some() && reply_text.contains(r#""request_id":"r-7""#),
            "{reply_text}"
        );
        assert!(reply_text.contains("INTERNAL_ERROR"), "{reply_text}");
    }
}
