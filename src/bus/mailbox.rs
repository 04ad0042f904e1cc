//! A shard's inbox: bounded, filled by any thread, emptied by the shard once per turn.
//!
//! The wake is coalesced: a sender wakes the shard only if it sleeps, and only once until it has
//! looked. Publishers must not push half a publication, so they ask [`Mailbox::has_room`] of all
//! targets first and then push without a check; the bound can be passed by one piece per thread.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::base::locks::lock;
use crate::bus::mail::Mail;

/// The sending and receiving end of one shard's mail.
pub struct Mailbox {
    queue: Mutex<Queue>,
    /// Signalled when a full mailbox has been emptied.
    emptied: Condvar,
    capacity: usize,
    /// Set by the shard before it sleeps, cleared by the first sender after that.
    sleeping: AtomicBool,
    /// Set by who left something for the shard elsewhere, cleared when it has been awake for it.
    nudged: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// What waits, and whether anybody will look again.
#[derive(Default)]
struct Queue {
    mail: VecDeque<Mail>,
    is_closed: bool,
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailbox({} waiting)", self.lock().mail.len())
    }
}

impl Mailbox {
    /// An empty mailbox; `wake` ends the shard's sleep and may be called from any thread.
    #[must_use]
    pub fn new(capacity: usize, wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            queue: Mutex::default(),
            emptied: Condvar::new(),
            capacity,
            sleeping: AtomicBool::new(false),
            nudged: AtomicBool::new(false),
            wake,
        }
    }

    /// Whether another piece of mail is welcome.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.lock().mail.len() < self.capacity
    }

    /// How many pieces wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().mail.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a piece of mail without asking for room; see [`Mailbox::has_room`].
    pub fn push(&self, mail: Mail) {
        let mut queue = self.lock();
        if !queue.is_closed {
            queue.mail.push_back(mail);
            drop(queue);
            self.wake_if_sleeping();
        }
    }

    /// Adds a piece of mail, waiting for room; true if it had to wait. Only for threads that may
    /// block: never a shard.
    pub fn push_waiting(&self, mail: Mail) -> bool {
        let mut queue = self.lock();
        let mut has_waited = false;
        while queue.mail.len() >= self.capacity && !queue.is_closed {
            has_waited = true;
            queue = self
                .emptied
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if !queue.is_closed {
            queue.mail.push_back(mail);
            drop(queue);
            self.wake_if_sleeping();
        }
        has_waited
    }

    /// Waits until another piece of mail is welcome, or nobody will look again. Only for threads that
    /// may block: never a shard.
    pub fn wait_for_room(&self) {
        let mut queue = self.lock();
        while queue.mail.len() >= self.capacity && !queue.is_closed {
            queue = self
                .emptied
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that nobody will look again: what is here and what comes is dropped, and nobody waits.
    pub fn close(&self) {
        let mut queue = self.lock();
        queue.is_closed = true;
        queue.mail = VecDeque::new();
        drop(queue);
        self.emptied.notify_all();
    }

    /// Moves at most `most` pieces into `into`, oldest first. True if some are left.
    pub fn take(&self, most: usize, into: &mut VecDeque<Mail>) -> bool {
        let mut queue = self.lock();
        let was_full = queue.mail.len() >= self.capacity;
        let count = queue.mail.len().min(most);
        into.extend(queue.mail.drain(..count));
        let left = !queue.mail.is_empty();
        if !left && queue.mail.capacity() > SPARE_CAPACITY {
            queue.mail = VecDeque::new();
        }
        drop(queue);
        if was_full {
            self.emptied.notify_all();
        }
        left
    }

    /// Says that the shard is about to sleep. False if there is mail, or was a nudge since it was
    /// last asked: then it must not.
    #[must_use]
    pub fn prepare_sleep(&self) -> bool {
        self.sleeping.store(true, Ordering::SeqCst);
        if !self.nudged.swap(false, Ordering::SeqCst) && self.lock().mail.is_empty() {
            return true;
        }
        self.sleeping.store(false, Ordering::SeqCst);
        false
    }

    /// Says that the shard is awake and will look by itself.
    pub fn awake(&self) {
        self.sleeping.store(false, Ordering::SeqCst);
    }

    /// Ends the shard's sleep, or keeps it awake for one more turn, for whoever left something for
    /// it elsewhere. Must come after that.
    pub fn nudge(&self) {
        self.nudged.store(true, Ordering::SeqCst);
        self.wake_if_sleeping();
    }

    fn wake_if_sleeping(&self) {
        if self.sleeping.swap(false, Ordering::SeqCst) {
            (self.wake)();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }
}

/// An emptied queue that had grown past this gives its memory back.
const SPARE_CAPACITY: usize = 1024;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::*;
    use crate::base::ids::PeerId;
    use crate::bus::job::{Answer, Reply};

    fn mail(number: u32) -> Mail {
        let peer = PeerId {
            slot: number,
            generation: 0,
        };
        let json = Vec::new();
        let answer = Answer::Reply(Reply { json, error: None });
        Mail::Answer { peer, answer }
    }

    fn numbers(taken: &VecDeque<Mail>) -> Vec<u32> {
        let number = |mail: &Mail| {
            let Mail::Answer { peer, .. } = mail else {
                return None;
            };
            Some(peer.slot)
        };
        taken.iter().filter_map(number).collect()
    }

    fn counted(capacity: usize) -> (Mailbox, Arc<AtomicUsize>) {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&wakes);
        let wake = move || {
            counter.fetch_add(1, Ordering::SeqCst);
        };
        (Mailbox::new(capacity, Box::new(wake)), wakes)
    }

    #[test]
    fn mail_comes_out_in_the_order_it_went_in_and_in_portions() {
        let (mailbox, _) = counted(10);
        (0..5).for_each(|number| mailbox.push(mail(number)));
        let mut taken = VecDeque::new();
        assert!(mailbox.take(3, &mut taken));
        assert!(!mailbox.take(3, &mut taken));
        assert_eq!(numbers(&taken), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_nudge_that_comes_before_sleep_is_not_lost() {
        let (mailbox, wakes) = counted(10);
        mailbox.nudge();
        assert!(!mailbox.prepare_sleep(), "something was left elsewhere");
        mailbox.awake();
        assert!(mailbox.prepare_sleep(), "and has been looked at");
        mailbox.nudge();
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_sleeper_is_woken_once_and_only_if_it_sleeps() {
        let (mailbox, wakes) = counted(10);
        mailbox.push(mail(0));
        assert_eq!(wakes.load(Ordering::SeqCst), 0);
        assert!(!mailbox.prepare_sleep(), "there is mail");
        mailbox.take(9, &mut VecDeque::new());
        assert!(mailbox.prepare_sleep());
        mailbox.push(mail(1));
        mailbox.push(mail(2));
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
        mailbox.take(9, &mut VecDeque::new());
        assert!(mailbox.prepare_sleep());
        mailbox.awake();
        mailbox.push(mail(3));
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn whoever_waits_for_room_goes_on_when_mail_is_taken() {
        let (mailbox, _) = counted(2);
        thread::scope(|scope| {
            let sender = scope.spawn(|| {
                for number in 0..200 {
                    mailbox.push_waiting(mail(number));
                }
            });
            let mut taken = VecDeque::new();
            while taken.len() < 200 {
                mailbox.take(2, &mut taken);
                assert!(mailbox.lock().mail.len() <= 2);
                thread::yield_now();
            }
            sender.join().unwrap();
            assert_eq!(numbers(&taken), (0..200).collect::<Vec<_>>());
            assert!(mailbox.has_room());
        });
    }

    #[test]
    fn nobody_waits_for_room_in_a_closed_mailbox() {
        let (mailbox, _) = counted(1);
        mailbox.push(mail(1));
        thread::scope(|scope| {
            let sender = scope.spawn(|| mailbox.push_waiting(mail(2)));
            mailbox.close();
            sender.join().unwrap();
        });
        mailbox.push(mail(3));
        let mut taken = VecDeque::new();
        assert!(!mailbox.take(10, &mut taken));
        assert_eq!(taken.len(), 0);
    }
}
