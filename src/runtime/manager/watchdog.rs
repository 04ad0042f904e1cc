//! The manager's watchdog: it hears of us at half its interval, as long as every reactor takes turns.
//!
//! The leading reactor sends the sign in its own turn, so one that is stuck sends none. The others
//! may be asleep for good reasons, so the leader wakes them and sends the next sign only when each
//! has taken a turn since. Invariant: a reactor that has ended is not waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::base::clock::Mono;
use crate::bus::mailbox::Mailbox;
use crate::runtime::manager::notify::Notifier;

/// In place of a count: the reactor takes no more turns.
const ENDED: u64 = u64::MAX;

/// How often the leader looks again at one that has not moved, in an interval: the manager waits
/// for a whole one, and half of it is over by then.
const LOOKS: u32 = 16;

/// How long the process `own` may be silent, by the variables WATCHDOG_USEC and WATCHDOG_PID
/// (sd_watchdog_enabled(3)); `None` if it may be for ever.
///
/// # Errors
/// When the first is no number of microseconds.
pub(super) fn interval(
    micros: Option<&str>,
    pid: Option<&str>,
    own: u32,
) -> Result<Option<Duration>, String> {
    let Some(micros) = micros else {
        return Ok(None);
    };
    if pid.is_some_and(|pid| pid.parse() != Ok(own)) {
        return Ok(None);
    }
    match micros.parse() {
        Ok(micros @ 1..) => Ok(Some(Duration::from_micros(micros))),
        Ok(0) | Err(_) => Err(format!(
            "WATCHDOG_USEC is {micros:?}; it must be microseconds"
        )),
    }
}

/// A reactor's side: it says here that it takes a turn.
#[derive(Debug, Default)]
pub(crate) struct Turns(Arc<AtomicU64>);

impl Turns {
    /// One more.
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.0.store(ENDED, Ordering::Relaxed);
    }
}

/// The leader's side.
#[derive(Debug)]
pub(crate) struct Watchdog {
    notifier: Notifier,
    interval: Duration,
    next: Mono,
    others: Vec<Other>,
}

/// A reactor beside the leader.
#[derive(Debug)]
struct Other {
    turns: Arc<AtomicU64>,
    /// How many there were when it was woken last.
    seen: u64,
    mailbox: Arc<Mailbox>,
}

impl Watchdog {
    /// Sends a sign to `notifier` twice in each `interval`, as long as all of `others` move; the
    /// first one in the first turn.
    pub(crate) fn new<'a>(
        notifier: Notifier,
        interval: Duration,
        others: impl Iterator<Item = (&'a Turns, &'a Arc<Mailbox>)>,
    ) -> Self {
        let other = |(turns, mailbox): (&Turns, &Arc<Mailbox>)| Other {
            turns: Arc::clone(&turns.0),
            // It has not taken as many by the first look.
            seen: ENDED - 1,
            mailbox: Arc::clone(mailbox),
        };
        Self {
            notifier,
            interval,
            next: Mono::ZERO,
            others: others.map(other).collect(),
        }
    }

    /// When [`Watchdog::watch`] has something to do.
    pub(crate) fn next(&self) -> Mono {
        self.next
    }

    /// Sends the sign if it is time and nobody is stuck.
    pub(crate) fn watch(&mut self, now: Mono) {
        if now < self.next {
            return;
        }
        let all_move = self.others.iter().all(Other::has_moved);
        if all_move {
            self.notifier.alive();
            self.others.iter_mut().for_each(Other::wake);
        }
        let parts = if all_move { 2 } else { LOOKS };
        self.next = now + self.interval / parts;
    }
}

impl Other {
    fn has_moved(&self) -> bool {
        self.turns.load(Ordering::Relaxed) != self.seen || self.has_ended()
    }

    fn has_ended(&self) -> bool {
        self.turns.load(Ordering::Relaxed) == ENDED
    }

    fn wake(&mut self) {
        self.seen = self.turns.load(Ordering::Relaxed);
        self.mailbox.nudge();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(16);

    fn after(seconds: u64) -> Mono {
        Mono::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn the_interval_is_that_of_our_own_process() {
        let check = |micros: &str, pid: Option<&str>, expected: Option<u64>| {
            let found = interval(Some(micros), pid, 7);
            assert_eq!(found, Ok(expected.map(Duration::from_micros)), "{micros:?}");
        };
        check("1", None, Some(1));
        check("30000000", Some("7"), Some(30_000_000));
        check("30000000", Some("8"), None);
        check("30000000", Some("x"), None);
        assert_eq!(interval(None, None, 7), Ok(None));
        for wrong in ["0", "30s", "", "-1"] {
            assert!(interval(Some(wrong), None, 7).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_manager_hears_of_us_as_long_as_every_reactor_moves() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let signs = || std::iter::from_fn(|| manager.recv(&mut [0; 64]).ok()).count();
        let turns = Turns::default();
        let mailbox = Arc::new(Mailbox::new(1, Box::new(|| {})));
        let notifier = Notifier::to(path.as_os_str()).unwrap();
        let others = [(&turns, &mailbox)].into_iter();
        let mut watchdog = Watchdog::new(notifier, INTERVAL, others);

        watchdog.watch(after(0));
        assert_eq!((signs(), watchdog.next()), (1, after(8)));
        watchdog.watch(after(7));
        assert_eq!(signs(), 0, "it is not time");
        turns.count();
        watchdog.watch(after(8));
        assert_eq!((signs(), watchdog.next()), (1, after(16)));
        // It does not move, and is looked at more often.
        watchdog.watch(after(16));
        watchdog.watch(after(17));
        assert_eq!((signs(), watchdog.next()), (0, after(18)));
        turns.count();
        watchdog.watch(after(18));
        assert_eq!((signs(), watchdog.next()), (1, after(26)));
        drop(turns);
        watchdog.watch(after(26));
        assert_eq!(signs(), 1, "one that has ended is not waited for");
        watchdog.watch(after(34));
        assert_eq!(signs(), 1);
    }
}
