//! A connection that exists in memory: it splits, delays, refuses and cuts as it is told to.
//!
//! Each direction is a [`Pipe`] with the capacity of both sockets' buffers together. Chance comes
//! from the caller's generator and time from its `now`, so a seed replays every split. Invariant:
//! bytes come out once, whole and in the order they went in, unless the link is cut.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::clock::Mono;
use crate::base::rng::Rng;

/// How a link treats what is sent over it; both directions alike.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// Bytes on the way before the sender's socket takes no more.
    pub capacity: usize,
    /// Pieces are cut at random lengths from 1 to this; `None` cuts nothing.
    pub piece_max: Option<usize>,
    /// Each piece takes up to this long, at random, without overtaking another.
    pub delay: Duration,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            // Linux starts a loopback connection with about 2.5 MB on both sides together; less
            // shows a slow reader sooner.
            capacity: 256 * 1024,
            piece_max: None,
            delay: Duration::ZERO,
        }
    }
}

/// Both directions between a client and its server.
#[derive(Debug, Default)]
pub struct Link {
    /// From the client to the server.
    pub up: Pipe,
    /// From the server to the client.
    pub down: Pipe,
    /// How it behaves; may be changed at any time.
    pub conditions: Conditions,
    /// Neither side can read or write any more.
    pub is_cut: bool,
}

/// One direction.
#[derive(Debug, Default)]
pub struct Pipe {
    pieces: VecDeque<(Mono, Vec<u8>)>,
    /// Bytes of all pieces.
    held: usize,
    /// Bytes that were ever taken out.
    taken: u64,
    /// The sender has said that nothing more comes.
    ended: bool,
    /// Nothing sent later arrives before this.
    latest: Mono,
}

impl Pipe {
    /// Sends what fits of `bytes`, a random part of it if pieces are cut; returns how many went.
    pub fn send(&mut self, bytes: &[u8], link: &Conditions, rng: &mut Rng, now: Mono) -> usize {
        debug_assert!(!self.ended, "nothing is sent after the end");
        let room = link.capacity.saturating_sub(self.held).min(bytes.len());
        let count = chop(room, link, rng);
        let Some(piece) = bytes.get(..count).filter(|piece| !piece.is_empty()) else {
            return 0;
        };
        let delay = u64::try_from(link.delay.as_nanos()).unwrap_or(u64::MAX);
        let arrives = now + Duration::from_nanos(rng.below(delay));
        self.latest = self.latest.max(arrives);
        self.pieces.push_back((self.latest, piece.to_vec()));
        self.held += count;
        count
    }

    /// Takes at most `most` bytes out that have arrived, a random part if pieces are cut.
    pub fn take(&mut self, most: usize, link: &Conditions, rng: &mut Rng, now: Mono) -> Vec<u8> {
        let mut left = chop(most.min(self.arrived(now)), link, rng);
        let mut out = Vec::with_capacity(left);
        while left > 0 {
            let Some((_, piece)) = self.pieces.front_mut() else {
                break;
            };
            let count = piece.len().min(left);
            out.extend(piece.drain(..count));
            if piece.is_empty() {
                self.pieces.pop_front();
            }
            left -= count;
        }
        self.held -= out.len();
        self.taken += out.len() as u64;
        out
    }

    /// Says that nothing more will be sent.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether the sender has ended it, arrived or not.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Bytes that can be taken out now.
    #[must_use]
    pub fn arrived(&self, now: Mono) -> usize {
        let arrived = self.pieces.iter().take_while(|(at, _)| *at <= now);
        arrived.map(|(_, piece)| piece.len()).sum()
    }

    /// Bytes that have ever arrived, taken out or not; it grows when there is news.
    #[must_use]
    pub fn arrived_in_all(&self, now: Mono) -> u64 {
        self.taken + self.arrived(now) as u64
    }

    /// Whether everything was taken out and nothing more comes.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.ended && self.pieces.is_empty()
    }

    /// Bytes the sender's socket takes.
    #[must_use]
    pub fn room(&self, link: &Conditions) -> usize {
        link.capacity.saturating_sub(self.held)
    }

    /// When the next piece arrives that has not.
    #[must_use]
    pub fn next_arrival(&self, now: Mono) -> Option<Mono> {
        let mut arrivals = self.pieces.iter().map(|(at, _)| *at);
        arrivals.find(|at| *at > now)
    }
}

/// All of `count`, or a random part of it.
fn chop(count: usize, link: &Conditions, rng: &mut Rng) -> usize {
    match link.piece_max {
        Some(most) => {
            let most = count.min(most) as u64;
            usize::try_from(rng.below(most) + 1)
                .unwrap_or(count)
                .min(count)
        }
        None => count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carry(link: Conditions, seed: u64) -> Vec<u8> {
        let (mut rng, mut pipe) = (Rng::from_seed(seed), Pipe::default());
        let sent: Vec<u8> = (0..=255).cycle().take(2000).collect();
        let (mut rest, mut out, mut now) = (&sent[..], Vec::new(), Mono::ZERO);
        while !pipe.is_at_end() {
            if !rest.is_empty() {
                let count = pipe.send(rest, &link, &mut rng, now);
                rest = rest.get(count..).unwrap_or_default();
                assert!(pipe.held <= link.capacity);
            } else if !pipe.has_ended() {
                pipe.end();
            }
            out.extend(pipe.take(usize::MAX, &link, &mut rng, now));
            now = pipe.next_arrival(now).unwrap_or(now);
        }
        assert_eq!(out.len(), sent.len());
        out
    }

    #[test]
    fn bytes_come_out_once_and_in_order_however_they_are_split() {
        let expected: Vec<u8> = (0..=255).cycle().take(2000).collect();
        for seed in 0..50 {
            let link = Conditions {
                capacity: 1 + usize::try_from(seed).unwrap_or(0) * 7,
                piece_max: (seed % 3 > 0).then_some(9),
                delay: Duration::from_millis(seed % 5),
            };
            assert_eq!(carry(link, seed), expected, "seed {seed}");
        }
    }
}
