//! Jobs on their way to the workers, in order.
//!
//! When the workers' queue is full the first job is given back and offered again later; until then
//! the shard may sleep, for the workers' answers wake it. Bounded by one job per peer.

use std::collections::VecDeque;

use crate::bus::job::Job;

/// The jobs of one shard that no worker has yet.
#[derive(Debug, Default)]
pub struct Jobs {
    queue: VecDeque<Job>,
    first: Offered,
    /// How often the job that was taken last has been offered before.
    taken: Offered,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Offered {
    #[default]
    Never,
    Before,
}

impl Jobs {
    /// Adds a job.
    pub fn push(&mut self, job: Job) {
        self.queue.push_back(job);
    }

    /// Takes the next job out, to offer it.
    pub fn take(&mut self) -> Option<Job> {
        self.taken = std::mem::take(&mut self.first);
        self.queue.pop_front()
    }

    /// Takes a job back that found no place; true if that happens to it for the first time.
    pub fn give_back(&mut self, job: Job) -> bool {
        self.queue.push_front(job);
        self.first = Offered::Before;
        self.taken == Offered::Never
    }

    /// Whether there are jobs that have not been offered yet.
    #[must_use]
    pub fn has_new(&self) -> bool {
        self.first == Offered::Never && !self.queue.is_empty()
    }

    /// Whether a job waits for a place.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.first == Offered::Before
    }
}
