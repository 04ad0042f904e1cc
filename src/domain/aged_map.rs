//! A map that knows which of its entries was inserted longest ago, for tables with a bound.
//!
//! May not touch: time; age is the order of insertion. Invariant: `order` and `entries` hold the
//! same keys, each once.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Values by key, in the order in which they were last inserted.
#[derive(Debug)]
pub(super) struct AgedMap<K, V> {
    entries: HashMap<K, Aged<V>>,
    order: BTreeMap<u64, K>,
    next_serial: u64,
}

#[derive(Debug)]
struct Aged<V> {
    serial: u64,
    value: V,
}

impl<K, V> Default for AgedMap<K, V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            order: BTreeMap::new(),
            next_serial: 0,
        }
    }
}

impl<K: Clone + Eq + Hash, V> AgedMap<K, V> {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|aged| &aged.value)
    }

    /// Stores `value` as the newest entry, in place of any of the same key.
    pub(super) fn insert(&mut self, key: &K, value: V) {
        let serial = self.next_serial;
        self.next_serial += 1;
        let aged = Aged { serial, value };
        if let Some(replaced) = self.entries.insert(key.clone(), aged) {
            self.order.remove(&replaced.serial);
        }
        self.order.insert(serial, key.clone());
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let aged = self.entries.remove(key)?;
        self.order.remove(&aged.serial);
        Some(aged.value)
    }

    pub(super) fn oldest(&self) -> Option<&V> {
        let (_, key) = self.order.first_key_value()?;
        self.get(key)
    }

    pub(super) fn pop_oldest(&mut self) -> Option<V> {
        let (_, key) = self.order.pop_first()?;
        self.entries.remove(&key).map(|aged| aged.value)
    }

    /// Gives back the memory of what was removed.
    pub(super) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
    }

    /// Checks what must hold between any two calls.
    ///
    /// # Panics
    /// When it does not hold.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        assert_eq!(self.order.len(), self.entries.len());
        for (serial, key) in &self.order {
            assert_eq!(self.entries.get(key).map(|aged| aged.serial), Some(*serial));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn agrees_with_a_list_in_order_of_insertion() {
        for seed in 0..64 {
            let mut rng = Rng::from_seed(seed);
            let mut map = AgedMap::default();
            let mut model: Vec<(u64, u64)> = Vec::new();
            for step in 0..200 {
                let key = rng.below(12);
                match rng.below(4) {
                    0 | 1 => {
                        map.insert(&key, step);
                        model.retain(|(k, _)| *k != key);
                        model.push((key, step));
                    }
                    2 => {
                        let expected = model.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
                        assert_eq!(map.remove(&key), expected, "seed {seed}");
                        model.retain(|(k, _)| *k != key);
                    }
                    _ => {
                        let expected = (!model.is_empty()).then(|| model.remove(0).1);
                        assert_eq!(map.pop_oldest(), expected, "seed {seed}");
                    }
                }
                map.check_invariants();
                assert_eq!(map.len(), model.len(), "seed {seed}");
                assert_eq!(map.oldest(), model.first().map(|(_, v)| v), "seed {seed}");
                let expected = model.iter().find(|(k, _)| *k == key).map(|(_, v)| v);
                assert_eq!(map.get(&key), expected, "seed {seed}");
            }
        }
    }
}
