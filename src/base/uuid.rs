//! UUIDs of version 4 (RFC 9562 section 5.4), the ids of what is kept: projects and runs.
//!
//! Invariant: one id has one spelling, 36 characters in lower case.

use std::fmt;

use crate::base::rng::Rng;

/// A random id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(u128);

/// Characters of a spelt id.
pub const UUID_CHARACTERS: usize = 36;

/// Where the hyphens stand.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl Uuid {
    /// The UUID of nothing (RFC 9562 section 5.9).
    pub const NIL: Self = Self(0);

    /// A new id.
    #[must_use]
    pub fn random(rng: &mut Rng) -> Self {
        const VERSION: u128 = 0xf << 76;
        const VARIANT: u128 = 0b11 << 62;
        let bits = rng.next_u128() & !VERSION & !VARIANT;
        Self(bits | 0x4 << 76 | 0b10 << 62)
    }

    /// Reads the spelling, in upper or lower case; `None` if it is none. Ids of other versions are
    /// taken, too: they name nothing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != UUID_CHARACTERS {
            return None;
        }
        let mut bits = 0;
        for (at, byte) in text.bytes().enumerate() {
            if HYPHENS.contains(&at) {
                if byte != b'-' {
                    return None;
                }
                continue;
            }
            let digit = char::from(byte).to_digit(16)?;
            bits = bits << 4 | u128::from(digit);
        }
        Some(Self(bits))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |from: u32, digits: u32| {
            self.0 >> (128 - 4 * (from + digits)) & ((1 << (4 * digits)) - 1)
        };
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            part(0, 8),
            part(8, 4),
            part(12, 4),
            part(16, 4),
            part(20, 12)
        )
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_spelt_as_it_is_read() {
        let mut rng = Rng::from_seed(1);
        for _ in 0..1000 {
            let id = Uuid::random(&mut rng);
            let spelt = id.to_string();
            assert_eq!(Uuid::parse(&spelt), Some(id));
            assert_eq!(Uuid::parse(&spelt.to_uppercase()), Some(id));
            assert_eq!(spelt.as_bytes().get(14), Some(&b'4'), "{spelt}");
            let variant = spelt.as_bytes().get(19).copied();
            assert!(variant.is_some_and(|v| b"89ab".contains(&v)), "{spelt}");
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let spelt = "0f8fad5b-d9cb-469f-a165-70867728950e";
        assert_eq!(
            Uuid::parse(spelt).map(|id| id.to_string()).as_deref(),
            Some(spelt)
        );
        for wrong in [
            "",
            "0f8fad5bd9cb469fa16570867728950e",
            "0f8fad5b-d9cb-469f-a165-70867728950",
            "0f8fad5b-d9cb-469f-a165-70867728950ee",
            "0f8fad5b+d9cb-469f-a165-70867728950e",
            "0f8fad5g-d9cb-469f-a165-70867728950e",
            "0f8fad5b-d9cb-469f-a165-7086772895é",
            "{f8fad5b-d9cb-469f-a165-70867728950}",
        ] {
            assert_eq!(Uuid::parse(wrong), None, "{wrong}");
        }
    }
}
