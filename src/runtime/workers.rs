//! Threads for jobs that may block, over one bounded channel.
//!
//! A worker waits for a full mailbox; a shard never waits for a worker, so nobody waits in a ring.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::{io, thread};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::app::services::Services;
use crate::app::{commands, http};
use crate::base::clock::{Clock, Now};
use crate::base::limits;
use crate::bus::job::{Answer, Job, Work};
use crate::bus::mail::Mail;
use crate::domain::fault::{Code, Fault};
use crate::metrics::counters::Counters;
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
        let is_http = matches!(work, Work::Http(_));
        let done = catch_unwind(AssertUnwindSafe(|| perform(work, services, &counters, now)));
        let answer = done.unwrap_or_else(|_| failed(is_http, &counters, now));
        counters.increment(Counter::JobsDone);
        if let Some(mailbox) = services.mailboxes.get(shard.index())
            && mailbox.push_waiting(Mail::Answer { peer, answer })
        {
            counters.increment(Counter::MailboxFull);
        }
    }
}

/// Does one job; the part of a worker that is no thread.
pub(crate) fn perform(work: Work, services: &Services, counters: &Counters, now: Now) -> Answer {
    match work {
        Work::Http(call) => Answer::Http(http::call(&call, services, counters, now)),
        Work::Command {
            correlation,
            command,
            session,
            address,
        } => {
            // Membership matters to publishing only, which shards do themselves.
            let asker = commands::Asker {
                session,
                address,
                is_member: &|_| false,
            };
            let name = "job";
            Answer::Reply(commands::answer(
                name,
                &correlation,
                command,
                &asker,
                services,
                counters,
                now,
            ))
        }
    }
}

/// The answer to a job whose own chain could not make one.
fn failed(is_http: bool, counters: &Counters, now: Now) -> Answer {
    counters.increment(Counter::HandlerPanics);
    log::error!("job_panic");
    let fault = Fault::new(Code::InternalError, "the server failed to handle this");
    if is_http {
        Answer::Http(http::fault_response(&fault))
    } else {
        Answer::Reply(commands::fault_reply(&Default::default(), &fault, now.wall))
    }
}
