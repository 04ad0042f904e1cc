//! Ids as types: a bare integer never crosses a function boundary as an id.
//!
//! [`PeerId`] is local to one shard and carries a generation, so that a late event or reply for a
//! peer that is gone finds nothing. [`SessionId`] is what the wire shows: random and unrelated.

use std::fmt;

/// One reactor with its sessions; 0 owns the listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl ShardId {
    /// The index of this shard in per-shard tables.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Bits of a `usize` token that hold the slot; the rest holds the generation.
#[cfg(target_pointer_width = "64")]
const SLOT_BITS: u32 = 32;
/// A million slots and 4,096 generations on 32-bit targets.
#[cfg(not(target_pointer_width = "64"))]
const SLOT_BITS: u32 = 20;

/// A connection's place in its shard's slab: slot and generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId {
    /// Index in the slab.
    pub slot: u32,
    /// How often the slot was reused, modulo what a token can hold.
    pub generation: u32,
}

impl PeerId {
    /// The largest generation a token can hold; the next one is 0.
    pub const GENERATION_MAX: u32 = ((1u64 << (usize::BITS - SLOT_BITS)) - 1) as u32;
    /// The largest slot a token can hold. The very last is kept back for the shell's own tokens.
    pub const SLOT_MAX: u32 = ((1u64 << SLOT_BITS) - 2) as u32;

    /// The token of the shell's `number`-th source that is not a peer: its waker, its listeners.
    /// No peer has it, because no peer has its slot.
    #[must_use]
    pub const fn shell_token(number: u32) -> usize {
        Self {
            slot: Self::SLOT_MAX + 1,
            generation: number,
        }
        .to_token()
    }

    /// The number given to [`PeerId::shell_token`], if this id came from such a token.
    #[must_use]
    pub const fn shell_number(self) -> Option<u32> {
        if self.slot == Self::SLOT_MAX + 1 {
            Some(self.generation)
        } else {
            None
        }
    }

    /// Packs the id into the integer that the poll hands back.
    #[must_use]
    pub const fn to_token(self) -> usize {
        ((self.generation as usize) << SLOT_BITS) | self.slot as usize
    }

    /// The id packed into `token` by [`PeerId::to_token`].
    #[must_use]
    pub const fn from_token(token: usize) -> Self {
        let slot = (token & ((1usize << SLOT_BITS) - 1)) as u32;
        Self {
            slot,
            generation: (token >> SLOT_BITS) as u32,
        }
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

/// A participant's id on the wire: 128 random bits, spelt as 32 hex digits.
///
/// Packed, because a number of 128 bits would have whatever holds it aligned, and rounded up, to 16
/// bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(Rust, packed(8))]
pub struct SessionId(pub u128);

impl SessionId {
    /// The id of a session that is asked for on connections of any shard, and says by itself where
    /// it is. Of `random`, 112 bits are kept; the lowest 16 become those of the shard, mixed with
    /// the 16 above them, so that ids of one shard have no digits in common.
    #[must_use]
    pub const fn in_shard(random: u128, shard: ShardId) -> Self {
        let kept = random >> SHARD_BITS;
        Self((kept << SHARD_BITS) | (shard.0 ^ kept as u16) as u128)
    }

    /// The shard that an id made by [`SessionId::in_shard`] names. An id that somebody made up, or
    /// another kind of session has, names any, whether there is one or not.
    #[must_use]
    pub const fn shard(self) -> ShardId {
        let bits = self.0;
        ShardId(bits as u16 ^ (bits >> SHARD_BITS) as u16)
    }

    /// Reads 32 lower-case hex digits; anything else is `None`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 32 || !text.bytes().all(hex) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(Self)
    }
}

/// Bits of a session's id that may name its shard.
const SHARD_BITS: u32 = u16::BITS;

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", { self.0 })
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn a_session_id_names_its_shard_and_hides_it() {
        let mut rng = Rng::from_seed(1);
        let mut endings = HashSet::new();
        for shard in [0, 1, 2, 63, 64, u16::MAX].map(ShardId) {
            for _ in 0..1_000 {
                let random = rng.next_u128();
                let id = SessionId::in_shard(random, shard);
                let bits = id.0;
                assert_eq!((id.shard(), bits >> 16), (shard, random >> 16));
                assert_eq!(SessionId::parse(&id.to_string()), Some(id));
                endings.insert((shard, bits as u16));
            }
        }
        assert!(endings.len() > 5_900, "{} of 6,000", endings.len());
    }

    #[test]
    fn peer_id_survives_the_token() {
        for id in [
            PeerId {
                slot: 0,
                generation: 0,
            },
            PeerId {
                slot: PeerId::SLOT_MAX,
                generation: PeerId::GENERATION_MAX,
            },
            PeerId {
                slot: 7,
                generation: 9,
            },
        ] {
            assert_eq!(PeerId::from_token(id.to_token()), id);
            assert_eq!(id.shell_number(), None);
        }
        assert_eq!(
            PeerId::from_token(PeerId::shell_token(3)).shell_number(),
            Some(3)
        );
    }

    #[test]
    fn session_id_survives_its_spelling() {
        let id = SessionId(0x0123_4567_89ab_cdef);
        assert_eq!(SessionId::parse(&id.to_string()), Some(id));
        for bad in ["", "0", "0123456789ABCDEF0123456789abcdef", &"0".repeat(33)] {
            assert_eq!(SessionId::parse(bad), None, "{bad}");
        }
    }
}
