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
    use super::*;

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
