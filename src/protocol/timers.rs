//! The timeouts of one peer: a fixed table from kind to moment.
//!
//! Setting, moving and clearing a timer is one store; the shard keeps one entry per peer in its
//! buckets and comes back here when it is due. Invariant: a timer never fires early; it fires at
//! most one tick late, plus the turn's own length.

use std::time::Duration;

use crate::base::clock::Mono;
use crate::base::limits;

/// Moments are counted in ticks of [`limits::TICK`]; 0 is never. 32 bits last 8.7 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u32);

impl Tick {
    /// The first tick that is not before `at`.
    #[must_use]
    pub fn at_or_after(at: Mono) -> Self {
        let tick = at.as_nanos().div_ceil(tick_nanos()).max(1);
        Self(u32::try_from(tick).unwrap_or(u32::MAX))
    }

    /// The last tick that has begun at `now`.
    #[must_use]
    pub fn reached(now: Mono) -> Self {
        Self(u32::try_from(now.as_nanos() / tick_nanos()).unwrap_or(u32::MAX))
    }

    /// When this tick begins.
    #[must_use]
    pub fn begins(self) -> Mono {
        Mono::from_nanos(u64::from(self.0) * tick_nanos())
    }
}

fn tick_nanos() -> u64 {
    u64::try_from(limits::TICK.as_nanos()).unwrap_or(u64::MAX)
}

/// What a timeout is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Timer {
    /// When the request head, or its body, should have arrived.
    Handshake,
    /// When an HTTP connection has rested long enough between two requests.
    KeepAlive,
    /// When the next Ping is to be sent, or something else is due in a session of Engine.IO.
    Ping,
    /// When something should have been heard after a Ping.
    Pong,
    /// When a session in no room has been silent long enough.
    Idle,
    /// When the socket should have taken a byte of what is queued.
    Stall,
    /// When the answer to our Close should have arrived.
    Close,
    /// When a finished connection is cut, whether the peer has closed it or not, or a session is
    /// given up that nobody came back to.
    Linger,
    /// When reading may go on that was paused by the message rate.
    Resume,
    /// When a token should have been shown, or a newer one.
    Token,
}

/// All kinds, in the order of their numbers.
const KINDS: [Timer; 10] = [
    Timer::Handshake,
    Timer::KeepAlive,
    Timer::Ping,
    Timer::Pong,
    Timer::Idle,
    Timer::Stall,
    Timer::Close,
    Timer::Linger,
    Timer::Resume,
    Timer::Token,
];

/// The timers of one peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timers {
    at: [u32; KINDS.len()],
}

impl Timers {
    /// Lets `timer` fire `after` from `now`; a zero duration clears it (0 means never).
    pub fn set(&mut self, timer: Timer, after: Duration, now: Mono) {
        let tick = if after.is_zero() {
            0
        } else {
            Tick::at_or_after(now + after).0
        };
        if let Some(at) = self.at.get_mut(timer as usize) {
            *at = tick;
        }
    }

    /// Takes `timer` back.
    pub fn clear(&mut self, timer: Timer) {
        if let Some(at) = self.at.get_mut(timer as usize) {
            *at = 0;
        }
    }

    /// Takes all timers back.
    pub fn clear_all(&mut self) {
        *self = Self::default();
    }

    /// Whether `timer` is set.
    #[must_use]
    pub fn is_set(&self, timer: Timer) -> bool {
        self.at.get(timer as usize).is_some_and(|at| *at != 0)
    }

    /// The earliest timer's moment.
    #[must_use]
    pub fn next(&self) -> Option<Tick> {
        self.at
            .iter()
            .copied()
            .filter(|at| *at != 0)
            .min()
            .map(Tick)
    }

    /// Takes the next timer out that is due at `now`, in the order of the kinds. Call until
    /// `None`; a call when nothing is due is harmless.
    pub fn take_due(&mut self, now: Tick) -> Option<Timer> {
        let due = self.at.iter().position(|at| *at != 0 && *at <= now.0)?;
        if let Some(at) = self.at.get_mut(due) {
            *at = 0;
        }
        KINDS.get(due).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_never_fires_early_and_at_most_a_tick_late() {
        for millis in [1u64, 63, 64, 65, 10_000, 25_000] {
            let mut timers = Timers::default();
            let start = Mono::from_nanos(123_456_789);
            let after = Duration::from_millis(millis);
            timers.set(Timer::Ping, after, start);
            let due = start + after;
            assert_eq!(
                timers.take_due(Tick::reached(due - Duration::from_nanos(1))),
                None
            );
            let late = due + limits::TICK;
            assert_eq!(
                timers.take_due(Tick::reached(late)),
                Some(Timer::Ping),
                "{millis} ms"
            );
            assert_eq!(timers.take_due(Tick::reached(late)), None);
        }
    }

    #[test]
    fn the_next_moment_is_the_earliest_and_zero_means_never() {
        let mut timers = Timers::default();
        assert_eq!(timers.next(), None);
        timers.set(Timer::Idle, Duration::ZERO, Mono::ZERO);
        assert_eq!(timers.next(), None);
        timers.set(Timer::Idle, Duration::from_secs(300), Mono::ZERO);
        timers.set(Timer::Stall, Duration::from_secs(10), Mono::ZERO);
        assert_eq!(
            timers.next(),
            Some(Tick::at_or_after(Mono::ZERO + Duration::from_secs(10)))
        );
        timers.clear(Timer::Stall);
        assert_eq!(
            timers.next(),
            Some(Tick::at_or_after(Mono::ZERO + Duration::from_secs(300)))
        );
    }

    #[test]
    fn kinds_stand_at_their_own_number() {
        for (index, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
    }
}
