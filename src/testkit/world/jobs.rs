//! The workers as a value: jobs are performed at once, some turns later, or refused.

use crate::app::durable::submit;
use crate::app::runs;
use crate::app::services::Services;
use crate::base::clock::Now;
use crate::base::rng::Rng;
use crate::bus::job::Job;
use crate::bus::mail::Mail;
use crate::bus::order::Outcome;
use crate::runtime::workers::perform;

/// Jobs on their way, and how they are treated.
#[derive(Debug, Default)]
pub struct Jobs {
    /// A job is done after up to so many turns, at random, and never before an older one of the
    /// same peer.
    pub delay_turns_max: u64,
    /// Of a hundred offers, so many find the queue full.
    pub refused_percent: u64,
    /// Nothing is done while this is set, however much time passes.
    pub hold: bool,
    waiting: Vec<(u64, Job)>,
}

impl Jobs {
    /// Takes a job in, or gives it back when the queue counts as full.
    pub(super) fn offer(&mut self, job: Job, rng: &mut Rng) -> Option<Job> {
        if rng.below(100) < self.refused_percent {
            return Some(job);
        }
        self.waiting
            .push((rng.below(self.delay_turns_max + 1), job));
        None
    }

    /// Performs the jobs that are due. True if there was any job.
    pub(super) fn turn(&mut self, services: &Services, now: Now) -> bool {
        let any = !self.waiting.is_empty() && !self.hold;
        if !any {
            return false;
        }
        let mut later = Vec::new();
        for (turns, job) in std::mem::take(&mut self.waiting) {
            let mailbox = services.mailboxes.get(job.shard.index());
            let Some(mailbox) = mailbox.filter(|mailbox| turns == 0 && mailbox.has_room()) else {
                later.push((turns.saturating_sub(1), job));
                continue;
            };
            let counters = services.counters_of_workers();
            let live = services.live();
            let context = services.context(&live, &counters, now);
            let (shard, peer) = (job.shard, job.peer);
            let answer = match perform(job.work, context) {
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
            mailbox.push(Mail::Answer { peer, answer });
        }
        self.waiting = later;
        true
    }
}
