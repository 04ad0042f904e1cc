//! A room's stream: its epoch, its offsets, and the newest publications that are retained.
//!
//! The caller sequences: whoever holds the stream mutably is the one who assigns offsets. May not
//! touch: members, locks, clocks, storage. Invariant: what is retained is the unbroken end of the
//! stream, so an entry's offset follows from its place and a missing one cannot be overlooked.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use crate::base::clock::Mono;
use crate::config::NamespaceOptions;
use crate::domain::position::{Epoch, OFFSET_MAX, Position};

/// How much of a stream is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Publications; 0 keeps none.
    pub count: usize,
    /// Their bytes in all, above 0 as the config has it.
    pub bytes: usize,
    /// How long each is kept, above zero as the config has it.
    pub age: Duration,
}

/// Some items of a stream with their offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the order that was asked for.
    pub items: Vec<(u64, T)>,
    /// Whether more are retained in that direction.
    pub more: bool,
}

/// A room's stream of `T`, which is cloned for readers and so should be cheap to clone.
#[derive(Clone, Debug)]
pub struct Stream<T> {
    epoch: Epoch,
    offset: u64,
    entries: VecDeque<Entry<T>>,
    retained_bytes: usize,
    last_activity: Mono,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    item: T,
    bytes: usize,
    at: Mono,
}

impl Retention {
    /// What is kept of a room with these options.
    #[must_use]
    pub fn of(options: &NamespaceOptions) -> Self {
        Self {
            count: options.history_count,
            bytes: options.history_bytes,
            age: options.history_age,
        }
    }
}

impl<T: Clone> Stream<T> {
    /// A stream with nothing in it.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            offset: 0,
            entries: VecDeque::new(),
            retained_bytes: 0,
            last_activity: Mono::ZERO,
        }
    }

    /// Goes on at a position, with nothing retained, as one that was written down.
    pub fn resume(&mut self, position: Position) {
        self.clear();
        self.epoch = position.epoch;
        self.offset = position.offset;
    }

    /// The stream's identity.
    #[must_use]
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// The offset of the newest publication, retained or not; 0 if there was none.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The offset that the next publication gets.
    #[must_use]
    pub fn next_offset(&self) -> u64 {
        debug_assert!(self.offset < OFFSET_MAX, "offsets last for centuries");
        (self.offset + 1).min(OFFSET_MAX)
    }

    /// The newest publication, whether retained or not, as a place.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            epoch: self.epoch,
            offset: self.offset,
        }
    }

    /// Whether nothing is retained.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many are retained.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of what is retained, as told by [`Stream::append`].
    #[must_use]
    pub fn retained_bytes(&self) -> usize {
        self.retained_bytes
    }

    /// When the newest publication came; [`Mono::ZERO`] if there was none.
    #[must_use]
    pub fn last_activity(&self) -> Mono {
        self.last_activity
    }

    /// Adds `item`, whose size counts as `bytes`, evicts the oldest as `retention` demands, and
    /// returns the item's offset.
    ///
    /// An item that alone is larger than all that may be retained is not kept, and nor is anything
    /// before it, since what is retained has no gap.
    pub fn append(&mut self, item: T, bytes: usize, retention: &Retention, now: Mono) -> u64 {
        self.offset = self.next_offset();
        // Readings of several threads may be out of order by a little; ages must not be.
        self.last_activity = self.last_activity.max(now);
        if retention.count == 0 || bytes > retention.bytes {
            self.clear();
            return self.offset;
        }
        self.evict(retention, now, 1, bytes);
        self.entries.push_back(Entry {
            item,
            bytes,
            at: self.last_activity,
        });
        self.retained_bytes += bytes;
        self.offset
    }

    /// Evicts what `retention` no longer covers, and returns how many that were. An empty stream
    /// gives its memory back.
    pub fn expire(&mut self, retention: &Retention, now: Mono) -> usize {
        let evicted = self.evict(retention, now, 0, 0);
        if self.entries.is_empty() {
            self.clear();
        }
        evicted
    }

    /// What came after `since`, oldest first, at most `limit`.
    ///
    /// If some of it is gone, this starts with the oldest that is left.
    #[must_use]
    pub fn after(&self, since: u64, limit: usize) -> Page<T> {
        let gone = self.offset - self.entries.len() as u64;
        let start = self.place(since.saturating_sub(gone));
        let end = start.saturating_add(limit).min(self.entries.len());
        Page {
            items: self.numbered(start..end).collect(),
            more: end < self.entries.len(),
        }
    }

    /// Whether everything after `since` is retained.
    #[must_use]
    pub fn retains_after(&self, since: u64) -> bool {
        since >= self.offset - self.entries.len() as u64
    }

    /// What came before the publication `before`, or all, newest first, at most `limit`.
    #[must_use]
    pub fn before(&self, before: Option<u64>, limit: usize) -> Page<T> {
        let later = before.map_or(0, |before| (self.offset + 1).saturating_sub(before));
        let end = self.entries.len() - self.place(later);
        let start = end.saturating_sub(limit);
        Page {
            items: self.numbered(start..end).rev().collect(),
            more: start > 0,
        }
    }

    /// Everything that came after `since`, oldest first, for somebody who was away; `None` if any
    /// of it is gone, if it is more than `max`, or if `since` has not been reached yet.
    ///
    /// Whether `since` is of this epoch is the caller's to check.
    #[must_use]
    pub fn missed(&self, since: u64, max: usize) -> Option<Vec<(u64, T)>> {
        let count = usize::try_from(self.offset.checked_sub(since)?).ok()?;
        if count > max {
            return None;
        }
        let start = self.entries.len().checked_sub(count)?;
        Some(self.numbered(start..self.entries.len()).collect())
    }

    /// Forgets what is retained and goes on as another stream.
    ///
    /// Offsets go on, too: members tell live publications from those before they joined by their
    /// offsets, and a client that remembers a bare offset must not find others under it.
    pub fn reset(&mut self, epoch: Epoch) {
        self.clear();
        self.epoch = epoch;
    }

    /// Forgets what is retained and goes on as the same stream, as if all of it had aged out. Returns
    /// how many that were.
    pub fn forget(&mut self) -> usize {
        let forgotten = self.entries.len();
        self.clear();
        forgotten
    }

    /// Checks what must hold between any two calls.
    ///
    /// # Panics
    /// When it does not hold.
    pub fn check_invariants(&self) {
        assert!(self.offset <= OFFSET_MAX);
        assert!(self.entries.len() as u64 <= self.offset);
        let bytes: usize = self.entries.iter().map(|entry| entry.bytes).sum();
        assert_eq!(bytes, self.retained_bytes);
        assert!(self.entries.iter().is_sorted_by_key(|entry| entry.at));
        assert!(
            self.entries
                .back()
                .is_none_or(|entry| entry.at <= self.last_activity)
        );
    }

    /// The items at `places`, which lie within what is retained, with their offsets.
    fn numbered(&self, places: Range<usize>) -> impl DoubleEndedIterator<Item = (u64, T)> {
        let first = self.offset - self.entries.len() as u64 + 1 + places.start as u64;
        let entries = self.entries.range(places);
        entries
            .enumerate()
            .map(move |(place, entry)| (first + place as u64, entry.item.clone()))
    }

    /// The place after the first `count` entries, or after all of them.
    fn place(&self, count: u64) -> usize {
        usize::try_from(count).map_or(self.entries.len(), |count| count.min(self.entries.len()))
    }

    /// Evicts the oldest until `count` more items of `bytes` in all fit and none has aged out.
    fn evict(&mut self, retention: &Retention, now: Mono, count: usize, bytes: usize) -> usize {
        let before = self.entries.len();
        while let Some(oldest) = self.entries.front() {
            let bytes = self.retained_bytes.saturating_add(bytes);
            let fits = self.entries.len() + count <= retention.count && bytes <= retention.bytes;
            if fits && now.since(oldest.at) < retention.age {
                break;
            }
            self.retained_bytes -= oldest.bytes;
            self.entries.pop_front();
        }
        before - self.entries.len()
    }

    fn clear(&mut self) {
        self.entries = VecDeque::new();
        self.retained_bytes = 0;
    }
}

#[cfg(test)]
mod tests;
