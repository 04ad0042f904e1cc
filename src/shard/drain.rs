//! Shutting down without a storm: closes are spread, then what is left is cut.
//!
//! Sessions get 1001 (devices 1000), or the end of their stream, at 1,000 a second or faster if the
//! time demands it, so a small server stops at once and a large one does not send everybody back in
//! the same second. HTTP connections end after the answer they are owed; resting ones end at once.

use std::time::Duration;

use crate::base::clock::{Mono, Now};
use crate::base::ids::PeerId;
use crate::base::limits;
use crate::protocol::timers::Timer;
use crate::shard::peer::{Conversation, Pause, Stage};
use crate::shard::{Shard, session, tls};

/// A drain in progress.
#[derive(Debug)]
pub(super) struct Drain {
    began: Mono,
    /// When everything left is cut.
    ends: Mono,
    per_second: u64,
    /// Who is still to be closed, last first.
    waiting: Vec<PeerId>,
    closed: u64,
    cut: usize,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// Connections that were cut with something still to send or to answer.
    pub cut: usize,
}

impl Drain {
    /// When the next close or the end is due.
    pub(super) fn next(&self) -> Option<Mono> {
        if self.waiting.is_empty() {
            return Some(self.ends);
        }
        let later = (self.closed + 1).saturating_sub(self.at_once());
        // Whole milliseconds, as `step` counts them: closes are done in groups.
        let due = later.saturating_mul(1000).div_ceil(self.per_second).max(1);
        Some((self.began + Duration::from_millis(due)).min(self.ends))
    }

    /// How many closes go without waiting, so that a small server stops without delay.
    fn at_once(&self) -> u64 {
        self.per_second / 10
    }
}

impl Shard {
    /// Begins to drain: everything is to be over after `timeout`. Call [`Shard::fire`] as
    /// [`Shard::next_deadline`] says until [`Shard::is_empty`] or the timeout.
    pub fn begin_drain(&mut self, timeout: Duration, now: Now) {
        if self.drain.is_some() {
            return;
        }
        self.hub.draining = true;
        let mut waiting: Vec<PeerId> = self
            .peers
            .iter()
            .filter(|(_, peer)| {
                peer.session().is_some() || matches!(peer.conversation, Conversation::Engine(_))
            })
            .map(|(id, _)| id)
            .collect();
        waiting.reverse();
        let resting: Vec<PeerId> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.is_resting())
            .map(|(id, _)| id)
            .collect();
        for id in resting {
            if let Some(peer) = self.peers.get_mut(id) {
                tls::end(peer, id, &mut self.hub);
            }
        }
        // A request that is still arriving has as long as a peer has to answer Close.
        for id in self.peers.iter().map(|(id, _)| id).collect::<Vec<_>>() {
            if let Some(peer) = self.peers.get_mut(id)
                && peer.timers.is_set(Timer::Handshake)
            {
                peer.timers
                    .set(Timer::Handshake, limits::CLOSE_TIMEOUT, now.mono);
                self.hub.arm(peer, id);
            }
        }
        // The last close must leave its peer the time to answer.
        let spread = timeout
            .saturating_sub(limits::CLOSE_TIMEOUT * 2)
            .max(timeout / 2);
        let spread_ms = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX).max(1);
        let demanded = (waiting.len() as u64 * 1000).div_ceil(spread_ms);
        // The server's pace is shared by its shards, which drain at the same time.
        let shards = self.hub.services.mailboxes.len().max(1) as u64;
        let floor = u64::from(limits::DRAIN_CLOSES_PER_SECOND).div_ceil(shards);
        self.drain = Some(Drain {
            began: now.mono,
            ends: now.mono + timeout,
            per_second: demanded.max(floor),
            waiting,
            closed: 0,
            cut: 0,
        });
        step(self, now);
    }

    /// Cuts every connection that is left, at once. Those that were owed something count.
    pub fn cut(&mut self) {
        let left: Vec<PeerId> = self.peers.iter().map(|(id, _)| id).collect();
        let mut cut = 0;
        for id in left {
            let Some(peer) = self.peers.get_mut(id) else {
                continue;
            };
            let owed = match &peer.conversation {
                _ if peer.stage == Stage::Ended => false,
                Conversation::Socket(socket) => socket.socket.is_open() || peer.has_output(),
                Conversation::Events(_) | Conversation::Namespace(_) => {
                    peer.has_open_session() || peer.has_output()
                }
                Conversation::Carrier(carrier) => carrier.socket.is_open() || peer.has_output(),
                Conversation::Http(_) => {
                    matches!(peer.pause, Some(Pause::Job | Pause::Move)) || peer.has_output()
                }
                Conversation::Engine(_) | Conversation::Refused => false,
            };
            cut += usize::from(owed);
            self.hub.end(peer, id);
        }
        if let Some(drain) = &mut self.drain {
            drain.cut += cut;
            drain.waiting.clear();
        }
    }

    /// What came of the drain so far; `None` if none has begun.
    #[must_use]
    pub fn drain_report(&self) -> Option<DrainReport> {
        self.drain
            .as_ref()
            .map(|drain| DrainReport { cut: drain.cut })
    }
}

/// Closes the sessions that are due at `now`; at the end of the drain cuts the rest.
pub(super) fn step(shard: &mut Shard, now: Now) {
    let Some(drain) = &mut shard.drain else {
        return;
    };
    let elapsed = now.mono.since(drain.began);
    if now.mono >= drain.ends {
        shard.cut();
        return;
    }
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let due = drain.at_once() + millis.saturating_mul(drain.per_second) / 1000;
    while drain.closed < due {
        let Some(id) = drain.waiting.pop() else {
            return;
        };
        drain.closed += 1;
        let Some(peer) = shard.peers.get_mut(id) else {
            continue;
        };
        session::say_goodbye(peer, id, &mut shard.hub, now);
        shard.hub.touch(peer, id);
        shard.hub.arm(peer, id);
    }
}
