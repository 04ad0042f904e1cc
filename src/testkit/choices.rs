//! Decisions read from bytes, so that a fuzzer and a seed steer the same tests.
//!
//! A fuzzer brings the bytes; a seed is stretched into some by [`seeded`]. Invariants: the same
//! bytes make the same decisions, and every input makes some: past its end all bytes are zeros.

use crate::base::rng::Rng;

/// Bytes to decide by, read from the front.
#[derive(Clone, Copy, Debug)]
pub struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    /// Decisions by `input`.
    #[must_use]
    pub const fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    /// Whether only zeros are left.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte; `None` past the end.
    pub fn next_byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    /// The next byte; 0 past the end.
    pub fn byte(&mut self) -> u8 {
        self.next_byte().unwrap_or_default()
    }

    /// A number below `bound` by one byte, so at most 255; 0 if `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()).checked_rem(bound).unwrap_or(0)
    }

    /// True once in `among` times, at most 256.
    pub fn one_in(&mut self, among: usize) -> bool {
        self.below(among) + 1 == among
    }

    /// One of `options`, of which there are 1 to 256.
    ///
    /// # Panics
    /// If there are none.
    pub fn one_of<T: Copy>(&mut self, options: &[T]) -> T {
        options[self.below(options.len())]
    }

    /// The next `count` bytes, or those that are left.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}

/// `count` bytes that chance chooses by `seed`.
#[must_use]
pub fn seeded(seed: u64, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    Rng::from_seed(seed).fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Choices, seeded};

    #[test]
    fn bytes_decide_until_they_are_over_and_zeros_from_then_on() {
        let mut choices = Choices::new(&[7, 3, 250, 1, 2]);
        assert_eq!(choices.next_byte(), Some(7));
        assert_eq!(choices.below(2), 1);
        assert_eq!(choices.one_of(&["a", "b", "c"]), "b");
        assert_eq!((choices.take(9), choices.is_over()), (&[1, 2][..], true));
        assert_eq!((choices.next_byte(), choices.byte()), (None, 0));
        assert_eq!((choices.below(0), choices.below(5)), (0, 0));
        assert!(!choices.one_in(3) && Choices::new(&[2]).one_in(3));
    }

    #[test]
    fn a_seed_makes_its_own_bytes() {
        assert_eq!(seeded(1, 8), seeded(1, 8));
        assert_ne!(seeded(1, 8), seeded(2, 8));
    }
}
