//! A room's stream: its epoch, its offsets, and the newest publications that are retained.
//!
//! The caller sequences: whoever holds the stream mutably is the one who assigns offsets. May not
//! touch: members, locks, clocks, storage. Invariant: what is retained is the unbroken end of the
//! stream, so an entry's offset follows from its place and a missing one cannot be overlooked.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use crate::base::clock::Mono;
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    const SECOND: Duration = Duration::from_secs(1);
    const START: Mono = Mono::from_nanos(5);
    const MANY: usize = 1 << 20;
    const LONG: Duration = Duration::from_secs(3600);

    fn stream() -> Stream<u64> {
        Stream::new(Epoch::parse("e").unwrap())
    }

    fn keep(count: usize, bytes: usize, age: Duration) -> Retention {
        Retention { count, bytes, age }
    }

    fn offsets(page: &Page<u64>) -> (Vec<u64>, bool) {
        (
            page.items.iter().map(|(offset, _)| *offset).collect(),
            page.more,
        )
    }

    /// What a stream is, said without economy: every item ever, and which of them are gone.
    #[derive(Default)]
    struct Model {
        items: Vec<(u64, usize, Mono)>,
        gone: usize,
    }

    impl Model {
        fn evict(&mut self, keep: &Retention, now: Mono) -> usize {
            let before = self.gone;
            for place in (before..self.items.len()).rev() {
                let (_, _, at) = self.items[place];
                let bytes: usize = self.items[place..].iter().map(|(_, bytes, _)| bytes).sum();
                let over = self.items.len() - place > keep.count
                    || bytes > keep.bytes
                    || now.since(at) >= keep.age;
                if over {
                    self.gone = place + 1;
                    break;
                }
            }
            self.gone - before
        }

        fn retained(&self, low: u64, high: u64) -> Vec<(u64, u64)> {
            let all = self.items.iter().zip(1..).skip(self.gone);
            all.map(|((item, ..), offset)| (offset, *item))
                .filter(|(offset, _)| (low..high).contains(offset))
                .collect()
        }
    }

    fn check_against_model(seed: u64) {
        let mut rng = Rng::from_seed(seed);
        let mut small = |bound: u64| usize::try_from(rng.below(bound)).unwrap();
        let (mut stream, mut model, mut now) = (stream(), Model::default(), START);
        let mut limits = keep(small(8), 1 + small(40), SECOND * 3);
        for step in 0..300u64 {
            now = now + SECOND / 4 * u32::try_from(small(4)).unwrap();
            match small(16) {
                0..8 => {
                    let bytes = small(12);
                    model.items.push((step, bytes, now));
                    model.evict(&limits, now);
                    let offset = stream.append(step, bytes, &limits, now);
                    assert_eq!(offset, model.items.len() as u64, "seed {seed}");
                    assert_eq!(stream.last_activity(), now);
                }
                8 => {
                    let evicted = model.evict(&limits, now);
                    assert_eq!(stream.expire(&limits, now), evicted, "seed {seed}");
                }
                9 if step % 5 == 0 => {
                    limits = keep(
                        small(8),
                        1 + small(40),
                        SECOND * u32::try_from(1 + small(4)).unwrap(),
                    );
                }
                10 if step % 7 == 0 => {
                    stream.reset(Epoch::parse(&format!("e{step}")).unwrap());
                    model.gone = model.items.len();
                }
                _ => {}
            }
            stream.check_invariants();
            let top = model.items.len() as u64;
            let bytes: usize = model.items[model.gone..]
                .iter()
                .map(|(_, bytes, _)| bytes)
                .sum();
            assert_eq!(
                (stream.offset(), stream.retained_bytes()),
                (top, bytes),
                "seed {seed}"
            );

            let (since, limit) = (small(top + 3) as u64, small(10));
            let later = model.retained(since + 1, u64::MAX);
            let page = stream.after(since, limit);
            assert_eq!(page.more, later.len() > limit, "seed {seed}");
            assert_eq!(page.items, later[..limit.min(later.len())], "seed {seed}");

            let is_retained = since >= model.gone as u64;
            assert_eq!(stream.retains_after(since), is_retained, "seed {seed}");

            let mut earlier = model.retained(0, since);
            earlier.reverse();
            let page = stream.before(Some(since), limit);
            assert_eq!(page.more, earlier.len() > limit, "seed {seed}");
            assert_eq!(
                page.items,
                earlier[..limit.min(earlier.len())],
                "seed {seed}"
            );

            let is_whole = since <= top && since >= model.gone as u64 && later.len() <= limit;
            assert_eq!(
                stream.missed(since, limit),
                is_whole.then_some(later),
                "seed {seed}"
            );
        }
    }

    #[test]
    fn agrees_with_a_list_of_everything() {
        for seed in 0..256 {
            check_against_model(seed);
        }
    }

    #[test]
    fn keeps_what_each_limit_allows() {
        let check = |retention: Retention, expected: &[u64]| {
            let mut stream = stream();
            for n in 0..5u32 {
                stream.append(0, 10, &retention, START + SECOND * n);
            }
            assert_eq!(offsets(&stream.after(0, 9)).0, expected, "{retention:?}");
        };
        check(keep(9, MANY, LONG), &[1, 2, 3, 4, 5]);
        check(keep(2, MANY, LONG), &[4, 5]);
        check(keep(1, MANY, LONG), &[5]);
        check(keep(0, MANY, LONG), &[]);
        check(keep(9, 30, LONG), &[3, 4, 5]);
        check(keep(9, 29, LONG), &[4, 5]);
        check(keep(9, 9, LONG), &[]);
        check(keep(9, MANY, SECOND * 2), &[4, 5]);
    }

    #[test]
    fn an_item_larger_than_all_leaves_nothing_to_recover_from() {
        let mut stream = stream();
        let retention = keep(9, 10, LONG);
        stream.append(0, 4, &retention, START);
        assert_eq!(stream.append(1, 11, &retention, START), 2);
        assert!(stream.is_empty());
        assert_eq!(stream.append(2, 10, &retention, START), 3);
        assert_eq!(stream.missed(1, 9), None);
        assert_eq!(stream.missed(2, 9), Some(vec![(3, 2)]));
    }

    #[test]
    fn recovers_all_or_nothing() {
        let mut stream = stream();
        assert_eq!(stream.missed(0, 0), Some(vec![]));
        assert_eq!(stream.missed(1, 9), None);
        for item in 10..15 {
            stream.append(item, 1, &keep(3, MANY, LONG), START);
        }
        assert_eq!(stream.missed(5, 0), Some(vec![]));
        assert_eq!(stream.missed(2, 3), Some(vec![(3, 12), (4, 13), (5, 14)]));
        assert_eq!(stream.missed(2, 2), None);
        assert_eq!(stream.missed(1, 9), None);
        assert_eq!(stream.missed(6, 9), None);
        assert_eq!(stream.missed(u64::MAX, usize::MAX), None);
    }

    #[test]
    fn pages_in_both_directions() {
        let mut stream = stream();
        for item in 0..5 {
            stream.append(item, 1, &keep(4, MANY, LONG), START);
        }
        assert_eq!(offsets(&stream.after(0, 2)), (vec![2, 3], true));
        assert_eq!(offsets(&stream.after(3, 2)), (vec![4, 5], false));
        assert_eq!(
            offsets(&stream.after(u64::MAX, usize::MAX)),
            (vec![], false)
        );
        assert_eq!(offsets(&stream.after(0, 0)), (vec![], true));
        assert_eq!(offsets(&stream.before(None, 3)), (vec![5, 4, 3], true));
        assert_eq!(offsets(&stream.before(Some(3), 3)), (vec![2], false));
        assert_eq!(offsets(&stream.before(Some(0), 3)), (vec![], false));
        assert_eq!(
            offsets(&stream.before(Some(u64::MAX), usize::MAX)).0.len(),
            4
        );
    }

    #[test]
    fn a_reset_starts_another_epoch_with_nothing_retained() {
        let mut stream = stream();
        stream.append(0, 1, &keep(9, MANY, LONG), START);
        let epoch = Epoch::parse("f").unwrap();
        stream.reset(epoch);
        stream.check_invariants();
        assert_eq!(stream.position(), Position { epoch, offset: 1 });
        assert!(stream.is_empty());
        assert_eq!(stream.next_offset(), 2);
        assert_eq!(stream.missed(0, 9), None);
    }

    #[test]
    fn readings_out_of_order_do_not_hide_what_has_aged() {
        let (mut stream, retention) = (stream(), keep(9, MANY, SECOND));
        stream.append(0, 1, &retention, START + SECOND);
        stream.append(1, 1, &retention, START);
        stream.check_invariants();
        assert_eq!(stream.expire(&retention, START + SECOND * 2), 2);
        assert!(stream.is_empty());
    }

    #[test]
    fn the_last_offset_is_what_json_holds_exactly() {
        let mut stream = stream();
        stream.offset = OFFSET_MAX - 1;
        assert_eq!(
            stream.append(0, 1, &keep(1, MANY, SECOND), START),
            9_007_199_254_740_991
        );
        stream.check_invariants();
    }
}
