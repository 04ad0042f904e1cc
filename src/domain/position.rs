//! Where something stands in a room's stream: epochs, offsets and the pair of them.
//!
//! May not touch: what the stream holds. Invariant: an [`Epoch`] holds a valid one.

use std::fmt;

use crate::base::rng::Rng;

/// The largest offset: the largest integer that a JSON number holds exactly everywhere (RFC 7493
/// section 2.2). A million publications a second reach it in 285 years.
pub const OFFSET_MAX: u64 = (1 << 53) - 1;

/// The longest epoch in bytes.
const EPOCH_BYTES: usize = 32;

/// Letters and digits of a random epoch. Without `-` and `_`, so that none looks like a flag.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Length of a random epoch: 71 bits, so two never meet in one room.
const RANDOM_EPOCH_BYTES: usize = 12;

/// The identity of a room's stream: a new epoch says that what was remembered of it is void.
///
/// 1 to 32 characters of `A-Z a-z 0-9 _ -`, held inline.
// Invariant: the bytes beyond `length` are 0, so that equality and hash are those of the text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch {
    length: u8,
    bytes: [u8; EPOCH_BYTES],
}

impl Epoch {
    /// A new epoch that no other stream has.
    #[must_use]
    pub fn random(rng: &mut Rng) -> Self {
        let mut bytes = [0; EPOCH_BYTES];
        for byte in bytes.iter_mut().take(RANDOM_EPOCH_BYTES) {
            let choice = usize::try_from(rng.below(ALPHABET.len() as u64)).unwrap_or(0);
            *byte = ALPHABET.get(choice).copied().unwrap_or(b'0');
        }
        Self {
            length: RANDOM_EPOCH_BYTES as u8,
            bytes,
        }
    }

    /// The epoch that `text` spells, or `None` if it spells none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if text.is_empty() || !text.bytes().all(is_allowed) {
            return None;
        }
        let mut bytes = [0; EPOCH_BYTES];
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        let length = u8::try_from(text.len()).ok()?;
        Some(Self { length, bytes })
    }

    /// The epoch as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length));
        bytes
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({self})")
    }
}

/// A place in a stream: after the publication with this offset, or at its start for 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which stream.
    pub epoch: Epoch,
    /// 0 to [`OFFSET_MAX`].
    pub offset: u64,
}

impl fmt::Display for Position {
    /// `EPOCH:OFFSET`, as `domain::command::Since` is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.offset)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn parses_exactly_the_allowed_epochs() {
        let check = |text: &str, is_valid: bool| {
            let epoch = Epoch::parse(text);
            assert_eq!(
                epoch.map(|epoch| epoch.to_string()),
                is_valid.then(|| text.to_owned())
            );
        };
        check("a", true);
        check("aZ09_-", true);
        check(&"e".repeat(32), true);
        for text in [
            "",
            "a b",
            "a:1",
            "a,b",
            "é",
            "a\0",
            &"e".repeat(33),
            &"e".repeat(300),
        ] {
            check(text, false);
        }
        assert_ne!(Epoch::parse("a"), Epoch::parse("aa"));
    }

    #[test]
    fn random_epochs_are_valid_and_differ() {
        let mut rng = Rng::from_seed(4);
        let epochs: Vec<Epoch> = (0..1000).map(|_| Epoch::random(&mut rng)).collect();
        for epoch in &epochs {
            assert_eq!(Epoch::parse(epoch.as_str()).as_ref(), Some(epoch));
            assert!((11..=16).contains(&epoch.as_str().len()));
        }
        assert_eq!(epochs.iter().collect::<HashSet<_>>().len(), epochs.len());
        let letters: HashSet<char> = epochs.iter().flat_map(|e| e.as_str().chars()).collect();
        assert_eq!(letters.len(), ALPHABET.len());
        assert_eq!(Epoch::random(&mut Rng::from_seed(4)), epochs[0]);
    }
}
