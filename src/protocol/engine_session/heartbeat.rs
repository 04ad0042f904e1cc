//! When a session is pinged, and when its silence is too long.
//!
//! Whatever comes after a ping shows that the client lives; its pong may be behind much else. Only
//! the pong has the next ping sent.

use crate::base::clock::Mono;
use crate::protocol::engine_session::Timing;

/// One session's heartbeat.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heartbeat {
    phase: Phase,
    /// When the client was last heard.
    heard: Mono,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The next ping goes then.
    Resting(Mono),
    /// A ping went, and something has to be heard until then.
    Awaiting(Mono),
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pulse {
    /// Nothing.
    Fine,
    /// Send a ping.
    Ping,
    /// Give the client up.
    Lost,
}

impl Heartbeat {
    pub(super) fn begin(timing: &Timing, now: Mono) -> Self {
        Self {
            phase: Phase::Resting(now + timing.ping_interval),
            heard: now,
        }
    }

    /// When to check.
    pub(super) fn due(&self) -> Mono {
        match self.phase {
            Phase::Resting(due) | Phase::Awaiting(due) => due,
        }
    }

    /// The client said something.
    pub(super) fn heard(&mut self, now: Mono) {
        self.heard = now;
    }

    /// The client answered a ping; an answer that nobody asked for changes nothing.
    pub(super) fn pong(&mut self, timing: &Timing, now: Mono) {
        if matches!(self.phase, Phase::Awaiting(_)) {
            self.phase = Phase::Resting(now + timing.ping_interval);
        }
    }

    /// Moves on if it is time.
    pub(super) fn check(&mut self, timing: &Timing, now: Mono) -> Pulse {
        if self.due() > now {
            return Pulse::Fine;
        }
        match self.phase {
            Phase::Resting(_) => {
                self.phase = Phase::Awaiting(now + timing.ping_timeout);
                Pulse::Ping
            }
            Phase::Awaiting(_) => {
                let due = self.heard + timing.ping_timeout;
                if due <= now {
                    return Pulse::Lost;
                }
                self.phase = Phase::Awaiting(due);
                Pulse::Fine
            }
        }
    }
}
