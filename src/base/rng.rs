//! Randomness as a value: one seeded generator per owner, so that a seed replays a run.
//!
//! ChaCha12 with a seed from the operating system is fit for session ids and epochs; tests seed it
//! by hand. Invariant: the operating system is asked in [`Rng::from_os`] only.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use ring::rand::{SecureRandom, SystemRandom};

use crate::base::ids::SessionId;

/// A cryptographically strong generator with a replayable seed.
#[derive(Clone, Debug)]
pub struct Rng(ChaCha12Rng);

impl Rng {
    /// The generator that always yields the sequence of `seed`. For tests and simulations.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self(ChaCha12Rng::seed_from_u64(seed))
    }

    /// A generator seeded by the operating system.
    ///
    /// # Errors
    /// When the operating system has no randomness to give; nothing may start then.
    pub fn from_os() -> Result<Self, RandomUnavailable> {
        let mut seed = [0u8; 32];
        SystemRandom::new()
            .fill(&mut seed)
            .map_err(|_| RandomUnavailable)?;
        Ok(Self(ChaCha12Rng::from_seed(seed)))
    }

    /// A generator of its own for another owner, split off this one.
    #[must_use]
    pub fn split(&mut self) -> Self {
        let mut seed = [0u8; 32];
        self.0.fill_bytes(&mut seed);
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// 128 random bits.
    pub fn next_u128(&mut self) -> u128 {
        (u128::from(self.0.next_u64()) << 64) | u128::from(self.0.next_u64())
    }

    /// A number below `bound`; 0 if `bound` is 0. The bias is below 2^-32 for bounds of 32 bits,
    /// which is all this is used for (jitter, choices in tests).
    pub fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.0.next_u64()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// A new session id.
    pub fn session_id(&mut self) -> SessionId {
        SessionId(self.next_u128())
    }

    /// Fills `out` with random bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}

/// The operating system gave no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct RandomUnavailable;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replays() {
        let (mut a, mut b) = (Rng::from_seed(7), Rng::from_seed(7));
        assert_eq!(a.next_u128(), b.next_u128());
        assert_eq!(a.split().next_u64(), b.split().next_u64());
        assert_ne!(Rng::from_seed(8).next_u64(), Rng::from_seed(7).next_u64());
    }

    #[test]
    fn below_stays_below() {
        let mut rng = Rng::from_seed(1);
        assert!((0..1000).all(|_| rng.below(3) < 3));
        assert_eq!(rng.below(0), 0);
    }
}
