//! A slab whose keys carry a generation, so that an old key finds nothing.
//!
//! The slots come from the `slab` crate; this adds the generation and the [`PeerId`] key. A slot's
//! generation moves on when it is freed, so the key of a removed value never matches again until
//! [`PeerId::GENERATION_MAX`] reuses of that very slot have passed.

use slab::Slab;

use crate::base::ids::PeerId;

/// Values of one shard by [`PeerId`].
#[derive(Debug)]
pub struct GenerationalSlab<T> {
    values: Slab<T>,
    /// By slot; grows with the slab and never shrinks.
    generations: Vec<u32>,
}

impl<T> Default for GenerationalSlab<T> {
    fn default() -> Self {
        Self {
            values: Slab::new(),
            generations: Vec::new(),
        }
    }
}

impl<T> GenerationalSlab<T> {
    /// How many values are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Stores a value.
    ///
    /// # Errors
    /// The value, when every slot that a token can name is taken.
    pub fn insert(&mut self, value: T) -> Result<PeerId, T> {
        let Some(slot) = u32::try_from(self.values.vacant_key())
            .ok()
            .filter(|slot| *slot <= PeerId::SLOT_MAX)
        else {
            return Err(value);
        };
        if self.generations.len() <= slot as usize {
            self.generations.resize(slot as usize + 1, 0);
        }
        let generation = self.generations.get(slot as usize).copied().unwrap_or(0);
        self.values.insert(value);
        Ok(PeerId { slot, generation })
    }

    /// The value of `id`, unless it is gone.
    #[must_use]
    pub fn get(&self, id: PeerId) -> Option<&T> {
        if self.generations.get(id.slot as usize) != Some(&id.generation) {
            return None;
        }
        self.values.get(id.slot as usize)
    }

    /// The value of `id`, unless it is gone.
    pub fn get_mut(&mut self, id: PeerId) -> Option<&mut T> {
        if self.generations.get(id.slot as usize) != Some(&id.generation) {
            return None;
        }
        self.values.get_mut(id.slot as usize)
    }

    /// The key and value now in `slot`, whatever the generation. For indexes that are kept in step
    /// with removals (a room's member list).
    pub fn at_slot(&mut self, slot: u32) -> Option<(PeerId, &mut T)> {
        let generation = *self.generations.get(slot as usize)?;
        let value = self.values.get_mut(slot as usize)?;
        Some((PeerId { slot, generation }, value))
    }

    /// Takes the value of `id` out; its key matches nothing from now on.
    pub fn remove(&mut self, id: PeerId) -> Option<T> {
        self.get(id)?;
        if let Some(generation) = self.generations.get_mut(id.slot as usize) {
            *generation = if *generation == PeerId::GENERATION_MAX {
                0
            } else {
                *generation + 1
            };
        }
        self.values.try_remove(id.slot as usize)
    }

    /// All keys and values, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (PeerId, &T)> {
        self.values.iter().filter_map(|(slot, value)| {
            let generation = *self.generations.get(slot)?;
            Some((
                PeerId {
                    slot: u32::try_from(slot).ok()?,
                    generation,
                },
                value,
            ))
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_old_key_finds_nothing_after_its_slot_is_reused() {
        let mut slab = GenerationalSlab::default();
        let first = slab.insert('a').unwrap();
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert('b').unwrap();
        assert_eq!(first.slot, second.slot);
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&'b'));
        assert_eq!(
            slab.at_slot(second.slot).map(|(id, v)| (id, *v)),
            Some((second, 'b'))
        );
    }

    #[test]
    fn generations_wrap_without_overflow() {
        let mut slab = GenerationalSlab {
            values: Slab::new(),
            generations: vec![PeerId::GENERATION_MAX],
        };
        let id = slab.insert(()).unwrap();
        assert_eq!(id.generation, PeerId::GENERATION_MAX);
        slab.remove(id);
        assert_eq!(slab.insert(()).unwrap().generation, 0);
    }
}
